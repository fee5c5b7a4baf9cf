"""The best rows by the sum of what each term of a query adds.

What a posting adds is a whole number of units, at least 1, and a unit is so large that no sum exceeds 2^24. So sums are
exact in any order, whoever adds them up, and exact as float32: equal scores are equal, and what was skipped could not
have been better.

    counts   weight / (1 + (base + slope * length) / value), the curve of BM25
    weights  weight * value; told by empty `lengths`

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
from vecdb_index.kernels.topk import keep

BLOCK_BITS = 7
BLOCK = 1 << BLOCK_BITS
"""Postings that share a maximum."""
WINDOW = 1 << 12
"""Rows that are looked at together; their sums fit the fastest cache."""
FEW = 32
"""So many postings are looked at themselves, for the most that they can add."""

_ROW, _VALUE, _PLACE, _MASK, _REAL, _SUM = (
    types.uint32,
    types.uint8,
    types.int64,
    types.uint8,
    types.float32,
    types.int32,
)
AT, STOP, UNTIL = range(3)
"""What a line of `spans` holds: the term's next posting, the end of its postings, the end of those in the window."""


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
def gain(value: Any, length: Any, counted: Any, weight: Any, base: Any, slope: Any) -> Any:
    """Return what a posting adds. Rounding keeps the order: more with a larger value, less with a greater length."""
    value = np.float32(value)
    if counted:
        added = weight / (np.float32(1) + (base + slope * np.float32(length)) / value)
    else:
        added = weight * value
    return max(np.int32(added + np.float32(0.5)), np.int32(1))


@helper
def _most(
    rows: Any, values: Any, lengths: Any, tops: Any, shortest: Any, at: Any, until: Any, weight: Any, base: Any, slope: Any
) -> Any:
    """Return the most that one of the postings at .. until - 1 can add."""
    most = np.int32(0)
    counted = lengths.shape[0] > 0
    if until - at <= FEW:
        for i in range(at, until):
            length = lengths[rows[i]] if counted else np.uint32(0)
            most = max(most, gain(values[i], length, counted, weight, base, slope))
    else:
        for block in range(at >> BLOCK_BITS, ((until - 1) >> BLOCK_BITS) + 1):
            length = shortest[block] if counted else np.uint32(0)
            most = max(most, gain(tops[block], length, counted, weight, base, slope))
    return most


@helper
def _add(
    rows: Any,
    values: Any,
    lengths: Any,
    allowed: Any,
    span: Any,
    low: Any,
    weight: Any,
    base: Any,
    slope: Any,
    gains: Any,
    sums: Any,
    met: Any,
    count: Any,
) -> Any:
    """Add a term's postings of the window to the sums; return how many rows were met."""
    counted = lengths.shape[0] > 0
    for start in range(span[AT], span[UNTIL], BLOCK):
        stop = min(start + BLOCK, span[UNTIL])
        for i in range(start, stop):
            length = lengths[rows[i]] if counted else np.uint32(0)
            gains[i - start] = gain(values[i], length, counted, weight, base, slope)
        for i in range(start, stop):
            row = np.int64(rows[i])
            if allowed.shape[0] == 0 or allowed[row] != 0:
                met[count] = np.int32(row - low)
                count += sums[row - low] == 0
                sums[row - low] += gains[i - start]
    return count


@helper
def _sort(order: Any, most: Any) -> None:
    """Put the terms into the order of what they can add; it changes little from window to window."""
    for i in range(1, order.shape[0]):
        term, at = order[i], i
        while at > 0 and most[order[at - 1]] > most[term]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = term


@helper
def _look_up(
    rows: Any,
    values: Any,
    lengths: Any,
    row: Any,
    total: Any,
    need: Any,
    aside: Any,
    order: Any,
    most: Any,
    within: Any,
    spans: Any,
    weights: Any,
    base: Any,
    slope: Any,
) -> Any:
    """Return the total of a row with what the terms set aside add; less than `need` if it cannot reach that."""
    counted = lengths.shape[0] > 0
    for j in range(aside - 1, -1, -1):
        if total + within[j] < need:
            return total
        i = order[j]
        at = seek(rows, spans[i, AT], spans[i, UNTIL], row)
        if at < spans[i, UNTIL] and np.int64(rows[at]) == row:
            length = lengths[row] if counted else np.uint32(0)
            total += gain(values[at], length, counted, weights[i], base, slope)
    return total


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
    filled(types.uint64, 2),
    filled(types.uint64, 2),
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
        lengths: (n,) tokens of each row, or empty: values are weights.
        tops: (blocks,) the largest value of each block.
        shortest: (blocks,) the least length of its rows, or empty.
        offsets: (all terms + 1,) where the postings of a term begin.
        starts: (q + 1,) query i has the terms starts[i] to starts[i + 1].
        terms: (t,) places of terms in the index.
        weights: (t,) units.
        curves: (q, 2) base and slope of each query.
        allowed: (n,) or empty: all rows are allowed.
        every: nothing is skipped: the same rows, more slowly.
        room: (4, more than WINDOW, and BLOCK more than the terms of a query) int32; the first line is 0 and left so.
        spans: (at least the terms of a query, 4).
        keys: (q, k) heaps of topk.py, of keys that are the sum above the inverted row.
        states: (q, 2) of topk.py.

    """
    sums, met, gains = room[0], room[1], room[2]
    for q in range(keys.shape[0]):
        ours = terms[starts[q] : starts[q + 1]]
        weight = weights[starts[q] : starts[q + 1]]
        base, slope = curves[q, 0], curves[q, 1]
        count = ours.shape[0]
        most, within, order = room[3, :count], spans[:count, 3], room[2, BLOCK : BLOCK + count]
        for i in range(count):
            spans[i, AT], spans[i, STOP] = offsets[ours[i]], offsets[ours[i] + 1]
            order[i] = i
        need = np.int32(0)
        while True:
            low = np.int64(1) << 32
            for i in range(count):
                if spans[i, AT] < spans[i, STOP]:
                    low = min(low, np.int64(rows[spans[i, AT]]))
            if low == np.int64(1) << 32:
                break
            for i in range(count):
                at, stop = spans[i, AT], spans[i, STOP]
                until = at if at == stop else seek(rows, at, stop, low + WINDOW)
                spans[i, UNTIL] = until
                most[i] = _most(rows, values, lengths, tops, shortest, at, until, weight[i], base, slope)
            _sort(order, most)
            aside, rest = 0, np.int32(0)
            while not every and aside < count and rest + most[order[aside]] < need:
                rest += most[order[aside]]
                within[aside] = rest
                aside += 1
            hits = 0
            for j in range(aside, count):
                i = order[j]
                hits = _add(
                    rows, values, lengths, allowed, spans[i], low, weight[i], base, slope, gains, sums, met, hits
                )
            for h in range(hits):
                total, row = sums[met[h]], low + met[h]
                sums[met[h]] = 0
                if total + rest >= need:
                    total = _look_up(
                        rows, values, lengths, row, total, need, aside, order, most, within, spans, weight, base, slope
                    )
                    if total >= need:
                        key = (np.uint64(total) << np.uint64(32)) | np.uint64(np.uint32(0xFFFFFFFF) - np.uint32(row))
                        keep(keys[q], states[q], key)
                        if np.int64(states[q, 0]) == keys.shape[1]:
                            need = np.int32(keys[q, 0] >> np.uint64(32))
            for i in range(count):
                spans[i, AT] = spans[i, UNTIL]


@kernel(
    frozen(_ROW, 1),
    frozen(_VALUE, 1),
    frozen(_ROW, 1),
    frozen(_PLACE, 1),
    frozen(_PLACE, 1),
    frozen(_REAL, 1),
    _REAL,
    _REAL,
    frozen(_ROW, 1),
    filled(_SUM, 1),
)
def totals(
    rows: Any,
    values: Any,
    lengths: Any,
    offsets: Any,
    terms: Any,
    weights: Any,
    base: Any,
    slope: Any,
    asked: Any,
    out: Any,
) -> None:
    """Add to out (m,) the sums of one query for the asked rows (m,), which ascend; arguments as above."""
    counted = lengths.shape[0] > 0
    for i in range(terms.shape[0]):
        at, stop = offsets[terms[i]], offsets[terms[i] + 1]
        for j in range(asked.shape[0]):
            row = np.int64(asked[j])
            at = seek(rows, at, stop, row)
            if at == stop:
                break
            if np.int64(rows[at]) == row:
                length = lengths[row] if counted else np.uint32(0)
                out[j] += gain(values[at], length, counted, weights[i], base, slope)
