"""Scanning the lists of an inverted file.

A candidate is one uint64 key, as in topk.py: the similarity of its code, turned so that it sorts like the number, above
the inverted row. A query keeps the best of them in a heap.

All queries that read a list read it together, so that its codes come from memory once.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.codes import COLUMNS, dots_of_codes, norm_at_end, similarity
from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.topk import keep

_SIZE, _MASK, _ROWS, _KEYS, _SHIFT = types.intp, types.uint8, types.uint32, types.uint64, types.int32


@helper
def _offer(sim: Any, row: Any, member: Any, keys: Any, states: Any) -> None:
    key = (np.uint64(np.int64(sim) + np.int64(1 << 31)) << np.uint64(32)) | np.uint64(np.uint32(0xFFFFFFFF) - row)
    if np.int64(states[member, 0]) < keys.shape[1] or key > keys[member, 0]:
        keep(keys[member], states[member], key)


@helper
def _pick(order: Any, start: Any, stop: Any, allowed: Any, places: Any) -> Any:
    """Write the places of a list whose rows are allowed; return how many."""
    count = 0
    for place in range(start, stop):
        places[count] = place
        count += allowed.shape[0] == 0 or allowed[order[place]] != 0
    return count


@kernel(
    frozen(types.uint8, 2),
    frozen(_ROWS, 1),
    frozen(types.int64, 1),
    frozen(types.int8, 2),
    frozen(_SHIFT, 1),
    types.boolean,
    frozen(_ROWS, 1),
    frozen(types.int64, 1),
    frozen(_ROWS, 1),
    frozen(_MASK, 1),
    _SIZE,
    _SIZE,
    filled(types.int64, 1),
    filled(types.int64, 1),
    filled(_KEYS, 2),
    filled(_KEYS, 2),
)
def scan_codes(
    codes: Any,
    order: Any,
    offsets: Any,
    queries: Any,
    shifts: Any,
    normed: Any,
    visited: Any,
    starts: Any,
    members: Any,
    allowed: Any,
    first: Any,
    last: Any,
    places: Any,
    seen: Any,
    keys: Any,
    states: Any,
) -> None:
    """Offer the allowed rows of the lists visited[first:last] to the queries that visit each.

    Args:
        codes: (n, width) of codes.py, list by list.
        order: (n,) the row of each code.
        offsets: (lists + 1,) where a list starts.
        queries: (q, width).
        shifts: (q,) of the queries.
        normed: whether codes end with their squared length.
        visited: (v,) lists.
        starts: (v + 1,) visited[i] is read for the queries members[starts[i]:starts[i + 1]].
        members: query numbers.
        allowed: (n,) by row, or empty: then all rows are allowed.
        first: first visit.
        last: last visit + 1.
        places: as many as the longest list has rows, and one: room.
        seen: (q,) allowed rows that were read; added to.
        keys: (q, c) heaps.
        states: (q, 2) of topk.py.

    """
    for visit in range(first, last):
        count = _pick(order, offsets[visited[visit]], offsets[visited[visit] + 1], allowed, places)
        at, end = starts[visit], starts[visit + 1]
        while at + COLUMNS <= end:
            for i in range(count):
                place = places[i]
                dots = dots_of_codes(codes, place, queries, members, at, shifts)
                norm = norm_at_end(codes, place) if normed else np.int32(0)
                for column in range(COLUMNS):
                    member = members[at + column]
                    sim = np.int32(np.int32(2) * dots[column] - norm) if normed else dots[column]
                    _offer(sim, order[place], member, keys, states)
            at += COLUMNS
        while at < end:
            member = members[at]
            for i in range(count):
                sim = similarity(codes, places[i], queries, member, shifts[member], normed)
                _offer(sim, order[places[i]], member, keys, states)
            at += 1
        for at in range(starts[visit], end):
            seen[members[at]] += count
