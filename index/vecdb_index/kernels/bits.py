"""Scans of packed bits by Hamming distance: the score is minus the number of bits that differ.

Rows are (n, bytes) uint8 of any length; a query is (words,) uint64, zeros behind the last bit up to a multiple of 64
bytes. Sums are whole numbers, so the order of additions does not matter here. How many bits of a word are set is LLVM's
own operation (ctpop), which every processor has in some form, so there is no twin.

A row alone is counted where it lies: one stream from memory, which is what limits a single query. For a batch, a block
of rows is turned so that a word of 32 rows is one vector: no sum goes across lanes then, and the block stays in the
first-level cache for all queries.
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
from vecdb_index.kernels.topk import offer

LANES = 32
"""Rows of a turned block that are counted at once."""
PADDING = 64
"""The bytes of a query are a multiple of this."""

_WORD, _SCORE, _SIZE, _MASK, _ROW = types.uint64, types.float32, types.intp, types.uint8, types.uint32
_I8, _I32, _I64, _F32 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
_MASKS = {"avx512vpopcntdq", "avx512bw"} <= features.features()
"""Whether bits are counted in 64 bytes at once, and the end of a row can be loaded without what lies behind it."""
_VECTOR = 8 if _MASKS else 4
"""Words that are counted at once where a row lies."""


def _inlined(typing: Callable[..., Any]) -> Any:
    """Register an intrinsic: `typing` gives its signature and code; kernels call it without the context."""
    return intrinsic(typing)


def _array(context: Any, builder: Any, kind: Any, value: Any) -> tuple[Any, Any]:
    """Return the address of an array as bytes, and the bytes of one of its rows."""
    array = context.make_array(kind)(context, builder, value)
    length = cgutils.unpack_tuple(builder, array.shape, kind.ndim)[-1]
    size = kind.dtype.bitwidth // 8
    return builder.bitcast(array.data, _I8.as_pointer()), builder.mul(length, ir.Constant(_I64, size))


def _count(builder: Any, words: Any) -> Any:
    """Return how many bits of an integer, or of each of a vector, are set."""
    kind, name = words.type, f"i{getattr(words.type, 'element', words.type).width}"
    name = f"v{kind.count}{name}" if isinstance(kind, ir.VectorType) else name
    counting = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), f"llvm.ctpop.{name}")
    return builder.call(counting, [words])


def _load(builder: Any, base: Any, at: Any, kind: Any) -> Any:
    address = builder.bitcast(builder.gep(base, [at]), kind.as_pointer())
    return builder.load(address, align=1)


def _count_of_row(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Code of `differing`."""
    bits, length = _array(context, builder, signature.args[0], arguments[0])
    query, _ = _array(context, builder, signature.args[2], arguments[2])
    row = builder.mul(arguments[1], length)
    vector, size = ir.VectorType(_I64, _VECTOR), ir.Constant(_I64, 8 * _VECTOR)
    total = cgutils.alloca_once_value(builder, ir.Constant(vector, [0] * _VECTOR))

    def add(words: Any, at: Any) -> None:
        asked = _load(builder, query, at, vector)
        builder.store(builder.add(builder.load(total), _count(builder, builder.xor(words, asked))), total)

    stop = builder.sub(length, ir.Constant(_I64, 8 * _VECTOR - 1))
    with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), stop, size, _I64) as (at, _):
        add(_load(builder, bits, builder.add(row, at), vector), at)
    left = builder.and_(length, ir.Constant(_I64, 8 * _VECTOR - 1))
    rest = builder.sub(length, left)
    if _MASKS:
        with builder.if_then(cgutils.is_not_null(builder, left)):
            some = builder.sub(builder.shl(ir.Constant(_I64, 1), left), ir.Constant(_I64, 1))
            mask, whole = builder.bitcast(some, ir.VectorType(ir.IntType(1), 64)), ir.VectorType(_I8, 64)
            address = builder.bitcast(builder.gep(bits, [builder.add(row, rest)]), whole.as_pointer())
            kind = ir.FunctionType(whole, [address.type, _I32, mask.type, whole])
            masked = cgutils.get_or_insert_function(builder.module, kind, "llvm.masked.load.v64i8.p0")
            end = builder.call(masked, [address, ir.Constant(_I32, 1), mask, ir.Constant(whole, [0] * 64)])
            add(builder.bitcast(end, vector), rest)
    kind = ir.FunctionType(_I64, [vector])
    summed = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.add.v{_VECTOR}i64")
    out = cgutils.alloca_once_value(builder, builder.call(summed, [builder.load(total)]))
    if not _MASKS:
        for step, kind in ((8, _I64), (1, _I8)):
            stop = builder.sub(length, ir.Constant(_I64, step - 1))
            with cgutils.for_range_slice(builder, rest, stop, ir.Constant(_I64, step), _I64) as (at, _):
                found, asked = _load(builder, bits, builder.add(row, at), kind), _load(builder, query, at, kind)
                count = _count(builder, builder.xor(found, asked))
                builder.store(builder.add(builder.load(out), builder.zext(count, _I64)), out)
            rest = builder.and_(length, ir.Constant(_I64, -8))
    return builder.load(out)


@_inlined
def differing(typingctx: Any, bits: Any, row: Any, query: Any) -> Any:
    """How many bits of a row of (n, bytes) uint8 and a query of (words,) uint64 differ: int64."""
    return types.int64(bits, types.intp, query), _count_of_row


@_inlined
def _word(typingctx: Any, bits: Any, at: Any) -> Any:
    """Eight bytes of (n, bytes) uint8 as a uint64, wherever they lie: `at` counts bytes from the first row's first."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base, _ = _array(context, builder, signature.args[0], arguments[0])
        return _load(builder, base, arguments[1], _I64)

    return types.uint64(bits, types.intp), codegen


@helper
def _turn(bits: Any, rows: Any, first: int, last: int, tile: Any) -> None:
    """Write word w of the row at position `first + i` to tile[w, i]; zeros behind a row's last byte."""
    length = bits.shape[1]
    whole = length >> 3
    for at in range(first, last):
        start = (np.int64(rows[at]) if rows.shape[0] > 0 else at) * length
        for w in range(whole):
            tile[w, at - first] = _word(bits, start + 8 * w)
        if length & 7:
            end = np.uint64(0)
            for j in range(8 * whole, length):
                end |= np.uint64(bits[start // length, j]) << np.uint64(8 * (j & 7))
            tile[whole, at - first] = end


@_inlined
def _score_columns(typingctx: Any, tile: Any, words: Any, column: Any, queries: Any, q: Any, out: Any) -> Any:
    """Score LANES turned rows from `column` on for one query: writes out[column : column + LANES]."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        turned, line = _array(context, builder, signature.args[0], arguments[0])
        asked, length = _array(context, builder, signature.args[3], arguments[3])
        scores, _ = _array(context, builder, signature.args[5], arguments[5])
        column, four, eight = arguments[2], ir.Constant(_I64, 4), ir.Constant(_I64, 8)
        asked = builder.gep(asked, [builder.mul(arguments[4], length)])
        vector = ir.VectorType(_I64, LANES)
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, [0] * LANES))
        lane = ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES)
        with cgutils.for_range(builder, arguments[1], intp=_I64) as loop:
            at = builder.add(builder.mul(loop.index, line), builder.mul(column, eight))
            one = _load(builder, asked, builder.mul(loop.index, eight), _I64)
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), one, ir.Constant(_I32, 0))
            everywhere = builder.shuffle_vector(one, one, lane)
            count = _count(builder, builder.xor(_load(builder, turned, at, vector), everywhere))
            builder.store(builder.add(builder.load(total), count), total)
        # Less from zero, so that no difference is 0.0 and not -0.0.
        count = builder.trunc(builder.load(total), ir.VectorType(_I32, LANES))
        floats = ir.VectorType(_F32, LANES)
        score = builder.sitofp(builder.sub(lane, count), floats)
        address = builder.gep(scores, [builder.mul(column, four)])
        builder.store(score, builder.bitcast(address, floats.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(tile, types.intp, types.intp, queries, types.intp, out), codegen


@kernel(
    frozen(_MASK, 2),
    frozen(_WORD, 1),
    frozen(_ROW, 1),
    _SIZE,
    _SIZE,
    frozen(_MASK, 1),
    filled(_SCORE, 1),
    filled(types.uint64, 1),
    filled(types.uint64, 1),
)
def hamming(
    bits: Any, query: Any, rows: Any, first: int, last: int, allowed: Any, out: Any, keys: Any, state: Any
) -> None:
    """Score rows[first:last], or the rows first .. last - 1 when `rows` is empty, and keep the best.

    Args:
        bits: (n, bytes).
        query: (words,).
        rows: (m,) row numbers, or empty.
        first: start of the slice, in row numbers or in positions of `rows`.
        last: end of the slice.
        allowed: (n,) uint8 or empty.
        out: float32, at least last - first long; its first values become the scores.
        keys: uint64 heap of topk.py; empty: only `out` is wanted.
        state: (2,) uint64 of topk.py.

    """
    for at in range(first, last):
        row = np.int64(rows[at]) if rows.shape[0] > 0 else at
        # Less from zero, so that no difference is 0.0 and not -0.0.
        out[at - first] = np.float32(0 - differing(bits, row, query))
    if keys.shape[0] > 0:
        offer(out, last - first, rows, first, allowed, keys, state)


@kernel(
    frozen(_MASK, 2),
    frozen(_WORD, 2),
    frozen(_ROW, 1),
    _SIZE,
    _SIZE,
    frozen(_MASK, 1),
    filled(_WORD, 2),
    filled(_SCORE, 1),
    filled(types.uint64, 2),
    filled(types.uint64, 2),
)
def hamming_batch(
    bits: Any,
    queries: Any,
    rows: Any,
    first: int,
    last: int,
    allowed: Any,
    tile: Any,
    out: Any,
    keys: Any,
    states: Any,
) -> None:
    """Do what `hamming` does for many queries at once.

    Args:
        bits: (n, bytes).
        queries: (q, words).
        rows: as in `hamming`.
        first: as in `hamming`.
        last: as in `hamming`.
        allowed: as in `hamming`.
        tile: (words of a row, block) room; block = rows that stay in the cache for all queries, a multiple of LANES.
        out: (block,) room.
        keys: (q, k) uint64, a heap for each query; k at least 1.
        states: (q, 2) uint64.

    """
    block = out.shape[0]
    for start in range(first, last, block):
        stop = min(start + block, last)
        _turn(bits, rows, start, stop, tile)
        for q in range(queries.shape[0]):
            for column in range(0, stop - start, LANES):
                _score_columns(tile, tile.shape[0], column, queries, q, out)
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
