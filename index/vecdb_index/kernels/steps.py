"""Walks over links, step by step from all seeds at once: the best path to each node, or how a crowd of walkers spreads.

    best path    value of a node = the greatest over paths of (the seed's value * the product of decay * link weight)
    spread       value of a node = the share of the walkers that is there after the last step

What was met lies in columns, level after level, each entry with the one that it came from. A best path that comes later
stays only where it is better than all shorter ones to its node; walkers that come to a node again are a new entry.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel, owner
from vecdb_index.kernels.links import EMPTY, LINKS, NODE, SHARE, TABLE, WEIGHT, is_open, place_of, row_of

_FLAG = types.uint8
_MET = types.Tuple([filled(NODE, 1), filled(SHARE, 1), filled(SHARE, 1), filled(NODE, 1), filled(NODE, 1)])
# Of each entry: its node, its value, the greatest amount that came to it at once, the entry that gave that, and the
# type of the link (less than 0: against its direction, -1 - type).
_NODE, _VALUE, _GREATEST, _PARENT, _VIA = range(5)


@owner
def _walkable(links: Any, weights: Any, open_: Any, node: Any) -> Any:
    """Return the row's targets, its link weights by type, and which type each has; a weight of 0: not to be walked."""
    patched, begin, end = row_of(links, node)
    if weights.shape[0] == 0:
        end = begin
    targets = (links[6] if patched else links[1])[begin:end]
    given = (links[7] if patched else links[2])[begin:end]
    kinds = (links[8] if patched else links[3])[begin:end]
    values = np.zeros(end - begin, np.float64)
    for at in range(end - begin):
        if targets[at] != node and is_open(open_, targets[at]):
            values[at] = np.float64(weights[kinds[at]]) * given[at]
    return targets, values, kinds


@owner
def _heaviest(values: Any, most: Any) -> None:
    """Put out all but the heaviest links of a row; of equal ones the first stay."""
    if values.shape[0] <= most:
        return
    least = np.partition(values, values.shape[0] - most)[values.shape[0] - most]
    spare = most
    for at in range(values.shape[0]):
        spare -= values[at] > least
    for at in range(values.shape[0]):
        if values[at] == least and spare > 0:
            spare -= 1
        elif values[at] <= least:
            values[at] = 0.0


@helper
def _balance(values: Any, kinds: Any, weights: Any, sums: Any) -> None:
    """Make the links of each type weigh as much together as the type does."""
    for at in range(values.shape[0]):
        sums[kinds[at]] += values[at]
    for at in range(values.shape[0]):
        if values[at] > 0:
            values[at] *= weights[kinds[at]] / sums[kinds[at]]
    for at in range(values.shape[0]):
        sums[kinds[at]] = 0.0


@helper
def _reach(
    targets: Any, values: Any, kinds: Any, against: Any, entry: Any, factor: Any, best: Any, begin: Any,
    table: Any, met: Any, count: Any,
) -> Any:  # fmt: skip
    """Bring an entry's value over its links to the level that begins there; return the new count, -1 without room."""
    for at in range(values.shape[0]):
        if values[at] == 0.0:
            continue
        amount = met[_VALUE][entry] * (min(values[at], 1.0) * factor if best else values[at] * factor)
        spot = place_of(table, met[_NODE], targets[at])
        place = table[spot]
        if place < begin or place == EMPTY:
            if best and place != EMPTY and amount <= met[_VALUE][place]:
                continue
            if count == met[_NODE].shape[0]:
                return -1
            place = np.int32(count)
            count += 1
            table[spot] = place
            met[_NODE][place], met[_VALUE][place], met[_GREATEST][place] = targets[at], 0.0, -1.0
        if best:
            met[_VALUE][place] = max(met[_VALUE][place], amount)
        else:
            met[_VALUE][place] += amount
        if amount > met[_GREATEST][place]:
            met[_GREATEST][place], met[_PARENT][place] = amount, entry
            met[_VIA][place] = -1 - np.int32(kinds[at]) if against else np.int32(kinds[at])
    return count


@kernel(
    frozen(NODE, 1), frozen(SHARE, 1), LINKS, LINKS, frozen(WEIGHT, 2), frozen(WEIGHT, 2), frozen(_FLAG, 1),
    SHARE, types.int64, types.boolean, types.boolean, TABLE, _MET, filled(SHARE, 1), filled(types.int64, 1),
    filled(types.int64, 1),
)  # fmt: skip
def step(
    seeds: Any, value: Any, forward: Any, backward: Any, ahead: Any, behind: Any, open_: Any,
    decay: Any, fan_out: Any, best: Any, balanced: Any, table: Any, met: Any, sums: Any, levels: Any, state: Any,
) -> None:  # fmt: skip
    """Walk as many steps as there are rows of weights.

    Args:
        seeds: (s,) int32 nodes, none twice.
        value: (s,) float64 of each, above 0.
        forward: links as they point.
        backward: links against it.
        ahead: (steps, types) float32, weight of each type as it points, step by step; (steps, 0): none.
        behind: the same against it.
        open_: which nodes may be walked.
        decay: factor of each step.
        fan_out: only so many of a node's links in a direction are walked, the heaviest.
        best: best paths; else walkers, which share out among a node's links.
        balanced: walkers share among the kinds of links first.
        table: all EMPTY; at least twice as long as the arrays of met.
        met: arrays of one length, at least that of seeds.
        sums: (types,) float64, zeros.
        levels: (steps + 1,) int64, filled with where each level ends.
        state: entries, links read, 1 when there was no room for all.

    """
    count = 0
    state[1] = state[2] = 0
    for at in range(seeds.shape[0]):
        met[_NODE][at], met[_VALUE][at], met[_GREATEST][at] = seeds[at], value[at], value[at]
        met[_PARENT][at] = met[_VIA][at] = -1
        table[place_of(table, met[_NODE], seeds[at])] = at
        count += 1
    levels[0] = count
    first = 0
    for level in range(ahead.shape[0]):
        begin = count
        for entry in first + np.argsort(-met[_VALUE][first:begin], kind="mergesort"):
            node = met[_NODE][entry]
            targets, values, kinds = _walkable(forward, ahead[level], open_, node)
            others, others_values, others_kinds = _walkable(backward, behind[level], open_, node)
            state[1] += values.shape[0] + others_values.shape[0]
            _heaviest(values, fan_out)
            _heaviest(others_values, fan_out)
            factor = decay
            if not best:
                if balanced:
                    _balance(values, kinds, ahead[level], sums)
                    _balance(others_values, others_kinds, behind[level], sums)
                total = values.sum() + others_values.sum()
                factor = decay / total if total > 0 else 0.0
            count = _reach(targets, values, kinds, False, entry, factor, best, begin, table, met, count)
            if count >= 0:
                count = _reach(others, others_values, others_kinds, True, entry, factor, best, begin, table, met, count)
            if count < 0:
                count, state[2] = met[_NODE].shape[0], 1
                break
        levels[level + 1] = count
        first = begin
    state[0] = count
