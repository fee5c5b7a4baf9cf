"""Taking a graph over into another numbering, and mending the lists that lost rows.

A list that lost rows gets others in their place, chosen among those that the row came to by the lost ones (after Singh
et al. 2021, FreshDiskANN, arXiv 2105.09613, algorithm 4). Where a whole region was lost, the lost rows' lost neighbours
are followed too, until enough others are found.

The neighbours that are left stay. To choose the whole list again, as FreshDiskANN does, was measured on clustered rows:
it gives up the long links from the graph's early days, and queries between the clusters lost up to four points of
recall.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.codes import prefetch, similarity
from vecdb_index.kernels.graph import _lift, _square_of, insert, key_of, row_of
from vecdb_index.kernels.jit import filled, frozen, helper, kernel

_CODE, _LINK, _EPOCH, _SIZE, _FLAG = types.uint8, types.int32, types.uint16, types.intp, types.boolean
POOL = 128
"""Nearest candidates that are kept for one row."""
LOST = 256
"""Lost rows whose neighbours are looked at for one row."""


@helper
def _next_epoch(visited: Any) -> Any:
    """Count one more search in the last place of visited; when it runs over, clear all the marks."""
    last = visited.shape[0] - 1
    epoch = np.uint16(visited[last] + np.uint16(1))
    if epoch == 0:
        visited[:last] = 0
        epoch = np.uint16(1)
    visited[last] = epoch
    return epoch


@helper
def _survivors(old: Any, row: Any, place: Any, out: Any) -> Any:
    """Write the new numbers of a row's neighbours that are left, in their order; return how many, and how many were."""
    left = length = 0
    for t in range(old.shape[1]):
        other = old[row, t]
        if other >= old.shape[0]:
            break
        length += 1
        if place[other] >= 0:
            out[left] = place[other]
            left += 1
    return left, length


@helper
def _look(
    codes: Any, old: Any, row: Any, place: Any, visited: Any, epoch: Any, fresh: Any, lost: Any, waiting: Any
) -> Any:
    """Write the neighbours seen for the first time, those left to fresh, the lost behind lost[:waiting]; count both."""
    found = 0
    for t in range(old.shape[1]):
        other = old[row, t]
        if other >= old.shape[0]:
            break
        if visited[other] == epoch:
            continue
        visited[other] = epoch
        if place[other] >= 0:
            fresh[found] = place[other]
            prefetch(codes, place[other])
            found += 1
        elif waiting < lost.shape[0]:
            lost[waiting] = other
            prefetch(old, other)
            waiting += 1
    return found, waiting


@helper
def _refill(codes: Any, normed: Any, base: Any, candidates: Any, count: Any, room: Any, left: Any, out: Any) -> Any:
    """Fill out[left:] by the heuristic, given that out[:left] is chosen; return the length. As _choose, which see."""
    kept = left
    for a in range(count):
        if kept == out.shape[0]:
            return kept
        row = row_of(candidates[a])
        own = np.int32(candidates[a] >> np.int64(32))
        own = np.int32(own + np.int32(_square_of(codes, row, normed) - _square_of(codes, base, normed)))
        shift = _lift(codes, row, normed, room, 1)
        good = True
        for b in range(kept):
            if similarity(codes, out[b], room, 1, shift, normed) > own:
                good = False
                break
        if good:
            out[kept] = row
            candidates[a] |= np.int64(1)
            kept += 1
    for a in range(count):
        if kept == out.shape[0]:
            break
        if candidates[a] & np.int64(1) == 0:
            out[kept] = row_of(candidates[a])
            kept += 1
    return kept


@kernel(
    frozen(_CODE, 2),
    frozen(_LINK, 2),
    _FLAG,
    frozen(_LINK, 1),
    frozen(_LINK, 1),
    _SIZE,
    _SIZE,
    filled(_EPOCH, 1),
    filled(_LINK, 2),
    filled(_LINK, 1),
)
def take_over(
    codes: Any,
    old: Any,
    normed: Any,
    rows: Any,
    place: Any,
    first: Any,
    last: Any,
    visited: Any,
    links: Any,
    degrees: Any,
) -> None:
    """Write the lists of the old rows rows[first:last] to links and degrees, under their new numbers.

    codes, links and degrees are in the new numbering, of all rows; old (o, w) links are in the old one, and as wide as
    links, whose lists are empty before. place (o,) is the new number of each old row, -1 for a lost one. visited
    (o + 1,) starts as zeros and belongs to one thread. A list does not become longer than it was.
    """
    width = links.shape[1]
    room = np.empty((2, codes.shape[1]), np.int8)
    keys, fresh, lost = np.empty(POOL, np.int64), np.empty(width, np.int32), np.empty(LOST, np.int32)
    for at in range(first, last):
        row = rows[at]
        base = place[row]
        left, length = _survivors(old, row, place, links[base])
        if left < length:
            epoch = _next_epoch(visited)
            visited[row] = epoch
            shift = _lift(codes, base, normed, room, 0)
            _, near = _look(codes, old, row, place, visited, epoch, fresh, lost, 0)
            waiting, size, after = near, 0, 0
            while after < near or (after < waiting and left + size < length):
                found, waiting = _look(codes, old, lost[after], place, visited, epoch, fresh, lost, waiting)
                for t in range(found):
                    key = key_of(similarity(codes, fresh[t], room, 0, shift, normed), fresh[t])
                    if size < POOL or key > keys[size - 1]:
                        insert(keys, size, key)
                        size = min(size + 1, POOL)
                after += 1
            left = _refill(codes, normed, base, keys, size, room, left, links[base, :length])
        degrees[base] = left
