"""The arithmetic of 8-bit codes, and prefetching.

A code is a uint8 that stands for the signed number code - 128; 128 pads a row to whole cache lines of 64 bytes. A query
is int8, as long as a row. With `similarity`, sums are exact integers, so every path gives the same number:

    without norms   dot(row, query) - 128 * sum(query)
    with norms      2 * that - the row's squared length, which stands in the row's last four bytes

The former orders unit vectors by cosine; the latter orders rows by squared distance.

vpdpbusd multiplies 64 pairs an instruction. LLVM never chooses it by itself, and where the processor lacks it the
intrinsic would stop the process at compile time. So there are twins: one for AVX2, which multiplies 32 magnitudes with
as many numbers that took over the signs (10 ns for 384 numbers; what LLVM makes of the last takes 15), and a portable one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from vecdb_index.kernels import features
from vecdb_index.kernels.jit import filled, frozen, helper, kernel

LINE = 64
NORM_BYTES = 4

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_WIDE = ir.VectorType(_I32, 16)

Value = Any


def _inlined(typing: Callable[..., Any]) -> Any:
    """Register an intrinsic: `typing` gives its signature and code; kernels call it without the context."""
    return intrinsic(typing)


def _address(context: Any, builder: Any, kind: Any, array: Value, row: Value) -> tuple[Value, Value]:
    """Return the address of a row's first byte, and its length, of a C-contiguous matrix of bytes."""
    data = context.make_array(kind)(context, builder, array)
    length = cgutils.unpack_tuple(builder, data.shape, kind.ndim)[-1]
    start = builder.bitcast(data.data, _I8.as_pointer())
    return builder.gep(start, [builder.mul(row, length)]), length


def _vnni(builder: Any, total: Value, codes: Value, query: Value) -> Value:
    name = "llvm.x86.avx512.vpdpbusd.512"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_WIDE, [_WIDE] * 3), name)
    x, y = (builder.load(builder.bitcast(address, _WIDE.as_pointer()), align=1) for address in (codes, query))
    return builder.call(function, [total, x, y])


def _portable(builder: Any, total: Value, codes: Value, query: Value) -> Value:
    narrow = ir.VectorType(_I8, 16)
    for part in range(0, LINE, 16):
        at = ir.Constant(_I64, part)
        x, y = (
            builder.load(builder.bitcast(builder.gep(address, [at]), narrow.as_pointer()), align=1)
            for address in (codes, query)
        )
        total = builder.add(total, builder.mul(builder.zext(x, _WIDE), builder.sext(y, _WIDE)))
    return total


def _magnitudes(builder: Any, total: Value, codes: Value, query: Value) -> Value:
    """Multiply |code - 128| with the query under the code's sign: sums of two fit in 16 bits, 2 * 128 * 127."""
    narrow, short, half = ir.VectorType(_I8, 32), ir.VectorType(_I16, 16), ir.VectorType(_I32, 8)

    def call(name: str, result: ir.Type, *arguments: Value) -> Value:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}"), arguments)

    sums = []
    for part in range(0, LINE, 32):
        at = ir.Constant(_I64, part)
        x, y = (
            builder.load(builder.bitcast(builder.gep(address, [at]), narrow.as_pointer()), align=1)
            for address in (codes, query)
        )
        x = builder.xor(x, ir.Constant(narrow, [128] * 32))
        magnitude = call("abs.v32i8", narrow, x, ir.Constant(ir.IntType(1), 0))
        pairs = call("x86.avx2.pmadd.ub.sw", short, magnitude, call("x86.avx2.psign.b", narrow, y, x))
        sums.append(call("x86.avx2.pmadd.wd", half, pairs, ir.Constant(short, [1] * 16)))
    return builder.add(total, builder.shuffle_vector(*sums, ir.Constant(_WIDE, list(range(16)))))


@_inlined
def dot_codes(typingctx: Any, codes: Any, row: Any, queries: Any, query: Any, shift: Any) -> Any:
    """Sum of (codes[row, i] - 128) * queries[query, i]: int32. Rows are whole lines; shift is 128 * sum of the query."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        row, length = _address(context, builder, signature.args[0], arguments[0], arguments[1])
        query, _ = _address(context, builder, signature.args[2], arguments[2], arguments[3])
        signed = features.multiplies_magnitudes() and not features.multiplies_bytes()
        step = _magnitudes if signed else _vnni if features.multiplies_bytes() else _portable
        total = cgutils.alloca_once_value(builder, ir.Constant(_WIDE, [0] * 16))
        with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), length, ir.Constant(_I64, LINE), _I64) as (at, _):
            pair = builder.gep(row, [at]), builder.gep(query, [at])
            builder.store(step(builder, builder.load(total), *pair), total)
        name = "llvm.vector.reduce.add.v16i32"
        add = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_I32, [_WIDE]), name)
        dot = builder.call(add, [builder.load(total)])
        return dot if signed else builder.sub(dot, arguments[4])

    return types.int32(codes, types.intp, queries, types.intp, types.int32), codegen


@_inlined
def norm_at_end(typingctx: Any, codes: Any, row: Any) -> Any:
    """Return the int32 in the last four bytes of codes[row]."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        row, length = _address(context, builder, signature.args[0], arguments[0], arguments[1])
        place = builder.gep(row, [builder.sub(length, ir.Constant(_I64, NORM_BYTES))])
        return builder.load(builder.bitcast(place, _I32.as_pointer()), align=1)

    return types.int32(codes, types.intp), codegen


@_inlined
def prefetch(typingctx: Any, matrix: Any, row: Any) -> Any:
    """Ask for all cache lines of matrix[row], to be read soon."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        kind = signature.args[0]
        data = context.make_array(kind)(context, builder, arguments[0])
        length = cgutils.unpack_tuple(builder, data.shape, kind.ndim)[-1]
        length = builder.mul(length, ir.Constant(_I64, kind.dtype.bitwidth // 8))
        start = builder.bitcast(data.data, _I8.as_pointer())
        start = builder.gep(start, [builder.mul(arguments[1], length)])
        shape = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
        ask = cgutils.get_or_insert_function(builder.module, shape, "llvm.prefetch.p0")
        how = [ir.Constant(_I32, number) for number in (0, 3, 1)]  # read, keep in every cache, data
        with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), length, ir.Constant(_I64, LINE), _I64) as (at, _):
            builder.call(ask, [builder.gep(start, [at]), *how])
        return context.get_dummy_value()

    return types.void(matrix, types.intp), codegen


@helper
def similarity(codes: Any, row: Any, queries: Any, query: Any, shift: Any, normed: Any) -> np.int32:
    """How near a row is to a query: int32, larger is nearer. shift is 128 * sum of the query."""
    dot = dot_codes(codes, row, queries, query, np.int32(shift))
    return np.int32(np.int32(2) * dot - norm_at_end(codes, row)) if normed else dot


@kernel(
    frozen(types.float32, 2),
    frozen(types.float32, 1),
    types.float32,
    types.boolean,
    filled(types.int8, 2),
    filled(types.int32, 1),
)
def encode_queries(queries: Any, centre: Any, scale: Any, normed: Any, out: Any, shifts: Any) -> None:
    """Write (q, d) queries as int8 (q, width), zeros behind them, and each one's shift.

    With norms, a query is measured as rows are: (query - centre) * scale. Without, only the order of the rows matters,
    so each query uses the whole range.
    """
    for query in range(queries.shape[0]):
        reach = np.float32(0)
        for j in range(queries.shape[1]):
            reach = max(reach, abs(queries[query, j]))
        total = np.int32(0)
        for j in range(queries.shape[1]):
            if normed:
                number = (queries[query, j] - centre[j]) * scale
            else:
                number = queries[query, j] / reach * np.float32(127) if reach > 0 else np.float32(0)
            code = np.int8(np.rint(min(max(number, np.float32(-127)), np.float32(127))))
            out[query, j] = code
            total = np.int32(total + np.int32(code))
        for j in range(queries.shape[1], out.shape[1]):
            out[query, j] = np.int8(0)
        shifts[query] = np.int32(np.int32(128) * total)
