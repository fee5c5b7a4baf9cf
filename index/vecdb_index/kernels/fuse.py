"""Ranked lists of several arms made into one: the sum of what a row's places are worth, or the lists in turn.

The lists lie one after the other: list a is the entries starts[a] to starts[a + 1], best first, no key twice in it. A
row's sum is taken from its smallest part up, so that the order of the lists changes no bit of it.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel, owner
from vecdb_index.kernels.topk import keep, key_of, score_of

_EMPTY = np.int32(-1)

_KEY, _START, _SCORE, _WORTH, _RANK = types.int64, types.int64, types.float32, types.float64, types.int32
_LISTS = frozen(_KEY, 1), frozen(_START, 1), frozen(_WORTH, 1)
_TABLES = filled(_KEY, 1), filled(_SCORE, 1), filled(_RANK, 2), filled(_WORTH, 2)


@helper
def _place(table: Any, keys: Any, key: Any) -> Any:
    """Return where a key stands in the table of row numbers, or where it would: an open address, a power of two."""
    mask = np.uint64(table.shape[0] - 1)
    at = (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20) & mask
    while table[at] != _EMPTY and keys[table[at]] != key:
        at = (at + np.uint64(1)) & mask
    return at


@helper
def _joined(keys: Any, starts: Any, scores: Any, weights: Any, table: Any, tables: Any, rows: Any) -> Any:
    """Number the rows of all lists that count; fill their keys, ranks and scores; return how many there are.

    `rows` gets the number of each entry's row, or -1: lists of weight 0 bring no rows.
    """
    found, ranks, arm_scores = tables
    table[:] = _EMPTY
    ranks[:] = 0
    arm_scores[:] = np.nan
    count = 0
    for bringing in (True, False):
        for arm in range(starts.shape[0] - 1):
            if (weights[arm] > 0) != bringing:
                continue
            for at in range(starts[arm], starts[arm + 1]):
                place = _place(table, found, keys[at])
                if table[place] == _EMPTY:
                    if not bringing:
                        rows[at] = -1
                        continue
                    table[place], found[count] = count, keys[at]
                    count += 1
                row = table[place]
                rows[at], ranks[row, arm], arm_scores[row, arm] = row, at - starts[arm] + 1, scores[at]
    return count


@helper
def _sum(parts: Any) -> Any:
    """Return the sum from the smallest part up; the parts are sorted where they are."""
    for at in range(1, parts.shape[0]):
        part, hole = parts[at], at
        while hole > 0 and parts[hole - 1] > part:
            parts[hole] = parts[hole - 1]
            hole -= 1
        parts[hole] = part
    total = np.float64(0)
    for part in parts:
        total += part
    return total


@helper
def _before(order: Any, keys: Any, one: Any, other: Any) -> Any:
    return order[one] > order[other] or (order[one] == order[other] and keys[one] < keys[other])


@owner
def _chosen(order: Any, wanted: Any, rows: Any) -> Any:
    """Write the numbers of the rows that may be among so many of the highest order; return how many they are."""
    least = np.uint64(0)
    if 2 * wanted < order.shape[0]:
        best, state = np.zeros(wanted, np.uint64), np.zeros(2, np.uint64)
        for row in range(order.shape[0]):
            keep(best, state, order[row])
        least = best[0]
    count = 0
    for row in range(order.shape[0]):
        if order[row] >= least:
            rows[count] = row
            count += 1
    return count


@owner
def _sorted(order: Any, keys: Any, rows: Any, spare: Any) -> Any:
    """Return the rows by falling order, then key: merged runs, in one of the two arrays."""
    count, width = rows.shape[0], 1
    while width < count:
        for first in range(0, count, 2 * width):
            middle, last = min(first + width, count), min(first + 2 * width, count)
            one, other = first, middle
            for at in range(first, last):
                if one < middle and (other >= last or not _before(order, keys, rows[other], rows[one])):
                    spare[at] = rows[one]
                    one += 1
                else:
                    spare[at] = rows[other]
                    other += 1
        rows, spare = spare, rows
        width *= 2
    return rows


@helper
def _moved(tables: Any, order: Any, rows: Any, count: Any, out: Any) -> None:
    """Write the first rows into the tables of the answer, in their order."""
    found, ranks, arm_scores = tables
    for at in range(count):
        row = rows[at]
        out[0][at], out[1][at] = found[row], score_of(order[row])
        for arm in range(ranks.shape[1]):
            out[2][at, arm], out[3][at, arm] = ranks[row, arm], arm_scores[row, arm]


@owner
def _drafted(starts: Any, weights: Any, rows: Any, order: Any) -> None:
    """Give every row its place: the list whose next turn comes first takes its best row that is not taken.

    Turn j of a list comes at j / weight; of turns at one time the heavier list's is first, then the earlier's.
    """
    arms = starts.shape[0] - 1
    next_entry, turns = starts[:-1].copy(), np.zeros(arms, np.int64)
    order[:] = 0
    for place in range(1, order.shape[0] + 1):
        chosen = -1
        for arm in range(arms):
            if weights[arm] == 0:
                continue
            while next_entry[arm] < starts[arm + 1] and order[rows[next_entry[arm]]] != 0:
                next_entry[arm] += 1
            if next_entry[arm] == starts[arm + 1]:
                continue
            if chosen >= 0:
                here, there = (turns[arm] + 1) * weights[chosen], (turns[chosen] + 1) * weights[arm]
                if here > there or (here == there and weights[arm] <= weights[chosen]):
                    continue
            chosen = arm
        row = rows[next_entry[chosen]]
        order[row] = key_of(np.float32(1) / np.float32(place), place)
        turns[chosen] += 1


@kernel(*_LISTS, *(frozen(_WORTH, 1),) * 3, types.boolean, *_TABLES, filled(_KEY, 1))
def fused(
    keys: Any,
    starts: Any,
    scores: Any,
    weights: Any,
    worth: Any,
    absent: Any,
    in_turn: Any,
    out_keys: Any,
    out_scores: Any,
    out_ranks: Any,
    out_arm_scores: Any,
    count: Any,
) -> None:
    """Join the lists, add up what their entries are worth, and write the best rows: by score, then best rank, then key.

    Args:
        keys: of the entries.
        starts: (lists + 1,) where the lists begin.
        scores: of the entries, told again in `out_arm_scores`.
        weights: (lists,) only lists of more than 0 bring rows.
        worth: (entries,) what an entry adds to its row; not looked at if the lists take turns.
        absent: (lists,) what a list adds to the rows that it lacks.
        in_turn: whether the lists take turns instead: the row in place p scores 1 / p.
        out_keys: (n,) the n best rows, n at least 1.
        out_scores: (n,) float32, their sums.
        out_ranks: (n, lists) the rank of each row in each list, from 1; 0 where it is not in it.
        out_arm_scores: (n, lists) its score there; NaN where it is not in it.
        count: (1,) how many rows there are; what lies behind them is not written.

    """
    entries, arms = keys.shape[0], starts.shape[0] - 1
    size = 16
    while size < 2 * entries:
        size *= 2
    table, rows = np.empty(size, np.int32), np.empty(entries, np.int32)
    ranks = np.empty((entries, arms), np.int32)
    tables = np.empty(entries, np.int64), ranks, np.empty((entries, arms), np.float64)
    found = _joined(keys, starts, scores, weights, table, tables, rows)
    order = np.empty(found, np.uint64)
    if in_turn:
        _drafted(starts, weights, rows, order)
    else:
        parts = np.empty(arms, np.float64)
        for row in range(found):
            highest = entries
            for arm in range(arms):
                rank = ranks[row, arm]
                parts[arm] = worth[starts[arm] + rank - 1] if rank > 0 else absent[arm]
                if weights[arm] == 0:
                    parts[arm] = 0.0
                elif rank > 0:
                    highest = min(highest, rank)
            # A float32 that is added to 0 is no negative zero.
            order[row] = key_of(np.float32(_sum(parts)) + np.float32(0), highest)
    count[0] = min(found, out_keys.shape[0])
    numbers, spare = np.empty(found, np.int32), np.empty(found, np.int32)
    chosen = _chosen(order, out_keys.shape[0], numbers)
    best = _sorted(order, tables[0], numbers[:chosen], spare[:chosen])
    _moved(tables, order, best, count[0], (out_keys, out_scores, out_ranks, out_arm_scores))
