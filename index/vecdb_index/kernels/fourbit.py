"""Products of 4-bit levels with a query, and estimates of scores from them.

Byte j of a row of levels holds the number j in its low four bits and the number j + width / 2 in its high ones; a row
is a multiple of 32 bytes. A query is int8, as long as the vector. Sums are exact integers, so every path gives the
same.

Two ways were measured for 384 numbers on a busy processor with AVX2 (Zen 3): this one takes 6 to 8 ns a row, look-ups
in blocks of 32 rows (kernels/fastscan.py) 7 to 9. So rows stay apart, and can be read in any order.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from vecdb_index.kernels import features
from vecdb_index.kernels.codes import prefetch
from vecdb_index.kernels.jit import filled, frozen, helper, kernel

STEP = 32
REACH = 127
"""A query's largest number."""
SPREAD = 4.25
"""No row's levels, seen from their middle, have a greater root mean square: see _STEPS in codes/rabitq.py."""
EDGE = np.float32(2**0.5 - 1)
AHEAD = 8
"""Rows of a list that are asked for before their turn."""

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_BYTES, _SHORTS, _INTS = ir.VectorType(_I8, 32), ir.VectorType(_I16, 16), ir.VectorType(_I32, 8)
_FLOAT, _SIZE = types.float32, types.intp

Value = Any


def _inlined(typing: Callable[..., Any]) -> Any:
    """Register an intrinsic: `typing` gives its signature and code; kernels call it without the context."""
    return intrinsic(typing)


def _row(context: Any, builder: Any, kind: Any, array: Value, row: Value) -> tuple[Value, Value]:
    """Return the address of a row's first byte, and its length, of a C-contiguous matrix of bytes."""
    data = context.make_array(kind)(context, builder, array)
    length = cgutils.unpack_tuple(builder, data.shape, kind.ndim)[-1]
    return builder.gep(data.data, [builder.mul(row, length)]), length


def _call(builder: Any, name: str, result: ir.Type, arguments: list[Value]) -> Value:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _vnni(builder: Any, total: Value, levels: Value, query: Value) -> Value:
    levels, query = (builder.bitcast(value, _INTS) for value in (levels, query))
    return _call(builder, "llvm.x86.avx512.vpdpbusd.256", _INTS, [total, levels, query])


def _avx2(builder: Any, total: Value, levels: Value, query: Value) -> Value:
    # A pair is at most 2 * 15 * 127: the instruction's saturation is out of reach.
    pairs = _call(builder, "llvm.x86.avx2.pmadd.ub.sw", _SHORTS, [levels, query])
    ones = ir.Constant(_SHORTS, [1] * 16)
    return builder.add(total, _call(builder, "llvm.x86.avx2.pmadd.wd", _INTS, [pairs, ones]))


def _portable(builder: Any, total: Value, levels: Value, query: Value) -> Value:
    for part in range(0, STEP, 8):
        places = ir.Constant(_INTS, list(range(part, part + 8)))
        x, y = (builder.shuffle_vector(value, value, places) for value in (levels, query))
        total = builder.add(total, builder.mul(builder.zext(x, _INTS), builder.sext(y, _INTS)))
    return total


@_inlined
def dot_levels(typingctx: Any, levels: Any, row: Any, queries: Any, query: Any) -> Any:
    """Sum of the row's levels times queries[query]: int32."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        row, length = _row(context, builder, signature.args[0], arguments[0], arguments[1])
        query, _ = _row(context, builder, signature.args[2], arguments[2], arguments[3])
        step = {"vnni": _vnni, "avx2": _avx2, "": _portable}[features.multiplies_nibbles()]
        total = cgutils.alloca_once_value(builder, ir.Constant(_INTS, [0] * 8))
        fifteen = ir.Constant(_BYTES, [15] * STEP)

        def load(place: Value, at: Value) -> Value:
            return builder.load(builder.bitcast(builder.gep(place, [at]), _BYTES.as_pointer()), align=1)

        with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), length, ir.Constant(_I64, STEP), _I64) as (at, _):
            both = load(row, at)
            low = builder.and_(both, fifteen)
            high = builder.lshr(builder.bitcast(both, _SHORTS), ir.Constant(_SHORTS, [4] * 16))
            high = builder.and_(builder.bitcast(high, _BYTES), fifteen)
            sums = step(builder, builder.load(total), low, load(query, at))
            builder.store(step(builder, sums, high, load(query, builder.add(at, length))), total)
        return _call(builder, "llvm.vector.reduce.add.v8i32", _I32, [builder.load(total)])

    return types.int32(levels, types.intp, queries, types.intp), codegen


@kernel(frozen(_FLOAT, 2), filled(types.int8, 2), filled(types.int32, 1), filled(_FLOAT, 1), filled(_FLOAT, 1))
def prepare(queries: Any, numbers: Any, totals: Any, units: Any, misses: Any) -> None:
    """Write (q, width) queries, rotated and less the mean, as whole numbers.

    Args:
        queries: (q, width).
        numbers: (q, width).
        totals: (q,) their sums.
        units: (q,) what 1 is worth.
        misses: (q,) the size of what rounding took away, to be multiplied by a row's scale.

    """
    width = queries.shape[1]
    for q in range(queries.shape[0]):
        largest = np.float32(0)
        for j in range(width):
            largest = max(largest, abs(queries[q, j]))
        # Never 0, so that nothing is divided by it.
        unit = max(np.float32(largest / np.float32(REACH)), np.float32(2.0**-126))
        missed, total = 0.0, np.int32(0)
        for j in range(width):
            number = np.rint(queries[q, j] / unit)
            numbers[q, j] = np.int8(number)
            total = np.int32(total + np.int32(number))
            missed += np.float64(queries[q, j] - number * unit) ** 2
        totals[q], units[q], misses[q] = total, unit, np.float32(SPREAD * np.sqrt(width * missed))


@helper
def score_rows(
    levels: Any,
    factors: Any,
    numbers: Any,
    query: int,
    total: Any,
    unit: Any,
    missed: Any,
    add: Any,
    length: Any,
    width: Any,
    rows: Any,
    first: int,
    last: int,
    estimates: Any,
    bounds: Any,
) -> None:
    """Do what `scan` does; for kernels that go through several lists."""
    half = np.float32(unit * np.float32(0.5))
    shift = np.int32(15) * np.int32(total)
    listed = rows.shape[0] > 0
    if listed:
        for at in range(first, min(first + AHEAD, last)):
            prefetch(levels, rows[at])
    for at in range(first, last):
        if listed and at + AHEAD < last:
            prefetch(levels, rows[at + AHEAD])
        row = np.int64(rows[at]) if listed else at
        # Twice the product with the levels as seen from their middle, 7.5.
        twice = np.int32(np.int32(2 * dot_levels(levels, row, numbers, query)) - shift)
        scale = factors[1, row]
        estimate = (factors[0, row] + scale * (half * np.float32(twice))) + add
        error, rounded = factors[2, row] * length, scale * missed
        # A little more than the root of both squares, which could be too small for a float32.
        bound = estimate + width * (max(error, rounded) + EDGE * min(error, rounded))
        # Infinities of both signs met: nothing is known, so nothing may drop the row.
        estimates[at - first] = estimate if estimate == estimate else np.float32(-np.inf)
        bounds[at - first] = bound if bound > np.float32(-np.inf) else np.float32(np.inf)


@kernel(
    frozen(types.uint8, 2),
    frozen(_FLOAT, 2),
    frozen(types.int8, 2),
    _SIZE,
    types.int32,
    _FLOAT,
    _FLOAT,
    _FLOAT,
    _FLOAT,
    _FLOAT,
    frozen(types.uint32, 1),
    _SIZE,
    _SIZE,
    filled(_FLOAT, 1),
    filled(_FLOAT, 1),
)
def scan(
    levels: Any,
    factors: Any,
    numbers: Any,
    query: int,
    total: Any,
    unit: Any,
    missed: Any,
    add: Any,
    length: Any,
    width: Any,
    rows: Any,
    first: int,
    last: int,
    estimates: Any,
    bounds: Any,
) -> None:
    """Estimate the scores of the rows first .. last - 1, or rows[first:last], which share a centre.

    Args:
        levels: (n, width / 2).
        factors: (3, n), as in kernels/rabitq.py.
        numbers: (q, width) from `prepare`.
        query: which of them.
        total: totals[query].
        unit: units[query].
        missed: misses[query].
        add: what is added for the query and this centre.
        length: distance of the query from the centre.
        width: epsilon / sqrt(dimensions - 1).
        rows: (m,) row numbers; empty: all rows.
        first: start, in row numbers or in positions of `rows`.
        last: end.
        estimates: at least last - first long: scores, more is better.
        bounds: like estimates: what the score is hardly above.

    """
    score_rows(
        levels,
        factors,
        numbers,
        query,
        total,
        unit,
        missed,
        add,
        length,
        width,
        rows,
        first,
        last,
        estimates,
        bounds,
    )
