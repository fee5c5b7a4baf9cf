"""A random rotation in d log d steps: signs are flipped, then a fast Hadamard transform, four times.

Where the width is no power of two, the transform takes turns at the first and at the last 2^k numbers, and each turn
ends by mixing the two halves of the vector (Kac's walk, as in the RaBitQ library).
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel


@helper
def _hadamard(row: Any, start: int, size: int) -> None:
    """Transform row[start : start + size] in place, lengths kept; size is a power of two."""
    half = 1
    while half < size:
        for first in range(start, start + size, 2 * half):
            for j in range(first, first + half):
                x, y = row[j], row[j + half]
                row[j], row[j + half] = x + y, x - y
        half *= 2
    scale = np.float32(1 / np.sqrt(size))
    for j in range(start, start + size):
        row[j] *= scale


@kernel(filled(types.float32, 2), frozen(types.int8, 2))
def rotate(rows: Any, signs: Any) -> None:
    """Rotate every row of (n, width) in place. signs (rounds, width) are 1 and -1."""
    width = rows.shape[1]
    size = 1
    while 2 * size <= width:
        size *= 2
    root = np.float32(np.sqrt(0.5))
    for i in range(rows.shape[0]):
        row = rows[i]
        for turn in range(signs.shape[0]):
            for j in range(width):
                row[j] *= signs[turn, j]
            _hadamard(row, 0 if turn % 2 == 0 else width - size, size)
            if size < width:
                for j in range(width // 2):
                    x, y = row[j], row[j + width // 2]
                    row[j], row[j + width // 2] = (x + y) * root, (x - y) * root
