"""A question as one column reads it: which terms, and what they count in a score."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.fulltext import Clause, TextQuery
from vecdb.planner.words import StateWords
from vecdb.schema.fields import Text
from vecdb.schema.fulltext import FullText
from vecdb.schema.schema import Column
from vecdb.storage.text_index import analyzer_of
from vecdb_index.inverted.analysis import LONGEST, words
from vecdb_index.inverted.query import MOST_TERMS, Query, by_words

EXPANSIONS = 128
"""Terms that a prefix stands for in a score, the most frequent ones. Whatever begins so makes a row match."""


class Terms(NamedTuple):
    """A clause of a question as a column's analysis reads it.

    Attributes:
        clause: what was asked.
        terms: in order; None stands for a word that is not searched.
        prefix: what terms begin with; empty without.
        stem: the stem of the prefix as if it were a word: no term begins with "engine" where that has the stem "engin".

    """

    clause: Clause
    terms: tuple[bytes | None, ...]
    prefix: bytes = b""
    stem: bytes | None = None

    @property
    def known(self) -> list[bytes]:
        """The terms that are searched."""
        return [term for term in self.terms if term is not None]

    @property
    def empty(self) -> bool:
        """Whether nothing is left to be searched."""
        return not self.prefix and all(term is None for term in self.terms)


def spec_of(column: Column[Text]) -> FullText:
    """Return how a searchable text column is searched."""
    spec = column.field.fulltext
    assert spec is not None, "only searchable texts are searched"
    return spec


@lru_cache(256)
def terms_of(spec: FullText, asked: TextQuery) -> tuple[Terms, ...]:
    """Return the clauses of a question, read as the rows were.

    Raises:
        InvalidInputError: a phrase is asked for, and the column has no positions.

    """
    analyzer, found = analyzer_of(spec), []
    for clause in asked.clauses:
        terms = tuple([None if term is None else _bytes(term) for term in analyzer.terms(clause.text)])
        if clause.kind == "prefix" and terms:
            beginning = words(clause.text)[-1][:LONGEST]
            found.append(Terms(clause, terms[:-1], _bytes(beginning), terms[-1]))
            continue
        placed = clause.kind == "phrase" and clause.occur != "should"
        if placed and not spec.positions and sum(term is not None for term in terms) > 1:
            told = f'the phrase "{clause.text}" cannot be looked for: the field is searched without positions'
            raise InvalidInputError(told, field="text", value=clause.text)
        found.append(Terms(clause, terms))
    return tuple(found)


class Weighted(NamedTuple):
    """Terms that live rows have, and what they are worth."""

    terms: list[bytes]
    query: Query


def weighted(known: StateWords, spec: FullText, clauses: tuple[Terms, ...], boost: float) -> Weighted | None:
    """Return what a row's words add to its score; None when no live row has any of them.

    A word counts each time that it was typed. A prefix counts as one word: what it stands for shares the frequency of
    all together, so that a rare word that happens to begin so does not come first.
    """
    boosts: dict[bytes, float] = {}
    for one in clauses:
        if one.clause.occur != "not":
            for term in one.known:
                boosts[term] = boosts.get(term, 0.0) + boost
    frequencies = dict(zip(boosts, known.frequencies(boosts), strict=True))
    for one in clauses:
        if one.prefix and one.clause.occur != "not":
            some = _expanded(known, one)
            together = min(sum(some.values()), known.rows)
            for term in some:
                if term not in boosts:
                    boosts[term], frequencies[term] = boost, together
    there = [term for term in boosts if frequencies[term]]
    if not there:
        return None
    if len(there) > MOST_TERMS:
        raise InvalidInputError(f"the query has {len(there)} different words, at most {MOST_TERMS}", field="text")
    weights = np.array([boosts[term] * known.idf(frequencies[term]) for term in there])
    return Weighted(there, by_words(there, weights, known.average, spec.k1, spec.b))


def _expanded(known: StateWords, one: Terms) -> dict[bytes, int]:
    found = known.beginning(one.prefix)
    if one.stem is not None and one.stem not in found:
        found[one.stem] = known.frequencies([one.stem])[0]
    most = sorted(found, key=lambda term: (-found[term], term))[:EXPANSIONS]
    return {term: found[term] for term in most}


def _bytes(term: str) -> bytes:
    return term.encode("utf-8", "surrogatepass")
