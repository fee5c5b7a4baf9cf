"""Rows made unit vectors, and compared with each other."""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, kernel
from vecdb_index.kernels.lanes import COLUMNS, dot, dots


@kernel(frozen(types.float32, 2), filled(types.float32, 2))
def to_units(rows: Any, out: Any) -> None:
    """Write every row (n, d), divided by its length, to out, which may be the rows themselves; zeros stay zeros."""
    for row in range(rows.shape[0]):
        length = np.sqrt(dot(rows, row, rows[row]))
        factor = np.float32(1) / length if length > 0 else np.float32(0)
        for at in range(rows.shape[1]):
            out[row, at] = rows[row, at] * factor


@kernel(frozen(types.float32, 2), frozen(types.float32, 2), filled(types.float32, 2))
def products(rows: Any, others: Any, out: Any) -> None:
    """Write the inner products of rows (n, d) and others (m, d) to out (n, m)."""
    count = others.shape[0]
    for row in range(rows.shape[0]):
        at = 0
        while at + COLUMNS <= count:
            found = dots(rows, row, others, at)
            for place in range(COLUMNS):
                out[row, at + place] = found[place]
            at += COLUMNS
        for last in range(at, count):
            out[row, last] = dot(rows, row, others[last])
