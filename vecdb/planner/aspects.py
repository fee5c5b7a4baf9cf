"""The words of a question as what an answer is to cover: which candidates have which of them, and how rare each is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vecdb.fulltext import Clause, TextQuery, text_query
from vecdb.planner import evidence, text
from vecdb.planner.bound import BoundArm
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.planner.terms import spec_of, terms_of
from vecdb.planner.words import words_of
from vecdb.query.arms import Match


def aspects(context: Context, arm: BoundArm, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Return which candidates have which words of a question, (n, u) float32 of 0 and 1, and the words' idf (u,).

    A phrase counts as a word. Words that no live row has are left out.
    """
    assert isinstance(arm.arm, Match)
    fields, known, columns, weights = evidence.fields_of(arm), set[tuple[bytes, ...]](), [], []
    for clause in _single(text_query(arm.arm.text, arm.label)):
        context.state.check("select")
        asked, weight, terms = TextQuery((clause,)), 0.0, tuple[bytes, ...]()
        for column, boost in fields:
            words = words_of(context.state, column, context.allow_partial)
            mine = [term for one in terms_of(spec_of(column), asked) for term in one.known]
            frequencies = [count for count in words.frequencies(set(mine)) if count]
            weight += boost * sum(map(words.idf, frequencies))
            terms += tuple(mine)
        if weight > 0 and terms not in known:
            known.add(terms)
            columns.append(text.scores(context.state, fields, asked, candidates.part, candidates.row) > 0)
            weights.append(weight)
    has = np.array(columns, np.float32).reshape(len(columns), len(candidates)).T
    return np.ascontiguousarray(has), np.array(weights)


def _single(asked: TextQuery) -> list[Clause]:
    """Return the clauses of a question that rows should have, one for each word."""
    found: list[Clause] = []
    for clause in asked.clauses:
        if clause.occur == "not":
            continue
        texts = clause.text.split() if clause.kind == "words" else [clause.text]
        found += [replace(clause, text=each, occur="should") for each in texts]
    return found
