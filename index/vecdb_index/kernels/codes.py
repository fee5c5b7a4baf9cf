"""The arithmetic of 8-bit codes, and prefetching.

A code is a uint8 that stands for the signed number code - 128; 128 pads a row to whole cache lines of 64 bytes. A query
is int8, as long as a row. With `similarity`, sums are exact integers, so every path gives the same number:

    without norms   dot(row, query) - 128 * sum(query)
    with norms      2 * that - the row's squared length, which stands in the row's last four bytes

The former orders unit vectors by cosine; the latter orders rows by squared distance.

vpdpbusd multiplies 64 pairs an instruction. LLVM never chooses it by itself, and where the processor lacks it the
intrinsic would stop the process at compile time. So there are twins: a portable one, and one for AVX2, which multiplies
32 magnitudes with as many numbers that took over the signs (10 ns for 384 numbers; the portable one takes 15).
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
COLUMNS = 4
"""Queries that a row's code is multiplied with while it is in the registers."""

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_WIDE = ir.VectorType(_I32, 16)

Value = Any


def inlined(typing: Callable[..., Any]) -> Any:
    """Register an intrinsic: `typing` gives its signature and code; kernels call it without the context."""
    return intrinsic(typing)


def address_of(context: Any, builder: Any, kind: Any, array: Value, row: Value) -> tuple[Value, Value]:
    """Return the address of a row's first byte, and its length, of a C-contiguous matrix of bytes."""
    data = context.make_array(kind)(context, builder, array)
    length = cgutils.unpack_tuple(builder, data.shape, kind.ndim)[-1]
    start = builder.bitcast(data.data, _I8.as_pointer())
    return builder.gep(start, [builder.mul(row, length)]), length


def call(builder: Any, name: str, result: ir.Type, *arguments: Value) -> Value:
    """Call one of LLVM's intrinsics."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}"), arguments)


def load(builder: Any, address: Value, part: int, kind: ir.Type) -> Value:
    """Load a vector of this type that begins `part` bytes behind an address."""
    place = builder.gep(address, [ir.Constant(_I64, part)])
    return builder.load(builder.bitcast(place, kind.as_pointer()), align=1)


def _vnni(builder: Any, totals: list[Value], codes: Value, queries: list[Value]) -> list[Value]:
    """Add the products of a line of codes with a line of each query to its total."""
    x = load(builder, codes, 0, _WIDE)
    return [
        call(builder, "x86.avx512.vpdpbusd.512", _WIDE, total, x, load(builder, query, 0, _WIDE))
        for total, query in zip(totals, queries, strict=True)
    ]


def _magnitudes(builder: Any, totals: list[Value], codes: Value, queries: list[Value]) -> list[Value]:
    """Multiply |code - 128| with the query under the code's sign: sums of two fit in 16 bits, 2 * 128 * 127."""
    narrow, short, half = ir.VectorType(_I8, 32), ir.VectorType(_I16, 16), ir.VectorType(_I32, 8)
    signed = [builder.xor(load(builder, codes, at, narrow), ir.Constant(narrow, [128] * 32)) for at in (0, 32)]
    magnitudes = [call(builder, "abs.v32i8", narrow, x, ir.Constant(ir.IntType(1), 0)) for x in signed]
    found = []
    for total, query in zip(totals, queries, strict=True):
        sums = []
        for at, x, magnitude in zip((0, 32), signed, magnitudes, strict=True):
            y = call(builder, "x86.avx2.psign.b", narrow, load(builder, query, at, narrow), x)
            pairs = call(builder, "x86.avx2.pmadd.ub.sw", short, magnitude, y)
            sums.append(call(builder, "x86.avx2.pmadd.wd", half, pairs, ir.Constant(short, [1] * 16)))
        found.append(builder.add(total, builder.shuffle_vector(*sums, ir.Constant(_WIDE, list(range(16))))))
    return found


def _portable(builder: Any, totals: list[Value], codes: Value, queries: list[Value]) -> list[Value]:
    narrow = ir.VectorType(_I8, 16)
    for at in range(0, LINE, 16):
        x = builder.zext(load(builder, codes, at, narrow), _WIDE)
        ys = [builder.sext(load(builder, query, at, narrow), _WIDE) for query in queries]
        totals = [builder.add(total, builder.mul(x, y)) for total, y in zip(totals, ys, strict=True)]
    return totals


def _dots(builder: Any, row: Value, length: Value, queries: list[Value], shifts: list[Value]) -> list[Value]:
    """Sum of (code - 128) * query over a row, for each query."""
    signed = features.multiplies_magnitudes() and not features.multiplies_bytes()
    step = _magnitudes if signed else _vnni if features.multiplies_bytes() else _portable
    cells = [cgutils.alloca_once_value(builder, ir.Constant(_WIDE, [0] * 16)) for _ in queries]
    with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), length, ir.Constant(_I64, LINE), _I64) as (at, _):
        totals = [builder.load(cell) for cell in cells]
        places = [builder.gep(query, [at]) for query in queries]
        for cell, total in zip(cells, step(builder, totals, builder.gep(row, [at]), places), strict=True):
            builder.store(total, cell)
    sums = [call(builder, "vector.reduce.add.v16i32", _I32, builder.load(cell)) for cell in cells]
    return sums if signed else [builder.sub(total, shift) for total, shift in zip(sums, shifts, strict=True)]


@inlined
def dot_codes(typingctx: Any, codes: Any, row: Any, queries: Any, query: Any, shift: Any) -> Any:
    """Sum of (codes[row, i] - 128) * queries[query, i]: int32. Rows are whole lines; shift is that of the query."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        row, length = address_of(context, builder, signature.args[0], arguments[0], arguments[1])
        query, _ = address_of(context, builder, signature.args[2], arguments[2], arguments[3])
        return _dots(builder, row, length, [query], [arguments[4]])[0]

    return types.int32(codes, types.intp, queries, types.intp, types.int32), codegen


@inlined
def dots_of_codes(typingctx: Any, codes: Any, row: Any, queries: Any, members: Any, at: Any, shifts: Any) -> Any:
    """Do what dot_codes does for COLUMNS queries members[at], members[at + 1], ...: a tuple of int32.

    members is uint32, shifts is int32.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        row, length = address_of(context, builder, signature.args[0], arguments[0], arguments[1])
        chosen = context.make_array(signature.args[3])(context, builder, arguments[3])
        given = context.make_array(signature.args[5])(context, builder, arguments[5])
        queries, shifts = [], []
        for i in range(COLUMNS):
            place = builder.add(arguments[4], ir.Constant(_I64, i))
            query = builder.zext(builder.load(builder.gep(chosen.data, [place])), _I64)
            queries.append(address_of(context, builder, signature.args[2], arguments[2], query)[0])
            shifts.append(builder.load(builder.gep(given.data, [query])))
        totals = _dots(builder, row, length, queries, shifts)
        return context.make_tuple(builder, signature.return_type, totals)

    result = types.UniTuple(types.int32, COLUMNS)
    return result(codes, types.intp, queries, members, types.intp, shifts), codegen


@inlined
def norm_at_end(typingctx: Any, codes: Any, row: Any) -> Any:
    """Return the int32 in the last four bytes of codes[row]."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        row, length = address_of(context, builder, signature.args[0], arguments[0], arguments[1])
        place = builder.gep(row, [builder.sub(length, ir.Constant(_I64, NORM_BYTES))])
        return builder.load(builder.bitcast(place, _I32.as_pointer()), align=1)

    return types.int32(codes, types.intp), codegen


@inlined
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


@helper
def reach_of(queries: Any, query: Any) -> np.float32:
    """Return the largest magnitude in queries[query], whose numbers are finite."""
    numbers, largest = queries[query].view(np.int32), np.int32(0)
    for j in range(numbers.shape[0]):  # floats of one sign are in the order of their bits, and LLVM takes 16 at once
        largest = max(largest, np.int32(numbers[j] & np.int32(0x7FFFFFFF)))
    return np.int32(largest).view(np.float32)


@helper
def _encode_part(
    queries: Any,
    query: Any,
    first: Any,
    last: Any,
    reach: Any,
    centre: Any,
    scale: Any,
    normed: Any,
    out: Any,
    place: Any,
    at: Any,
) -> Any:
    """Write queries[query, first:last] to out[place, at:]; return the sum."""
    total = np.int32(0)
    for j in range(last - first):
        if normed:
            number = (queries[query, first + j] - centre[first + j]) * scale
        else:
            number = queries[query, first + j] / reach * np.float32(127) if reach > 0 else np.float32(0)
        code = np.int8(np.rint(min(max(number, np.float32(-127)), np.float32(127))))
        out[place, at + j] = code
        total = np.int32(total + np.int32(code))
    return total


@helper
def encode_query(
    queries: Any, query: Any, reach: Any, centre: Any, scale: Any, normed: Any, half: Any, out: Any, place: Any
) -> np.int32:
    """Write queries[query], which reaches so far, as int8 to out[place], zeros behind it; return the sum.

    The numbers from `half` on are written to the second half of the line; d writes them all in order. With norms, a
    query is measured as rows are: (query - centre) * scale. Without, only the order of the rows matters, so it uses the
    whole range.
    """
    d, middle = queries.shape[1], out.shape[1] >> 1
    total = _encode_part(queries, query, 0, half, reach, centre, scale, normed, out, place, 0)
    end = half
    if half < d:
        for j in range(half, middle):
            out[place, j] = np.int8(0)
        more = _encode_part(queries, query, half, d, reach, centre, scale, normed, out, place, middle)
        total, end = np.int32(total + more), middle + d - half
    for j in range(end, out.shape[1]):
        out[place, j] = np.int8(0)
    return total


@kernel(
    frozen(types.float32, 2),
    frozen(types.float32, 1),
    types.float32,
    types.boolean,
    filled(types.int8, 2),
    filled(types.int32, 1),
)
def encode_queries(queries: Any, centre: Any, scale: Any, normed: Any, out: Any, shifts: Any) -> None:
    """Write (q, d) queries as int8 (q, width), and each one's shift."""
    for query in range(queries.shape[0]):
        reach = reach_of(queries, query)
        total = encode_query(queries, query, reach, centre, scale, normed, queries.shape[1], out, query)
        shifts[query] = np.int32(np.int32(128) * total)
