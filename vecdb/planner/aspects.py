"""The words of a question as what an answer is to cover: which candidates have which of them, and how rare each is."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np

from vecdb.fulltext import Clause, TextQuery, text_query
from vecdb.planner import text
from vecdb.planner.bound import BoundArm
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.planner.terms import spec_of, terms_of
from vecdb.planner.words import words_of
from vecdb.query.arms import Match
from vecdb.schema.fields import Text
from vecdb.schema.schema import Column

FEW = 3
"""Rows that may answer a question together."""


def aspects(context: Context, arm: BoundArm, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Return which candidates have which words of a question, (n, u) float32 of 0 and 1, and the words' idf (u,).

    A phrase counts as a word. Words that no live row has are left out.
    """
    found = [word for word in _words(context, arm) if word.known]
    return _have(context, arm, candidates, found), np.array([word.weight for word in found])


class Covered(NamedTuple):
    """What share of a question's words candidates have, each counted by its idf; all from 0 to 1.

    Attributes:
        shares: (n,) float64, of each candidate.
        unknown: the share of words that no live row has.
        first: the share that the first candidates have together.
        few: the share that `FEW` candidates have together, each the one that adds most to those before.

    """

    shares: np.ndarray
    unknown: float
    first: float
    few: float


def covered(context: Context, arm: BoundArm, candidates: Candidates, first: int) -> Covered:
    """Return what candidates have of a question's words, alone and together."""
    every = _words(context, arm)
    found = [word for word in every if word.known]
    whole = sum(word.weight for word in every)
    if not whole:
        return Covered(np.zeros(len(candidates)), 0.0, 0.0, 0.0)
    weights = np.array([word.weight for word in found]) / whole
    has = _have(context, arm, candidates, found)
    together = float(has[:first].max(axis=0, initial=0) @ weights)
    return Covered(has @ weights, float(1 - weights.sum()), together, _greedy(has, weights))


def _greedy(has: np.ndarray, weights: np.ndarray) -> float:
    """Return what the words of `FEW` candidates weigh together, each the one that adds most to those before."""
    left = weights.copy()
    for _ in range(min(FEW, len(has))):
        left[has[np.argmax(has @ left)] > 0] = 0
    return float(weights.sum() - left.sum())


def fields_of(arm: BoundArm) -> list[tuple[Column[Text], float]]:
    """Return the fields in which an arm looks for words, and what each counts."""
    assert isinstance(arm.arm, Match)
    return [(cast("Column[Text]", column), arm.arm.fields[column.name]) for column in arm.columns]


class _Word(NamedTuple):
    """A word of a question, what it weighs, and whether a live row has it; one that none has weighs most."""

    asked: TextQuery
    weight: float
    known: bool


def _words(context: Context, arm: BoundArm) -> list[_Word]:
    """Return the words of a question that are searched, each once."""
    assert isinstance(arm.arm, Match)
    seen, found = set[tuple[bytes, ...]](), []
    for clause in _single(text_query(arm.arm.text, arm.label)):
        context.state.check(arm.label)
        asked, weights, rarest, terms = TextQuery((clause,)), 0.0, 0.0, tuple[bytes, ...]()
        for column, boost in fields_of(arm):
            words = words_of(context.state, column, context.allow_partial)
            mine = [term for one in terms_of(spec_of(column), asked) for term in one.known]
            weights += boost * sum(words.idf(count) for count in words.frequencies(set(mine)) if count)
            rarest += boost * words.idf(0) * len(set(mine))
            terms += tuple(mine)
        if terms and terms not in seen:
            seen.add(terms)
            found.append(_Word(asked, weights or rarest, weights > 0))
    return found


def _have(context: Context, arm: BoundArm, candidates: Candidates, words: list[_Word]) -> np.ndarray:
    """Return which candidates have which words: (n, u) float32 of 0 and 1, C-contiguous."""
    has = np.zeros((len(candidates), len(words)), np.float32)
    for at, word in enumerate(words):
        has[:, at] = text.scores(context.state, fields_of(arm), word.asked, candidates.part, candidates.row) > 0
    return has


def _single(asked: TextQuery) -> list[Clause]:
    """Return the clauses of a question that rows should have, one for each word."""
    found: list[Clause] = []
    for clause in asked.clauses:
        if clause.occur == "not":
            continue
        texts = clause.text.split() if clause.kind == "words" else [clause.text]
        found += [replace(clause, text=each, occur="should") for each in texts]
    return found
