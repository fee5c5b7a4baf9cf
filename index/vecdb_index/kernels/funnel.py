"""Scans of the first numbers of vectors: estimates of the scores, and what the scores cannot be above.

With x' for the decoded code of a row, p for the query's first numbers and p' for those as whole numbers:

    p . x  is at most  p' . x'  +  |p - p'| |x'|  +  |p| |x - x'|  +  |tail of p| |tail of x|

and a distance is at least what is left of |p' - x'| after the same errors, beside the difference of both tails'
lengths.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.codes import similarity
from vecdb_index.kernels.jit import filled, frozen, kernel
from vecdb_index.kernels.topk import offer

WEIGHT, ADD, LENGTH, ERROR, TAIL = range(5)
"""Lines of a funnel's factors."""
UNIT, CONSTANT, SQUARE, MISSED, SIZE, REST = range(6)
"""What is known of a query: see `scan`."""
SLACK = np.float32(2.0**-18)
"""Share of a sum that rounding in float32 may cost."""
TINY = np.float32(2.0**-120)
"""What it may cost where numbers are too small for a share of them."""

_FLOAT, _KEY, _SIZE = types.float32, types.uint64, types.intp


@kernel(
    frozen(types.uint8, 2),
    frozen(_FLOAT, 2),
    frozen(types.int8, 2),
    _SIZE,
    types.int32,
    frozen(_FLOAT, 1),
    types.boolean,
    frozen(types.uint32, 1),
    _SIZE,
    _SIZE,
    frozen(types.uint8, 1),
    filled(_FLOAT, 1),
    filled(_FLOAT, 1),
    filled(_KEY, 1),
    filled(_KEY, 1),
)
def scan(
    codes: Any,
    factors: Any,
    queries: Any,
    query: int,
    shift: Any,
    known: Any,
    l2: bool,
    rows: Any,
    first: int,
    last: int,
    allowed: Any,
    out: Any,
    bounds: Any,
    keys: Any,
    state: Any,
) -> None:
    """Estimate the rows first .. last - 1, or rows[first:last], and keep the best.

    Args:
        codes: (n, width), whole lines.
        factors: (5, n): what multiplies the product for an estimate, what is added; length of the decoded row, of its
            error, of its tail.
        queries: (q, width) from ScalarCoder.queries.
        query: which of them.
        shift: its shift.
        known: (6,) worth of 1 in a product; what is added to every estimate and bound; squared length of the query as
            whole numbers; length of what rounding took from it; its own length; the length of its tail.
        l2: whether scores are minus the squared distance.
        rows: (m,) row numbers, or empty.
        first: start of the slice, in row numbers or in positions of `rows`.
        last: end of the slice.
        allowed: (n,) uint8 or empty.
        out: at least last - first long: room, which becomes the estimates.
        bounds: as long as `out`, or empty when none are wanted.
        keys: (kept,) heap of topk.py.
        state: (2,) of topk.py.

    """
    unit, constant = known[UNIT], known[CONSTANT]
    zero = np.float32(0)
    for at in range(first, last):
        row = np.int64(rows[at]) if rows.shape[0] > 0 else at
        product = unit * np.float32(similarity(codes, row, queries, query, shift, False))
        estimate = factors[ADD, row] + factors[WEIGHT, row] * product + constant
        out[at - first] = estimate if estimate == estimate else np.float32(-np.inf)
        if bounds.shape[0] == 0:
            continue
        length, error, tail = factors[LENGTH, row], factors[ERROR, row], factors[TAIL, row]
        if l2:
            apart = np.sqrt(max(length * length + known[SQUARE] - np.float32(2) * product, zero))
            slack = SLACK * (length + known[SIZE] + tail + known[REST])
            # Rounding weighs most where the lengths are much greater than the distance: sqrt(slack * lengths).
            near = max(apart - known[MISSED] - error - slack - np.sqrt(SLACK) * np.float32(length + known[SIZE]), zero)
            beside = max(abs(tail - known[REST]) - slack, zero)
            bound = -(near * near + beside * beside) * (np.float32(1) - SLACK)
        else:
            most = known[MISSED] * length + known[SIZE] * error + known[REST] * tail
            sizes = (length + tail) * (known[SIZE] + known[REST])
            bound = product + most + SLACK * (sizes + abs(constant)) + TINY + constant
        # Where something overflowed nothing is known, so nothing may rule the row out.
        bounds[at - first] = bound if bound > np.float32(-np.inf) else np.float32(np.inf)
    offer(out, last - first, rows, first, allowed, keys, state)
