"""Personalised PageRank by forward push: Andersen, Chung, Lang, Local graph partitioning using PageRank vectors (2006).

The vector wanted is x = (1 - d) p + d P'x: p the seeds' mass, P the shares in which a node gives to those that it links
to. Held are an estimate and a residual of each node that was met, and

    x = estimate + sum over u of residual[u] * (x of a walk that starts at u)

holds after every push: (1 - d) of a node's residual goes to its estimate, d of it to the residuals of its neighbours. A
node waits for a push while its residual is above epsilon times its links, so that the work does not depend on the size
of the graph. What a node without links would give away is lost, as it is in a power iteration over its row of zeros.

Different from the paper: walks do not stay where they are with half their weight, links have weights and types, and
where `balanced` a node first shares among the kinds of its links (type and direction), then within each.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.links import (
    EMPTY,
    LINKS,
    NODE,
    SHARE,
    TABLE,
    WEIGHT,
    is_open,
    length_of,
    place_of,
    row_of,
)

_FLAG = types.uint8
_MET = types.Tuple(
    [
        *(filled(NODE, 1), filled(SHARE, 1), filled(SHARE, 1), filled(SHARE, 1), filled(NODE, 1)),
        *(filled(SHARE, 1), filled(NODE, 1), filled(NODE, 1), filled(NODE, 1), filled(_FLAG, 1)),
    ]
)
# Of each node that was met, in the order of meeting: its number, estimate, residual, what a link to it is worth, its
# number of links, the greatest amount that a node met before it gave at once, that node's place, the type of the link
# (less than 0: against its direction, -1 - type), how many links it is away from a seed, and whether it waits.
_NODE, _ESTIMATE, _RESIDUAL, _WORTH, _LINKS, _GREATEST, _PARENT, _VIA, _HOPS, _WAITS = range(10)


@helper
def _meet(
    forward: Any, backward: Any, ahead: Any, behind: Any, hub: Any, table: Any, met: Any, count: Any, node: Any
) -> Any:
    """Return the place of a node, which becomes `count` when it is new."""
    at = place_of(table, met[_NODE], node)
    if table[at] != EMPTY:
        return table[at]
    table[at] = count
    links = length_of(forward, ahead, node) + length_of(backward, behind, node)
    met[_NODE][count] = node
    met[_ESTIMATE][count] = met[_RESIDUAL][count] = met[_GREATEST][count] = 0.0
    met[_WORTH][count] = 1.0 if hub == 0.0 else max(links, 1) ** -hub
    met[_LINKS][count] = links
    met[_PARENT][count] = met[_VIA][count] = -1
    met[_HOPS][count] = 1 << 30
    met[_WAITS][count] = 0
    return np.int32(count)


@helper
def _shares(
    links: Any, weights: Any, first: Any, sums: Any, open_: Any, node: Any, worlds: Any, hub: Any,
    table: Any, met: Any, count: Any,
) -> Any:  # fmt: skip
    """Meet the neighbours of a node in one direction and add their links' weights by kind; return how many are met."""
    forward, backward, ahead, behind = worlds
    patched, begin, end = row_of(links, node)
    targets, given, kinds = (links[6], links[7], links[8]) if patched else (links[1], links[2], links[3])
    for at in range(begin, end):
        target, kind = targets[at], kinds[at]
        if weights[kind] > 0 and target != node and given[at] > 0 and is_open(open_, target):
            place = _meet(forward, backward, ahead, behind, hub, table, met, count, target)
            count += place == count
            sums[first + kind] += given[at] * met[_WORTH][place]
    return count


@helper
def _kinds(links: Any, weights: Any, first: Any, sums: Any, node: Any, balanced: Any) -> Any:
    """Return the weight of a node's kinds of links in one direction, each counted once, or of all its links."""
    patched, begin, end = row_of(links, node)
    kinds = links[8] if patched else links[3]
    total = 0.0
    for at in range(begin, end):
        kind = first + kinds[at]
        if sums[kind] > 0:  # below 0: it was counted
            total += weights[kinds[at]] * (1.0 if balanced else sums[kind])
            sums[kind] = -sums[kind]
    return total


@helper
def _give(
    links: Any, weights: Any, first: Any, sums: Any, open_: Any, node: Any, place: Any, amount: Any, balanced: Any,
    epsilon: Any, hops: Any, seeds: Any, table: Any, met: Any, queue: Any, tail: Any,
) -> Any:  # fmt: skip
    """Give a node's neighbours in one direction their shares of an amount; return the new tail of the queue."""
    patched, begin, end = row_of(links, node)
    targets, given, kinds = (links[6], links[7], links[8]) if patched else (links[1], links[2], links[3])
    for at in range(begin, end):
        target, kind = targets[at], kinds[at]
        if not (weights[kind] > 0 and target != node and given[at] > 0 and is_open(open_, target)):
            continue
        to = table[place_of(table, met[_NODE], target)]
        share = amount * met[_WORTH][to] * given[at] * weights[kind]
        if balanced:
            share /= -sums[first + kind]
        met[_RESIDUAL][to] += share
        if place < to and to >= seeds and share > met[_GREATEST][to]:
            met[_GREATEST][to], met[_PARENT][to] = share, place
            met[_VIA][to] = kind if first == 0 else -1 - np.int32(kind)
        met[_HOPS][to] = min(met[_HOPS][to], met[_HOPS][place] + 1)
        waits = met[_RESIDUAL][to] > epsilon * max(met[_LINKS][to], 1) and met[_HOPS][to] < hops
        if waits and not met[_WAITS][to]:
            met[_WAITS][to] = 1
            queue[tail % queue.shape[0]] = to
            tail += 1
    return tail


@helper
def _forget(links: Any, first: Any, sums: Any, node: Any) -> None:
    patched, begin, end = row_of(links, node)
    kinds = links[8] if patched else links[3]
    for at in range(begin, end):
        sums[first + kinds[at]] = 0.0


@helper
def _start(
    seeds: Any, mass: Any, worlds: Any, epsilon: Any, hub: Any, hops: Any, table: Any, met: Any, queue: Any
) -> Any:
    """Meet the seeds, give them their mass, and let those wait that have much; return how many are met and wait."""
    forward, backward, ahead, behind = worlds
    tail = 0
    for at in range(seeds.shape[0]):
        place = _meet(forward, backward, ahead, behind, hub, table, met, at, seeds[at])
        met[_RESIDUAL][place], met[_HOPS][place] = mass[at], 0
        if mass[at] > epsilon * max(met[_LINKS][place], 1) and hops > 0:
            met[_WAITS][place] = 1
            queue[tail] = place
            tail += 1
    return seeds.shape[0], tail


@kernel(
    frozen(NODE, 1), frozen(SHARE, 1), LINKS, LINKS, frozen(WEIGHT, 1), frozen(WEIGHT, 1), frozen(_FLAG, 1),
    SHARE, SHARE, SHARE, types.boolean, types.int64, TABLE, _MET, TABLE, filled(SHARE, 1), filled(types.int64, 1),
)  # fmt: skip
def push(
    seeds: Any, mass: Any, forward: Any, backward: Any, ahead: Any, behind: Any, open_: Any,
    damping: Any, epsilon: Any, hub: Any, balanced: Any, hops: Any, table: Any, met: Any, queue: Any, sums: Any,
    state: Any,
) -> None:  # fmt: skip
    """Push until no residual is above its bound, or the room in `met` does not do for the neighbours of a node.

    Args:
        seeds: (s,) int32 nodes, none twice.
        mass: (s,) float64 of each, at least 0.
        forward: links as they point.
        backward: links against it.
        ahead: (types,) float32, weight of each type as it points; of length 0 when none may be walked so.
        behind: the same against it.
        open_: which nodes may be walked.
        damping: the share of its mass that a node gives away, in [0, 1).
        epsilon: above 0.
        hub: a link counts by its target's number of links to the power of -hub.
        balanced: whether a node shares among the kinds of its links first.
        hops: nodes so many links away from the seeds keep what they get.
        table: all EMPTY; at least twice as long as the arrays of met.
        met: arrays of one length, at least that of seeds.
        queue: of the same length.
        sums: (2 * types,) float64, zeros; zeros again afterwards.
        state: nodes met, links read, nodes that stay unpushed for want of room.

    """
    head, room, kinds = 0, met[_NODE].shape[0], sums.shape[0] // 2
    state[1] = state[2] = 0
    worlds = forward, backward, ahead, behind
    count, tail = _start(seeds, mass, worlds, epsilon, hub, hops, table, met, queue)
    while head < tail:
        place = queue[head % queue.shape[0]]
        head += 1
        met[_WAITS][place] = 0
        node, held = met[_NODE][place], met[_RESIDUAL][place]
        if count + met[_LINKS][place] > room:
            state[2] += 1
            continue
        total = 0.0
        if ahead.shape[0]:
            count = _shares(forward, ahead, 0, sums, open_, node, worlds, hub, table, met, count)
            total += _kinds(forward, ahead, 0, sums, node, balanced)
        if behind.shape[0]:
            count = _shares(backward, behind, kinds, sums, open_, node, worlds, hub, table, met, count)
            total += _kinds(backward, behind, kinds, sums, node, balanced)
        met[_RESIDUAL][place] = 0.0
        met[_ESTIMATE][place] += (1.0 - damping) * held
        state[1] += met[_LINKS][place]
        if total > 0:
            amount = damping * held / total
            if ahead.shape[0]:
                tail = _give(
                    forward, ahead, 0, sums, open_, node, place, amount, balanced, epsilon, hops, seeds.shape[0],
                    table, met, queue, tail,
                )  # fmt: skip
            if behind.shape[0]:
                tail = _give(
                    backward, behind, kinds, sums, open_, node, place, amount, balanced, epsilon, hops,
                    seeds.shape[0], table, met, queue, tail,
                )  # fmt: skip
        if ahead.shape[0]:
            _forget(forward, 0, sums, node)
        if behind.shape[0]:
            _forget(backward, kinds, sums, node)
    state[0] = count
