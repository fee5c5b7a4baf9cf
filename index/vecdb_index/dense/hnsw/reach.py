"""Which rows a search can come to, and making it all of them.

The heuristic keeps the links that lead in different directions; a row that lies far out may end with links of its own
but none towards it. Such a row is linked from one of the rows that it links to. Rows that only link to each other, such
as many equal ones, are an island: one of them is linked from the row that a search for it finds.

It always succeeds, because a link that is not part of the forest (kernels/reach.py) can be replaced without losing what
it led to, and a row without children in the forest has no others.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Links = NDArray[np.int32]
Nearest = Callable[[NDArray[np.int32]], NDArray[np.int32]]

SWEEPS = 8
"""Times that lost rows are gone through for some that link to a reached one, before any is taken for an island's."""
STEPS = 1 << 15
"""Rows of one call of the kernel: about ten milliseconds."""


def reachable(links: Links, entries: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which rows links lead to from the entry rows: (n,) bool. (n, m) links as in Graph."""
    count = len(links)
    seen = np.zeros(count + 1, bool)
    front = entries
    seen[front] = seen[count] = True
    while len(front):
        targets = links[front].ravel()
        targets = targets[~seen[targets]]
        seen[targets] = True
        front = np.unique(targets)
    return seen[:count]


def connect(links: Links, entries: NDArray[np.int32], nearest: Nearest | None = None) -> int:
    """Add or replace links until every row is reachable; return how many rows were not.

    Costs about one look at every link, and one search per island.

    Args:
        links: (n, m), m at least 1, as in Graph.
        entries: at least one.
        nearest: returns for each of some lost rows a row near it that is reachable; None: any will do.

    """
    forest = _Forest(links, entries)
    first = lost = forest.lost()
    for _ in range(SWEEPS):
        if len(lost) == 0:
            return len(first)
        before, lost = lost, forest.hang(lost)
        if len(lost) == len(before):
            break
    if len(lost):
        hosts = forest.wanted(lost)
        islands = np.flatnonzero(hosts >= 0)
        if nearest is not None:
            hosts[islands] = nearest(lost[islands])
        forest.hang(lost, hosts)
    return len(first)


class _Forest:
    def __init__(self, links: Links, entries: NDArray[np.int32]) -> None:
        self.links, self.entries = links, np.unique(entries)
        self.parent = np.full(len(links), -1, np.int32)
        self.below = np.full(len(links), -1, np.int32)
        self.queue = np.empty(len(links), np.int32)
        self.parent[self.entries] = self.queue[: len(self.entries)] = self.entries
        self.reached = len(self.entries)
        nothing = np.empty(0, np.int32)
        self._grow(self.parent, nothing, nothing.copy(), 0, write=True)

    def lost(self) -> NDArray[np.int32]:
        """Return the rows that are not reached."""
        return np.flatnonzero(self.parent < 0).astype(np.int32)

    def hang(self, lost: NDArray[np.int32], hosts: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
        """Hang those of the lost rows that link to a reached one, and those that have a host; return the others."""
        from vecdb_index.kernels.reach import NO_HOST

        hosts = np.full(len(lost), NO_HOST, np.int32) if hosts is None else hosts
        self._grow(self.parent, lost, hosts, self.reached, write=True)
        return self.lost()

    def wanted(self, lost: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return a host, any entry, for each lost row that will need one when they are hung in this order; else -1."""
        from vecdb_index.kernels.reach import ANY_HOST, NO_HOST, WANTS_HOST

        hosts, reached = np.full(len(lost), ANY_HOST, np.int32), self.reached
        self._grow(self.parent.copy(), lost, hosts, reached, write=False)
        self.reached = reached
        wants = hosts == WANTS_HOST
        hosts[:] = NO_HOST
        hosts[wants] = np.resize(self.entries, np.count_nonzero(wants))
        return hosts

    def _grow(
        self, parent: NDArray[np.int32], lost: NDArray[np.int32], hosts: NDArray[np.int32], head: int, *, write: bool
    ) -> None:
        from vecdb_index.kernels.reach import grow

        state = np.array([head, self.reached, 0], np.intp)
        while state[0] < state[1] or state[2] < len(lost):
            grow(self.links, parent, self.below, self.queue, lost, hosts, state, STEPS, write)
        self.reached = int(state[1])
