"""Walking a graph over 8-bit or packed codes, and making its links over 8-bit ones.

A candidate is one int64 key: similarity << 32 | row << 1 | expanded. Larger keys are nearer, so one sorted array is the
beam, the result and the list of what is still to be expanded. `links` is (n, m) int32; a list that is shorter ends with
n, the number of rows. A search starts from `entries`, a random sample of the rows. It marks the rows that it has seen
in `visited`, uint32, a bit each.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.codes import NORM_BYTES, norm_at_end, prefetch
from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.memory import make_room
from vecdb_index.kernels.packed import similarity

_CODE, _LINK, _WORD = types.uint8, types.int32, types.uint32
_SIZE, _FLAG = types.intp, types.boolean
LOW = np.int64(0xFFFFFFFF)
BEAM_ROOM = 4
LOOK = 8
"""A walk for rows that a filter wants counts them anew after so many steps."""


@helper
def row_of(key: Any) -> Any:
    """Return the row of a key."""
    return (key & LOW) >> np.int64(1)


@helper
def key_of(sim: Any, row: Any) -> Any:
    """Return the key of a row that is not expanded yet."""
    return (np.int64(sim) << np.int64(32)) | (np.int64(row) << np.int64(1))


@helper
def _unseen(visited: Any, row: Any) -> Any:
    """Mark a row; return 1 if it was not marked before, else 0."""
    word, bit = visited[row >> 5], np.uint32(1) << np.uint32(row & 31)
    visited[row >> 5] = word | bit
    return np.intp((word & bit) == 0)


@helper
def insert(keys: Any, size: Any, key: Any) -> Any:
    """Put a key into its place among keys[:size], best first; the last falls off when full. Return the place."""
    last = size if size < keys.shape[0] else keys.shape[0] - 1
    at, end = 0, last
    while at < end:
        middle = (at + end) >> 1
        if keys[middle] > key:
            at = middle + 1
        else:
            end = middle
    make_room(keys, at, last - at)
    keys[at] = key
    return at


@helper
def _neighbours(codes: Any, links: Any, node: Any, allowed: Any, visited: Any, fresh: Any, failing: Any) -> Any:
    """Mark the neighbours of a node that are seen for the first time, and ask for their codes; return how many.

    With a filter, the neighbours of those that it refuses are looked at in their place, until fresh is full.
    """
    found = failed = 0
    if allowed.shape[0] == 0:
        for t in range(links.shape[1]):
            row = links[node, t]
            if row >= codes.shape[0]:
                break
            fresh[found] = row  # no branch: whether a row was seen before is anybody's guess, the processor's too
            found += _unseen(visited, row)
        for f in range(found):
            prefetch(codes, fresh[f])
        return found
    for t in range(links.shape[1]):
        row = links[node, t]
        if row >= codes.shape[0]:
            break
        if _unseen(visited, row):
            if allowed[row] != 0:
                fresh[found] = row
                found += 1
                prefetch(codes, row)
            else:
                failing[failed] = row
                failed += 1
                prefetch(links, row)
    for f in range(failed):
        found = _two_hops(codes, links, failing[f], allowed, visited, fresh, found)
    return found


@helper
def _two_hops(codes: Any, links: Any, node: Any, allowed: Any, visited: Any, fresh: Any, found: Any) -> Any:
    """Add the allowed neighbours of a row that is not allowed itself to fresh; return how many it has now.

    (ACORN-1: Patel et al. 2024, arXiv 2403.04871, on a graph that is made as ever.)
    """
    for t in range(links.shape[1]):
        row = links[node, t]
        if row >= codes.shape[0] or found == fresh.shape[0]:
            break
        if allowed[row] != 0 and _unseen(visited, row):
            fresh[found] = row
            found += 1
            prefetch(codes, row)
    return found


@helper
def _start(codes: Any, queries: Any, query: Any, shift: Any, normed: Any, entries: Any, visited: Any, keys: Any) -> Any:
    """Take all marks away and put the entries into the beam; return how many there are."""
    visited[: (codes.shape[0] >> 5) + 1] = 0
    size = 0
    for t in range(entries.shape[0]):
        prefetch(codes, entries[t])
    for t in range(entries.shape[0]):
        _unseen(visited, entries[t])
        key = key_of(similarity(codes, entries[t], queries, query, shift, normed), entries[t])
        if size < keys.shape[0] or key > keys[size - 1]:
            insert(keys, size, key)
            size = min(size + 1, keys.shape[0])
    return size


@helper
def count_of(keys: Any, size: Any, wanted: Any) -> Any:
    """Return how many of the rows of keys[:size] are wanted."""
    found = 0
    for at in range(size):
        found += np.intp(wanted[row_of(keys[at])] != 0)
    return found


@helper
def _next(keys: Any, size: Any, at: Any) -> Any:
    """Return the place of the best key from `at` on that is not expanded, or size."""
    while at < size and keys[at] & np.int64(1):
        at += 1
    return at


@helper
def _is_beyond(keys: Any, size: Any, key: Any, stretch: Any, nearest: Any, base: Any, blur: Any) -> Any:
    """Whether a key is farther than `stretch` times the distance of the row in the place `nearest` of keys[:size]."""
    if size <= nearest or key >= keys[nearest]:
        return False
    least = base - np.float64(keys[nearest] >> np.int64(32))
    return base - np.float64(key >> np.int64(32)) > stretch * max(least, 0.0) + blur


@helper
def beam(
    codes: Any,
    links: Any,
    queries: Any,
    query: Any,
    shift: Any,
    normed: Any,
    entries: Any,
    allowed: Any,
    visited: Any,
    keys: Any,
    wanted: Any,
    enough: Any,
    room: Any,
    stretch: Any,
    nearest: Any,
    base: Any,
    blur: Any,
) -> Any:
    """Fill keys, best first; return how many, and how many codes were read.

    Empty `allowed` allows all rows; else every entry must be allowed. Where `wanted` (n,) is not empty, the walk ends
    once the neighbours of `enough` of the wanted rows were looked at, those nearer than any row left to expand. room is
    (BEAM_ROOM, m) int32.

    Where stretch is not 0, rows farther than that many times the squared distance of the row in the place `nearest`,
    and by more than blur, are neither kept nor expanded (Al-Jazzazi et al. 2025, arXiv 2505.15636, with a bound on how
    many are kept): base less a similarity is such a distance.
    """
    ef = keys.shape[0]
    fresh, asked, failing, sims = room[0], room[1], room[2], room[3]
    size = _start(codes, queries, query, shift, normed, entries, visited, keys)
    at = waiting = 0
    reads = np.int64(entries.shape[0])
    while True:
        at = _next(keys, size, at)
        found = 0
        if at < size and not (stretch > 0 and _is_beyond(keys, size, keys[at], stretch, nearest, base, blur)):
            keys[at] |= np.int64(1)
            found = _neighbours(codes, links, row_of(keys[at]), allowed, visited, fresh, failing)
            after = _next(keys, size, at)
            if after < size:
                prefetch(links, row_of(keys[after]))
        elif waiting == 0:
            break
        for t in range(waiting):
            sims[t] = similarity(codes, asked[t], queries, query, shift, normed)
        reads += waiting
        for t in range(waiting):
            key = key_of(sims[t], asked[t])
            if size < ef or key > keys[ef - 1]:
                if stretch > 0 and _is_beyond(keys, size, key, stretch, nearest, base, blur):
                    continue
                at = min(at, insert(keys, size, key))
                size = min(size + 1, ef)
        fresh, asked, waiting = asked, fresh, found
        if wanted.shape[0] > 0 and at >= enough and at % LOOK == 0 and count_of(keys, at, wanted) >= enough:
            break
    return size, reads


@helper
def _lift(codes: Any, row: Any, normed: Any, room: Any, place: Any) -> Any:
    """Write a row to room[place] as a query; return its shift."""
    end = codes.shape[1] - (NORM_BYTES if normed else 0)
    total = np.int32(0)
    for j in range(end):
        number = np.int8(codes[row, j] ^ np.uint8(128))
        room[place, j] = number
        total = np.int32(total + np.int32(number))
    for j in range(end, codes.shape[1]):
        room[place, j] = np.int8(0)
    return np.int32(total * np.int32(128))


@helper
def _square_of(codes: Any, row: Any, normed: Any) -> Any:
    return norm_at_end(codes, row) if normed else np.int32(0)


@helper
def _choose(codes: Any, normed: Any, base: Any, candidates: Any, count: Any, room: Any, out: Any) -> Any:
    """HNSW's heuristic (Malkov, Yashunin, algorithm 4): keep a row iff it is nearer to the base than to each kept one.

    What room is left goes to the nearest of the others (keepPrunedConnections): without these, many rows of uneven
    length lose the last link towards them. candidates[:count] are keys, best first; those that are kept are marked.
    """
    kept = 0
    for a in range(count):
        if kept == out.shape[0]:
            return kept
        candidates[a] &= ~np.int64(1)
        row = row_of(candidates[a])
        # With norms, a similarity is the query's square less the distance: the base's here, the row's below.
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
    _SIZE,
    _SIZE,
    _SIZE,
    _SIZE,
    _SIZE,
    filled(_WORD, 1),
    filled(_LINK, 2),
    filled(_LINK, 1),
)
def find_links(
    codes: Any,
    links: Any,
    normed: Any,
    order: Any,
    entries: Any,
    ef: Any,
    base: Any,
    first: Any,
    last: Any,
    visited: Any,
    chosen: Any,
    counts: Any,
) -> None:
    """Choose the forward links of order[first:last] in the graph of the rows order[:base], which stays as it is.

    The row at position p of the order gets chosen[p - base] and counts[p - base]. A search starts from the first
    `entries` rows of the order. visited has a bit for each row at least, and belongs to one thread.
    """
    keys, room = np.empty(ef, np.int64), np.empty((2, codes.shape[1]), np.int8)
    start, every = order[: min(entries, base)], np.empty(0, np.uint8)
    beam_room = np.empty((BEAM_ROOM, links.shape[1]), np.int32)
    for at in range(first, last):
        shift = _lift(codes, order[at], normed, room, 0)
        size, _ = beam(
            codes, links, room, 0, shift, normed, start, every, visited, keys, every, 0, beam_room, 0.0, 0, 0.0, 0.0
        )
        counts[at - base] = _choose(codes, normed, order[at], keys, size, room, chosen[at - base])


@kernel(
    frozen(_CODE, 2),
    filled(_LINK, 2),
    filled(_LINK, 1),
    _FLAG,
    frozen(_LINK, 1),
    frozen(_LINK, 1),
    frozen(_SIZE, 1),
    _SIZE,
    _SIZE,
)
def link_back(
    codes: Any,
    links: Any,
    degrees: Any,
    normed: Any,
    targets: Any,
    sources: Any,
    starts: Any,
    first: Any,
    last: Any,
) -> None:
    """Give each target its reverse links: group g is sources[starts[g]:starts[g + 1]], for targets[starts[g]].

    A list that overflows is chosen again from all its rows. Groups have different targets, so they may run in parallel.
    """
    n, width = codes.shape[0], links.shape[1]
    room = np.empty((2, codes.shape[1]), np.int8)
    for group in range(first, last):
        start, stop = starts[group], starts[group + 1]
        target = targets[start]
        degree = degrees[target]
        total = degree + stop - start
        if total <= width:
            for t in range(start, stop):
                links[target, degree + t - start] = sources[t]
            degrees[target] = total
            continue
        keys = np.empty(total, np.int64)
        shift = _lift(codes, target, normed, room, 0)
        for t in range(total):
            row = links[target, t] if t < degree else sources[start + t - degree]
            key = key_of(similarity(codes, row, room, 0, shift, normed), row)
            at = t
            while at > 0 and keys[at - 1] < key:
                keys[at] = keys[at - 1]
                at -= 1
            keys[at] = key
        kept = _choose(codes, normed, target, keys, total, room, links[target])
        for t in range(kept, width):
            links[target, t] = n
        degrees[target] = kept
