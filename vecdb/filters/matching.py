"""Which texts have the words that are asked for: words.py's tree over an inverted index.

One function, `rows_matching`, does all of it. Where a part of the rows keeps no index of a column, `index_of` makes one
of the texts on the spot: that is the exact way, and the slow one.

The surprise: words without a term, such as stop words, are left out of the question; if nothing is left of it, no row
matches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecdb.filters.words import Either, Every, Phrase, Prefix, Without, Word, Words, parse
from vecdb.schema.fields import Text
from vecdb_index.inverted.analysis import Analyzer
from vecdb_index.inverted.build import build
from vecdb_index.inverted.index import Inverted, packed
from vecdb_index.inverted.matching import phrase

Mask = NDArray[np.bool_]


def analyzer_of(field: Text) -> Analyzer:
    """Return what makes terms of the texts of a field, and of what is asked of them: English where nothing is said."""
    spec = field.fulltext
    if spec is None:
        return _usual()
    known = None if spec.stop_words is True else frozenset(spec.stop_words or ())
    return Analyzer(spec.language, known, spec.shortest)


def text_test(text: str, field: Text) -> Callable[[pa.Array], pa.Array]:
    """Return the test of a column of texts by its own words: null where there is no text."""
    asked, analyzer = parse(text), analyzer_of(field)

    def test(texts: pa.Array) -> pa.Array:
        found = rows_matching(asked, index_of(texts, analyzer), analyzer)
        return pa.array(found, mask=np.asarray(texts.is_null()) if texts.null_count else None)

    return test


def index_of(texts: pa.Array, analyzer: Analyzer) -> Inverted:
    """Return an inverted index of a column of texts, with positions; a null has no terms."""
    return build(texts.to_pylist(), analyzer, positions=True)


def can_answer(index: Inverted, asked: Words, analyzer: Analyzer) -> bool:
    """Say whether an index can tell: for phrases it needs positions."""
    return len(index.positions) > 0 or len(index.rows) == 0 or not _needs_positions(asked, analyzer)


def excludes(asked: Words) -> bool:
    """Say whether a text without any words might match."""
    if isinstance(asked, Every | Either):
        return any(map(excludes, asked.parts))
    return isinstance(asked, Without)


def rows_matching(asked: Words, index: Inverted, analyzer: Analyzer) -> Mask:
    """Return which rows match, bool (n,).

    Args:
        asked: what is looked for.
        index: of the texts, made by the same analyser; with positions if `can_answer` says so.
        analyzer: makes terms of the words.

    """
    found = _rows(asked, index, analyzer)
    return np.zeros(len(index), np.bool_) if found is None else found


def _rows(asked: Words, index: Inverted, analyzer: Analyzer) -> Mask | None:
    """Return which rows match, as an array of its own; None where nothing is asked for."""
    if isinstance(asked, Every | Either):
        join = np.logical_and if isinstance(asked, Every) else np.logical_or
        found: Mask | None = None
        for part in asked.parts:
            rows = _rows(part, index, analyzer)
            if rows is not None:
                found = rows if found is None else join(found, rows, out=found)
        return found
    if isinstance(asked, Without):
        rows = _rows(asked.part, index, analyzer)
        return None if rows is None else np.logical_not(rows, out=rows)
    if isinstance(asked, Prefix):
        return _starting(asked.text, index, analyzer)
    assert isinstance(asked, Word | Phrase)
    terms = _terms(asked.text, analyzer)
    return _side_by_side(terms, index) if terms else None


def _needs_positions(asked: Words, analyzer: Analyzer) -> bool:
    if isinstance(asked, Every | Either):
        return any(_needs_positions(part, analyzer) for part in asked.parts)
    if isinstance(asked, Without):
        return _needs_positions(asked.part, analyzer)
    assert isinstance(asked, Word | Phrase | Prefix)
    if isinstance(asked, Prefix):
        return len(_plain().terms(asked.text)) > 1
    return len(_terms(asked.text, analyzer)) > 1


def _terms(text: str, analyzer: Analyzer) -> list[bytes | None]:
    """Return the terms of a word or phrase; None for a word between them that is no term."""
    terms = [None if term is None else _encoded(term) for term in analyzer.terms(text)]
    while terms and terms[-1] is None:
        terms.pop()
    while terms and terms[0] is None:
        del terms[0]
    return terms


def _starting(text: str, index: Inverted, analyzer: Analyzer) -> Mask | None:
    """Return the rows with a word that begins so.

    Terms are compared, and a term may be shorter than its words: so `engines*` finds what "engines" stands for, too.
    """
    words = [word for word in _plain().terms(text) if word is not None]
    if not words:
        return None
    *before, beginning = words
    ends = {index.term(place) for place in index.starting(_encoded(beginning))}
    ends.update(term for term in _terms(beginning, analyzer) if term is not None)
    if not before:
        return _any_of(ends, index)
    first: list[bytes | None] = [None if term is None else _encoded(term) for term in analyzer.terms(" ".join(before))]
    found = np.zeros(len(index), np.bool_)
    for end in ends:
        terms = [*first, end]
        while terms[0] is None:
            del terms[0]
        found |= _side_by_side(terms, index)
    return found


def _side_by_side(terms: list[bytes | None], index: Inverted) -> Mask:
    if len(terms) == 1:
        return _any_of([term for term in terms if term is not None], index)
    found = np.zeros(len(index), np.bool_)
    found[phrase(index, terms)[0]] = True
    return found


def _any_of(terms: Iterable[bytes], index: Inverted) -> Mask:
    found = np.zeros(len(index), np.bool_)
    for place in index.find(packed(terms)).tolist():
        if place >= 0:
            found[index.postings(place)[0]] = True
    return found


def _encoded(term: str) -> bytes:
    return term.encode("utf-8", "surrogatepass")


@lru_cache(1)
def _usual() -> Analyzer:
    return Analyzer()


@lru_cache(1)
def _plain() -> Analyzer:
    """Return what splits and lowers words and leaves them otherwise as they are."""
    return Analyzer(language=None, stop_words=frozenset())
