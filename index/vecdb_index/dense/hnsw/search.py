"""Searching a graph: candidates by codes, then exact scores for a short list."""

import threading

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense import flat
from vecdb_index.dense.hnsw.graph import EF, ENTRIES, Graph
from vecdb_index.dense.rescoring import best
from vecdb_index.types import Mask, Matrix, Metric, Rows, Scores, TopK

RESCORED = 2.0
"""Candidates that are scored exactly, per row asked for: codes confuse near neighbours, rarely more than these."""
RESCORED_LEAST = 20
TWO_HOPS = 0.2
"""Where no larger share of the rows is allowed, a search walks over these only. Others take 0.4; here the wide walk was
measured to be faster and better at 0.3, the two hops at 0.1."""
WIDER = 1.2
"""Candidates beyond those that a share of allowed rows calls for, when the walk is over all rows."""
_SLICE = 256
_ALL = np.empty(0, np.uint8)
_ROW_BITS = np.int64(0xFFFFFFFF)


class Visited(threading.local):
    """Room of one thread for the marks of a search; made anew for a graph of another size."""

    marks: NDArray[np.uint16] = np.zeros(1, np.uint16)

    def of(self, rows: int) -> NDArray[np.uint16]:
        """Return marks for a graph of so many rows."""
        if len(self.marks) != rows + 1:
            self.marks = np.zeros(rows + 1, np.uint16)
        return self.marks


_visited = Visited()


def candidates(
    graph: Graph, queries: NDArray[np.generic], ef: int, allowed: NDArray[np.uint8] | None = None
) -> tuple[Rows, NDArray[np.int32]]:
    """Return for each of the (q, d) queries up to ef rows, best first by codes: rows (q, ef), how many (q,).

    allowed is (n,) with at least one row that is not zero. Where most rows are allowed, the search walks over all and
    keeps what is. Where few are, or where the walk met fewer than chance would have it because they lie away from the
    query, it walks over these only and steps across those between them. It may find fewer rows than are allowed.
    """
    if allowed is None:
        return _walk(graph, queries, ef, graph.entries, _ALL)
    matching = int(np.count_nonzero(allowed))
    if matching <= TWO_HOPS * len(graph):
        return _walk(graph, queries, ef, _entries(allowed, matching), allowed)
    ef = min(ef, matching)
    wide = _walk(graph, queries, int(ef * WIDER * len(graph) / matching), graph.entries, _ALL)
    rows, sizes = _kept(*wide, allowed, ef)
    few = np.flatnonzero(sizes < ef)
    if len(few):
        rows[few], sizes[few] = _walk(graph, queries[few], ef, _entries(allowed, matching), allowed)
    return rows, sizes


def _walk(
    graph: Graph, queries: NDArray[np.generic], ef: int, entries: NDArray[np.int32], allowed: NDArray[np.uint8]
) -> tuple[Rows, NDArray[np.int32]]:
    from vecdb_index.kernels import graph as kernels

    ready, shifts = graph.coder.queries(queries)
    keys, sizes = np.zeros((len(ready), min(ef, len(graph))), np.int64), np.empty(len(ready), np.int32)
    visited = _visited.of(len(graph))
    arrays = graph.codes, graph.links, ready, shifts, graph.coder.normed, entries, allowed
    for first in range(0, len(ready), _SLICE):
        last = min(first + _SLICE, len(ready))
        kernels.search(*arrays, first, last, visited, keys, sizes)
    return ((keys & _ROW_BITS) >> 1).astype(np.uint32), sizes


def _kept(rows: Rows, sizes: NDArray[np.int32], allowed: NDArray[np.uint8], ef: int) -> tuple[Rows, NDArray[np.int32]]:
    """Move the allowed rows of each line to its front, at most ef of them."""
    good = (allowed[rows] != 0) & (np.arange(rows.shape[1]) < sizes[:, None])
    front = np.argsort(~good, axis=1, kind="stable")[:, :ef]
    return np.take_along_axis(rows, front, axis=1), np.minimum(good.sum(axis=1), ef).astype(np.int32)


def _entries(allowed: NDArray[np.uint8], matching: int) -> NDArray[np.int32]:
    """Return a sample of the allowed rows, spread evenly over their numbers."""
    rows = np.flatnonzero(allowed)
    return rows[np.linspace(0, matching - 1, min(matching, ENTRIES)).astype(np.int64)].astype(np.int32)


def search(
    graph: Graph,
    matrix: Matrix,
    query: NDArray[np.generic],
    k: int,
    metric: Metric,
    *,
    ef: int = EF,
    norms: Scores | None = None,
    allowed: Mask | None = None,
) -> TopK:
    """Return about the k best rows for one query: those among ef candidates, with the scores that `flat` gives.

    Args:
        graph: of this matrix and metric.
        matrix: (n, d), the rows themselves.
        query: (d,).
        k: at least 1.
        metric: that of the graph.
        ef: candidates to keep; at least k are.
        norms: (n,) float32 for cosine.
        allowed: (n,) bool or uint8; None allows every row. k rows are found whenever k are allowed: where the graph
            does not lead to as many, the exact scan takes over.

    """
    (only,) = search_batch(graph, matrix, np.asarray(query)[None], k, metric, ef=ef, norms=norms, allowed=allowed)
    return only


def search_batch(
    graph: Graph,
    matrix: Matrix,
    queries: NDArray[np.generic],
    k: int,
    metric: Metric,
    *,
    ef: int = EF,
    norms: Scores | None = None,
    allowed: Mask | None = None,
) -> list[TopK]:
    """Return for each of the (q, d) queries what `search` returns."""
    mask = None if allowed is None else allowed.view(np.uint8)
    wanted = min(k, len(graph) if mask is None else int(np.count_nonzero(mask)))
    if wanted == 0 or (mask is not None and wanted < k):
        return flat.search_batch(matrix, queries, k, metric, allowed=allowed, norms=norms)
    rows, sizes = candidates(graph, queries, max(ef, k), mask)
    short = np.ascontiguousarray(rows[:, : max(int(RESCORED * k), RESCORED_LEAST)])
    found = best(matrix, queries, k, metric, short, np.minimum(sizes, short.shape[1]), norms)
    for at in np.flatnonzero(sizes < wanted).tolist():
        found[at] = flat.search(matrix, queries[at], k, metric, allowed=allowed, norms=norms)
    return found
