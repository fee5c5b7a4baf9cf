"""Growing the forest of links that leads to every row.

parent (n,) int32 is the forest: the row whose link leads to this one, the row itself where a search starts, -1 for a
row that is not reached yet. A row's links to its children are never replaced, all its others may be: they lead to rows
that are reached by another way.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel

_LINK, _SIZE, _FLAG = types.int32, types.intp, types.boolean
NO_HOST, ANY_HOST, WANTS_HOST = -1, -2, -3
"""What stands in the place of a host: the row stays lost; it is taken for hung; it was."""


@helper
def _spread(links: Any, parent: Any, row: Any, queue: Any, tail: Any) -> Any:
    """Reach the neighbours of a row that nothing led to before; put them behind queue[:tail], return the new tail."""
    for t in range(links.shape[1]):
        other = links[row, t]
        if other >= links.shape[0]:
            break
        if parent[other] < 0:
            parent[other] = row
            queue[tail] = other
            tail += 1
    return tail


@helper
def _first_reached(links: Any, parent: Any, row: Any) -> Any:
    for t in range(links.shape[1]):
        other = links[row, t]
        if other >= links.shape[0]:
            break
        if parent[other] >= 0:
            return other
    return np.int32(-1)


@helper
def _spare(links: Any, parent: Any, host: Any) -> Any:
    """Return a place in a row's list that is free, or else the last that no child needs; -1 if there is none."""
    for t in range(links.shape[1]):
        if links[host, t] >= links.shape[0]:
            return t
    for t in range(links.shape[1] - 1, -1, -1):
        if parent[links[host, t]] != host:
            return t
    return -1


@helper
def _hang(links: Any, parent: Any, below: Any, row: Any, host: Any) -> None:
    """Link a row from its host, or from a row below it in the forest: one without children is never full.

    A full row stays full, so `below` may remember for each where the search for room went on, as in union-find.
    """
    first = host
    at = _spare(links, parent, host)
    while at < 0:
        if below[host] < 0:
            below[host] = links[host, links.shape[1] - 1]
        host = below[host]
        at = _spare(links, parent, host)
    while first != host:
        after = below[first]
        below[first] = host
        first = after
    links[host, at] = row
    parent[row] = host


@kernel(
    filled(_LINK, 2),
    filled(_LINK, 1),
    filled(_LINK, 1),
    filled(_LINK, 1),
    frozen(_LINK, 1),
    filled(_LINK, 1),
    filled(_SIZE, 1),
    _SIZE,
    _FLAG,
)
def grow(
    links: Any, parent: Any, below: Any, queue: Any, lost: Any, hosts: Any, state: Any, steps: Any, write: Any
) -> None:
    """Reach what links lead to from queue, then hang lost rows one by one, each with all that it leads to.

    A lost row is hung on the first of its own neighbours that is reached, else on its host in hosts. Stops after so
    many steps, to be called again with the same arrays: state is [head of the queue, its tail, next lost row], and all
    is done when head has come to tail and the last to len(lost). Without `write`, links stay as they are, and ANY_HOST
    becomes WANTS_HOST where a row would have needed one.
    """
    head, tail, at = state[0], state[1], state[2]
    for _ in range(steps):
        if head < tail:
            tail = _spread(links, parent, queue[head], queue, tail)
            head += 1
            continue
        if at == lost.shape[0]:
            break
        row = lost[at]
        if parent[row] < 0:
            host = _first_reached(links, parent, row)
            if host < 0:
                host = hosts[at]
            if host == ANY_HOST:
                hosts[at] = WANTS_HOST
                host = row
            if host >= 0:
                if write:
                    _hang(links, parent, below, row, host)
                else:
                    parent[row] = host
                queue[tail] = row
                tail += 1
        at += 1
    state[0], state[1], state[2] = head, tail, at
