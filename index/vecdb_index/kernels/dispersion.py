"""Selection by relevance and the sum of distances from what is chosen: gains grow, so all candidates are looked at."""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.limits import (
    FULL,
    LACKING,
    LIMITS,
    LOW,
    OUT,
    allowed,
    alone,
    similarity,
    take,
    too_little,
    unmet,
)


@helper
def _widest(relevance: Any, own: Any, away: Any, taken: Any) -> Any:
    """Return the candidate of the greatest gain that may still be chosen; -1 where there is none."""
    best = -1
    for at in range(relevance.shape[0]):
        if taken[at] == 0 and (best < 0 or relevance[at] + own * away[at] > relevance[best] + own * away[best]):
            best = at
    return best


@kernel(
    frozen(types.float32, 2),
    frozen(types.float32, 2),
    frozen(types.float64, 1),
    types.float64,
    *LIMITS,
    types.float64,
    filled(types.int64, 1),
    filled(types.float64, 1),
    filled(types.int64, 1),
    filled(types.float64, 1),
    filled(types.uint8, 1),
)
def disperse(
    units: Any,
    given: Any,
    relevance: Any,
    own: float,
    codes: Any,
    low: Any,
    high: Any,
    counts: Any,
    cost: Any,
    purse: Any,
    closest: float,
    floor: float,
    picks: Any,
    gains: Any,
    state: Any,
    away: Any,
    taken: Any,
) -> None:
    """Choose by relevance and the sum of distances from what is chosen, which grows: all candidates are looked at.

    Arguments are those of lazy_greedy, but for `own`, the weight of a distance, and `away`, (n,) float64 zeros, the
    sums. The distance of two candidates is sqrt((1 - similarity) / 2). In taken, 2 stands for what is not allowed.
    """
    count = state[0]
    state[3] = FULL
    while count < state[2]:
        best = picks[count] if count < state[1] else _widest(relevance, own, away, taken)
        if best < 0:
            state[3] = OUT
            break
        gain = relevance[best] + own * away[best]
        if count >= state[1]:
            fits = allowed(best, state[2] - count, taken, codes, low, high, counts, cost, purse)
            if not fits or not alone(best, picks, count, units, given, closest):
                taken[best] = 2
                continue
            if too_little(gain, floor, gains, count) and not unmet(low, counts):
                state[3] = LOW
                break
        picks[count] = best
        gains[count] = gain
        take(best, taken, codes, counts, cost, purse)
        for at in range(relevance.shape[0]):
            if taken[at] == 0:
                away[at] += np.sqrt(max((1.0 - similarity(units, given, at, best)) / 2.0, 0.0))
        count += 1
    state[0] = count
    if unmet(low, counts):
        state[3] = LACKING
