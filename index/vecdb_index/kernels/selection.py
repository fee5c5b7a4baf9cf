"""Greedy selection of a set: one candidate after the other, always one whose gain is the greatest of those allowed.

    MAX        relevance, less the greatest similarity to what is chosen      (maximal marginal relevance)
    SUM        relevance, less the sum of these similarities                  (graph cut)
    VOLUME     the growth of log det over similarities times qualities        (determinantal point process)
    FACILITY   relevance, and how much better the universe is represented     (facility location)
    SATURATED  the same, up to a share of what all candidates together would  (saturated coverage)

None of these gains ever grows while the set does. So the gain of a candidate as it was when last looked at bounds it
from above, and only the candidate with the greatest bound has to be looked at again: if it stays in front, it is the
choice (Minoux 1978). Of a thousand candidates a few dozen are compared with the chosen ones.

The surprise: this also holds for what is allowed. A candidate that no longer fits never fits again (limits.py), and is
dropped for good. Equal gains go to the candidate that comes first.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from vecdb_index.kernels.codes import inlined
from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.lanes import COLUMNS, LANES, dots
from vecdb_index.kernels.limits import (
    FULL,
    LACKING,
    LIMITS,
    LOW,
    OUT,
    allowed,
    alone,
    similarity,
    take,
    too_little,
    unmet,
)

MAX, SUM, VOLUME, FACILITY, SATURATED = range(5)
SAME = 0.999
"""Candidates that are as similar as this are copies of each other, for SUM."""

_I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
_WIDE = ir.VectorType(_F32, LANES)

Value = Any


def _weighted(saturates: bool) -> Any:
    """Return an intrinsic that sums weights times what a row of a matrix adds to `cover`, lane by lane."""

    @inlined
    def weighted(typingctx: Any, matrix: Any, row: Any, cover: Any, weights: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
            def array(at: int) -> Any:
                return context.make_array(signature.args[at])(context, builder, arguments[at])

            whole, have, heavy = array(0), array(2), array(3)
            length = cgutils.unpack_tuple(builder, whole.shape, 2)[1]
            start = builder.gep(whole.data, [builder.mul(arguments[1], length)])
            cell = cgutils.alloca_once_value(builder, ir.Constant(_WIDE, [0.0] * LANES))
            builder.store(ir.Constant(_WIDE, [0.0] * LANES), cell)

            def load(address: Value, at: Value) -> Value:
                return builder.load(builder.bitcast(builder.gep(address, [at]), _WIDE.as_pointer()), align=4)

            with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), length, ir.Constant(_I64, LANES), _I64) as (
                at,
                _,
            ):
                x, y = load(start, at), load(have.data, at)
                if saturates:
                    added = builder.select(builder.fcmp_ordered("<", x, y), x, y)
                else:
                    more = builder.fsub(x, y)
                    zero = ir.Constant(_WIDE, [0.0] * LANES)
                    added = builder.select(builder.fcmp_ordered(">", more, zero), more, zero)
                product = builder.fmul(added, load(heavy.data, at))
                builder.store(builder.fadd(builder.load(cell), product), cell)
            total, sums = builder.load(cell), ir.Constant(_F32, 0.0)
            for lane in range(LANES):
                sums = builder.fadd(sums, builder.extract_element(total, ir.Constant(_I32, lane)))
            return sums

        return types.float32(matrix, types.intp, cover, weights), codegen

    return weighted


_uncovered, _unsaturated = _weighted(False), _weighted(True)


@helper
def _sharp(similarity: Any, base: Any, power: Any) -> Any:
    """Return a similarity above `base`, raised to a power; as it is where the power is 0."""
    if power == 0:
        return similarity
    above = max((similarity - base) / (1.0 - base), 0.0)
    out = above
    for _ in range(1, power):
        out *= above
    return out


@helper
def _before(bound: Any, one: Any, other: Any) -> Any:
    return bound[one] > bound[other] or (bound[one] == bound[other] and one < other)


@helper
def _sink(heap: Any, size: Any, at: Any, bound: Any) -> None:
    """Move the candidate at a place of a heap down to where it belongs."""
    moved = heap[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and _before(bound, heap[child + 1], heap[child]):
            child += 1
        if not _before(bound, heap[child], moved):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = moved


@helper
def _pop(heap: Any, size: Any, bound: Any) -> Any:
    """Drop the first candidate of a heap, and return how many are left."""
    size -= 1
    heap[0] = heap[size]
    _sink(heap, size, 0, bound)
    return size


@helper
def _represents(rule: Any, at: Any, matrix: Any, line: Any, cover: Any, weights: Any) -> Any:
    if rule == FACILITY:
        return np.float64(_uncovered(matrix, line[at], cover, weights))
    return np.float64(_unsaturated(matrix, line[at], cover, weights))


@helper
def _cover(rule: Any, row: Any, matrix: Any, cover: Any) -> None:
    """Take into account that a row of the matrix was chosen."""
    if rule == FACILITY:
        for u in range(cover.shape[0]):
            cover[u] = max(cover[u], matrix[row, u])
    elif rule == SATURATED:
        for u in range(cover.shape[0]):
            cover[u] = max(cover[u] - matrix[row, u], np.float32(0))


@helper
def _shrink(
    at: Any,
    first: Any,
    count: Any,
    picks: Any,
    quality: Any,
    units: Any,
    given: Any,
    base: Any,
    power: Any,
    held: Any,
    factors: Any,
) -> None:
    """Take the picks from `first` on out of the variance of a candidate: rows of an incremental Cholesky factor."""
    for place in range(first, count):
        other = picks[place]
        entry = quality[at] * quality[other] * _sharp(similarity(units, given, at, other), base, power)
        for before in range(place):
            entry -= factors[at, before] * factors[other, before]
        entry = entry / np.sqrt(held[other]) if held[other] > 0 else 0.0
        factors[at, place] = entry
        held[at] = max(held[at] - entry * entry, 0.0)


@helper
def _penalise(
    rule: Any,
    at: Any,
    first: Any,
    count: Any,
    picks: Any,
    units: Any,
    given: Any,
    base: Any,
    power: Any,
    copies: Any,
    held: Any,
) -> None:
    for place in range(first, count):
        raw = similarity(units, given, at, picks[place])
        similar = _sharp(raw, base, power)
        if rule == MAX:
            held[at] = max(held[at], similar)
        else:
            held[at] += similar + (copies if raw >= SAME else 0.0)


@helper
def _compare(
    rule: Any,
    at: Any,
    first: Any,
    count: Any,
    picks: Any,
    relevance: Any,
    units: Any,
    given: Any,
    base: Any,
    power: Any,
    copies: Any,
    held: Any,
    factors: Any,
) -> None:
    """Compare a candidate with the picks from `first` on."""
    if rule == VOLUME:
        _shrink(at, first, count, picks, relevance, units, given, base, power, held, factors)
    else:
        _penalise(rule, at, first, count, picks, units, given, base, power, copies, held)


@helper
def _begin(
    rule: Any,
    heap: Any,
    relevance: Any,
    own: Any,
    matrix: Any,
    line: Any,
    cover: Any,
    weights: Any,
    scale: Any,
    held: Any,
    bound: Any,
) -> None:
    """Set the bounds of all candidates as long as nothing is chosen."""
    for at in heap:
        if rule >= FACILITY:
            bound[at] = relevance[at] + own * _represents(rule, at, matrix, line, cover, weights)
        elif rule == VOLUME:
            held[at] = relevance[at] * relevance[at]
            bound[at] = held[at]
        else:
            # As if an opposite had been chosen: less similar than that is nothing, so the gain cannot grow later.
            held[at] = -1.0 if rule == MAX else 0.0
            bound[at] = relevance[at] - own * held[at]
        bound[at] *= scale[at]


@helper
def _meet(
    heap: Any,
    size: Any,
    picks: Any,
    relevance: Any,
    scale: Any,
    own: Any,
    units: Any,
    given: Any,
    held: Any,
    seen: Any,
    bound: Any,
) -> None:
    """Compare all candidates with the first pick, in the order in which they lie; nearly all would be anyway."""
    count, at = held.shape[0], 0
    if given.shape[0] == 0:
        # Several at once: the same sums as those of `similarity`, in a fraction of the time.
        while at + COLUMNS <= count:
            similar = dots(units, picks[0], units, at)
            for place in range(COLUMNS):
                held[at + place] = max(held[at + place], np.float64(similar[place]))
            at += COLUMNS
    for last in range(at, count):
        held[last] = max(held[last], similarity(units, given, last, picks[0]))
    for one in range(count):
        seen[one] = 1
        bound[one] = (relevance[one] - own * held[one]) * scale[one]
    for start in range(size // 2 - 1, -1, -1):
        _sink(heap, size, start, bound)


@kernel(
    frozen(types.float32, 2),
    frozen(types.float32, 2),
    types.intp,
    frozen(types.float64, 1),
    frozen(types.float64, 1),
    frozen(types.float32, 2),
    frozen(types.int64, 1),
    frozen(types.float32, 1),
    filled(types.float32, 1),
    frozen(types.float64, 1),
    *LIMITS,
    types.float64,
    filled(types.int64, 1),
    filled(types.float64, 1),
    filled(types.int64, 1),
    filled(types.int64, 1),
    filled(types.float64, 1),
    filled(types.float64, 1),
    filled(types.int32, 1),
    filled(types.uint8, 1),
    filled(types.float64, 2),
)
def lazy_greedy(  # noqa: C901 - one loop, whose parts share all of its state
    units: Any,
    given: Any,
    rule: int,
    relevance: Any,
    shape: Any,
    matrix: Any,
    line: Any,
    weights: Any,
    cover: Any,
    scale: Any,
    codes: Any,
    low: Any,
    high: Any,
    counts: Any,
    cost: Any,
    purse: Any,
    closest: float,
    floor: float,
    picks: Any,
    gains: Any,
    state: Any,
    heap: Any,
    bound: Any,
    held: Any,
    seen: Any,
    taken: Any,
    factors: Any,
) -> None:
    """Choose candidates until there are as many as wanted, or no more may be.

    Args:
        units: (n, d) float32, the candidates' vectors of length 1; what similarities come from where none are given.
        given: (n, n) float32 similarities; or empty.
        rule: MAX, SUM, VOLUME, FACILITY or SATURATED.
        relevance: (n,) float64, with its weight in the gain; for VOLUME the qualities.
        shape: (4,) float64: the weight of what is not relevance, base and power of similarities (_sharp), and for SUM
            what the similarity of copies counts beside.
        matrix: (m, u) float32, similarities of candidates to the universe; u is a multiple of LANES. Unused, and
            empty, without a universe.
        line: (n,) int64, each candidate's row in it.
        weights: (u,) float32 of the universe; 0 behind its end.
        cover: (u,) float32: how well each of the universe is represented; for SATURATED what is left to its cap.
        scale: (n,) float64, what a gain is multiplied with before it is compared: 1, or 1 / cost.
        codes: (a, n) int32, each candidate's group by each attribute, or -1; groups are numbered over all attributes.
        low: (g,) int32, how many of a group there have to be.
        high: (g,) int32, how many there may be.
        counts: (g,) int32, how many are chosen.
        cost: (n,) float64.
        purse: (2 + g,) float64: what may still be spent, 1 where that is limited, and each group's attribute.
        closest: the similarity from which on candidates count as the same; above 1: never.
        floor: gains below this share of the first one end the selection.
        picks: (k,) int64 candidates; those before state[1] are given.
        gains: (k,) float64, of each.
        state: (4,) int64: how many picks are accounted for in cover, counts and purse; how many there are; how many
            there shall be; why it ended.
        heap: (h,) int64, the candidates to choose from, in any order; used up.
        bound: (n,) float64: room.
        held: (n,) float64: room; for MAX and SUM the penalty so far, for VOLUME the variance that is left.
        seen: (n,) int32, 0: with how many picks a candidate was compared.
        taken: (n,) uint8, 1 for what is chosen.
        factors: (n, k) float64: room for VOLUME, else empty.

    """
    own, base, power = shape[0], shape[1], int(shape[2])
    count, size = state[0], heap.shape[0]
    _begin(rule, heap, relevance, own, matrix, line, cover, weights, scale, held, bound)
    for start in range(size // 2 - 1, -1, -1):
        _sink(heap, size, start, bound)
    state[3] = FULL
    while count < state[2]:
        forced = count < state[1]
        if not forced and size == 0:
            state[3] = OUT
            break
        at = picks[count] if forced else heap[0]
        if not forced and (
            taken[at] == 1 or not allowed(at, state[2] - count, taken, codes, low, high, counts, cost, purse)
        ):
            size = _pop(heap, size, bound)
            continue
        # What it adds to the set as it is now.
        if rule >= FACILITY:
            gain = relevance[at] + own * _represents(rule, at, matrix, line, cover, weights)
        else:
            _compare(rule, at, seen[at], count, picks, relevance, units, given, base, power, shape[3], held, factors)
            gain = held[at] if rule == VOLUME else relevance[at] - own * held[at]
        seen[at] = count
        if not forced:
            fresh = gain * scale[at]
            if fresh < bound[at]:
                bound[at] = fresh
                _sink(heap, size, 0, bound)
                if heap[0] != at:
                    continue
            if rule != VOLUME and too_little(gain, floor, gains, count) and not unmet(low, counts):
                state[3] = LOW
                break
            size = _pop(heap, size, bound)
            if not alone(at, picks, count, units, given, closest):
                continue
        picks[count] = at
        gains[count] = relevance[at] if rule == MAX and count == 0 else gain
        take(at, taken, codes, counts, cost, purse)
        if rule >= FACILITY:
            _cover(rule, line[at], matrix, cover)
        count += 1
        if rule == MAX and count == 1:
            _meet(heap, size, picks, relevance, scale, own, units, given, held, seen, bound)
    state[0] = count
    if unmet(low, counts):
        state[3] = LACKING
