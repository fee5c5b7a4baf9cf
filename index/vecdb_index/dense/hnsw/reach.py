"""Which rows a search can come to, and making it all of them.

The heuristic keeps the links that lead in different directions; a row that lies far out may end with links of its own
but none towards it. Such a row is linked from one of the rows that it links to, where there is room.
"""

import numpy as np
from numpy.typing import NDArray

Links = NDArray[np.int32]
ROUNDS = 8


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


def connect(links: Links, entries: NDArray[np.int32]) -> int:
    """Add or replace links until every row is reachable; return how many could not be made so.

    A lost row gets a link from the nearest reachable row that it links to. Where that one's list is full, a row
    that was hung on it before takes the link, or the last of its links that leads to a row with others gives way.
    That may still cut off another, hence some rounds.
    """
    count, width = links.shape
    for _ in range(ROUNDS):
        seen = reachable(links, entries)
        lost = np.flatnonzero(~seen)
        if len(lost) == 0:
            return 0
        degrees = (links < count).sum(axis=1)
        incoming = np.bincount(links.ravel(), minlength=count + 1)
        hung: dict[int, int] = {}
        for row in lost.tolist():
            own = links[row, : degrees[row]]
            near = own[seen[own]]
            if len(near) == 0:
                continue
            hub = int(near[0])
            host = next((place for place in (hub, hung.get(hub, hub)) if degrees[place] < width), hub)
            at = int(degrees[host])
            if at == width:
                spare = np.flatnonzero(incoming[links[host]] > 1)
                at = int(spare[-1]) if len(spare) else width - 1
                incoming[links[host, at]] -= 1
            else:
                degrees[host] += 1
            links[host, at] = row
            incoming[row] += 1
            seen[row] = True
            hung[hub] = row
    return int((~reachable(links, entries)).sum())
