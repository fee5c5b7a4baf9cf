"""Searching an inverted file: the nearest lists, the best candidates in them by codes, then exact scores."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense import flat
from vecdb_index.dense.heaps import Heaps
from vecdb_index.dense.ivf.codings.coding import Scan
from vecdb_index.dense.ivf.index import PROBES, Ivf
from vecdb_index.dense.rescoring import best
from vecdb_index.slices import SLICE_WORK, Slice, shared
from vecdb_index.types import Mask, Matrix, Metric, Rows, Scores, TopK

ENOUGH = 0.7
"""Of the allowed rows that chance would put into the lists to be read, the share that lets a filtered query stop.
With no more than the candidates asked for, a filter that allows the farthest fifth found .16 of the ten nearest."""
FILTERED, FILTERED_LEAST, FILTERED_SHARE = 8, 400, 0.9
"""Candidates scored exactly under a filter that no more than this share of the rows passes: where it leaves out the
rows near the query, the codes of the others lie close together, and the usual number found a sixth of the nearest."""
WIDER = 4
"""A query whose lists hold too few allowed rows reads up to so many times the lists that chance would call for."""

_ALL = np.empty(0, np.uint8)
_LAST = np.uint32(0xFFFFFFFF)


class Found(NamedTuple):
    """Candidates of each query in no order: rows (q, c), how many (q,), and whether they may be poor (q,)."""

    rows: Rows
    counts: NDArray[np.int32]
    poor: NDArray[np.bool_]


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
    rescored = max(int(index.coding.rescored * k), index.coding.rescored_least)
    if matching < FILTERED_SHARE * len(index):
        rescored = max(rescored, FILTERED * k + FILTERED_LEAST)
    if matching <= rescored or len(queries) == 0:
        return flat.search_batch(matrix, queries, k, metric, allowed=allowed, norms=norms, pool=pool)
    found = candidates(index, queries, rescored, probes, mask, matching, pool)
    results = best(matrix, queries, k, metric, found.rows, found.counts, norms)
    for at in np.flatnonzero(found.poor).tolist():
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
    return Found(_LAST - heaps.keys.astype(np.uint32), heaps.states[:, 0].astype(np.int32), poor)


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
