"""Rows from which an index takes means and axes."""

import numpy as np
from numpy.typing import NDArray

from vecdb_index.types import Scores

SAMPLE = 1 << 14
"""So many rows, as far as SAMPLE_NUMBERS has room for them."""
SAMPLE_NUMBERS = 1 << 24


def sampled(norms: Scores, dimension: int) -> NDArray[np.int64]:
    """Return row numbers, ascending and evenly spread, of rows that are not zero (which stand for missing vectors).

    All rows stand in where all are zero. norms are the lengths (n,) of rows of `dimension` numbers; n is at least 1.
    """
    rows = np.flatnonzero(norms)
    if len(rows) == 0:
        rows = np.arange(len(norms))
    most = max(1, min(len(rows), SAMPLE, SAMPLE_NUMBERS // dimension))
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
