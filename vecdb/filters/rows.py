"""Marking the rows of several postings, without a loop over many of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEW = 256
"""Up to so many postings are marked one after the other: putting them together costs more."""


def mark(found: NDArray[np.bool_], rows: NDArray[Any], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
    """Make found true at rows[starts[0]:ends[0]], rows[starts[1]:ends[1]] and so on."""
    filled = np.flatnonzero(ends > starts)
    starts, ends = starts[filled], ends[filled]
    if len(starts) <= FEW:
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            found[rows[start:end]] = True
        return
    lengths = ends - starts
    behind = np.cumsum(lengths)
    found[rows[np.arange(behind[-1]) + np.repeat(starts - (behind - lengths), lengths)]] = True
