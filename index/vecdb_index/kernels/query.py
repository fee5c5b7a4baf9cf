"""Queries made ready for the cosine metric."""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.lanes import square


@helper
def direction(queries: Any, query: Any, out: Any, place: Any) -> None:
    """Write queries[query], divided by its Euclidean norm, to out[place]; a zero query stays zero.

    A cosine is then x.q / |x|, which cannot overflow before the vectors themselves do.
    """
    norm = np.sqrt(square(queries, query))
    for j in range(queries.shape[1]):
        out[place, j] = np.float32(queries[query, j] / norm) if norm > 0 else np.float32(0)


@kernel(frozen(types.float32, 2), filled(types.float32, 2))
def normalise(queries: Any, out: Any) -> None:
    """Write the direction of every query to its row of out."""
    for i in range(queries.shape[0]):
        direction(queries, i, out, i)
