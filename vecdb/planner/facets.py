"""Counting the values of fields over the rows that pass a filter, or over the candidates of a query.

Each part is counted by itself, columnar, and the counts are added up. Rows that pass come from the same masks as in a
search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vecdb.facets import MEASURED, Asked, Count, Facet, Facets, Range
from vecdb.filters.evaluate import BoundFilter
from vecdb.planner import depth
from vecdb.planner.bound import BoundQuery
from vecdb.planner.candidates import ROW_BITS
from vecdb.planner.gather import Context
from vecdb.planner.masks import filter_mask
from vecdb.planner.run import staged
from vecdb.schema.arrays import codes_of, numbers_array, numbers_of
from vecdb.schema.schema import Column
from vecdb.schema.timestamps import EPOCH
from vecdb.storage.snapshot import Part, State
from vecdb_index.budget import Budget

_compute: Any = pc  # pyarrow builds its functions at import, where no type checker sees them

COUNTING = "counting the values of a field"
Chosen = Sequence[tuple[Part, np.ndarray | None]]
"""Parts and which of their rows are counted; None: all."""


def rows_that_pass(state: State, where: BoundFilter | None) -> Chosen:
    """Return the rows alive that pass a filter."""
    masks = [(part, filter_mask(part, state.schema, where, state.budget)) for part in state.parts]
    return [(part, None if mask is None else np.flatnonzero(mask)) for part, mask in masks]


def candidates_of(context: Context, bound: BoundQuery) -> Chosen:
    """Return what the arms of a query gather and its stages leave, before the best k are taken; a row comes once."""
    found = staged(context, bound, depth.first(bound)).candidates
    keys = np.unique(found.keys)
    numbers, rows = keys >> ROW_BITS, keys & ((1 << ROW_BITS) - 1)
    return [(found.parts[number], rows[numbers == number]) for number in np.unique(numbers).tolist()]


def facets(chosen: Chosen, asked: Sequence[Asked], k: int, budget: Budget | None = None) -> Facets:
    """Count the values of fields in some rows: the k most frequent ones of each, or those in ranges.

    A budget is asked before each part of a field, and counts the values that are taken from it.
    """
    total = sum(part.rows if rows is None else len(rows) for part, rows in chosen)
    return Facets(total, tuple(_facet(chosen, total, one, k, budget) for one in asked))


def _facet(chosen: Chosen, rows: int, asked: Asked, k: int, budget: Budget | None) -> Facet:
    column = asked.column
    held = [_values(part, column, at, budget) for part, at in chosen]
    nulls = sum(array.null_count for array in held)
    measured: dict[str, Any] = {}
    if column.field.kind in MEASURED:
        numbers = [_numbers(array) for array in held]
        measured = _measures(column, numbers)._asdict()
        if asked.bounds is not None:
            counts, outside = _in_ranges(numbers, asked)
            return Facet(column.name, counts, rows, nulls, outside=outside, **measured)
    counts, distinct = _most_frequent(column, held, k)
    return Facet(column.name, counts, rows, nulls, distinct, **measured)


def _most_frequent(column: Column, held: Sequence[pa.Array], k: int) -> tuple[tuple[Count, ...], int]:
    """Return the k values in most rows, equal counts in the order of the values, and how many values there are."""
    counted = [_counted(array) for array in held if len(array)]
    if not counted:
        return (), 0
    values, numbers = (pa.concat_arrays(arrays) for arrays in zip(*counted, strict=True))
    if len(counted) > 1:
        coded = values.dictionary_encode()
        summed = np.zeros(len(coded.dictionary), np.int64)
        np.add.at(summed, numbers_of(coded.indices), numbers_of(numbers))
        values, numbers = coded.dictionary, numbers_array(summed)
    table = pa.table({"value": values, "n": numbers})
    keys = table
    if column.field.kind == "bool":  # Arrow does not sort truth values
        keys = keys.set_column(keys.schema.get_field_index("value"), "value", keys["value"].cast(pa.int8()))
    order = _compute.sort_indices(keys, sort_keys=[("n", "descending"), ("value", "ascending")])[:k]
    best = table.take(order)
    counts = zip(best["value"].to_pylist(), best["n"].to_pylist(), strict=True)
    return tuple(Count(*one) for one in counts), table.num_rows


def _values(part: Part, column: Column, rows: np.ndarray | None, budget: Budget | None) -> pa.Array:
    if budget is not None:
        budget.check(COUNTING)
    values = part.column(column) if rows is None else part.take(column, rows)
    if budget is not None:
        budget.hold(COUNTING, values.nbytes)
    return values


def _counted(array: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the distinct values of a part, and in how many rows each occurs."""
    if pa.types.is_list(array.type):
        array = _once_a_row(array)
    elif pa.types.is_floating(array.type):
        array = _compute.add(array, 0.0)  # -0.0 is 0.0
    counts = _compute.value_counts(array.drop_null())
    return counts.field("values"), counts.field("counts")


def _once_a_row(array: Any) -> pa.Array:
    """Return the values of all lists, each once for its list."""
    coded = array.flatten().dictionary_encode()
    codes = codes_of(coded)
    parents = numbers_of(_compute.list_parent_indices(array)).astype(np.int64)
    known = codes >= 0
    pairs = np.unique(parents[known] * (len(coded.dictionary) + 1) + codes[known])
    return coded.dictionary.take(numbers_array(pairs % (len(coded.dictionary) + 1)))


def _numbers(array: pa.Array) -> np.ndarray:
    """Return the values that there are, a timestamp as microseconds."""
    given = array.drop_null()
    return numbers_of(given.cast(pa.int64()) if pa.types.is_timestamp(given.type) else given)


class _Measures(NamedTuple):
    least: Any = None
    greatest: Any = None
    mean: Any = None


def _measures(column: Column, numbers: Sequence[np.ndarray]) -> _Measures:
    some = [one for one in numbers if len(one)]
    if not some:
        return _Measures()
    least, greatest = min(one.min() for one in some).item(), max(one.max() for one in some).item()
    count = sum(map(len, some))
    if column.field.kind == "int64":
        return _Measures(least, greatest, sum(map(_exact_sum, some)) / count)
    if column.field.kind != "timestamp":
        with np.errstate(over="ignore"):
            mean = sum(float(one.sum()) for one in some) / count
        return _Measures(least, greatest, mean)
    # The years that there are differ by less than int64 holds; their float64 would lose microseconds.
    since = sum(float((one - least).astype(np.float64).sum()) for one in some) / count
    return _Measures(*(EPOCH + timedelta(microseconds=micros) for micros in (least, greatest, least + round(since))))


def _exact_sum(integers: np.ndarray) -> int:
    """Return the sum of int64 values, which int64 may not hold: of their upper and lower halves, which it does."""
    return (int((integers >> 32).sum()) << 32) + int((integers & 0xFFFFFFFF).sum())


def _in_ranges(numbers: Sequence[np.ndarray], asked: Asked) -> tuple[tuple[Count, ...], int]:
    """Return how many values lie in each range, and how many in none."""
    assert asked.bounds is not None
    assert asked.edges is not None
    below = np.zeros(len(asked.bounds), np.int64)
    for one in numbers:
        ordered = np.sort(one)
        below += [_place(ordered, bound, at) for at, bound in enumerate(asked.bounds)]
    counts = np.diff(below).tolist()
    ranges = zip(asked.edges, asked.edges[1:], strict=False)
    named = tuple(Count(Range(*ends), count) for ends, count in zip(ranges, counts, strict=True))
    return named, sum(map(len, numbers)) - sum(counts)


def _place(ordered: np.ndarray, bound: Any, at: int) -> int:
    """Return how many values are below an edge; an open first one has none below, an open last one all."""
    if bound is None:
        return 0 if at == 0 else len(ordered)
    if ordered.dtype.kind == "i":  # whole numbers are below an edge as they are below the next whole number
        bound = math.ceil(bound)
        if not -(1 << 63) <= bound < 1 << 63:
            return 0 if bound < 0 else len(ordered)
        return int(np.searchsorted(ordered, np.int64(bound), side="left"))
    nearest = float(bound)  # of a whole number beyond 2^53 it may be a smaller one, which is below the edge then
    return int(np.searchsorted(ordered, nearest, side="right" if nearest < bound else "left"))
