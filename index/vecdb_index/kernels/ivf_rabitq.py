"""Scanning lists of RaBitQ's signs (rabitq.py), whose rows have the centre of their list."""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.ivf import VISITS, least_float, pick, worst
from vecdb_index.kernels.jit import frozen, kernel
from vecdb_index.kernels.lanes import dot, l2_squared
from vecdb_index.kernels.rabitq import scan_rows
from vecdb_index.kernels.topk import keep, key_of


@kernel(
    frozen(types.uint8, 3),
    frozen(types.float32, 2),
    frozen(types.uint8, 3),
    frozen(types.float32, 1),
    frozen(types.float32, 2),
    frozen(types.float32, 2),
    types.boolean,
    *VISITS,
)
def scan(
    codes: Any,
    factors: Any,
    tables: Any,
    units: Any,
    vectors: Any,
    centres: Any,
    squared: Any,
    visited: Any,
    starts: Any,
    members: Any,
    order: Any,
    offsets: Any,
    allowed: Any,
    first: Any,
    last: Any,
    places: Any,
    seen: Any,
    keys: Any,
    states: Any,
) -> None:
    """Do what kernels/ivf.py says for codes (blocks, bytes, 32) and factors (3, n), list by list.

    tables (q, 2 bytes, 16), units (q,) and vectors (q, d) are those of `prepare`; centres (lists, d) are the lists'.
    squared says that the metric is L2.
    """
    zero = np.float32(0)
    sums = np.empty(32, np.int32)
    room = np.empty((2, places.shape[0]), np.float32)
    estimates, bounds = room[0], room[1]
    for visit in range(first, last):
        which = visited[visit]
        start, stop = offsets[which], offsets[which + 1]
        count = pick(order, start, stop, allowed, places)
        if count == 0:
            continue
        for at in range(starts[visit], starts[visit + 1]):
            member = members[at]
            query = vectors[member]
            add = -l2_squared(centres, which, query) if squared else dot(centres, which, query)
            # Bounds are not used: what they are made of is zero.
            known = units[member], zero, add, zero, zero
            scan_rows(codes, factors, tables, member, *known, start, stop, sums, estimates, bounds)
            floor = least_float(worst(member, keys, states))
            for i in range(count):
                score = estimates[places[i] - start] + zero
                if score >= floor:
                    keep(keys[member], states[member], key_of(score, order[places[i]]))
                    floor = least_float(worst(member, keys, states))
            seen[member] += count
