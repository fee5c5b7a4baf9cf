"""The best rows by the sum of what each term of a query adds.

What a posting adds is a whole number of units, at least 1, and a unit is so large that no sum exceeds 2^24. So sums are
exact in any order, whoever adds them up, and exact as float32: equal scores are equal, and what was skipped could not
have been better.

    weight / (limit + (base + slope * length) / value)

With limit 1 that is BM25 (value is how often the row has the term), with limit 0, base 1 and slope 0 a product with a
weight.

Inside, `posted` are the arrays of postings (rows, values, lengths), `maxima` those of blocks (tops, shortest), `curve`
is (limit, base, slope); the helpers are parts of one kernel, told apart for their readers.

A search goes through windows of rows. In each, the most that every term can add is known from the maxima of its blocks
of BLOCK postings. Terms that cannot bring a row among the best even together are set aside; the postings of the others
are added up, and what the first may add is only looked up for rows that are within reach. (MaxScore: Turtle & Flood
1995; over windows with the maxima of blocks, as in Lucene's MaxScoreBulkScorer.) Blocks are cut from all postings, not
term by term; so those at a term's ends tell too much, and short lists are looked at themselves.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.topk import CHUNK, keep

BLOCK_BITS = 7
BLOCK = 1 << BLOCK_BITS
"""Postings that share a maximum."""
WINDOW = 1 << 12
"""Rows that are looked at together; their sums fit the fastest cache."""
FEW = 16
"""So many postings are looked at themselves, for the most that they can add."""
LOOKUP = 8
"""To look a row up takes as long as to add so many postings."""
BULK = 256
"""To count the sums within reach takes as long as to add so many postings."""
SPARSE = 128
"""In a window with fewer postings it is faster to go through these again than through all sums."""

_ROW, _VALUE, _PLACE, _MASK = types.uint32, types.uint8, types.int64, types.uint8
_REAL, _SUM, _KEY = types.float32, types.int32, types.uint64
_END = np.int64(1) << 32
"""Behind every row."""
AT, STOP, UNTIL, NEAR, WITHIN = range(5)
"""What a line of `spans` holds: the term's next posting, the end of its postings, the end of those in the window, the
one that was looked up last, and, by order, the most that the terms set aside up to this one can add."""
SUMS, MET, FOUND, GAINS, REALS, MOST, ORDER = range(7)
"""The lines of `room`: sums by row of the window; places of rows met, and their sums; gains of a block, and lengths as
float32; the most that each term can add, and the terms in that order."""


@helper
def seek(rows: Any, start: Any, stop: Any, row: Any) -> Any:
    """Return the first place of rows[start:stop] that is not before a row; stop if there is none."""
    step = np.int64(1)
    while start + step < stop and np.int64(rows[start + step]) < row:
        start += step
        step += step
    stop = min(stop, start + step + 1)
    while start < stop:
        middle = (start + stop) >> 1
        if np.int64(rows[middle]) < row:
            start = middle + 1
        else:
            stop = middle
    return start


@helper
def gain(value: Any, length: Any, weight: Any, curve: Any) -> Any:
    """Return what a posting adds. Rounding keeps the order: more with a larger value, less with a greater length."""
    limit, base, slope = curve
    added = weight / (limit + (base + slope * np.float32(length)) / np.float32(value))
    return max(np.int32(added + np.float32(0.5)), np.int32(1))


@helper
def _most(posted: Any, maxima: Any, at: Any, until: Any, weight: Any, curve: Any) -> Any:
    """Return the most that one of the postings at .. until - 1 can add."""
    rows, values, lengths = posted
    tops, shortest = maxima
    most, few = np.int32(0), until - at <= FEW
    first, last = (at, until) if few else (at >> BLOCK_BITS, ((until - 1) >> BLOCK_BITS) + 1)
    for i in range(first, last):
        value, length = (values[i], lengths[rows[i]]) if few else (tops[i], shortest[i])
        most = max(most, gain(value, length, weight, curve))
    return most


@helper
def _open(posted: Any, maxima: Any, spans: Any, weights: Any, curve: Any, most: Any) -> Any:
    """Find the next window, each term's postings in it, and the most that one of these can add; return its first row.

    That is the row of the first posting of any term; _END when none is left.
    """
    rows, low = posted[0], _END
    for i in range(most.shape[0]):
        if spans[i, AT] < spans[i, STOP]:
            low = min(low, np.int64(rows[spans[i, AT]]))
    for i in range(most.shape[0]):
        at, stop = spans[i, AT], spans[i, STOP]
        until = at if at == stop else seek(rows, at, stop, low + WINDOW)
        spans[i, UNTIL], spans[i, NEAR] = until, min(at, stop - 1)
        most[i] = _most(posted, maxima, at, until, weights[i], curve)
    return low


@helper
def _set_aside(order: Any, most: Any, spans: Any, need: Any) -> Any:
    """Sort terms by what they can add; return how many cannot bring a row to `need` together."""
    # The order changes little from window to window.
    for i in range(1, order.shape[0]):
        term, at = order[i], i
        while at > 0 and most[order[at - 1]] > most[term]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = term
    aside, rest = 0, np.int64(0)
    while aside < order.shape[0] and rest + most[order[aside]] < need:
        rest += most[order[aside]]
        spans[aside, WITHIN] = rest
        aside += 1
    return aside


@helper
def _add(
    posted: Any, allowed: Any, at: Any, until: Any, low: Any, weight: Any, curve: Any, reals: Any, gains: Any, sums: Any
) -> None:
    """Add what the postings at .. until - 1 add to the sums of their rows, if these are allowed."""
    rows, values, lengths = posted
    first = np.uint64(low)
    for start in range(at, until, BLOCK):
        stop = min(start + BLOCK, until)
        if allowed.shape[0] > 0:
            for i in range(start, stop):
                row = np.int64(rows[i])
                if allowed[row] != 0:
                    sums[row - low] += gain(values[i], lengths[row], weight, curve)
            continue
        # Three loops, so that the one in the middle is done with vectors; places without a sign, which numba need not
        # look at; no slices of arrays, whose references it would count.
        begin, count = np.uint64(start), np.uint64(stop - start)
        for i in range(count):
            reals[i] = np.float32(lengths[rows[begin + i]])
        for i in range(count):
            gains[i] = gain(values[begin + i], reals[i], weight, curve)
        for i in range(count):
            sums[np.uint64(rows[begin + i]) - first] += gains[i]


@helper
def _within_reach(sums: Any, least: Any) -> Any:
    """Return how many sums are at least so much."""
    count, least = np.int32(0), np.int32(least)
    for place in range(WINDOW):
        count = np.int32(count + np.int32(sums[place] >= least))
    return np.int64(count)


@helper
def _add_up(
    posted: Any,
    allowed: Any,
    spans: Any,
    order: Any,
    aside: Any,
    need: Any,
    low: Any,
    weights: Any,
    curve: Any,
    room: Any,
) -> Any:
    """Add up the terms that are not set aside; return how many stay there.

    Of those set aside, the ones are added all the same that would be looked up too often.
    """
    sums, gains, reals = room[SUMS], room[GAINS], room[REALS].view(np.float32)
    left, added = order.shape[0], np.int64(0)
    while left > 0:
        i = order[left - 1]
        at, until = spans[i, AT], spans[i, UNTIL]
        if left <= aside:
            if LOOKUP * added < until - at:
                break
            if until - at > BULK and LOOKUP * _within_reach(sums, need - spans[left - 1, WITHIN]) < until - at:
                break
        _add(posted, allowed, at, until, low, weights[i], curve, reals, gains, sums)
        added += until - at
        left -= 1
    return min(left, aside)


@helper
def _collect(rows: Any, spans: Any, order: Any, aside: Any, low: Any, least: Any, room: Any) -> Any:
    """Clear the sums; write those of at least `least`, which is above 0, and the places of their rows. Return how many.

    Places ascend, unless there were few postings.
    """
    sums, met, found = room[SUMS], room[MET], room[FOUND]
    count, postings = 0, np.int64(0)
    for j in range(aside, order.shape[0]):
        postings += spans[order[j], UNTIL] - spans[order[j], AT]
    if postings < SPARSE:
        for j in range(aside, order.shape[0]):
            for at in range(spans[order[j], AT], spans[order[j], UNTIL]):
                place = np.int64(rows[at]) - low
                if sums[place] >= least:
                    met[count], found[count] = place, sums[place]
                    count += 1
                sums[place] = 0
        return count
    for start in range(0, WINDOW, CHUNK):
        hits = np.int32(0)
        for place in range(start, start + CHUNK):
            hits = np.int32(hits + np.int32(sums[place] >= least))
        if hits > 0:
            for place in range(start, start + CHUNK):
                met[count], found[count] = place, sums[place]
                count += sums[place] >= least
    sums[:WINDOW] = 0
    return count


@helper
def _look_up(
    posted: Any, spans: Any, order: Any, aside: Any, row: Any, total: Any, need: Any, weights: Any, curve: Any
) -> Any:
    """Return the total of a row with what the terms set aside add; less than `need` if it cannot reach that."""
    rows, values, lengths = posted
    for j in range(aside - 1, -1, -1):
        if total + spans[j, WITHIN] < need:
            break
        i = order[j]
        until = spans[i, UNTIL]
        near = spans[i, NEAR] if np.int64(rows[spans[i, NEAR]]) <= row else spans[i, AT]
        at = seek(rows, near, until, row)
        if at < until:
            spans[i, NEAR] = at
            if np.int64(rows[at]) == row:
                total += gain(values[at], lengths[row], weights[i], curve)
    return total


@helper
def _answer(
    posted: Any,
    maxima: Any,
    spans: Any,
    weights: Any,
    curve: Any,
    allowed: Any,
    every: Any,
    room: Any,
    keys: Any,
    state: Any,
) -> None:
    """Fill one query's heap; the first two columns of its spans are its postings."""
    count, need = weights.shape[0], np.int64(0)
    most, order = room[MOST, :count], room[ORDER, :count]
    for i in range(count):
        order[i] = i
    while True:
        low = _open(posted, maxima, spans, weights, curve, most)
        if low == _END:
            break
        aside = _set_aside(order, most, spans, np.int64(0) if every else need)
        if aside < count:
            aside = _add_up(posted, allowed, spans, order, aside, need, low, weights, curve, room)
            least = max(need - (spans[aside - 1, WITHIN] if aside > 0 else np.int64(0)), np.int64(1))
            hits = _collect(posted[0], spans, order, aside, low, np.int32(least), room)
            for h in range(hits):
                row = low + room[MET, h]
                total = _look_up(posted, spans, order, aside, row, np.int64(room[FOUND, h]), need, weights, curve)
                if total >= need:
                    key = (np.uint64(total) << np.uint64(32)) | np.uint64(np.uint32(0xFFFFFFFF) - np.uint32(row))
                    keep(keys, state, key)
                    if np.int64(state[0]) == keys.shape[0]:
                        need = np.int64(keys[0] >> np.uint64(32))
        for i in range(count):
            spans[i, AT] = spans[i, UNTIL]


@kernel(
    frozen(_ROW, 1),
    frozen(_VALUE, 1),
    frozen(_ROW, 1),
    frozen(_VALUE, 1),
    frozen(_ROW, 1),
    frozen(_PLACE, 1),
    frozen(_PLACE, 1),
    frozen(_PLACE, 1),
    frozen(_REAL, 1),
    frozen(_REAL, 2),
    frozen(_MASK, 1),
    types.boolean,
    filled(_SUM, 2),
    filled(_PLACE, 2),
    filled(_KEY, 2),
    filled(_KEY, 2),
)
def best(
    rows: Any,
    values: Any,
    lengths: Any,
    tops: Any,
    shortest: Any,
    offsets: Any,
    starts: Any,
    terms: Any,
    weights: Any,
    curves: Any,
    allowed: Any,
    every: Any,
    room: Any,
    spans: Any,
    keys: Any,
    states: Any,
) -> None:
    """Offer the rows that have a term of a query to its heap.

    Args:
        rows: (p,) of all postings.
        values: (p,) counts or weights, at least 1.
        lengths: (n,) tokens of each row.
        tops: (blocks,) the largest value of each block.
        shortest: (blocks,) the least length of its rows.
        offsets: (all terms + 1,) where the postings of a term begin.
        starts: (q + 1,) query i has the terms starts[i] to starts[i + 1].
        terms: (t,) places of terms in the index.
        weights: (t,) units.
        curves: (q, 3) limit, base and slope of each query.
        allowed: (n,) or empty: all rows are allowed.
        every: nothing is skipped: the same rows, more slowly.
        room: (7, more than WINDOW, and at least the terms of a query); the first line is 0 and left so.
        spans: (at least the terms of a query, 5).
        keys: (q, k) heaps of topk.py, of keys that are the sum above the inverted row.
        states: (q, 2) of topk.py.

    """
    posted, maxima = (rows, values, lengths), (tops, shortest)
    for q in range(keys.shape[0]):
        for i in range(starts[q], starts[q + 1]):
            spans[i - starts[q], AT], spans[i - starts[q], STOP] = offsets[terms[i]], offsets[terms[i] + 1]
        weight, curve = weights[starts[q] : starts[q + 1]], (curves[q, 0], curves[q, 1], curves[q, 2])
        _answer(posted, maxima, spans, weight, curve, allowed, every, room, keys[q], states[q])


@kernel(
    frozen(_ROW, 1),
    frozen(_VALUE, 1),
    frozen(_ROW, 1),
    frozen(_PLACE, 1),
    frozen(_PLACE, 1),
    frozen(_REAL, 1),
    frozen(_REAL, 2),
    frozen(_ROW, 1),
    filled(_SUM, 1),
)
def totals(
    rows: Any, values: Any, lengths: Any, offsets: Any, terms: Any, weights: Any, curves: Any, asked: Any, out: Any
) -> None:
    """Add to out (m,) the sums of one query for the asked rows (m,), which ascend; arguments as above."""
    curve = curves[0, 0], curves[0, 1], curves[0, 2]
    for i in range(terms.shape[0]):
        at, stop = offsets[terms[i]], offsets[terms[i] + 1]
        for j in range(asked.shape[0]):
            row = np.int64(asked[j])
            at = seek(rows, at, stop, row)
            if at == stop:
                break
            if np.int64(rows[at]) == row:
                out[j] += gain(values[at], lengths[row], weights[i], curve)
