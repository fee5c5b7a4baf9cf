"""The background sample: rows against which the scores of a query are judged.

They are the rows whose ids have the smallest hashes among those that may be found. So the sample is the same however
rows are spread over parts, whatever was flushed or merged meanwhile; a write changes it only by the rows that it adds
or removes; and it is drawn inside the filter, however narrow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vecdb.filters.evaluate import BoundFilter
from vecdb.planner import dense
from vecdb.planner.masks import allowed, remembered
from vecdb.schema.schema import Column, Schema
from vecdb.storage.keys import keys_of
from vecdb.storage.snapshot import Part, SegmentView, State

LEAST = 100
"""Rows of which fewer say nothing about a distribution."""
SAMPLING = "a background sample"


class Background(NamedTuple):
    """A sample of the rows that have a vector.

    Attributes:
        rows: for each part of the state that has some, its number and their rows, ascending.
        matching: how many rows may be found, sampled or not.
        filtered: whether the sample is of those rows; else fewer than LEAST may be found, and it is of all rows.

    """

    rows: tuple[tuple[int, np.ndarray], ...]
    matching: int
    filtered: bool

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self.rows)

    def scores(self, state: State, column: Column, query: np.ndarray) -> np.ndarray:
        """Return the exact scores of the sample for a query (dimension,): (m,) float64."""
        found = []
        for number, rows in self.rows:
            held = state.parts[number].vectors(column)
            assert held is not None
            matrix, _, norms = held
            found.append(dense.score_rows(matrix, query, rows, column.field.metric, norms))
        return np.concatenate(found).astype(np.float64) if found else np.empty(0)


def background(state: State, column: Column, where: BoundFilter | None, size: int) -> Background:
    """Return a sample of at most `size` rows of a state; the same rows every time."""
    key = "background", column.id, None if where is None else where.key, size
    known = state.routes.get(key)
    return remembered(state.routes, key, _drawn(state, column, where, size)) if known is None else known


def sampled(state: State, column: Column, where: BoundFilter | None, size: int) -> tuple[list[np.ndarray], int]:
    """Return for each part the rows of the sample, ascending, and how many rows there are to be sampled."""
    found, keys, numbers, total = [], [], [], 0
    for number, part in enumerate(state.parts):
        state.check(SAMPLING)
        rows, mixed, count = _of_part(part, state.schema, column, where, size, state)
        found.append(rows)
        keys.append(mixed)
        numbers.append(np.full(len(rows), number))
        total += count
    if not found:
        return [], 0
    all_keys, all_numbers = np.concatenate(keys), np.concatenate(numbers)
    chosen = np.argsort(all_keys, kind="stable")[:size]
    kept = np.zeros(len(all_keys), bool)
    kept[chosen] = True
    return [np.sort(rows[kept[all_numbers == number]]) for number, rows in enumerate(found)], total


def _drawn(state: State, column: Column, where: BoundFilter | None, size: int) -> Background:
    rows, matching = sampled(state, column, where, size)
    filtered = where is None or matching >= LEAST
    if not filtered:
        rows, _ = sampled(state, column, None, size)
    return Background(tuple((at, some) for at, some in enumerate(rows) if len(some)), matching, filtered)


def _of_part(
    part: Part, schema: Schema, column: Column, where: BoundFilter | None, size: int, state: State
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the `size` rows of a part with the smallest hashes, these, and how many rows may be found."""
    key = "background", None if where is None else _meaning(where, schema), column.id, size
    if isinstance(part, SegmentView) and key in part.allowed:
        return part.allowed[key]
    if part.vectors(column) is None or not part.rows:
        return np.empty(0, np.int64), np.empty(0, np.uint64), 0
    mask = allowed(part, schema, where, column, state.budget)
    rows = np.arange(part.rows) if mask is None else mask.rows
    keys = hashes(part, schema)[rows]
    count = len(rows)
    if count > size:
        chosen = np.argpartition(keys, size)[:size]
        rows, keys = rows[chosen], keys[chosen]
    found = rows.astype(np.int64), keys, count
    return remembered(part.allowed, key, found) if isinstance(part, SegmentView) else found


def hashes(part: Part, schema: Schema) -> np.ndarray:
    """Return a hash of each row's id, (rows,) uint64; rows that a later one of the same segment replaces have any."""
    if isinstance(part, SegmentView):
        index = part.segment.index()
        keys = np.zeros(part.rows, np.uint64)
        keys[index.rows] = index.keys.astype(np.uint64)
    else:
        keys = keys_of(part.ids().to_pylist(), schema.id.field.arrow_type).astype(np.uint64)
    return _mixed(keys)


def _meaning(where: BoundFilter, schema: Schema) -> tuple[object, ...]:
    """Return what a filter means: the same words mean another column after a rename."""
    return where.key, *(schema[name].id for name in sorted(where.columns))


def _mixed(keys: np.ndarray) -> np.ndarray:
    """Return keys that may be whole numbers in a row as ones that look drawn (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return keys ^ (keys >> np.uint64(31))
