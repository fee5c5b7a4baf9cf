"""Sums of table look-ups for product codes: a byte of a row chooses one of 256 entries of its part's table."""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel

CHAINS = 4


@helper
def table_sum(line: Any, table: Any) -> Any:
    """Sum of table[p, line[p]] over the parts: float32. Four sums run side by side, as one would wait for itself."""
    a = b = c = d = np.float32(0)
    parts = line.shape[0]
    whole = parts - parts % CHAINS
    for p in range(0, whole, CHAINS):
        a += table[p, line[p]]
        b += table[p + 1, line[p + 1]]
        c += table[p + 2, line[p + 2]]
        d += table[p + 3, line[p + 3]]
    for p in range(whole, parts):
        a += table[p, line[p]]
    return (a + b) + (c + d)


@kernel(
    frozen(types.uint8, 2),
    frozen(types.float32, 2),
    frozen(types.uint32, 1),
    types.intp,
    types.intp,
    filled(types.float32, 1),
)
def scan(codes: Any, table: Any, rows: Any, first: int, last: int, out: Any) -> None:
    """Write the scores of the rows first .. last - 1, or of rows[first:last], to the beginning of out.

    Args:
        codes: (n, parts).
        table: (parts, 256): what each code adds to a query's score.
        rows: (m,) row numbers; empty: all rows.
        first: start, in row numbers or in positions of `rows`.
        last: end.
        out: at least last - first long; never NaN.

    """
    for at in range(first, last):
        score = table_sum(codes[np.int64(rows[at]) if rows.shape[0] > 0 else at], table)
        out[at - first] = score if score == score else np.float32(-np.inf)
