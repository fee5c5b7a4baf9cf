"""Dot products of sparse vectors with a query, from the vectors themselves.

A row's entries lie together, terms ascending, and so do the query's. Products are added in float64 in the order of the
query's terms, so that the bits of a score depend on nothing but the row and the query.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, kernel

_TERM, _WEIGHT, _PLACE = types.uint32, types.float32, types.int64
NONE = np.float32(-1.0)
"""The score of a row that has no term of the query."""


@kernel(
    frozen(_WEIGHT, 1),
    frozen(_TERM, 1),
    frozen(_PLACE, 1),
    frozen(_PLACE, 1),
    frozen(_TERM, 1),
    frozen(types.float64, 1),
    filled(_WEIGHT, 1),
)
def products(weights: Any, terms: Any, starts: Any, rows: Any, asked: Any, worth: Any, out: Any) -> None:
    """Score some rows.

    Args:
        weights: (w,) of all rows' entries.
        terms: (w,) their terms, ascending within a row.
        starts: (n + 1,) row i has the entries starts[i] to starts[i + 1].
        rows: (m,) the rows to score.
        asked: (t,) the query's terms, ascending.
        worth: (t,) their weights.
        out: (m,) becomes the scores, NONE for a row without any of the terms.

    """
    for place in range(rows.shape[0]):
        at, end = starts[rows[place]], starts[rows[place] + 1]
        total, met = 0.0, False
        for number in range(asked.shape[0]):
            term, stop = asked[number], end
            while at < stop:  # the first entry from here on that is not below the term
                middle = (at + stop) >> 1
                if terms[middle] < term:
                    at = middle + 1
                else:
                    stop = middle
            if at == end:
                break
            if terms[at] == term:
                total += worth[number] * np.float64(weights[at])
                met = True
        out[place] = np.float32(total) if met else NONE
