"""MaxSim over signs: a product is the number of bits that agree, less that of those that do not, times two scales.

The lanes are as many query tokens as fit a register, so that few of them are empty; two tokens are compared at once.
Where no instruction counts the bits of a word, bytes are counted, and added up behind the last word: each count is at
most 8, so the sums of 31 words fit a byte.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from vecdb_index.kernels import features
from vecdb_index.kernels.bits import _count, _load
from vecdb_index.kernels.codes import inlined
from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.loops import _pick
from vecdb_index.kernels.maxsim import _everywhere

LANES = 16 if "avx512bw" in features.features() else 8
"""Query tokens of a block."""
_WORDS = "avx512vpopcntdq" in features.features()
"""Whether the bits of 16 words are counted by one instruction."""
_MOST = 31
"""Words whose counts may be added in bytes."""

_I8, _I32, _I64, _F32 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
_COUNTS, _BYTES, _FLOATS = ir.VectorType(_I32, LANES), ir.VectorType(_I8, 4 * LANES), ir.VectorType(_F32, LANES)

Value = Any


def _sums_of_bytes(builder: Any, counts: Value) -> Value:
    """Return the sums of the four bytes of each word."""
    words = builder.bitcast(counts, _COUNTS)
    for shift, mask in ((8, 0x00FF00FF), (16, 0x0000FFFF)):
        low = ir.Constant(_COUNTS, [mask] * LANES)
        high = builder.lshr(words, ir.Constant(_COUNTS, [shift] * LANES))
        words = builder.add(builder.and_(words, low), builder.and_(high, low))
    return words


@inlined
def _best_of_two(
    typingctx: Any, words: Any, token: Any, other: Any, asked: Any, block: Any, scales: Any, best: Any
) -> Any:
    """Raise best[block] to the products of two tokens with a block of query tokens, whose own scales are left out.

    Args:
        typingctx: numba's.
        words: (n, w) uint32.
        token: one of them.
        other: the second one.
        asked: (b, LANES w) uint32: each word of a block's query tokens, one behind the other.
        block: which.
        scales: (n,) float32, of the tokens.
        best: (b, LANES) float32.

    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        held, given, scale_of, kept = (
            context.make_array(signature.args[at])(context, builder, arguments[at]) for at in (0, 3, 5, 6)
        )
        count = cgutils.unpack_tuple(builder, held.shape, 2)[1]
        both = arguments[1], arguments[2]
        own = [builder.bitcast(builder.gep(held.data, [builder.mul(one, count)]), _I8.as_pointer()) for one in both]
        line = builder.mul(arguments[4], ir.Constant(_I64, LANES))
        asked_of = builder.bitcast(builder.gep(given.data, [builder.mul(line, count)]), _I8.as_pointer())
        kind = _COUNTS if _WORDS else _BYTES
        none, zeros = ir.Constant(_COUNTS, [0] * LANES), ir.Constant(kind, [0] * kind.count)
        totals = [cgutils.alloca_once_value(builder, none) for _ in both]
        parts = [cgutils.alloca_once_value(builder, zeros) for _ in both]
        for total in totals:
            builder.store(none, total)
        step = ir.Constant(_I64, _MOST)
        with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), count, step, _I64) as (first, _):
            for part in parts:
                builder.store(zeros, part)
            end = builder.add(first, step)
            last = builder.select(builder.icmp_signed("<", end, count), end, count)
            with cgutils.for_range_slice(builder, first, last, ir.Constant(_I64, 1), _I64) as (j, _):
                those = _load(builder, asked_of, builder.mul(j, ir.Constant(_I64, 4 * LANES)), _COUNTS)
                for start, part in zip(own, parts, strict=True):
                    word = _load(builder, start, builder.mul(j, ir.Constant(_I64, 4)), _I32)
                    differing = builder.bitcast(builder.xor(_everywhere(builder, word, _COUNTS), those), kind)
                    builder.store(builder.add(builder.load(part), _count(builder, differing)), part)
            for total, part in zip(totals, parts, strict=True):
                counted = builder.load(part) if _WORDS else _sums_of_bytes(builder, builder.load(part))
                builder.store(builder.add(builder.load(total), counted), total)
        bits = builder.trunc(builder.mul(count, ir.Constant(_I64, 32)), _I32)
        target = builder.bitcast(builder.gep(kept.data, [line]), _FLOATS.as_pointer())
        found = builder.load(target, align=4)
        for one, total in zip(both, totals, strict=True):
            twice = builder.shl(builder.load(total), ir.Constant(_COUNTS, [1] * LANES))
            agreeing = builder.sitofp(builder.sub(_everywhere(builder, bits, _COUNTS), twice), _FLOATS)
            scale = builder.load(builder.gep(scale_of.data, [one]))
            product = builder.fmul(agreeing, _everywhere(builder, scale, _FLOATS))
            found = builder.select(builder.fcmp_ordered(">", product, found), product, found)
        builder.store(found, target, align=4)
        return context.get_dummy_value()

    return types.void(words, types.intp, types.intp, asked, types.intp, scales, best), codegen


@helper
def _best(words: Any, scales: Any, begin: Any, end: Any, asked: Any, best: Any) -> None:
    """Write each query token's best product with the tokens begin .. end - 1."""
    best[:] = np.float32(-np.inf)
    for block in range(asked.shape[0]):
        for token in range(begin, end, 2):  # a last token without a partner is paired with itself
            _best_of_two(words, token, min(token + 1, end - 1), asked, block, scales, best)


@kernel(
    frozen(types.uint32, 2),
    frozen(types.float32, 1),
    frozen(types.int64, 1),
    frozen(types.uint32, 1),
    types.intp,
    types.intp,
    frozen(types.uint32, 2),
    frozen(types.float32, 2),
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
    asked: Any,
    weights: Any,
    best: Any,
    out: Any,
) -> None:
    """Score documents over signs with a question of signs.

    Args:
        words: (n, w) uint32, the bits of 32 w numbers.
        scales: (n,) float32, what a bit is worth.
        offsets: (r + 1,) int64.
        rows: (m,) uint32 documents, or empty: all.
        first: start of the slice of documents, in row numbers or in positions of `rows`.
        last: its end.
        asked: (b, LANES w) uint32: for each word, those of a block's query tokens one behind the other.
        weights: (b, LANES) float32, the scale of a query token times its weight; 0 behind the last.
        best: (b, LANES) float32: room.
        out: (last - first,) float32, -inf for documents without tokens.

    """
    for at in range(first, last):
        row = _pick(rows, at)
        begin, end = offsets[row], offsets[row + 1]
        if begin == end:
            out[at - first] = np.float32(-np.inf)
            continue
        _best(words, scales, begin, end, asked, best)
        total = np.float64(0)
        for block in range(best.shape[0]):
            for i in range(LANES):
                total += np.float64(best[block, i]) * np.float64(weights[block, i])
        out[at - first] = np.float32(total)
