"""MaxSim over signs, by looking up half bytes in registers (fastscan.py has it for one query and many rows).

Four signs of a token have 16 patterns: a query token's products with all of them are a line of a table, rounded to
whole numbers from 0 to 30, and the product with a token is the sum of one entry of each line. One instruction looks a
line up for 16, 32 or 64 tokens, which are turned for that while a question is answered: a seventh of the work or less.

Eight entries are added in bytes, which cannot overflow, and up to 1,024 in 16 bits: 4,096 numbers of a token.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from vecdb_index.kernels import features
from vecdb_index.kernels.codes import call, inlined
from vecdb_index.kernels.fastscan import LOOKUPS
from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.loops import _pick
from vecdb_index.kernels.maxsim import _everywhere

_LOOKUP, BLOCK = LOOKUPS[features.looks_up()] if features.looks_up() else ("", 16)
if "avx512bw" in features.features():
    _LOOKUP, BLOCK = "llvm.x86.avx512.pshuf.b.512", 64
"""Tokens that are looked up at once."""
_LINES = 8
"""Half bytes of a word."""

_I8, _I16, _I32, _I64, _F32 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
_BYTES, _PAIRS, _WORDS = ir.VectorType(_I8, BLOCK), ir.VectorType(_I16, BLOCK // 2), ir.VectorType(_I32, BLOCK)
_LINE, _FLOATS = ir.VectorType(_I8, 16), ir.VectorType(_F32, BLOCK // 2)

Value = Any


def _all(kind: ir.VectorType, number: float) -> ir.Constant:
    return ir.Constant(kind, [number] * kind.count)


def _order(*lanes: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(_I32, len(lanes)), lanes)


def _array(context: Any, builder: Any, signature: Any, arguments: Any, at: int) -> Value:
    return context.make_array(signature.args[at])(context, builder, arguments[at])


def _vector(builder: Any, start: Value, at: Value, kind: ir.VectorType) -> Value:
    """The address of a vector that begins with element `at`."""
    return builder.bitcast(builder.gep(start, [at]), kind.as_pointer())


def _transposed(builder: Any, tokens: list[Value]) -> list[Value]:
    """Return the first, second, ... sixteenth byte of all tokens, given 16 bytes of each."""
    lines = []
    for token in range(16):
        line = tokens[token::16]
        while len(line) > 1:
            every = _order(*range(2 * line[0].type.count))
            line = [builder.shuffle_vector(one, other, every) for one, other in zip(line[::2], line[1::2], strict=True)]
        lines += line
    starts = range(0, BLOCK, 16)
    low = _order(*(from_ + at for start in starts for at in range(start, start + 8) for from_ in (0, BLOCK)))
    high = _order(*(from_ + at for start in starts for at in range(start + 8, start + 16) for from_ in (0, BLOCK)))
    for _ in range(4):  # each round doubles how many tokens stand together
        pairs = list(zip(lines[:8], lines[8:], strict=True))
        lines = [builder.shuffle_vector(*pair, mask) for pair in pairs for mask in (low, high)]
    return lines


@inlined
def _turn(typingctx: Any, words: Any, scales: Any, token: Any, turned: Any, apart: Any) -> Any:
    """Write the half bytes of a block of tokens, a line for each place, and their scales, even tokens before odd ones.

    Args:
        typingctx: numba's.
        words: (n, w) uint32.
        scales: (n,) float32.
        token: the first of BLOCK.
        turned: (8 w, BLOCK) uint8, room.
        apart: (2, BLOCK / 2) float32, room.

    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        held, scale_of, room, own = (_array(context, builder, signature, arguments, at) for at in (0, 1, 3, 4))
        count = cgutils.unpack_tuple(builder, held.shape, 2)[1]
        start = builder.gep(held.data, [builder.mul(arguments[2], count)])
        fours = builder.and_(count, ir.Constant(_I64, -4))
        with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), fours, ir.Constant(_I64, 4), _I64) as (first, _):
            place, tokens = builder.gep(start, [first]), []
            for _ in range(BLOCK):
                tokens.append(builder.load(builder.bitcast(place, _LINE.as_pointer()), align=4))
                place = builder.gep(place, [count])
            line = builder.mul(first, ir.Constant(_I64, _LINES * BLOCK))
            for byte, column in enumerate(_transposed(builder, tokens)):
                pairs = builder.lshr(builder.bitcast(column, _PAIRS), _all(_PAIRS, 4))
                for half, moved in enumerate((column, builder.bitcast(pairs, _BYTES))):
                    at = builder.add(line, ir.Constant(_I64, (2 * byte + half) * BLOCK))
                    four = builder.and_(moved, _all(_BYTES, 15))
                    builder.store(four, _vector(builder, room.data, at, _BYTES), align=1)
        with cgutils.for_range_slice(builder, fours, count, ir.Constant(_I64, 1), _I64) as (word, _):
            place, column = builder.gep(start, [word]), ir.Constant(_WORDS, ir.Undefined)
            for lane in range(BLOCK):
                column = builder.insert_element(column, builder.load(place), ir.Constant(_I32, lane))
                place = builder.gep(place, [count])
            line = builder.mul(word, ir.Constant(_I64, _LINES * BLOCK))
            for half in range(_LINES):
                moved = builder.lshr(column, _all(_WORDS, 4 * half)) if half else column
                four = builder.trunc(builder.and_(moved, _all(_WORDS, 15)), _BYTES)
                at = builder.add(line, ir.Constant(_I64, half * BLOCK))
                builder.store(four, _vector(builder, room.data, at, _BYTES), align=1)
        behind = ir.Constant(_I64, BLOCK // 2)
        places = arguments[2], builder.add(arguments[2], behind)
        both = [builder.load(_vector(builder, scale_of.data, at, _FLOATS), align=4) for at in places]
        for odd, place in enumerate((ir.Constant(_I64, 0), behind)):
            scale = builder.shuffle_vector(*both, _order(*range(odd, BLOCK, 2)))
            builder.store(scale, _vector(builder, own.data, place, _FLOATS), align=4)
        return context.get_dummy_value()

    return types.void(words, scales, types.intp, turned, apart), codegen


def _looked_up(builder: Any, line: Value, places: Value) -> Value:
    """The entries of a line, an address, that some half bytes name."""
    if _LOOKUP:
        entries = builder.load(builder.bitcast(line, _LINE.as_pointer()), align=1)
        if BLOCK > 16:
            entries = builder.shuffle_vector(entries, entries, _order(*(lane % 16 for lane in range(BLOCK))))
        return call(builder, _LOOKUP.removeprefix("llvm."), _BYTES, entries, places)
    found = ir.Constant(_BYTES, ir.Undefined)
    for lane in range(BLOCK):
        place = builder.zext(builder.extract_element(places, ir.Constant(_I32, lane)), _I64)
        entry = builder.load(builder.gep(line, [place]))
        found = builder.insert_element(found, entry, ir.Constant(_I32, lane))
    return found


@inlined
def _raise(typingctx: Any, turned: Any, apart: Any, tables: Any, query: Any, middle: Any, best: Any) -> Any:
    """Raise best[query] to the products of a block of tokens with a query token, whose own scale is left out.

    Args:
        typingctx: numba's.
        turned: (8 w, BLOCK) uint8, the block.
        apart: (2, BLOCK / 2) float32, its scales.
        tables: (q, 8 w, 16) uint8.
        query: which.
        middle: int32, the sum that stands for a product of 0.
        best: (q, BLOCK / 2) float32.

    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        places, scale_of, lines, kept = (_array(context, builder, signature, arguments, at) for at in (0, 1, 2, 5))
        _, count, _ = cgutils.unpack_tuple(builder, lines.shape, 3)
        table = builder.gep(lines.data, [builder.mul(arguments[3], builder.mul(count, ir.Constant(_I64, 16)))])
        sums = [cgutils.alloca_once(builder, _PAIRS) for _ in range(2)]
        for one in sums:
            builder.store(_all(_PAIRS, 0), one)
        with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), count, ir.Constant(_I64, _LINES), _I64) as (at, _):
            added = None
            for step in range(_LINES):
                line = builder.add(at, ir.Constant(_I64, step))
                place = builder.mul(line, ir.Constant(_I64, BLOCK))
                some = builder.load(_vector(builder, places.data, place, _BYTES), align=1)
                found = _looked_up(builder, builder.gep(table, [builder.mul(line, ir.Constant(_I64, 16))]), some)
                added = found if added is None else builder.add(added, found)
            pairs = builder.bitcast(added, _PAIRS)
            for one, part in zip(
                sums, (builder.and_(pairs, _all(_PAIRS, 255)), builder.lshr(pairs, _all(_PAIRS, 8))), strict=True
            ):
                builder.store(builder.add(builder.load(one), part), one)
        half, wide = ir.Constant(_I64, BLOCK // 2), ir.VectorType(_I32, BLOCK // 2)
        target = _vector(builder, kept.data, builder.mul(arguments[3], half), _FLOATS)
        highest = builder.load(target, align=4)
        for one, at in zip(sums, (ir.Constant(_I64, 0), half), strict=True):
            scale = builder.load(_vector(builder, scale_of.data, at, _FLOATS), align=4)
            whole = builder.sub(builder.zext(builder.load(one), wide), _everywhere(builder, arguments[4], wide))
            product = builder.fmul(builder.sitofp(whole, _FLOATS), scale)
            highest = builder.select(builder.fcmp_ordered(">", product, highest), product, highest)
        builder.store(highest, target, align=4)
        return context.get_dummy_value()

    return types.void(turned, apart, tables, types.intp, types.int32, best), codegen


@inlined
def _highest(typingctx: Any, best: Any, query: Any) -> Any:
    """The largest of best[query]: float32."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        kept = _array(context, builder, signature, arguments, 0)
        start = builder.mul(arguments[1], ir.Constant(_I64, BLOCK // 2))
        found = builder.load(_vector(builder, kept.data, start, _FLOATS), align=4)
        count = BLOCK // 2
        while count > 1:
            count //= 2
            low, high = (
                builder.shuffle_vector(found, found, _order(*range(begin, begin + count))) for begin in (0, count)
            )
            found = builder.select(builder.fcmp_ordered(">", low, high), low, high)
        return builder.extract_element(found, ir.Constant(_I32, 0))

    return types.float32(best, types.intp), codegen


@helper
def _repeat_last(words: Any, scales: Any, begin: Any, end: Any, rest: Any, rest_scales: Any) -> None:
    """Write the tokens begin .. end - 1, fewer than BLOCK, to rest (BLOCK, w), and the last of them to all behind."""
    for lane in range(BLOCK):
        token = min(begin + lane, end - 1)
        rest_scales[lane] = scales[token]
        for j in range(words.shape[1]):
            rest[lane, j] = words[token, j]


@kernel(
    frozen(types.uint32, 2),
    frozen(types.float32, 1),
    frozen(types.int64, 1),
    frozen(types.uint32, 1),
    types.intp,
    types.intp,
    frozen(types.uint8, 3),
    types.int32,
    frozen(types.float32, 1),
    filled(types.uint32, 2),
    filled(types.float32, 1),
    filled(types.uint8, 2),
    filled(types.float32, 2),
    filled(types.float32, 2),
    filled(types.float32, 1),
)
def maxsim_signs(
    words: Any,
    scales: Any,
    offsets: Any,
    rows: Any,
    first: int,
    last: int,
    tables: Any,
    middle: int,
    weights: Any,
    rest: Any,
    rest_scales: Any,
    turned: Any,
    apart: Any,
    best: Any,
    out: Any,
) -> None:
    """Score documents over signs.

    Args:
        words: (n, w) uint32, the bits of 32 w numbers.
        scales: (n,) float32, what a bit is worth.
        offsets: (r + 1,) int64.
        rows: (m,) uint32 documents, or empty: all.
        first: start of the slice of documents, in row numbers or in positions of `rows`.
        last: its end.
        tables: (q, 8 w, 16) uint8: a query token's products with each pattern of four signs, 0 to 30.
        middle: the sum of entries that stands for a product of 0.
        weights: (q,) float32, what an entry of a query token's table is worth times its weight.
        rest: (BLOCK, w) uint32: room for the tokens of a document that has fewer.
        rest_scales: (BLOCK,) float32: room.
        turned: (8 w, BLOCK) uint8: room, fastest where it begins a cache line.
        apart: (2, BLOCK / 2) float32: room.
        best: (q, BLOCK / 2) float32: room.
        out: (last - first,) float32, -inf for documents without tokens.

    """
    for at in range(first, last):
        row = _pick(rows, at)
        begin, end = offsets[row], offsets[row + 1]
        if begin == end:
            out[at - first] = np.float32(-np.inf)
            continue
        best[:] = np.float32(-np.inf)
        if end - begin < BLOCK:
            _repeat_last(words, scales, begin, end, rest, rest_scales)
            _turn(rest, rest_scales, 0, turned, apart)
            for query in range(len(weights)):
                _raise(turned, apart, tables, query, middle, best)
        else:
            for token in range(begin, end, BLOCK):  # the last block begins earlier: what is seen twice raises nothing
                _turn(words, scales, min(token, end - BLOCK), turned, apart)
                for query in range(len(weights)):
                    _raise(turned, apart, tables, query, middle, best)
        total = np.float64(0)
        for query in range(len(weights)):
            total += np.float64(_highest(best, query)) * np.float64(weights[query])
        out[at - first] = np.float32(total)
