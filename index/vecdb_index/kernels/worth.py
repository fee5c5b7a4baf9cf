"""What the places of ranked lists are worth to the rows that stand in them.

The lists lie one after the other: list a is the entries starts[a] to starts[a + 1], best first. What an entry is worth,
and what a row counts in a list that lacks it (`absent`), are float64.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel

MINMAX, ZSCORE, CALIBRATED, AS_THEY_ARE, STANDING_OUT = range(5)

FIRST = 10
"""So many scores of a list are taken for finds rather than chance where it is measured how fast chance falls off."""
FULL = 50
"""A list of all that match is measured as if it had at least so many rows, the missing ones at its floor."""
STEEPEST = 1e6
"""The best row of a list stands at most so many times above the last as scores fall off by chance."""
_LARGEST = float(np.finfo(np.float32).max)

_START, _WORTH = types.int64, types.float64


@kernel(frozen(_START, 1), frozen(_WORTH, 1), types.float64, filled(_WORTH, 1))
def by_rank(starts: Any, weights: Any, k: Any, worth: Any) -> None:
    """Write weight / (k + rank) for every entry; a row counts nothing in a list that lacks it."""
    for arm in range(starts.shape[0] - 1):
        for at in range(starts[arm], starts[arm + 1]):
            worth[at] = weights[arm] / (k + np.float64(at - starts[arm] + 1))


@helper
def _finite(score: Any) -> Any:
    return min(max(score, -_LARGEST), _LARGEST)


@helper
def _spread(scores: Any, first: Any, last: Any, missing: Any, floor: Any) -> Any:
    """Return mean and standard deviation of a list and of so many rows at the floor."""
    mean, square = np.float64(missing) * floor, np.float64(0)
    for at in range(first, last):
        mean += _finite(scores[at])
    mean /= np.float64(last - first + missing)
    for at in range(first, last):
        square += (_finite(scores[at]) - mean) ** 2
    square += np.float64(missing) * (floor - mean) ** 2
    return mean, np.sqrt(square / np.float64(last - first + missing))


@helper
def _fall(scores: Any, first: Any, last: Any) -> Any:
    """Return by how much scores fall where rows become e times as many, from the FIRST entries on.

    If scores fall off exponentially, rank r of n is expected ln(n / r) times that above the last.
    """
    rows = last - first
    lowest, fallen, expected = _finite(scores[last - 1]), np.float64(0), np.float64(0)
    for at in range(min(FIRST, rows // 3), rows - 1):
        fallen += _finite(scores[first + at]) - lowest
        expected += np.log(np.float64(rows) / np.float64(at + 1))
    if fallen <= 0:
        return (_finite(scores[first]) - lowest) / np.log(np.float64(rows))
    return fallen / expected


@helper
def _scaled(scores: Any, first: Any, last: Any, how: Any) -> Any:
    """Return unit and zero of a list whose scores differ, and what a row counts that it lacks, for a weight of 1."""
    highest, lowest = _finite(scores[first]), _finite(scores[last - 1])
    if how == MINMAX:
        return 1 / (highest - lowest), lowest, 0.0
    if how == CALIBRATED:
        return 1 / max(_fall(scores, first, last), (highest - lowest) / STEEPEST), lowest, 0.0
    mean, deviation = _spread(scores, first, last, 0, lowest)
    return 1 / deviation, mean, (lowest - mean) / deviation


@helper
def _standing_out(scores: Any, first: Any, last: Any, rest: Any) -> Any:
    """Return unit and zero of a list: from 0 for its floor to the z-score of its best row; 0 where none stands out."""
    highest, floor, missing = _finite(scores[first]), _finite(scores[last - 1]), 0
    if not np.isnan(rest):
        floor = min(floor, rest)
        missing = max(np.int64(FULL) - (last - first), 0)
    mean, deviation = _spread(scores, first, last, missing, floor)
    if highest <= floor or deviation == 0:
        return 0.0, floor
    return (highest - mean) / deviation / (highest - floor), floor


@kernel(
    *(frozen(_WORTH, 1), frozen(_START, 1), frozen(_WORTH, 1), frozen(_WORTH, 1), types.int64),
    *(filled(_WORTH, 1), filled(_WORTH, 1)),
)
def by_score(scores: Any, starts: Any, rests: Any, weights: Any, how: Any, worth: Any, absent: Any) -> None:
    """Write what every entry is worth by its score, and what a row counts in a list that lacks it.

    In a list of one score for all, to be listed is all that there is to say: it is worth the weight.

    Args:
        scores: of the entries, descending in each list, never NaN.
        starts: (lists + 1,) where the lists begin.
        rests: (lists,) the score of all rows that a list lacks, NaN where it is not known.
        weights: (lists,) of the lists.
        how: MINMAX, ZSCORE, CALIBRATED, AS_THEY_ARE, or STANDING_OUT: MINMAX times the z-score of the best row.
        worth: (entries,) to be written.
        absent: (lists,) to be written.

    """
    best = np.float64(0)
    for arm in range(starts.shape[0] - 1):
        first, last = starts[arm], starts[arm + 1]
        unit, zero, without = 0.0, 0.0, 0.0
        if first == last:
            absent[arm] = 0.0
            continue
        lowest = _finite(scores[last - 1])
        if how == AS_THEY_ARE:
            unit, without = 1.0, lowest if np.isnan(rests[arm]) else rests[arm]
        elif how == STANDING_OUT:
            unit, zero = _standing_out(scores, first, last, rests[arm])
        elif _finite(scores[first]) > lowest:
            unit, zero, without = _scaled(scores, first, last, how)
        absent[arm] = weights[arm] * without
        for at in range(first, last):
            worth[at] = weights[arm] * (unit * (_finite(scores[at]) - zero) if unit > 0 else 1.0)
        best += worth[first]
    if how == STANDING_OUT and best > 0:
        # A row that is the best of every list scores 1.
        for at in range(worth.shape[0]):
            worth[at] /= best
