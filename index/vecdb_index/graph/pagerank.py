"""Personalised PageRank from seeds, by forward push; vecdb_index/kernels/push.py has the algorithm and its source."""

from __future__ import annotations

import numpy as np

from vecdb_index.graph.walk import ROOM, Reached, Ways, summed, table_for

FOREVER = 1 << 29
"""More hops than a push goes."""


def personalised_pagerank(
    ways: Ways,
    seeds: np.ndarray,
    mass: np.ndarray,
    *,
    damping: float = 0.5,
    epsilon: float = 1e-4,
    hub: float = 0.0,
    balanced: bool = False,
    hops: int | None = None,
    room: int = ROOM,
) -> Reached:
    """Return the nodes where walkers are who start at seeds, go on with probability `damping`, and else begin again.

    Scores are never above the true ones, x = (1 - damping) p + damping P'x with p the mass, and below them by at most
    `unknown` in sum over all nodes. The time does not depend on the size of the graph: at most mass / (1 - damping) /
    epsilon links are read.

    Args:
        ways: what may be walked.
        seeds: (s,) int32 nodes.
        mass: (s,) float64, 0 or more; usually their sum is 1.
        damping: in [0, 1).
        epsilon: above 0; how much mass for each of its links a node may keep back.
        hub: how much nodes of many links are avoided: a link counts by its target's number of links to the power -hub.
        balanced: whether walkers choose a kind of link first (type and direction, by the weights of the ways), then one
            of them by its own weight; else all at once by the product.
        hops: no further away from the seeds; None: as far as mass comes.
        room: the most nodes to meet.

    """
    from vecdb_index.kernels.push import push

    nodes, given = summed(seeds, mass)
    room = max(room, len(nodes), 1)
    node, counts, values = np.empty(room, np.int32), np.empty((room, 5), np.int32), np.empty((room, 4))
    state = np.zeros(3, np.int64)
    ahead, behind = ways.used()
    sums = np.zeros(2 * len(ways.ahead), np.float64)
    push(
        nodes, given, tuple(ways.forward), tuple(ways.backward), ahead, behind, ways.open,
        damping, epsilon, hub, balanced, FOREVER if hops is None else hops,
        table_for(room), node, counts, values, np.empty(room, np.int32), sums, state,
    )  # fmt: skip
    count, links, cut = state.tolist()
    estimate, residual = values[:count, 0], values[:count, 1]
    # Of what waits at a node a share of 1 - damping stays there for certain.
    scores = estimate + (1.0 - damping) * residual
    unknown = damping * float(residual.sum())
    return Reached(
        np.arange(count), node[:count], scores, counts[:count, 1].copy(), counts[:count, 2].copy(), links, unknown, cut
    )
