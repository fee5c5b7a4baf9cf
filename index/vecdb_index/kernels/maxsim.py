"""Late interaction: the sum over a query's tokens of each one's best product with a document's tokens (MaxSim).

    score(Q, D) = sum over i of weight_i * max over j of <q_i, d_j>        Khattab, Zaharia (SIGIR 2020), section 3.3

The tokens of all documents are the rows of one matrix, those of document r the rows offsets[r] .. offsets[r + 1] - 1.
A document without tokens scores -inf.

Over floats, a tile of two tokens and COLUMNS query tokens is computed at once, in the order of additions of lanes.py.
Over 8-bit codes the lanes are 16 query tokens, and a token's numbers are repeated in all lanes: no sum over lanes is
needed at the end, which for 128 dimensions costs as much as the products do. vpdpbusd takes four dimensions a step;
its twin takes two, of tokens that were widened to int16.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from vecdb_index.kernels import features
from vecdb_index.kernels.codes import inlined
from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.lanes import COLUMNS, dots_of_two
from vecdb_index.kernels.loops import _pick

LANES = 16
"""Query tokens of a block."""
TILE = 8
"""Tokens whose products with a block are in the registers at once."""
BYTES = features.multiplies_bytes()
STEP = 4 if BYTES else 2
"""Dimensions that an instruction takes."""
NUMBER = types.int8 if BYTES else types.int16
"""Of a block of query tokens."""

_I16, _I32, _I64, _F32 = ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
_INTEGERS, _FLOATS = ir.VectorType(_I32, LANES), ir.VectorType(_F32, LANES)

Value = Any


def _call(builder: Any, name: str, result: ir.Type, *arguments: Value) -> Value:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}"), arguments)


def _wide(builder: Any, address: Value, kind: ir.Type, align: int) -> Value:
    return builder.load(builder.bitcast(address, kind.as_pointer()), align=align)


def _everywhere(builder: Any, value: Value, kind: ir.VectorType) -> Value:
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count))


def _pairs(builder: Any, x: Value, y: Value) -> Value:
    """Products of the int16 in x and y, added in pairs: 16 int32."""
    whole, half = ir.VectorType(_I16, 2 * LANES), ir.VectorType(_I16, LANES)
    x, y = builder.bitcast(x, whole), builder.bitcast(y, whole)
    if features.multiplies_magnitudes():
        sums = []
        for start in (0, LANES):
            part = ir.Constant(ir.VectorType(_I32, LANES), list(range(start, start + LANES)))
            low, high = builder.shuffle_vector(x, x, part), builder.shuffle_vector(y, y, part)
            assert low.type == half
            sums.append(_call(builder, "x86.avx2.pmadd.wd", ir.VectorType(_I32, LANES // 2), low, high))
        return builder.shuffle_vector(*sums, ir.Constant(ir.VectorType(_I32, LANES), list(range(LANES))))
    parts = []
    for odd in (0, 1):
        chosen = ir.Constant(ir.VectorType(_I32, LANES), list(range(odd, 2 * LANES, 2)))
        wide = [builder.sext(builder.shuffle_vector(one, one, chosen), _INTEGERS) for one in (x, y)]
        parts.append(builder.mul(*wide))
    return builder.add(*parts)


def _tile(context: Any, builder: Any, signature: Any, arguments: Any, based: bool) -> Value:
    """Write the code of `best_of_tile`, or of `best_of_based_tile`."""

    def array(at: int) -> Any:
        return context.make_array(signature.args[at])(context, builder, arguments[at])

    matrix, picked, scale_of, given, shift_of, kept = (array(at) for at in (0, 1, 2, 4, 6, 7))
    length = cgutils.unpack_tuple(builder, matrix.shape, 2)[1]
    line = builder.mul(arguments[5], ir.Constant(_I64, LANES))
    query = builder.gep(given.data, [builder.mul(line, length)])
    places = [builder.load(builder.gep(picked.data, [ir.Constant(_I64, i)])) for i in range(TILE)]
    starts = [builder.gep(matrix.data, [builder.mul(place, length)]) for place in places]
    shift = _wide(builder, builder.gep(shift_of.data, [line]), _INTEGERS, 4)
    first = builder.sub(ir.Constant(_INTEGERS, [0] * LANES), shift)
    cells = [cgutils.alloca_once_value(builder, first) for _ in range(TILE)]
    for cell in cells:
        builder.store(first, cell)
    with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), length, ir.Constant(_I64, STEP), _I64) as (j, _):
        y = _wide(builder, builder.gep(query, [builder.mul(j, ir.Constant(_I64, LANES))]), _INTEGERS, 1)
        for start, cell in zip(starts, cells, strict=True):
            x = _everywhere(builder, _wide(builder, builder.gep(start, [j]), _I32, 1), _INTEGERS)
            builder.store(_products(builder, builder.load(cell), x, y), cell)
    target = builder.bitcast(builder.gep(kept.data, [line]), _FLOATS.as_pointer())
    found = builder.load(target, align=4)
    for i, cell in enumerate(cells):
        scale = builder.load(builder.gep(scale_of.data, [builder.add(arguments[3], ir.Constant(_I64, i))]))
        product = builder.fmul(builder.sitofp(builder.load(cell), _FLOATS), _everywhere(builder, scale, _FLOATS))
        if based:
            bases, base_rows = array(8), array(9)
            width = cgutils.unpack_tuple(builder, bases.shape, 2)[1]
            row = builder.load(builder.gep(base_rows.data, [ir.Constant(_I64, i)]))
            place = builder.gep(bases.data, [builder.add(builder.mul(row, width), line)])
            product = builder.fadd(product, _wide(builder, place, _FLOATS, 4))
        found = builder.select(builder.fcmp_ordered(">", product, found), product, found)
    builder.store(found, target, align=4)
    return context.get_dummy_value()


@inlined
def best_of_tile(
    typingctx: Any, tokens: Any, rows: Any, scales: Any, at: Any, blocks: Any, block: Any, shifts: Any, best: Any
) -> Any:
    """Raise best[block] to the products of TILE tokens with a block of 16 query tokens.

    Args:
        typingctx: numba's.
        tokens: (n, d) uint8 codes, or int16 where bytes are not multiplied; d is a multiple of STEP.
        rows: (TILE,) int64, the tokens' rows.
        scales: (m,) float32, what a code unit of a token is; read from at to at + TILE - 1.
        at: see scales.
        blocks: (b, 16 d) NUMBER: for each STEP dimensions, those of the 16 query tokens one behind the other.
        block: which.
        shifts: (b, 16) int32, subtracted from the sums.
        best: (b, 16) float32.

    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        return _tile(context, builder, signature, arguments, based=False)

    signature = types.void(tokens, rows, scales, types.intp, blocks, types.intp, shifts, best)
    return signature, codegen


@inlined
def best_of_based_tile(
    typingctx: Any, tokens: Any, rows: Any, scales: Any, at: Any, blocks: Any, block: Any, shifts: Any, best: Any,
    bases: Any, base_rows: Any,
) -> Any:  # fmt: skip
    """Do what `best_of_tile` does, with bases[base_rows[i]], (k, 16 b) float32, added to the products of token i."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        return _tile(context, builder, signature, arguments, based=True)

    signature = types.void(tokens, rows, scales, types.intp, blocks, types.intp, shifts, best, bases, base_rows)
    return signature, codegen


def _products(builder: Any, total: Value, x: Value, y: Value) -> Value:
    if BYTES:
        return _call(builder, "x86.avx512.vpdpbusd.512", _INTEGERS, total, x, y)
    return builder.add(total, _pairs(builder, x, y))


@helper
def _best_of_codes(
    codes: Any,
    scales: Any,
    first: Any,
    last: Any,
    blocks: Any,
    shifts: Any,
    room: Any,
    picked: Any,
    part: Any,
    best: Any,
) -> None:
    """Write each query token's best product with the tokens first .. last - 1, of which there is one at least."""
    best[:] = np.float32(-np.inf)
    for start in range(first, last, TILE):
        for i in range(TILE):  # a last tile that is not full repeats its last token
            token = min(start + i, last - 1)
            part[i] = scales[token]
            picked[i] = token if BYTES else i
            if not BYTES:
                for j in range(codes.shape[1]):
                    room[i, j] = np.int16(np.int16(codes[token, j]) - np.int16(128))
        for block in range(blocks.shape[0]):
            if BYTES:
                best_of_tile(codes, picked, part, 0, blocks, block, shifts, best)
            else:
                best_of_tile(room, picked, part, 0, blocks, block, shifts, best)


@kernel(
    frozen(types.uint8, 2),
    frozen(types.float32, 1),
    frozen(types.int64, 1),
    frozen(types.uint32, 1),
    types.intp,
    types.intp,
    frozen(NUMBER, 2),
    frozen(types.int32, 2),
    frozen(types.float32, 2),
    filled(types.int16, 2),
    filled(types.int64, 1),
    filled(types.float32, 1),
    filled(types.float32, 2),
    filled(types.float32, 1),
)
def maxsim_codes(
    codes: Any,
    scales: Any,
    offsets: Any,
    rows: Any,
    first: int,
    last: int,
    blocks: Any,
    shifts: Any,
    weights: Any,
    room: Any,
    picked: Any,
    part: Any,
    best: Any,
    out: Any,
) -> None:
    """Score documents over 8-bit codes: exact sums of integers, scaled in float32.

    Args:
        codes: (n, d) uint8, which stand for code - 128; d is a multiple of 4.
        scales: (n,) float32, the units of the codes.
        offsets: (r + 1,) int64.
        rows: (m,) uint32 documents, or empty: all.
        first: start of the slice of documents, in row numbers or in positions of `rows`.
        last: its end.
        blocks: see best_of_tile; of int8 numbers.
        shifts: (b, 16) int32: 128 times the sum of a query token's numbers where BYTES, else zeros.
        weights: (b, 16) float32, the unit of a query token's numbers times its weight; 0 behind the last.
        room: (TILE, d) int16.
        picked: (TILE,) int64: room.
        part: (TILE,) float32: room.
        best: (b, 16) float32: room.
        out: (last - first,) float32.

    """
    for at in range(first, last):
        row = _pick(rows, at)
        begin, end = offsets[row], offsets[row + 1]
        if begin == end:
            out[at - first] = np.float32(-np.inf)
            continue
        _best_of_codes(codes, scales, begin, end, blocks, shifts, room, picked, part, best)
        total = np.float64(0)
        for block in range(best.shape[0]):
            for i in range(LANES):
                total += np.float64(best[block, i]) * np.float64(weights[block, i])
        out[at - first] = np.float32(total)


def maxsim(
    tokens: Any, offsets: Any, rows: Any, first: int, last: int, queries: Any, weights: Any, best: Any, out: Any
) -> None:
    """Score documents over float tokens.

    Args:
        tokens: (n, d) float32, or float16 as uint16.
        offsets: (r + 1,) int64.
        rows: (m,) uint32 documents, or empty: all.
        first: start of the slice of documents, in row numbers or in positions of `rows`.
        last: its end.
        queries: (q, d) float32, with rows of zeros behind up to a multiple of COLUMNS.
        weights: (q,) float32, 0 for the rows of zeros.
        best: (q,) float32: room.
        out: (last - first,) float32.

    """
    for at in range(first, last):
        row = _pick(rows, at)
        begin, end = offsets[row], offsets[row + 1]
        if begin == end:
            out[at - first] = np.float32(-np.inf)
            continue
        best[:] = np.float32(-np.inf)
        for token in range(begin, end, 2):
            other = min(token + 1, end - 1)  # a last token without a partner is paired with itself
            for column in range(0, queries.shape[0], COLUMNS):
                products = dots_of_two(tokens, token, other, queries, column)
                for i in range(COLUMNS):
                    best[column + i] = max(best[column + i], products[i], products[COLUMNS + i])
        total = np.float64(0)
        for i in range(best.shape[0]):
            total += np.float64(best[i]) * np.float64(weights[i])
        out[at - first] = np.float32(total)


@kernel(
    frozen(types.uint8, 2),
    frozen(types.float32, 1),
    frozen(types.int64, 1),
    frozen(types.uint32, 1),
    types.intp,
    types.intp,
    frozen(types.float32, 2),
    frozen(types.float32, 1),
    filled(types.float32, 2),
    filled(types.float32, 1),
    filled(types.float32, 1),
)
def maxsim_bytes(
    codes: Any,
    scales: Any,
    offsets: Any,
    rows: Any,
    first: int,
    last: int,
    queries: Any,
    weights: Any,
    room: Any,
    best: Any,
    out: Any,
) -> None:
    """Score documents over what 8-bit codes stand for: the same bits as `maxsim_floats` of those numbers.

    Args:
        codes: (n, width) uint8, which stand for (code - 128) * scale; d of them are read.
        scales: (n,) float32.
        offsets: (r + 1,) int64.
        rows: (m,) uint32 documents, or empty: all.
        first: start of the slice of documents, in row numbers or in positions of `rows`.
        last: its end.
        queries: see `maxsim`.
        weights: see `maxsim`.
        room: (2, d) float32.
        best: see `maxsim`.
        out: (last - first,) float32.

    """
    for at in range(first, last):
        row = _pick(rows, at)
        begin, end = offsets[row], offsets[row + 1]
        if begin == end:
            out[at - first] = np.float32(-np.inf)
            continue
        best[:] = np.float32(-np.inf)
        for token in range(begin, end, 2):
            for i in range(2):
                one = min(token + i, end - 1)
                scale = scales[one]
                for j in range(room.shape[1]):
                    room[i, j] = (np.float32(codes[one, j]) - np.float32(128)) * scale
            for column in range(0, queries.shape[0], COLUMNS):
                products = dots_of_two(room, 0, 1, queries, column)
                for i in range(COLUMNS):
                    best[column + i] = max(best[column + i], products[i], products[COLUMNS + i])
        total = np.float64(0)
        for i in range(best.shape[0]):
            total += np.float64(best[i]) * np.float64(weights[i])
        out[at - first] = np.float32(total)


def _types_of(element: Any) -> Sequence[Any]:
    size = types.intp
    return (
        frozen(element, 2),
        frozen(types.int64, 1),
        frozen(types.uint32, 1),
        size,
        size,
        frozen(types.float32, 2),
        frozen(types.float32, 1),
        filled(types.float32, 1),
        filled(types.float32, 1),
    )


maxsim_floats = kernel(*_types_of(types.float32))(maxsim)
maxsim_halves = kernel(*_types_of(types.uint16))(maxsim)
