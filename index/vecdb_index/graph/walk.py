"""What a walk may use of a graph, and what it met: shared by PageRank and by walks step by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from vecdb_index.graph.adjacency import Adjacency

NODE_BYTES = 80
"""What a node that a walk may meet takes, at most."""
ROOM = 1 << 16
"""The most nodes that a walk meets, unless it is told otherwise."""


class Ways(NamedTuple):
    """The links that may be walked.

    Attributes:
        forward: links as they point.
        backward: the same links against it.
        ahead: (types,) float32, 0 or more: what each type counts as it points. 0: it is not walked.
        behind: the same against it.
        open: (nodes,) uint8, which nodes may be walked through; empty: all.

    """

    forward: Adjacency
    backward: Adjacency
    ahead: np.ndarray
    behind: np.ndarray
    open: np.ndarray = np.empty(0, np.uint8)

    def used(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights, those of a direction in which nothing is walked as an empty array."""
        nothing = np.empty(0, np.float32)
        return (self.ahead if self.ahead.any() else nothing), (self.behind if self.behind.any() else nothing)


class Steps(NamedTuple):
    """Paths as columns: the steps of all of them, one path behind the other, each from its seed on.

    Attributes:
        lengths: how many steps each path has, the seed among them.
        nodes: what each step leads to.
        types: the type of the link that each step follows, -1 for seeds.
        ahead: whether it is walked as it points; True for seeds.

    """

    lengths: list[int]
    nodes: list[int]
    types: list[int]
    ahead: list[bool]


class Reached(NamedTuple):
    """What a walk came to, in the order of coming; seeds are the first.

    Attributes:
        answer: (a,) int64, the places here of the answer: each node once. Other entries are where paths come through.
        nodes: (n,) int32.
        scores: (n,) float64.
        parents: (n,) int32, the place here of the node from which most came at once; -1 for seeds.
        via: (n,) int32, the type of the link from there; below 0: against its direction, -1 - type.
        links: how many were read.
        unknown: how much mass is not told of; the scores are too low by so much in sum, at most.
        cut: how many nodes were not walked on from for want of room.

    """

    answer: np.ndarray
    nodes: np.ndarray
    scores: np.ndarray
    parents: np.ndarray
    via: np.ndarray
    links: int
    unknown: float
    cut: int

    def steps(self, places: Iterable[int]) -> Steps:
        """Return the ways from seeds to what is at some places; none to a place below 0."""
        found = Steps([], [], [], [])
        # One entry after the other is read fastest through a memoryview.
        nodes, parents, vias = self.nodes.data, self.parents.data, self.via.data
        for place in places:
            way = []
            while place >= 0:
                way.append(place)
                place = parents[place]
            way.reverse()
            found.lengths.append(len(way))
            for at in way:
                via = vias[at]
                seed = at == way[0]
                found.nodes.append(nodes[at])
                found.types.append(-1 if seed else via if via >= 0 else -1 - via)
                found.ahead.append(seed or via >= 0)
        return found


def summed(nodes: Sequence[int] | np.ndarray, mass: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return seeds, each once, with what they have together; those without mass are left out."""
    given = np.asarray(mass, np.float64)
    seeds, where = np.unique(np.asarray(nodes, np.int32), return_inverse=True)
    total = np.bincount(where, given, len(seeds)) if len(seeds) else np.empty(0)
    kept = total > 0
    return np.ascontiguousarray(seeds[kept], np.int32), np.ascontiguousarray(total[kept], np.float64)


def table_for(room: int) -> np.ndarray:
    """Return an empty table for so many nodes."""
    return np.full(1 << max(4, int(2 * room - 1).bit_length()), -1, np.int32)
