"""Similarities to rows of 4-bit codes (codes/packed.py), and to rows of either kind.

A query is int8, twice as long as a packed row: first what is multiplied with the low halves of its bytes, then what is
with the high ones. Sums are exact integers, so every path gives the same number.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from vecdb_index.kernels import codes as eight
from vecdb_index.kernels import features
from vecdb_index.kernels.codes import LINE, NORM_BYTES, Value, address_of, call, inlined, load, norm_at_end
from vecdb_index.kernels.jit import helper

MIDDLE = 15
"""Twice the level in the middle: a level l stands for 2 l - 15."""

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_BYTES, _WIDE = ir.VectorType(_I8, LINE), ir.VectorType(_I32, 16)
_NARROW, _SHORT, _HALF = ir.VectorType(_I8, 32), ir.VectorType(_I16, 16), ir.VectorType(_I32, 8)


def _vnni(builder: Any, total: Value, levels: Value, query: Value) -> Value:
    pairs = builder.bitcast(levels, _WIDE), builder.bitcast(query, _WIDE)
    return call(builder, "x86.avx512.vpdpbusd.512", _WIDE, total, *pairs)


def _avx2(builder: Any, total: Value, levels: Value, query: Value) -> Value:
    sums = []
    for first in (0, 32):
        places = ir.Constant(ir.VectorType(_I32, 32), list(range(first, first + 32)))
        x, y = (builder.shuffle_vector(value, value, places) for value in (levels, query))
        # A pair is at most 2 * 15 * 127: the instruction's saturation is out of reach.
        pairs = call(builder, "x86.avx2.pmadd.ub.sw", _SHORT, x, y)
        sums.append(call(builder, "x86.avx2.pmadd.wd", _HALF, pairs, ir.Constant(_SHORT, [1] * 16)))
    return builder.add(total, builder.shuffle_vector(*sums, ir.Constant(_WIDE, list(range(16)))))


def _portable(builder: Any, total: Value, levels: Value, query: Value) -> Value:
    for part in range(0, LINE, 16):
        places = ir.Constant(_WIDE, list(range(part, part + 16)))
        x, y = (builder.shuffle_vector(value, value, places) for value in (levels, query))
        total = builder.add(total, builder.mul(builder.zext(x, _WIDE), builder.sext(y, _WIDE)))
    return total


@inlined
def dot_levels(typingctx: Any, codes: Any, row: Any, queries: Any, query: Any) -> Any:
    """Sum of the levels of codes[row] times queries[query], which is twice as long: int32."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        row, length = address_of(context, builder, signature.args[0], arguments[0], arguments[1])
        query, _ = address_of(context, builder, signature.args[2], arguments[2], arguments[3])
        step = _vnni if features.multiplies_bytes() else _avx2 if features.multiplies_magnitudes() else _portable
        total = cgutils.alloca_once_value(builder, ir.Constant(_WIDE, [0] * 16))
        four = ir.Constant(_BYTES, [4] * LINE)
        with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), length, ir.Constant(_I64, LINE), _I64) as (at, _):
            both = load(builder, builder.gep(row, [at]), 0, _BYTES)
            low = builder.and_(both, ir.Constant(_BYTES, [15] * LINE))
            front = load(builder, builder.gep(query, [at]), 0, _BYTES)
            back = load(builder, builder.gep(query, [builder.add(at, length)]), 0, _BYTES)
            sums = step(builder, builder.load(total), low, front)
            builder.store(step(builder, sums, builder.lshr(both, four), back), total)
        return call(builder, "vector.reduce.add.v16i32", _I32, builder.load(total))

    return types.int32(codes, types.intp, queries, types.intp), codegen


@helper
def are_packed(codes: Any, dimension: Any, normed: Any) -> Any:
    """Whether codes of vectors of so many numbers are 4-bit ones: they are shorter than 8-bit ones could be."""
    return codes.shape[1] < dimension + (NORM_BYTES if normed else 0)


@helper
def similarity(codes: Any, row: Any, queries: Any, query: Any, shift: Any, normed: Any) -> np.int32:
    """How near a row is to a query: int32, larger is nearer.

    shift is 128 times the sum of the query for 8-bit codes, MIDDLE times that for packed ones.
    """
    if codes.shape[1] < queries.shape[1]:
        dot = np.int32(np.int32(2) * dot_levels(codes, row, queries, query) - np.int32(shift))
        return np.int32(np.int32(2) * dot - norm_at_end(codes, row)) if normed else dot
    return eight.similarity(codes, row, queries, query, shift, normed)
