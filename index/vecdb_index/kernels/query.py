"""Queries made ready for the cosine metric."""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, kernel
from vecdb_index.kernels.lanes import square


@kernel(frozen(types.float32, 2), filled(types.float32, 2))
def normalise(queries: Any, out: Any) -> None:
    """Write every query, divided by its Euclidean norm, to its row of out; a zero query stays zero.

    A cosine is then x.q / |x|, which cannot overflow before the vectors themselves do.
    """
    for i in range(queries.shape[0]):
        norm = np.sqrt(square(queries, i))
        for j in range(queries.shape[1]):
            out[i, j] = np.float32(queries[i, j] / norm) if norm > 0 else np.float32(0)
