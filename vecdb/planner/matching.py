"""Which rows of a part match a question by words, whatever their scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vecdb.fulltext import TextQuery
from vecdb.planner.terms import Terms, spec_of, terms_of
from vecdb.planner.words import PartWords, part_words
from vecdb.schema.fields import Text
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import Part
from vecdb_index.inverted.index import Inverted, packed
from vecdb_index.inverted.matching import matches

Reading = Sequence[tuple[Column[Text], tuple[Terms, ...]]]
"""A question as each of its columns reads it."""


def reading(columns: Sequence[Column[Text]], asked: TextQuery) -> Reading:
    """Return a question as some columns read it.

    Raises:
        InvalidInputError: a phrase is asked for, and a column has no positions.

    """
    return [(column, terms_of(spec_of(column), asked)) for column in columns]


def matching(part: Part, columns: Sequence[Column[Text]], asked: TextQuery) -> np.ndarray:
    """Return which rows of a part match, as bool (rows,): a filter by words, deleted rows included.

    What must be there is in any of the columns, and so is what must not. Where nothing must be there, a row has at
    least one of the words, if any are searched.

    Raises:
        InvalidInputError: a phrase is asked for, and a column has no positions.
        CorruptionError: a segment has no sound index and its texts are damaged.

    """
    read = reading(columns, asked)
    mask = required(part, read)
    out = np.ones(part.rows, bool) if mask is None else mask
    if any(one.clause.required and not one.empty for _, clauses in read for one in clauses):
        return out
    some: np.ndarray | None = None
    for column, clauses in read:
        for one in clauses:
            if one.clause.occur == "should" and not one.empty:
                here = _having(part_words(part, column), one, every=False)
                some = here if some is None else some | here
    return out if some is None else out & some


def required(part: Part, read: Reading) -> np.ndarray | None:
    """Return which rows of a part have what must be there and nothing that must not, as bool (rows,); None: all."""
    out: np.ndarray | None = None
    for at in range(len(read[0][1])):
        here: np.ndarray | None = None
        clause = read[0][1][at].clause
        if not (clause.required or clause.occur == "not"):
            continue
        for column, clauses in read:
            if not clauses[at].empty:
                mask = _having(part_words(part, column), clauses[at], every=True)
                here = mask if here is None else here | mask
        if here is not None:
            here = ~here if clause.occur == "not" else here
            out = here if out is None else out & here
    return out


def _having(words: PartWords, one: Terms, every: bool) -> np.ndarray:
    """Return which rows have all terms of a clause, or any of them."""
    out = np.zeros(words.part.rows, bool)
    for first, index, _ in words.pieces:
        size = min(len(index), len(out) - first)
        out[first : first + size] = _in_piece(index, one, every)[:size].view(bool)
    return out


def _in_piece(index: Inverted, one: Terms, every: bool) -> np.ndarray:
    known = one.known
    if one.clause.kind == "phrase" and one.clause.occur != "should" and len(known) > 1:
        return matches(index, phrases=[one.terms])
    mask = matches(index, must=known) if every else matches(index, should=known)
    if not one.prefix:
        return mask
    begun = np.zeros(len(index), np.uint8)
    places = index.starting(one.prefix)
    if places:
        begun[index.rows[index.offsets[places.start] : index.offsets[places.stop]]] = 1
    if one.stem is not None:
        (place,) = index.find(packed([one.stem])).tolist()
        if place >= 0:
            begun[index.postings(place)[0]] = 1
    return begun & mask if every or not known else begun | mask
