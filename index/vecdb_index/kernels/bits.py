"""Scans of packed bits by Hamming distance: the score is minus the number of bits that differ.

Rows are (n, words) uint64; a query is as long. The count of a word's bits is LLVM's own (ctpop), which every processor
has in some form, so there is no twin.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.topk import offer

_WORD, _SCORE, _SIZE, _MASK, _ROW = types.uint64, types.float32, types.intp, types.uint8, types.uint32


def _inlined(typing: Callable[..., Any]) -> Any:
    """Register an intrinsic: `typing` gives its signature and code; kernels call it without the context."""
    return intrinsic(typing)


@_inlined
def count(typingctx: Any, word: Any) -> Any:
    """How many bits of a uint64 are set: uint64."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), codegen


@helper
def differing(line: Any, query: Any) -> Any:
    """How many bits of two rows of words differ: int64."""
    total = np.uint64(0)
    for i in range(line.shape[0]):
        total += count(line[i] ^ query[i])
    return np.int64(total)


@kernel(
    frozen(_WORD, 2),
    frozen(_WORD, 2),
    frozen(_ROW, 1),
    _SIZE,
    _SIZE,
    frozen(_MASK, 1),
    filled(_SCORE, 1),
    filled(types.uint64, 2),
    filled(types.uint64, 2),
)
def scan(
    words: Any, queries: Any, rows: Any, first: int, last: int, allowed: Any, out: Any, keys: Any, states: Any
) -> None:
    """Score rows[first:last], or the rows first .. last - 1 when `rows` is empty, and keep each query's best.

    Args:
        words: (n, w).
        queries: (q, w).
        rows: (m,) row numbers, or empty.
        first: start of the slice, in row numbers or in positions of `rows`.
        last: end of the slice.
        allowed: (n,) uint8 or empty.
        out: (block,) room: so many rows are scored for all queries while the cache holds them. When keys has no lines,
            it is at least last - first long, and becomes the scores of the only query.
        keys: (q, k) heaps of topk.py.
        states: (q, 2) of topk.py.

    """
    block = out.shape[0]
    for start in range(first, last, block):
        stop = min(start + block, last)
        for q in range(queries.shape[0]):
            query = queries[q]
            for at in range(start, stop):
                row = np.int64(rows[at]) if rows.shape[0] > 0 else at
                # Adding zero turns -0.0 to 0.0.
                out[at - start] = np.float32(-differing(words[row], query)) + np.float32(0)
            if keys.shape[0] > 0:
                offer(out, stop - start, rows, start, allowed, keys[q], states[q])


@kernel(frozen(_SCORE, 2), frozen(_SCORE, 1), _SIZE, _SIZE, filled(_MASK, 2))
def pack_signs(matrix: Any, centre: Any, first: int, last: int, out: Any) -> None:
    """Write the signs of the rows first .. last - 1 less the centre: bit j % 8 of byte j // 8 is set above zero.

    out is (n, bytes); bits and bytes behind the last number are cleared.
    """
    dimension = matrix.shape[1]
    for row in range(first, last):
        for byte in range(out.shape[1]):
            bits = 0
            for j in range(8 * byte, min(8 * byte + 8, dimension)):
                bits |= (1 << (j & 7)) if matrix[row, j] > centre[j] else 0
            out[row, byte] = np.uint8(bits)
