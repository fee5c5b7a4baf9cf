"""Which rows of a part may be found: alive, passing the filter, having a vector.

The rows of a segment never change, so which of them pass a filter is worked out once and remembered with it; a view
of the segment, whose deletions do not change either, remembers what is left of them. Rows in memory are asked anew.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.filters.evaluate import BoundFilter
from vecdb.filters.lookup import Asked, ScalarIndex
from vecdb.filters.texts import TextWords
from vecdb.planner.scalars import presence_of, scalars_of
from vecdb.schema.arrays import bools_array, numbers_array
from vecdb.schema.fields import Text
from vecdb.schema.known import VECTORS
from vecdb.schema.schema import Column, Schema
from vecdb.storage.snapshot import Part, SegmentView
from vecdb_index.budget import Budget
from vecdb_index.dense.allowed import Allowed

FILTERING = "a filter"
"""What a call is at, as errors of its budget say it."""
REMEMBERED = 32
"""Filters that a segment, and a view of it, remember, a byte a row each; and ways through it that a state does."""


def filter_mask(
    part: Part, schema: Schema, where: BoundFilter | None, budget: Budget | None = None
) -> np.ndarray | None:
    """Return which rows are alive and pass the filter, as bool (rows,), not to be changed; None when all do.

    A budget is asked before, and counts the mask.
    """
    if budget is not None:
        budget.hold(FILTERING, part.rows)
    live = part.live()
    if where is None:
        return live
    passing = _passing(part, schema, where, budget)
    return passing if live is None else passing & live


def allowed(
    part: Part, schema: Schema, where: BoundFilter | None, column: Column, budget: Budget | None = None
) -> Allowed | None:
    """Return which rows may be found by a vector column; None when all may."""
    if not isinstance(part, SegmentView):
        return _allowed(part, schema, where, column, budget)
    key = (None if where is None else _key(where, schema), column.id)
    try:
        return part.allowed[key]
    except KeyError:
        return remembered(part.allowed, key, _allowed(part, schema, where, column, budget))


def _allowed(
    part: Part, schema: Schema, where: BoundFilter | None, column: Column, budget: Budget | None
) -> Allowed | None:
    mask, present = filter_mask(part, schema, where, budget), part.present(column)
    if present is not None:
        mask = present if mask is None else mask & present
    return Allowed.of(mask)


def _passing(part: Part, schema: Schema, where: BoundFilter, budget: Budget | None) -> np.ndarray:
    source = _Source(part, schema, budget)
    found = source.remembered(where)
    if found is None:
        found = where.rows(source)
        source.remember(where, found)
    return found


class _Source:
    """The rows of a part, as filters see them; see `vecdb.filters.lookup.Source`."""

    def __init__(self, part: Part, schema: Schema, budget: Budget | None) -> None:
        self.rows = part.rows
        self._budget = budget
        self._part = part
        self._schema = schema
        self._segment = part.segment if isinstance(part, SegmentView) else None

    def column(self, name: str) -> pa.Array:
        column = self._schema[name]
        if column.field.kind not in VECTORS:
            return self._part.column(column)
        present = self._part.present(column)
        return bools_array(np.ones(self.rows, bool) if present is None else present)

    def take(self, name: str, rows: np.ndarray) -> pa.Array:
        column = self._schema[name]
        if column.field.kind in VECTORS:
            return self.column(name).take(numbers_array(rows))
        return self._part.take(column, rows)

    def index(self, name: str) -> ScalarIndex | None:
        column = self._schema[name]
        if isinstance(column.field, Text) and column.field.fulltext is not None:
            return self._own_words(column)
        return None if self._segment is None else scalars_of(self._segment).of(self._segment, column)

    def _own_words(self, column: Column[Text]) -> TextWords:
        """Return the indexes that a part has of the words of a searchable text."""
        from vecdb.filters.matching import analyzer_of  # loads numba, which other filters do without

        pieces, _ = self._part.words_of(column)
        known = [(piece.first, piece.inverted) for piece in pieces]
        return TextWords(self.rows, known, analyzer_of(column.field), lambda: presence_of(self._part.column(column)))

    def has_words(self, name: str) -> bool:
        column = self._schema[name]
        if isinstance(column.field, Text) and column.field.fulltext is not None:
            return True
        return self._segment is not None and scalars_of(self._segment).held(self._schema[name]) is not None

    def check(self) -> None:
        if self._budget is not None:
            self._budget.check(FILTERING)

    def remembered(self, asked: Asked) -> np.ndarray | None:
        return None if self._segment is None else self._segment.masks.get(_key(asked, self._schema))

    def remember(self, asked: Asked, rows: np.ndarray) -> None:
        if self._segment is not None:
            remembered(self._segment.masks, _key(asked, self._schema), rows)


def _key(asked: Asked, schema: Schema) -> tuple[Any, ...]:
    """Return what a filter means: the same words mean another column after a rename."""
    return asked.key, *(schema[name].id for name in sorted(asked.columns))


def remembered(known: dict[Any, Any], key: Any, value: Any) -> Any:
    """Keep a value and return it; let the oldest go when there are many. Threads may come in between."""
    known[key] = value
    while len(known) > REMEMBERED:
        try:
            del known[next(iter(known))]
        except (KeyError, StopIteration, RuntimeError):
            break
    return value
