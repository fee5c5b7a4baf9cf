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
# Of each node that was met, in the order of meeting: counts and values. Two matrices, and not ten arrays in a tuple,
# because each array that is taken out of a tuple is counted, and that costs more than what is done with it.
_LINKS, _PARENT, _VIA, _HOPS, _WAITS = range(5)
"""Columns of counts: number of links; the place of the node that was met before and gave most at once; the type of the
link from there (less than 0: against its direction, -1 - type); links away from a seed; whether it waits."""
_ESTIMATE, _RESIDUAL, _WORTH, _GREATEST = range(4)
"""Columns of values: estimate, residual, what a link to the node is worth, the most that was given at once."""


@helper
def _meet(
    forward: Any,
    backward: Any,
    ahead: Any,
    behind: Any,
    hub: Any,
    table: Any,
    nodes: Any,
    counts: Any,
    values: Any,
    count: Any,
    node: Any,
) -> Any:
    """Return the place of a node, which becomes `count` when it is new."""
    at = place_of(table, nodes, node)
    if table[at] != EMPTY:
        return table[at]
    table[at] = count
    links = length_of(forward, ahead, node) + length_of(backward, behind, node)
    nodes[count] = node
    values[count, _ESTIMATE] = values[count, _RESIDUAL] = values[count, _GREATEST] = 0.0
    values[count, _WORTH] = 1.0 if hub == 0.0 else max(links, 1) ** -hub
    counts[count, _LINKS] = links
    counts[count, _PARENT] = counts[count, _VIA] = -1
    counts[count, _HOPS] = 1 << 30
    counts[count, _WAITS] = 0
    return np.int32(count)


@helper
def _shares(
    links: Any, weights: Any, first: Any, sums: Any, open_: Any, node: Any, worlds: Any, hub: Any,
    table: Any, nodes: Any, counts: Any, values: Any, count: Any,
) -> Any:  # fmt: skip
    """Meet the neighbours of a node in one direction and add their links' weights by kind; return how many are met."""
    forward, backward, ahead, behind = worlds
    patched, begin, end = row_of(links, node)
    targets, given, kinds = (links[6], links[7], links[8]) if patched else (links[1], links[2], links[3])
    for at in range(begin, end):
        target, kind = targets[at], kinds[at]
        if weights[kind] > 0 and target != node and given[at] > 0 and is_open(open_, target):
            place = _meet(forward, backward, ahead, behind, hub, table, nodes, counts, values, count, target)
            count += place == count
            sums[first + kind] += given[at] * values[place, _WORTH]
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
    epsilon: Any, hops: Any, seeds: Any, table: Any, nodes: Any, counts: Any, values: Any, queue: Any, tail: Any,
) -> Any:  # fmt: skip
    """Give a node's neighbours in one direction their shares of an amount; return the new tail of the queue."""
    patched, begin, end = row_of(links, node)
    targets, given, kinds = (links[6], links[7], links[8]) if patched else (links[1], links[2], links[3])
    for at in range(begin, end):
        target, kind = targets[at], kinds[at]
        if not (weights[kind] > 0 and target != node and given[at] > 0 and is_open(open_, target)):
            continue
        to = table[place_of(table, nodes, target)]
        share = amount * values[to, _WORTH] * given[at] * weights[kind]
        if balanced:
            share /= -sums[first + kind]
        values[to, _RESIDUAL] += share
        if place < to and to >= seeds and share > values[to, _GREATEST]:
            values[to, _GREATEST], counts[to, _PARENT] = share, place
            counts[to, _VIA] = kind if first == 0 else -1 - np.int32(kind)
        counts[to, _HOPS] = min(counts[to, _HOPS], counts[place, _HOPS] + 1)
        waits = values[to, _RESIDUAL] > epsilon * max(counts[to, _LINKS], 1) and counts[to, _HOPS] < hops
        if waits and not counts[to, _WAITS]:
            counts[to, _WAITS] = 1
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
    seeds: Any,
    mass: Any,
    worlds: Any,
    epsilon: Any,
    hub: Any,
    hops: Any,
    table: Any,
    nodes: Any,
    counts: Any,
    values: Any,
    queue: Any,
) -> Any:
    """Meet the seeds, give them their mass, and let those wait that have much; return how many are met and wait."""
    forward, backward, ahead, behind = worlds
    tail = 0
    for at in range(seeds.shape[0]):
        place = _meet(forward, backward, ahead, behind, hub, table, nodes, counts, values, at, seeds[at])
        values[place, _RESIDUAL], counts[place, _HOPS] = mass[at], 0
        if mass[at] > epsilon * max(counts[place, _LINKS], 1) and hops > 0:
            counts[place, _WAITS] = 1
            queue[tail] = place
            tail += 1
    return seeds.shape[0], tail


@kernel(
    frozen(NODE, 1), frozen(SHARE, 1), LINKS, LINKS, frozen(WEIGHT, 1), frozen(WEIGHT, 1), frozen(_FLAG, 1),
    SHARE, SHARE, SHARE, types.boolean, types.int64, TABLE, filled(NODE, 1), filled(NODE, 2), filled(SHARE, 2), TABLE,
    filled(SHARE, 1), filled(types.int64, 1),
)  # fmt: skip
def push(
    seeds: Any, mass: Any, forward: Any, backward: Any, ahead: Any, behind: Any, open_: Any,
    damping: Any, epsilon: Any, hub: Any, balanced: Any, hops: Any, table: Any, nodes: Any, counts: Any,
    values: Any, queue: Any, sums: Any,
    state: Any,
) -> None:  # fmt: skip
    """Push until no residual is above its bound, or the room in `nodes` does not do for the neighbours of a node.

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
        table: all EMPTY; at least twice as long as nodes.
        nodes: (room,) int32, at least as long as seeds.
        counts: (room, 5) int32.
        values: (room, 4) float64.
        queue: (room,) int32.
        sums: (2 * types,) float64, zeros; zeros again afterwards.
        state: nodes met, links read, nodes that stay unpushed for want of room.

    """
    head, room, kinds = 0, nodes.shape[0], sums.shape[0] // 2
    state[1] = state[2] = 0
    worlds = forward, backward, ahead, behind
    count, tail = _start(seeds, mass, worlds, epsilon, hub, hops, table, nodes, counts, values, queue)
    while head < tail:
        place = queue[head % queue.shape[0]]
        head += 1
        counts[place, _WAITS] = 0
        node, held = nodes[place], values[place, _RESIDUAL]
        if count + counts[place, _LINKS] > room:
            state[2] += 1
            continue
        total = 0.0
        if ahead.shape[0]:
            count = _shares(forward, ahead, 0, sums, open_, node, worlds, hub, table, nodes, counts, values, count)
            total += _kinds(forward, ahead, 0, sums, node, balanced)
        if behind.shape[0]:
            count = _shares(
                backward, behind, kinds, sums, open_, node, worlds, hub, table, nodes, counts, values, count
            )
            total += _kinds(backward, behind, kinds, sums, node, balanced)
        values[place, _RESIDUAL] = 0.0
        values[place, _ESTIMATE] += (1.0 - damping) * held
        state[1] += counts[place, _LINKS]
        if total > 0:
            amount = damping * held / total
            if ahead.shape[0]:
                tail = _give(
                    forward, ahead, 0, sums, open_, node, place, amount, balanced, epsilon, hops, seeds.shape[0],
                    table, nodes, counts, values, queue, tail,
                )  # fmt: skip
            if behind.shape[0]:
                tail = _give(
                    backward, behind, kinds, sums, open_, node, place, amount, balanced, epsilon, hops,
                    seeds.shape[0], table, nodes, counts, values, queue, tail,
                )  # fmt: skip
        if ahead.shape[0]:
            _forget(forward, 0, sums, node)
        if behind.shape[0]:
            _forget(backward, kinds, sums, node)
    state[0] = count
