"""What the scans of an inverted file's lists have in common.

A candidate is one uint64 key, as in topk.py: how near its code is, turned so that it sorts like the number, above the
inverted row. A query keeps the best of them in a heap; what is less near than the worst of these is dropped before it
becomes a key. All queries that read a list read it together, so that its codes
come from memory once. Each kind of code has a kernel in a module of its own, compiled when it is first needed:

    scan(..., visited, starts, members, order, offsets, allowed, first, last, places, seen, keys, states)

offers the allowed rows of the lists visited[first:last] to the queries that visit each:

    visited  (v,) uint32 lists
    starts   (v + 1,) int64: visited[i] is read for the queries members[starts[i]:starts[i + 1]]
    members  uint32 query numbers
    order    (n,) uint32, the row at each place
    offsets  (lists + 1,) int64, where a list starts
    allowed  (n,) uint8 by row, or empty: then all rows are allowed
    first    first visit
    last     last visit + 1
    places   int64, one more than the longest list has rows: room
    seen     (q,) int64 allowed rows that were read; added to
    keys     (q, c) uint64 heaps
    states   (q, 2) uint64 of topk.py
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper
from vecdb_index.kernels.topk import score_of

VISITS = (
    frozen(types.uint32, 1),
    frozen(types.int64, 1),
    frozen(types.uint32, 1),
    frozen(types.uint32, 1),
    frozen(types.int64, 1),
    frozen(types.uint8, 1),
    types.intp,
    types.intp,
    filled(types.int64, 1),
    filled(types.int64, 1),
    filled(types.uint64, 2),
    filled(types.uint64, 2),
)
"""Types of the arguments above."""


@helper
def worst(member: Any, keys: Any, states: Any) -> Any:
    """Return the key that a better one would replace; 0 while there is room."""
    return keys[member, 0] if np.int64(states[member, 0]) == keys.shape[1] else np.uint64(0)


@helper
def key_of_int(sim: Any, row: Any) -> Any:
    """Pack an int32 and a row."""
    return (np.uint64(np.int64(sim) + np.int64(1 << 31)) << np.uint64(32)) | np.uint64(np.uint32(0xFFFFFFFF) - row)


@helper
def least_int(key: Any) -> Any:
    """Return the int32 of a key; the least of all for 0."""
    return np.int32(np.int64(key >> np.uint64(32)) - np.int64(1 << 31))


@helper
def least_float(key: Any) -> Any:
    """Return the score of a key; the least of all for 0."""
    return score_of(key) if key > np.uint64(0) else np.float32(-np.inf)


@helper
def pick(order: Any, start: Any, stop: Any, allowed: Any, places: Any) -> Any:
    """Write the places of a list whose rows are allowed; return how many."""
    count = 0
    for place in range(start, stop):
        places[count] = place
        count += allowed.shape[0] == 0 or allowed[order[place]] != 0
    return count
