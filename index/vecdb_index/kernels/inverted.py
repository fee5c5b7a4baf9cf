"""The best rows by the sum of what each term of a query adds.

What a posting adds is a whole number of units, at least 1, and a unit is so large that no sum exceeds 2^24. So sums are
exact in any order, whoever adds them up, and exact as float32: equal scores are equal, and what was skipped could not
have been better.

    weight / (limit + (base + slope * length) / value)

With limit 1 that is BM25 (value is how often the row has the term), with limit 0, base 1 and slope 0 a product with a
weight. A product depends on the value alone: of long lists it is looked up in a table of the 256 values.

The helpers are parts of one kernel, told apart for their readers; arrays go to them one by one.

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
from vecdb_index.kernels.layout import BLOCK_BITS, VALUES, WIDE, WINDOW
from vecdb_index.kernels.topk import keep, row_of, sort
from vecdb_index.kernels.windows import (
    AT,
    NEAR,
    STOP,
    UNTIL,
    WITHIN,
    add,
    add_few,
    add_tabled,
    collect,
    collect_allowed,
    collect_few,
    gain,
    tabulate,
    within_reach,
)

FEW = 16
"""So many postings are looked at themselves, for the most that they can add."""
LOOKUP = 8
"""To look a row up takes as long as to add so many postings."""
LOOKUP_TABLED = 32
"""The same where what postings add stands in a table."""
BULK = 256
"""To count the sums within reach takes as long as to add so many postings."""
ASKED = 24
"""To look up whether one row has one term, all rows in turn, takes as long as to read so many postings in order."""
ALLOWED = 128
"""In a window with fewer rows that are allowed it is faster to look at these than at all sums."""
NARROW = 16
"""Where fewer rows than one in so many are allowed it is faster to pass over postings of others than to add nothing."""

_ROW, _VALUE, _PLACE, _MASK = types.uint32, types.uint8, types.int64, types.uint8
_REAL, _SUM, _KEY = types.float32, types.int32, types.uint64
_END = np.int64(1) << 32
"""Behind every row."""
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
def _next(rows: Any, spans: Any, count: Any) -> Any:
    """Return the first row of the next window, that of the first posting of any term; _END when none is left."""
    low = _END
    for i in range(count):
        if spans[i, AT] < spans[i, STOP]:
            low = min(low, np.int64(rows[spans[i, AT]]))
    return low


@helper
def _open(
    rows: Any,
    values: Any,
    lengths: Any,
    tops: Any,
    shortest: Any,
    spans: Any,
    weights: Any,
    curve: Any,
    tables: Any,
    high: Any,
    most: Any,
) -> None:
    """Find each term's postings of rows before `high`, the window's, and the most that one of these can add."""
    for i in range(most.shape[0]):
        at, stop = spans[i, AT], spans[i, STOP]
        until = at if at == stop else seek(rows, at, stop, high)
        spans[i, UNTIL], spans[i, NEAR] = until, min(at, stop - 1)
        few, largest = until - at <= FEW, np.int32(0)
        first, last = (at, until) if few else (at >> BLOCK_BITS, ((until - 1) >> BLOCK_BITS) + 1)
        for j in range(first, last):
            value = values[j] if few else tops[j]
            if tables[i, 0] > 0:
                largest = max(largest, tables[i, value])
                continue
            length = lengths[rows[j]] if few else shortest[j]
            largest = max(largest, gain(value, length, weights[i], curve))
        most[i] = largest


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
def _add_up(
    rows: Any,
    values: Any,
    lengths: Any,
    allowed: Any,
    few: Any,
    spans: Any,
    order: Any,
    aside: Any,
    need: Any,
    low: Any,
    weights: Any,
    curve: Any,
    tables: Any,
    reals: Any,
    gains: Any,
    sums: Any,
) -> Any:
    """Add up the terms that are not set aside; return how many stay there.

    Of those set aside, the ones are added all the same that would be looked up too often. How often is counted again
    where twice as much was added: among many terms counting took longer than it saved. `few` says how many rows are
    allowed, where these are so few that postings of others are passed over, else 0.
    """
    left, added, again = order.shape[0], np.int64(0), np.int64(0)
    while left > 0:
        i = order[left - 1]
        at, until = spans[i, AT], spans[i, UNTIL]
        if left <= aside:
            lookup = LOOKUP_TABLED if tables[i, 0] > 0 else LOOKUP
            if lookup * added < until - at:
                break
            if until - at > BULK and added >= again:
                met = few if few > 0 else within_reach(sums, need - spans[left - 1, WITHIN])
                if lookup * met < until - at:
                    break
                again = 2 * added
        if few > 0:
            add_few(rows, values, lengths, allowed, at, until, low, weights[i], curve, sums)
        elif tables[i, 0] > 0:
            add_tabled(rows, values, allowed, at, until, low, tables, i, sums)
        else:
            add(rows, values, lengths, allowed, at, until, low, weights[i], curve, reals, gains, sums)
        added += until - at
        left -= 1
    return min(left, aside)


@helper
def _offer(row: Any, total: Any, keys: Any, state: Any) -> None:
    keep(keys, state, (np.uint64(total) << np.uint64(32)) | np.uint64(np.uint32(0xFFFFFFFF) - np.uint32(row)))


@helper
def _rank(
    rows: Any,
    values: Any,
    lengths: Any,
    spans: Any,
    order: Any,
    aside: Any,
    low: Any,
    need: Any,
    weights: Any,
    curve: Any,
    met: Any,
    found: Any,
    hits: Any,
    keys: Any,
    state: Any,
) -> Any:
    """Look up what the terms set aside add to the rows met, and offer these; return the sum that is needed then."""
    for h in range(hits):
        row, total = low + met[h], np.int64(found[h])
        for j in range(aside - 1, -1, -1):
            if total + spans[j, WITHIN] < need:
                break
            i = order[j]
            near = spans[i, NEAR] if np.int64(rows[spans[i, NEAR]]) <= row else spans[i, AT]
            at = seek(rows, near, spans[i, UNTIL], row)
            if at < spans[i, UNTIL]:
                spans[i, NEAR] = at
                if np.int64(rows[at]) == row:
                    total += gain(values[at], lengths[row], weights[i], curve)
        if total >= need:
            _offer(row, total, keys, state)
            if np.int64(state[0]) == keys.shape[0]:
                need = np.int64(keys[0] >> np.uint64(32))
    return need


@helper
def _few(spans: Any, count: Any, matching: Any) -> Any:
    """Return whether it takes less to look up so many rows than to go through the postings."""
    postings = np.int64(0)
    for i in range(count):
        postings += spans[i, STOP] - spans[i, AT]
    return matching * count * ASKED < postings


@helper
def _look_up(
    rows: Any, values: Any, lengths: Any, spans: Any, weights: Any, curve: Any, some: Any, keys: Any, state: Any
) -> None:
    """Fill one query's heap by looking up each allowed row in the postings of each term."""
    for j in range(some.shape[0]):
        row, total = np.int64(some[j]), np.int64(0)
        for i in range(weights.shape[0]):
            at = seek(rows, spans[i, AT], spans[i, STOP], row)
            spans[i, AT] = at
            if at < spans[i, STOP] and np.int64(rows[at]) == row:
                total += gain(values[at], lengths[row], weights[i], curve)
        if total > 0:
            _offer(row, total, keys, state)


@helper
def _begin(spans: Any, weights: Any, curve: Any, order: Any, tables: Any) -> None:
    """Put terms in some order, and make tables for those where it is worth it; the first value of others is 0."""
    product = curve[0] == 0 and curve[2] == 0
    for i in range(order.shape[0]):
        order[i], tables[i, 0] = i, 0
        if product and spans[i, STOP] - spans[i, AT] > VALUES:
            tabulate(weights[i], curve, tables, i)


@helper
def _answer(
    rows: Any,
    values: Any,
    lengths: Any,
    tops: Any,
    shortest: Any,
    spans: Any,
    weights: Any,
    curve: Any,
    allowed: Any,
    some: Any,
    every: Any,
    room: Any,
    tables: Any,
    keys: Any,
    state: Any,
) -> None:
    """Fill one query's heap; the first two columns of its spans are its postings."""
    count, need = weights.shape[0], np.int64(0)
    if some.shape[0] > 0 and not every and _few(spans, count, some.shape[0]):
        _look_up(rows, values, lengths, spans, weights, curve, some, keys, state)
        return
    most, order = room[MOST, :count], room[ORDER, :count]
    sums, met, found, gains, reals = room[SUMS], room[MET], room[FOUND], room[GAINS], room[REALS].view(np.float32)
    _begin(spans, weights, curve, order, tables)
    first, last = np.int64(0), np.int64(0)
    while True:
        low = _next(rows, spans, count)
        if low == _END:
            break
        width, few = np.int64(WINDOW), np.int64(0)
        if some.shape[0] > 0:
            first = seek(some, last, np.int64(some.shape[0]), low)
            last = seek(some, first, np.int64(some.shape[0]), low + WIDE)
            if (last - first) * NARROW < WIDE:
                width, few = np.int64(WIDE), last - first
            else:
                last = seek(some, first, np.int64(some.shape[0]), low + WINDOW)
        _open(rows, values, lengths, tops, shortest, spans, weights, curve, tables, low + width, most)
        nothing = some.shape[0] > 0 and first == last
        aside = count if nothing else _set_aside(order, most, spans, np.int64(0) if every else need)
        if aside < count:
            aside = _add_up(
                rows,
                values,
                lengths,
                allowed,
                few,
                spans,
                order,
                aside,
                need,
                low,
                weights,
                curve,
                tables,
                reals,
                gains,
                sums,
            )
            least = max(need - (spans[aside - 1, WITHIN] if aside > 0 else np.int64(0)), np.int64(1))
            least = np.int32(least)
            if few > 0 or (some.shape[0] > 0 and last - first < ALLOWED):
                hits = collect_allowed(some, first, last, low, least, sums, met, found)
            else:
                hits = collect_few(rows, spans, order, aside, low, least, sums, met, found)
            if hits < 0:
                hits = collect(least, sums, met, found)
            need = _rank(
                rows, values, lengths, spans, order, aside, low, need, weights, curve, met, found, hits, keys, state
            )
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
    frozen(_ROW, 1),
    types.boolean,
    filled(_SUM, 2),
    filled(_SUM, 2),
    filled(_PLACE, 2),
    filled(_KEY, 2),
    filled(_KEY, 2),
    filled(_ROW, 2),
    filled(_REAL, 2),
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
    some: Any,
    every: Any,
    room: Any,
    tables: Any,
    spans: Any,
    keys: Any,
    states: Any,
    out_rows: Any,
    out_sums: Any,
) -> None:
    """Write the rows with the highest sums over the terms of each query, best first, and their sums.

    Args:
        rows: (p,) of all postings.
        values: (p,) counts or weights, at least 1.
        lengths: (n,) tokens of each row.
        tops: (blocks,) the largest value of each block.
        shortest: (blocks,) the least length of its rows.
        offsets: (all terms + 1,) where the postings of a term begin.
        starts: (q + 1,) query i has the terms starts[i] to starts[i + 1].
        terms: (t,) places of terms in the index; negative for one that is not there.
        weights: (t,) units.
        curves: (q, 3) limit, base and slope of each query.
        allowed: (n,) of 0 and 1; or empty: all rows are allowed.
        some: the allowed rows, ascending; or empty: all are, or none.
        every: nothing is skipped: the same rows, more slowly.
        room: (7, more than WIDE, and at least the terms of a query); the first line is 0 and left so.
        tables: (at least the terms of a query, VALUES).
        spans: (at least the terms of a query, 5).
        keys: (q, k) heaps of topk.py, of keys that are the sum above the inverted row.
        states: (q, 2) of topk.py: how many rows there are, and the best key that was left out.
        out_rows: (q, k); what lies behind the rows is not written.
        out_sums: (q, k) units: whole numbers up to 2^24.

    """
    for q in range(keys.shape[0]):
        for i in range(starts[q], starts[q + 1]):
            term = terms[i]
            at, stop = (offsets[term], offsets[term + 1]) if term >= 0 else (np.int64(0), np.int64(0))
            spans[i - starts[q], AT], spans[i - starts[q], STOP] = at, stop
        weight, curve = weights[starts[q] : starts[q + 1]], (curves[q, 0], curves[q, 1], curves[q, 2])
        _answer(
            rows,
            values,
            lengths,
            tops,
            shortest,
            spans,
            weight,
            curve,
            allowed,
            some,
            every,
            room,
            tables,
            keys[q],
            states[q],
        )
        size = np.int64(states[q, 0])
        sort(keys[q], size)
        for i in range(size):
            out_rows[q, i], out_sums[q, i] = row_of(keys[q, i]), np.float32(keys[q, i] >> np.uint64(32))


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
        if terms[i] < 0:
            continue
        at, stop = offsets[terms[i]], offsets[terms[i] + 1]
        for j in range(asked.shape[0]):
            row = np.int64(asked[j])
            at = seek(rows, at, stop, row)
            if at == stop:
                break
            if np.int64(rows[at]) == row:
                out[j] += gain(values[at], lengths[row], weights[i], curve)
