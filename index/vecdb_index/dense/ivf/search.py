"""Searching an inverted file: the nearest lists, the best candidates in them by codes, then exact scores."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense import flat
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.heaps import Heaps
from vecdb_index.dense.ivf.codings.coding import Scan
from vecdb_index.dense.ivf.index import PROBES, Ivf
from vecdb_index.dense.rescoring import FILTERED_SHARE, Asked, Gathered, Rescored, deepened, scanned
from vecdb_index.slices import SLICE_WORK, Slice, shared
from vecdb_index.types import Mask, Matrix, Metric, Rows, Scores, TopK

ENOUGH = 0.85
"""Of the allowed rows that chance would put into the lists to be read, the share that lets a filtered query stop.
With no more than the candidates asked for, a filter that allows the farthest fifth found .16 of the ten nearest."""
WIDER = 4
"""A query whose lists hold too few allowed rows reads up to so many times the lists that chance would call for."""
_ALL = np.empty(0, np.uint8)
_LAST = np.uint32(0xFFFFFFFF)


def search(
    index: Ivf,
    matrix: Matrix,
    query: NDArray[np.generic],
    k: int,
    metric: Metric,
    *,
    probes: int = PROBES,
    norms: Scores | None = None,
    allowed: Mask | Allowed | None = None,
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
    allowed: Mask | Allowed | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> list[TopK]:
    """Return for each of the (q, d) queries what `search` returns."""
    asked = Asked(matrix, queries, k, metric, norms, Allowed.of(allowed), pool)
    return answered(index, asked, probes).found


def answered(index: Ivf, asked: Asked, probes: int) -> Rescored:
    """Return what `search_batch` returns, and what it took."""
    queries, allowed = asked.queries, asked.allowed
    mask, matching = (None, len(index)) if allowed is None else (allowed.mask, allowed.count)
    size = max(int(index.coding.rescored * asked.k), index.coding.rescored_least)
    if matching <= size:
        return scanned(asked)
    # Without a filter lists hold so many rows, and all of them may be scored. With one, a scan is soon as quick.
    most = matching / FILTERED_SHARE if mask is not None else matching * min(1.0, probes / index.lists)

    def gather(some: NDArray[np.intp], size: int) -> Gathered:
        return candidates(index, queries[some], size, probes, mask, matching, asked.pool)

    return deepened(gather, asked, size, int(most))


def candidates(
    index: Ivf,
    queries: NDArray[np.generic],
    size: int,
    probes: int,
    allowed: NDArray[np.uint8] | None,
    matching: int,
    pool: ThreadPoolExecutor | None = None,
) -> Gathered:
    """Return for each of the (q, d) queries the `size` allowed rows with the best codes in its nearest lists.

    matching is the number of allowed rows. A query reads `probes` lists, and more as long as it has seen fewer than
    `size` allowed rows, or many fewer than chance would have it: then the allowed rows lie away from the query. If
    they do not come up either, or if the codes are too coarse for rows that are all far, its candidates are poor.
    """
    per_list = matching / index.lists
    least = math.ceil(size / per_list)
    likely = max(min(probes, index.lists), least)
    usual = 0 if allowed is None else int(ENOUGH * likely * per_list)
    wanted = max(size, usual)
    reach = min(index.lists, max(likely, WIDER * (least if allowed is None else likely)))
    nearest = _nearest(index, queries, reach, pool)
    heaps, seen = Heaps.empty(len(queries), size), np.zeros(len(queries), np.int64)
    poor, mask = np.zeros(len(queries), bool), _ALL if allowed is None else allowed

    def work(todo: Iterator[Slice]) -> None:
        for first, last in todo:
            part = slice(first, last)
            scan = index.coding.scan(queries[part])
            out = seen[part], heaps.keys[part], heaps.states[part]
            group, begin, end = np.arange(last - first), 0, min(reach, likely)
            while len(group) and begin < reach:
                _read(index, scan, group.astype(np.uint32), nearest[part][group, begin:end], mask, out)
                if index.coding.coarse and begin == 0:
                    poor[part] = seen[part] < usual
                group = group[seen[part][group] < wanted]
                begin, end = end, min(reach, 2 * end)
            # Where an estimate was no number, a heap is not full although enough rows were seen.
            poor[part] |= (seen[part] < wanted) | (heaps.states[part, 0] < size)

    step = index.coding.group
    todo = [(first, min(first + step, len(queries))) for first in range(0, len(queries), step)]
    shared(work, todo, len(queries) * likely * index.list_bytes, pool)
    best_first = np.sort(heaps.keys, axis=1)[:, ::-1]  # places that were never filled come last
    return Gathered(
        _LAST - best_first.astype(np.uint32), heaps.states[:, 0].astype(np.int32), poor, seen.astype(np.int32)
    )


def _read(
    index: Ivf, scan: Scan, group: Rows, lists: Rows, allowed: NDArray[np.uint8], out: tuple[NDArray[Any], ...]
) -> None:
    """Read for each query of a group (g,) its lists (g, p); queries with a list in common read it together."""
    visited = lists.ravel()
    if len(group) == 1:
        members, starts = np.repeat(group, len(visited)), np.arange(len(visited) + 1)
    else:
        by_list = np.argsort(visited, kind="stable")
        members, visited = np.repeat(group, lists.shape[1])[by_list], visited[by_list]
        starts = np.flatnonzero(np.r_[True, visited[1:] != visited[:-1], True])
        visited = visited[starts[:-1]]
    places = np.empty(index.longest + 1, np.int64)
    step = max(1, SLICE_WORK // (index.list_bytes * len(group)))
    for first in range(0, len(visited), step):
        last = min(first + step, len(visited))
        scan(visited, starts, members, index.order, index.offsets, allowed, first, last, places, *out)


def _nearest(index: Ivf, queries: NDArray[np.generic], count: int, pool: ThreadPoolExecutor | None) -> Rows:
    """Return the nearest lists of each query, the nearest first: (q, count)."""
    metric: Metric = "l2" if index.metric == "l2" else "dot"
    found = flat.search_batch(index.centroids, queries.astype(np.float32), count, metric, pool=pool)
    return np.stack([each.rows for each in found])
