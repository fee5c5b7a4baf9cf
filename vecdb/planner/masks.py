"""Which rows of a part may be found: alive, passing the filter, having a vector.

The rows of a segment never change, so which of them pass a filter is worked out once and remembered with it; a view
of the segment, whose deletions do not change either, remembers what is left of them. Rows in memory are asked anew.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.filters.evaluate import BoundFilter
from vecdb.schema.schema import Column, Schema
from vecdb.storage.snapshot import Part, SegmentView
from vecdb_index.dense.allowed import Allowed

REMEMBERED = 32
"""Filters that a segment, and a view of it, remember, a byte a row each; and ways through it that a state does."""


def filter_mask(part: Part, schema: Schema, where: BoundFilter | None) -> np.ndarray | None:
    """Return which rows are alive and pass the filter, as bool (rows,), not to be changed; None when all do."""
    live = part.live()
    if where is None:
        return live
    passing = _passing(part, schema, where)
    return passing if live is None else passing & live


def allowed(part: Part, schema: Schema, where: BoundFilter | None, column: Column) -> Allowed | None:
    """Return which rows may be found by a vector column; None when all may."""
    if not isinstance(part, SegmentView):
        return _allowed(part, schema, where, column)
    key = (None if where is None else _key(where, schema), column.id)
    try:
        return part.allowed[key]
    except KeyError:
        return remembered(part.allowed, key, _allowed(part, schema, where, column))


def _allowed(part: Part, schema: Schema, where: BoundFilter | None, column: Column) -> Allowed | None:
    mask, present = filter_mask(part, schema, where), part.present(column)
    if present is not None:
        mask = present if mask is None else mask & present
    return Allowed.of(mask)


def _passing(part: Part, schema: Schema, where: BoundFilter) -> np.ndarray:
    if not isinstance(part, SegmentView):
        return _evaluated(part, schema, where)
    known, key = part.segment.masks, _key(where, schema)
    found = known.get(key)
    return remembered(known, key, _evaluated(part, schema, where)) if found is None else found


def _key(where: BoundFilter, schema: Schema) -> tuple[Any, ...]:
    """Return what a filter means: the same words mean another column after a rename."""
    return where.key, *(schema[name].id for name in sorted(where.columns))


def _evaluated(part: Part, schema: Schema, where: BoundFilter) -> np.ndarray:
    columns: dict[str, pa.Array] = {}
    for name in where.columns:
        column = schema[name]
        if column.field.kind == "vector":
            present = part.present(column)
            columns[name] = pa.array(np.ones(part.rows, bool) if present is None else present)
        else:
            columns[name] = part.column(column)
    return where.mask(columns, part.rows)


def remembered(known: dict[Any, Any], key: Any, value: Any) -> Any:
    """Keep a value and return it; let the oldest go when there are many. Threads may come in between."""
    known[key] = value
    while len(known) > REMEMBERED:
        try:
            del known[next(iter(known))]
        except (KeyError, StopIteration, RuntimeError):
            break
    return value
