"""What happens to the rows of one window of a search through an inverted index: adding up, and reading off.

Parts of the kernel in inverted.py, which says what the arguments are. A window is WINDOW rows from `low` on, whose sums
fit the fastest cache.
"""

from typing import Any

import numpy as np

from vecdb_index.kernels.jit import helper
from vecdb_index.kernels.layout import BLOCK, VALUES, WINDOW
from vecdb_index.kernels.topk import CHUNK

SPARSE = 128
"""In a window with fewer postings it is faster to go through these again than through all sums."""
AT, STOP, UNTIL, NEAR, WITHIN = range(5)
"""What a line of `spans` holds: the term's next posting, the end of its postings, the end of those in the window, the
one that was looked up last, and, by order, the most that the terms set aside up to this one can add."""


@helper
def gain(value: Any, length: Any, weight: Any, curve: Any) -> Any:
    """Return what a posting adds. Rounding keeps the order: more with a larger value, less with a greater length."""
    limit, base, slope = curve
    added = weight / (limit + (base + slope * np.float32(length)) / np.float32(value))
    return max(np.int32(added + np.float32(0.5)), np.int32(1))


@helper
def add(
    rows: Any,
    values: Any,
    lengths: Any,
    allowed: Any,
    at: Any,
    until: Any,
    low: Any,
    weight: Any,
    curve: Any,
    reals: Any,
    gains: Any,
    sums: Any,
) -> None:
    """Add what the postings at .. until - 1 add to the sums of their rows, if these are allowed."""
    first, masked = np.uint64(low), allowed.shape[0] > 0
    for start in range(at, until, BLOCK):
        stop = min(start + BLOCK, until)
        # Three loops, so that the one in the middle is done with vectors; places without a sign, which numba need not
        # look at; no slices of arrays, whose references it would count.
        begin, count = np.uint64(start), np.uint64(stop - start)
        for i in range(count):
            reals[i] = np.float32(lengths[rows[begin + i]])
        for i in range(count):
            gains[i] = gain(values[begin + i], reals[i], weight, curve)
        if masked:  # a product or a choice would become a branch, which nobody foresees
            for i in range(count):
                row = rows[begin + i]
                sums[np.uint64(row) - first] += gains[i] & (np.int32(0) - np.int32(allowed[row]))
        else:
            for i in range(count):
                sums[np.uint64(rows[begin + i]) - first] += gains[i]


@helper
def tabulate(weight: Any, curve: Any, tables: Any, term: Any) -> None:
    """Write what each value adds, for a curve that knows no lengths."""
    for value in range(VALUES):
        tables[term, value] = gain(value, 0, weight, curve)


@helper
def add_tabled(
    rows: Any, values: Any, allowed: Any, at: Any, until: Any, low: Any, tables: Any, term: Any, sums: Any
) -> None:
    """Do what `add` does by a table of what values add: a third of the time."""
    first, begin, count = np.uint64(low), np.uint64(at), np.uint64(until - at)
    if allowed.shape[0] > 0:
        for i in range(count):
            row = rows[begin + i]
            sums[np.uint64(row) - first] += tables[term, values[begin + i]] & (np.int32(0) - np.int32(allowed[row]))
    else:
        for i in range(count):
            sums[np.uint64(rows[begin + i]) - first] += tables[term, values[begin + i]]


@helper
def add_few(
    rows: Any,
    values: Any,
    lengths: Any,
    allowed: Any,
    at: Any,
    until: Any,
    low: Any,
    weight: Any,
    curve: Any,
    sums: Any,
) -> None:
    """Do what `add` does where few rows are allowed: most postings are passed over, four at a time."""
    first, begin, end = np.uint64(low), np.uint64(at), np.uint64(until)
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    while begin < end:
        stop = min(begin + four, end)
        if stop == begin + four:
            any_of = allowed[rows[begin]] | allowed[rows[begin + one]]
            any_of |= allowed[rows[begin + two]] | allowed[rows[begin + three]]
            if any_of == 0:
                begin = stop
                continue
        while begin < stop:
            row = rows[begin]
            if allowed[row] != 0:
                sums[np.uint64(row) - first] += gain(values[begin], lengths[row], weight, curve)
            begin += one


@helper
def within_reach(sums: Any, least: Any) -> Any:
    """Return how many sums are at least so much."""
    count, least = np.int32(0), np.int32(least)
    for place in range(WINDOW):
        count = np.int32(count + np.int32(sums[place] >= least))
    return np.int64(count)


@helper
def collect_few(
    rows: Any, spans: Any, order: Any, aside: Any, low: Any, least: Any, sums: Any, met: Any, found: Any
) -> Any:
    """Do what `collect` does by going through the postings again; -1 if there are too many. In no order."""
    count, postings = 0, np.int64(0)
    for j in range(aside, order.shape[0]):
        postings += spans[order[j], UNTIL] - spans[order[j], AT]
    if postings >= SPARSE:
        return -1
    for j in range(aside, order.shape[0]):
        for at in range(spans[order[j], AT], spans[order[j], UNTIL]):
            place = np.int64(rows[at]) - low
            if sums[place] >= least:
                met[count], found[count] = place, sums[place]
                count += 1
            sums[place] = 0
    return count


@helper
def collect_allowed(some: Any, first: Any, last: Any, low: Any, least: Any, sums: Any, met: Any, found: Any) -> Any:
    """Do what `collect` does by going through the allowed rows of the window, which are some[first:last]."""
    count = 0
    for at in range(first, last):
        place = np.int64(some[at]) - low
        if sums[place] >= least:
            met[count], found[count] = place, sums[place]
            count += 1
        sums[place] = 0
    return count


@helper
def collect(least: Any, sums: Any, met: Any, found: Any) -> Any:
    """Clear the sums; write those of at least `least`, which is above 0, and the places of their rows. Return how many.

    Places ascend.
    """
    count = 0
    for start in range(0, WINDOW, CHUNK):
        hits = np.int32(0)
        for place in range(start, start + CHUNK):
            hits = np.int32(hits + np.int32(sums[place] >= least))
        if hits > 0:
            for place in range(start, start + CHUNK):
                met[count], found[count] = place, sums[place]
                count += sums[place] >= least
    for place in range(WINDOW):
        sums[place] = 0
    return count
