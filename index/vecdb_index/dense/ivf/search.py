"""Searching an inverted file: the nearest lists, the best candidates in them by codes, then exact scores."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense import flat
from vecdb_index.dense.heaps import Heaps
from vecdb_index.dense.ivf.index import Ivf
from vecdb_index.dense.rescoring import best
from vecdb_index.slices import SLICE_WORK, Slice, shared
from vecdb_index.types import Mask, Matrix, Metric, Rows, Scores, TopK

PROBES = 16
"""Lists that a search reads, unless told otherwise."""
RESCORED = 2.0
"""Candidates that are scored exactly, per row asked for."""
RESCORED_LEAST = 20
GROUP = 256
"""Queries that read lists together."""
WIDER = 4
"""A query whose lists hold too few allowed rows reads up to so many times the lists that chance would call for."""

_ALL = np.empty(0, np.uint8)
_LAST = np.uint32(0xFFFFFFFF)


class Found(NamedTuple):
    """Candidates of each query in no order: rows (q, c), how many (q,), and how many allowed rows were read (q,)."""

    rows: Rows
    counts: NDArray[np.int32]
    seen: NDArray[np.int64]


def search(
    index: Ivf,
    matrix: Matrix,
    query: NDArray[np.generic],
    k: int,
    metric: Metric,
    *,
    probes: int = PROBES,
    norms: Scores | None = None,
    allowed: Mask | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> TopK:
    """Return about the k best rows for one query: those in the nearest lists, with the scores that `flat` gives.

    Args:
        index: of this matrix and metric.
        matrix: (n, d), the rows themselves.
        query: (d,).
        k: at least 1.
        metric: that of the index.
        probes: lists to read.
        norms: (n,) float32 for cosine.
        allowed: (n,) bool or uint8; None allows every row. k rows are found whenever k are allowed: more lists are
            read, and where that is not enough, the exact scan takes over.
        pool: threads that help; None: the calling thread alone.

    """
    queries = np.asarray(query)[None]
    (only,) = search_batch(index, matrix, queries, k, metric, probes=probes, norms=norms, allowed=allowed, pool=pool)
    return only


def search_batch(
    index: Ivf,
    matrix: Matrix,
    queries: NDArray[np.generic],
    k: int,
    metric: Metric,
    *,
    probes: int = PROBES,
    norms: Scores | None = None,
    allowed: Mask | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> list[TopK]:
    """Return for each of the (q, d) queries what `search` returns."""
    mask = None if allowed is None else allowed.view(np.uint8)
    matching = len(index) if mask is None else int(np.count_nonzero(mask))
    rescored = max(int(RESCORED * k), RESCORED_LEAST)
    if matching <= rescored or len(queries) == 0:
        return flat.search_batch(matrix, queries, k, metric, allowed=allowed, norms=norms, pool=pool)
    found = candidates(index, queries, rescored, probes, mask, matching, pool)
    results = best(matrix, queries, k, metric, found.rows, found.counts, norms)
    for at in np.flatnonzero(found.seen < rescored).tolist():
        results[at] = flat.search(matrix, queries[at], k, metric, allowed=allowed, norms=norms, pool=pool)
    return results


def candidates(
    index: Ivf,
    queries: NDArray[np.generic],
    size: int,
    probes: int,
    allowed: NDArray[np.uint8] | None,
    matching: int,
    pool: ThreadPoolExecutor | None = None,
) -> Found:
    """Return for each of the (q, d) queries the `size` allowed rows with the best codes in its nearest lists.

    matching is the number of allowed rows. A query reads `probes` lists, and more as long as it has seen fewer than
    `size` allowed rows.
    """
    per_list = matching / index.lists
    likely = math.ceil(size / per_list)
    reach = min(index.lists, max(probes, WIDER * likely))
    nearest = _nearest(index, queries, reach, pool)
    ready, shifts = index.coder.queries(queries)
    heaps, seen = Heaps.empty(len(ready), size), np.zeros(len(ready), np.int64)
    scan = _Scan(index, ready, shifts, _ALL if allowed is None else allowed, heaps, seen)

    def work(todo: Iterator[Slice]) -> None:
        for first, last in todo:
            group = np.arange(first, last, dtype=np.uint32)
            begin, end = 0, min(reach, max(probes, likely))
            while len(group) and begin < reach:
                scan.visit(group, nearest[group, begin:end])
                group = group[seen[group] < size]
                begin, end = end, min(reach, 2 * end)

    todo = [(first, min(first + GROUP, len(ready))) for first in range(0, len(ready), GROUP)]
    shared(work, todo, len(ready) * probes * scan.list_bytes, pool)
    return Found(_LAST - heaps.keys.astype(np.uint32), heaps.states[:, 0].astype(np.int32), seen)


class _Scan(NamedTuple):
    """What a kernel needs to read lists for some queries."""

    index: Ivf
    queries: NDArray[np.int8]
    shifts: NDArray[np.int32]
    allowed: NDArray[np.uint8]
    heaps: Heaps
    seen: NDArray[np.int64]

    @property
    def list_bytes(self) -> int:
        return max(1, self.index.codes.nbytes // self.index.lists)

    def visit(self, group: Rows, lists: Rows) -> None:
        """Read for each query of a group (g,) its lists (g, p); queries with a list in common read it together."""
        from vecdb_index.kernels import ivf as kernels

        members, visited = np.repeat(group, lists.shape[1]), lists.ravel()
        if len(group) > 1:
            by_list = np.argsort(visited, kind="stable")
            members, visited = members[by_list], visited[by_list]
        starts = np.flatnonzero(np.r_[True, visited[1:] != visited[:-1], True])
        visited = visited[starts[:-1]]
        places = np.empty(int(np.diff(self.index.offsets).max()) + 1, np.int64)
        index = self.index
        given = index.codes, index.order, index.offsets, self.queries, self.shifts, index.coder.normed
        step = max(1, SLICE_WORK // (self.list_bytes * len(group)))
        for first in range(0, len(visited), step):
            last = min(first + step, len(visited))
            where = visited, starts, members, self.allowed, first, last
            kernels.scan_codes(*given, *where, places, self.seen, *self.heaps)


def _nearest(index: Ivf, queries: NDArray[np.generic], count: int, pool: ThreadPoolExecutor | None) -> Rows:
    """Return the nearest lists of each query, the nearest first: (q, count)."""
    metric: Metric = "l2" if index.coder.metric == "l2" else "dot"
    found = flat.search_batch(index.centroids, queries.astype(np.float32), count, metric, pool=pool)
    return np.stack([each.rows for each in found])
