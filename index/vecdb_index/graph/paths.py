"""Walks step by step: the best path to each node, and where walkers are after a pattern of links."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vecdb_index.graph.walk import ROOM, Reached, Ways, summed, table_for

FAN_OUT = 200
"""The most links of a node and direction that are followed, unless told otherwise."""


def best_paths(
    ways: Ways,
    seeds: np.ndarray,
    values: np.ndarray,
    *,
    hops: int = 2,
    decay: float = 0.5,
    fan_out: int = FAN_OUT,
    room: int = ROOM,
) -> Reached:
    """Return each node that a path of at most so many links leads to, once, by the best one.

    A path is worth its seed's value, times decay for each link, times the link's weight by that of its type, which
    count as 1 where they are more. Without cuts the answer is exact.

    Args:
        ways: what may be walked.
        seeds: (s,) int32 nodes.
        values: (s,) float64, above 0; of a seed that comes twice the greater counts.
        hops: links of a path, at most.
        decay: in (0, 1].
        fan_out: only the heaviest links of a node are followed, so many in each direction.
        room: the most entries: nodes, and again each time that a longer path to one is better.

    """
    order = np.argsort(-np.asarray(values, np.float64), kind="stable")
    nodes, first = np.unique(np.asarray(seeds, np.int32)[order], return_index=True)
    table, entries, _ = _walked(
        [ways] * hops, nodes, np.asarray(values, np.float64)[order][first], decay, fan_out, True, False, room
    )
    return entries._replace(answer=np.sort(table[table >= 0]).astype(np.int64))  # of several of a node the last is best


def walkers(
    steps: Sequence[Ways],
    seeds: np.ndarray,
    mass: np.ndarray,
    *,
    balanced: bool = True,
    fan_out: int = 1 << 40,
    room: int = ROOM,
) -> Reached:
    """Return where walkers are who start at seeds and take exactly these steps, each over the links that it allows.

    A score is the share of the mass that arrives by any way. Walkers who cannot go on are lost.

    Args:
        steps: what may be walked in each step; graphs and types are the same in all.
        seeds: (s,) int32 nodes.
        mass: (s,) float64, 0 or more.
        balanced: whether they choose the type of a link first, as in `personalised_pagerank`.
        fan_out: only the heaviest links of a node are followed, so many in each direction.
        room: the most nodes, counted again in each step.

    """
    nodes, given = summed(seeds, mass)
    _, entries, last = _walked(steps, nodes, given, 1.0, fan_out, False, balanced, room)
    return entries._replace(answer=np.arange(last, len(entries.nodes)))


def _walked(
    steps: Sequence[Ways],
    nodes: np.ndarray,
    values: np.ndarray,
    decay: float,
    fan_out: int,
    best: bool,
    balanced: bool,
    room: int,
) -> tuple[np.ndarray, Reached, int]:
    """Return the table, all entries, and where the last step's begin."""
    from vecdb_index.kernels.steps import step

    room, first = max(room, len(nodes), 1), steps[0]
    types = len(first.ahead)
    met = (
        *(np.empty(room, np.int32), np.empty(room), np.empty(room)),
        *(np.empty(room, np.int32), np.empty(room, np.int32)),
    )
    table, levels, state = table_for(room), np.zeros(len(steps) + 1, np.int64), np.zeros(3, np.int64)
    step(
        np.ascontiguousarray(nodes, np.int32), np.ascontiguousarray(values, np.float64),
        tuple(first.forward), tuple(first.backward),
        np.array([ways.ahead for ways in steps], np.float32), np.array([ways.behind for ways in steps], np.float32),
        first.open, decay, fan_out, best, balanced, table, met, np.zeros(types, np.float64), levels, state,
    )  # fmt: skip
    count, links, cut = state.tolist()
    node, value, _, parent, via = (array[:count] for array in met)
    entries = Reached(np.empty(0, np.int64), node, value, parent, via, links, 0.0, cut)
    return table, entries, int(levels[-2])
