"""All rows that pass a filter: in storage order, or in the order of fields.

An ordered scan sorts row numbers by the key fields, and fetches the other fields batch by batch. So it holds the keys
while it sorts, 20 bytes a row while it is read, and one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from vecdb.filters.evaluate import BoundFilter
from vecdb.planner import paging
from vecdb.planner.bound import BoundQuery
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.planner.masks import filter_mask
from vecdb.planner.run import staged
from vecdb.query import cursors
from vecdb.row_values import values
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import State

SCANNING = "a scan of rows"
Batch = tuple[pa.RecordBatch, Callable[[], str | None]]
"""A batch, and what tells the cursor behind it."""


def stored_order(
    state: State, where: BoundFilter | None, columns: Sequence[Column], batch_rows: int
) -> Iterator[Batch]:
    """Yield the rows as they lie; there is no cursor."""
    schema = pa.schema([column.arrow_field for column in columns])
    for part in state.parts:
        mask = filter_mask(part, state.schema, where, state.budget)
        rows = np.arange(part.rows) if mask is None else np.flatnonzero(mask)
        for start in range(0, len(rows), batch_rows):
            state.check(SCANNING)
            chosen = rows[start : start + batch_rows]
            batch = pa.record_batch([values(part, column, chosen) for column in columns], schema=schema)
            state.hold(SCANNING, batch.nbytes)
            yield batch, lambda: None
            state.release(batch.nbytes)


def in_order(
    state: State, bound: BoundQuery, cursor: cursors.Cursor | None, columns: Sequence[Column], batch_rows: int
) -> Iterator[Batch]:
    """Yield the rows of a query without arms in the order of its `OrderBy`, behind a cursor.

    Raises:
        InvalidInputError: the cursor does not fit what the rows are ordered by.

    """
    schema = pa.schema([column.arrow_field for column in columns])
    found = staged(Context(state, None, bound.query.allow_partial), bound, ()).candidates
    if cursor is not None:
        found = paging.behind(bound, state.schema, found, cursor)
    seen = 0 if cursor is None else cursor.seen
    for start in range(0, len(found), batch_rows):
        state.check(SCANNING)
        some = found.some(slice(start, start + batch_rows))
        arrays = [
            some.each(lambda part, rows, column=column: values(part, column, rows), column.field.arrow_type)
            for column in columns
        ]
        batch = pa.record_batch(arrays, schema=schema)
        state.hold(SCANNING, batch.nbytes)
        yield batch, partial(_behind, state, bound, some, seen + start + len(some))
        state.release(batch.nbytes)


def _behind(state: State, bound: BoundQuery, some: Candidates, seen: int) -> str:
    key = paging.key_of(bound, state.schema, some, len(some) - 1)
    return cursors.written(bound.query, cursors.Cursor(key, seen, ()))
