"""The two moments of Lloyd's algorithm: the nearest centroid of each row, and the mean of each cluster.

Centroids are packed into panels: panels[p, j, l] is number j of centroid 16 p + l. A tile multiplies ROWS rows with one
panel; its sums stay in registers, and the best of a lane is kept beside them, so that no (n, k) matrix of distances is
ever written. A sum runs over the dimensions in their order and belongs to one pair, so the result does not depend on
the slices or the threads.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from vecdb_index.kernels import features
from vecdb_index.kernels.jit import filled, frozen, kernel

LANES = 16
"""Centroids of a panel."""
ROWS = 12 if "avx512f" in features.features() else 6
"""Rows of a tile: with a panel's vectors they just leave none of the registers idle (32 of 16 lanes, or 16 of 8)."""
BLOCK = 96
"""Rows that meet all panels in turn while the second-level cache holds them."""

_I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
_WIDE = ir.VectorType(_F32, LANES)

Value = Any


def _inlined(typing: Callable[..., Any]) -> Any:
    """Register an intrinsic: `typing` gives its signature and code; kernels call it without the context."""
    return intrinsic(typing)


@_inlined
def _multiply(typingctx: Any, points: Any, row: Any, last: Any, panels: Any, panel: Any, out: Any) -> Any:
    """Write the products of the rows row, row + 1, ... with a panel to out (ROWS, LANES); row last - 1 stands in."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        rows, row, last, panels, panel, out = arguments
        rows, panels, out = (
            context.make_array(signature.args[at])(context, builder, arguments[at]) for at in (0, 3, 5)
        )
        length = cgutils.unpack_tuple(builder, rows.shape, 2)[1]
        stop = builder.sub(last, ir.Constant(_I64, 1))
        starts = []
        for i in range(ROWS):
            number = builder.add(row, ir.Constant(_I64, i))
            number = builder.select(builder.icmp_signed("<", number, stop), number, stop)
            starts.append(builder.gep(rows.data, [builder.mul(number, length)]))
        column = builder.gep(panels.data, [builder.mul(panel, builder.mul(length, ir.Constant(_I64, LANES)))])
        cells = [cgutils.alloca_once_value(builder, ir.Constant(_WIDE, [0.0] * LANES)) for _ in starts]
        nowhere, first = ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES), ir.Constant(_I32, 0)
        kind = ir.FunctionType(_WIDE, [_WIDE] * 3)
        fuse = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32")
        with cgutils.for_range(builder, length, intp=_I64) as loop:
            place = builder.gep(column, [builder.mul(loop.index, ir.Constant(_I64, LANES))])
            weights = builder.load(builder.bitcast(place, _WIDE.as_pointer()), align=4)
            for start, cell in zip(starts, cells, strict=True):
                number = builder.load(builder.gep(start, [loop.index]))
                one = builder.insert_element(ir.Constant(_WIDE, ir.Undefined), number, first)
                everywhere = builder.shuffle_vector(one, one, nowhere)
                total = builder.load(cell)
                if features.fuses():
                    total = builder.call(fuse, [everywhere, weights, total])
                else:
                    total = builder.fadd(total, builder.fmul(everywhere, weights))
                builder.store(total, cell)
        for i, cell in enumerate(cells):
            place = builder.gep(out.data, [ir.Constant(_I64, i * LANES)])
            builder.store(builder.load(cell), builder.bitcast(place, _WIDE.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(points, types.intp, types.intp, panels, types.intp, out), codegen


@kernel(
    frozen(types.float32, 2),
    frozen(types.float32, 3),
    frozen(types.float32, 1),
    types.intp,
    types.intp,
    filled(types.uint32, 1),
    filled(types.float32, 1),
)
def nearest(points: Any, panels: Any, halves: Any, first: Any, last: Any, labels: Any, scores: Any) -> None:
    """Write to labels[first:last] each row's nearest centroid, the first of equals, and to scores how near it is.

    A score is x.c - |c|^2 / 2; the squared distance is |x|^2 - 2 score.

    Args:
        points: (n, d).
        panels: (p, d, LANES).
        halves: (p * LANES,) half the squared length of each centroid; infinity where a panel has none.
        first: first row.
        last: last row + 1.
        labels: (n,).
        scores: (n,).

    """
    tile = np.empty((ROWS, LANES), np.float32)
    best, which = np.empty((BLOCK, LANES), np.float32), np.empty((BLOCK, LANES), np.int32)
    for start in range(first, last, BLOCK):
        stop = min(start + BLOCK, last)
        best[:] = np.float32(-np.inf)
        which[:] = np.int32(0)
        for panel in range(panels.shape[0]):
            for row in range(start, stop, ROWS):
                _multiply(points, row, stop, panels, panel, tile)
                for i in range(min(ROWS, stop - row)):
                    at = row - start + i
                    for lane in range(LANES):
                        score = np.float32(tile[i, lane] - halves[panel * LANES + lane])
                        better = score > best[at, lane]
                        best[at, lane] = score if better else best[at, lane]
                        which[at, lane] = np.int32(panel) if better else which[at, lane]
        for row in range(start, stop):
            at = row - start
            label, top = np.int64(which[at, 0]) * LANES, best[at, 0]
            for lane in range(1, LANES):
                other = np.int64(which[at, lane]) * LANES + lane
                if best[at, lane] > top or (best[at, lane] == top and other < label):
                    label, top = other, best[at, lane]
            labels[row] = np.uint32(label)
            scores[row] = top


@kernel(
    frozen(types.float32, 2),
    frozen(types.uint32, 1),
    frozen(types.int64, 1),
    types.intp,
    types.intp,
    filled(types.float32, 2),
)
def means(points: Any, order: Any, offsets: Any, first: Any, last: Any, out: Any) -> None:
    """Write the mean of the rows order[offsets[c]:offsets[c + 1]] to out[c], for c from first to last - 1.

    Summed in float64, in the order of the rows. A cluster without rows keeps what out holds.
    """
    total = np.empty(points.shape[1], np.float64)
    for cluster in range(first, last):
        start, stop = offsets[cluster], offsets[cluster + 1]
        if start == stop:
            continue
        total[:] = 0.0
        for at in range(start, stop):
            row = points[order[at]]
            for j in range(total.shape[0]):
                total[j] += np.float64(row[j])
        for j in range(total.shape[0]):
            out[cluster, j] = np.float32(total[j] / (stop - start))
