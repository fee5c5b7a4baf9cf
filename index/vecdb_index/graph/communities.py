"""Groups of nodes that links join more with each other than with the rest."""

from __future__ import annotations

import numpy as np

from vecdb_index.graph.adjacency import Adjacency

ROUNDS = 30
"""The most rounds, unless it is told otherwise."""


def communities(
    forward: Adjacency, backward: Adjacency, weights: np.ndarray, rank: np.ndarray, rounds: int = ROUNDS
) -> np.ndarray:
    """Return the group of each node, (nodes,) int32: a rank.

    By label propagation, see `vecdb_index/kernels/labels.py`. The same links between nodes of the same ranks give the
    same groups, whatever the numbers of the nodes. A node without links is a group of its own.

    Args:
        forward: links as they point.
        backward: the same links against it.
        weights: (types,) float32, what each type counts; 0: nothing.
        rank: (nodes,) int32, each number from 0 on once: nodes take their labels in this order. Of equally heavy labels
            one is drawn by it.
        rounds: the most rounds.

    """
    from vecdb_index.kernels.labels import propagate

    nodes = len(rank)
    labels, order = np.array(rank, np.int32), np.argsort(rank, kind="stable").astype(np.int32)
    sums, touched, state = np.zeros(nodes), np.empty(max(nodes, 1), np.int32), np.zeros(2, np.int64)
    propagate(
        order, tuple(forward), tuple(backward), np.ascontiguousarray(weights, np.float32), rounds, labels, sums,
        touched, state,
    )  # fmt: skip
    return labels
