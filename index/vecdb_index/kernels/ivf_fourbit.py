"""Scanning lists of 4-bit codes (fourbit.py), which have one centre: the mean of all rows."""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.fourbit import dot_levels
from vecdb_index.kernels.ivf import VISITS, least_float, pick, worst
from vecdb_index.kernels.jit import frozen, kernel
from vecdb_index.kernels.topk import keep, key_of


@kernel(
    frozen(types.uint8, 2),
    frozen(types.float32, 2),
    frozen(types.int8, 2),
    frozen(types.int32, 1),
    frozen(types.float32, 1),
    *VISITS,
)
def scan(
    levels: Any,
    factors: Any,
    numbers: Any,
    totals: Any,
    units: Any,
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
    """Do what kernels/ivf.py says for levels (n, width / 2) and factors (3, n), list by list.

    numbers (q, width), totals (q,) and units (q,) are those of `prepare`. Scores lack what is added for the query, the
    same for all rows.
    """
    for visit in range(first, last):
        count = pick(order, offsets[visited[visit]], offsets[visited[visit] + 1], allowed, places)
        for at in range(starts[visit], starts[visit + 1]):
            member = members[at]
            half, shift = np.float32(units[member] * np.float32(0.5)), np.int32(np.int32(15) * totals[member])
            floor = least_float(worst(member, keys, states))
            for i in range(count):
                place = places[i]
                twice = np.int32(np.int32(2 * dot_levels(levels, place, numbers, member)) - shift)
                score = (factors[0, place] + factors[1, place] * (half * np.float32(twice))) + np.float32(0)
                # A NaN, where infinities met, is dropped like what is too far.
                if score >= floor:
                    keep(keys[member], states[member], key_of(score, order[place]))
                    floor = least_float(worst(member, keys, states))
            seen[member] += count
