"""The words that indexes and their callers share."""

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Metric: TypeAlias = Literal["dot", "cosine", "l2"]
"""How a query and a row become a score. Higher is always better: the l2 score is minus the squared distance."""

METRIC_CODES: dict[Metric, int] = {"dot": 0, "cosine": 1, "l2": 2}
"""Numbers of the metrics in compiled kernels."""

Matrix: TypeAlias = NDArray[Any]
"""(n, d) float32, float16 or int8, C-contiguous, aligned; may be read-only (a mapped file).

The exact scan also takes bfloat16, as the uint16 numbers of its bits."""

Vector: TypeAlias = NDArray[Any]
"""(d,) values of a query: the dtype of the matrix, or float32 for a float16 matrix."""

Mask: TypeAlias = NDArray[np.bool_] | NDArray[np.uint8]
"""(n,) one byte per row; zero leaves the row out."""

Rows: TypeAlias = NDArray[np.uint32]
"""Row numbers, dense from 0."""

Scores: TypeAlias = NDArray[np.float32]
"""One score per row; never NaN and never -0.0."""


class TopK(NamedTuple):
    """The best rows, best first; equal scores in row order.

    `cut` is True when an allowed row outside the result has exactly the score of the last one inside.
    """

    rows: Rows
    scores: Scores
    cut: bool
