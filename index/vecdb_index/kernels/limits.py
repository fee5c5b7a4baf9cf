"""What a selection keeps to, as kernels ask for it: groups, costs, and how similar two chosen candidates may be.

Invariant: what is not allowed once is not allowed later, whatever is chosen meanwhile, so kernels drop it for good.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper
from vecdb_index.kernels.lanes import dot

FULL, OUT, LOW, LACKING = range(4)
"""Why a selection ended: as many as wanted; none left that is allowed; gains below the floor; bounds unmet."""

LIMITS = (
    frozen(types.int32, 2),
    frozen(types.int32, 1),
    frozen(types.int32, 1),
    filled(types.int32, 1),
    frozen(types.float64, 1),
    filled(types.float64, 1),
    types.float64,
)
"""Types of codes, low, high, counts, cost, purse and closest; see lazy_greedy."""


@helper
def similarity(units: Any, given: Any, one: Any, other: Any) -> Any:
    """Return the similarity of two candidates: float64."""
    if given.shape[0] > 0:
        return np.float64(given[one, other])
    return np.float64(dot(units, one, units[other]))


@helper
def reserve(taken: Any, codes: Any, low: Any, counts: Any, cost: Any, kind: Any, without: Any) -> Any:
    """Return what the cheapest candidates cost that meet one attribute's lower bounds, once `without` is chosen."""
    total = 0.0
    own = codes[kind, without]
    for group in range(low.shape[0]):
        need = low[group] - counts[group] - (1 if group == own else 0)
        least = -1.0
        while need > 0:
            # The next cheapest; equal costs are counted together.
            cheapest, found = np.inf, 0
            for at in range(cost.shape[0]):
                if codes[kind, at] == group and at != without and taken[at] == 0 and cost[at] > least:
                    if cost[at] < cheapest:
                        cheapest, found = cost[at], 1
                    elif cost[at] == cheapest:
                        found += 1
            if found == 0:
                break
            total += cheapest * min(found, need)
            need -= found
            least = cheapest
    return total


@helper
def allowed(at: Any, left: Any, taken: Any, codes: Any, low: Any, high: Any, counts: Any, cost: Any, purse: Any) -> Any:
    """Tell whether a candidate may be chosen while `left` more may be.

    Its groups are not full, the places behind it are enough for all lower bounds that are unmet, and what it costs
    leaves enough for the cheapest candidates that meet them.
    """
    if cost[at] > purse[0]:
        return False
    for kind in range(codes.shape[0]):
        own = codes[kind, at]
        if own >= 0 and counts[own] >= high[own]:
            return False
        need = 0
        for group in range(low.shape[0]):
            # Groups are numbered over all attributes: those of others are no concern of this one.
            if low[group] > counts[group] and purse[2 + group] == kind:
                need += low[group] - counts[group]
        if own >= 0 and counts[own] < low[own]:
            need -= 1
        if left - 1 < need:
            return False
        if need > 0 and purse[1] > 0 and cost[at] + reserve(taken, codes, low, counts, cost, kind, at) > purse[0]:
            return False
    return True


@helper
def alone(at: Any, picks: Any, count: Any, units: Any, given: Any, closest: Any) -> Any:
    """Tell whether a candidate is not as similar as `closest` to one that is chosen."""
    if closest <= 1.0:
        for place in range(count):
            if similarity(units, given, at, picks[place]) >= closest:
                return False
    return True


@helper
def take(at: Any, taken: Any, codes: Any, counts: Any, cost: Any, purse: Any) -> None:
    """Count a candidate as chosen."""
    taken[at] = 1
    purse[0] -= cost[at]
    for kind in range(codes.shape[0]):
        if codes[kind, at] >= 0:
            counts[codes[kind, at]] += 1


@helper
def unmet(low: Any, counts: Any) -> Any:
    """Tell whether a group lacks members."""
    lacking = 0
    for group in range(low.shape[0]):
        lacking += max(low[group] - counts[group], 0)
    return lacking > 0


@helper
def too_little(gain: Any, floor: Any, gains: Any, count: Any) -> Any:
    """Tell whether a gain is below the floor."""
    return floor > 0 and count > 0 and gain < floor * gains[0]
