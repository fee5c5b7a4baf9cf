"""Label propagation: Raghavan, Albert, Kumara, Near linear time algorithm to detect community structures (2007).

Nodes take, one after the other, the label that weighs most among their neighbours, in both directions. A node changes
only to a label that weighs more than its own, so that what links within groups weigh together grows with each change,
and the rounds end.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.links import LINKS, NODE, SHARE, WEIGHT, row_of

LEAST = 1e-9
"""By what share a label has to weigh more: less is an error of the sum, which the order of links would decide."""


@helper
def _add(links: Any, weights: Any, node: Any, labels: Any, sums: Any, touched: Any, count: Any) -> Any:
    """Add the weights of a node's links in one direction to their labels; return how many labels there are."""
    patched, begin, end = row_of(links, node)
    targets, given, kinds = (links[6], links[7], links[8]) if patched else (links[1], links[2], links[3])
    for at in range(begin, end):
        weight = np.float64(weights[kinds[at]]) * given[at]
        if targets[at] == node or weight <= 0:
            continue
        label = labels[targets[at]]
        if sums[label] == 0.0:
            touched[count] = label
            count += 1
        sums[label] += weight
    return count


@helper
def _draw(at: Any, label: Any) -> Any:
    """Return a number that tells between equally heavy labels, another order of them for each node.

    One order for all would let its first label run through the whole graph, for in the beginning all are equally heavy.
    """
    mixed = np.uint64(at) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(label) * np.uint64(0xD1B54A32D192ED03)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(31))


@kernel(
    frozen(NODE, 1), LINKS, LINKS, frozen(WEIGHT, 1), types.int64, filled(NODE, 1), filled(SHARE, 1), filled(NODE, 1),
    filled(types.int64, 1),
)  # fmt: skip
def propagate(
    order: Any, forward: Any, backward: Any, weights: Any, rounds: Any, labels: Any, sums: Any, touched: Any, state: Any
) -> None:
    """Let nodes take labels until none changes any more.

    Args:
        order: (nodes,) int32, who comes when in a round.
        forward: links as they point.
        backward: links against it.
        weights: (types,) float32, what each type counts; 0: nothing.
        rounds: the most rounds.
        labels: (nodes,) int32 from 0 to nodes - 1, changed in place.
        sums: (nodes,) float64, zeros; zeros again afterwards.
        touched: (nodes,) int32, room.
        state: rounds made, and 1 where a node still changed in the last one.

    """
    for turn in range(rounds):
        changed = False
        for at in range(order.shape[0]):
            node = order[at]
            count = _add(forward, weights, node, labels, sums, touched, 0)
            count = _add(backward, weights, node, labels, sums, touched, count)
            most = 0.0
            for place in range(count):
                most = max(most, sums[touched[place]])
            best = labels[node]
            if sums[best] < most * (1.0 - LEAST):
                found = np.uint64(0)
                for place in range(count):
                    drawn = _draw(at, touched[place])
                    if sums[touched[place]] >= most * (1.0 - LEAST) and drawn >= found:
                        best, found = touched[place], drawn
            for place in range(count):
                sums[touched[place]] = 0.0
            if best != labels[node]:
                labels[node] = best
                changed = True
        state[0], state[1] = turn + 1, changed
        if not changed:
            break
