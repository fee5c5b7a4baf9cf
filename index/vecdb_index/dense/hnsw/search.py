"""Searching a graph: candidates by codes, then exact scores for a short list."""

import threading

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense import flat
from vecdb_index.dense.hnsw.graph import EF, Graph
from vecdb_index.types import Matrix, Metric, Rows, Scores, TopK

RESCORED = 2.0
"""Candidates that are scored exactly, per row asked for: codes confuse near neighbours, rarely more than these."""
RESCORED_LEAST = 20
_SLICE = 256
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


def candidates(graph: Graph, queries: NDArray[np.generic], ef: int) -> tuple[Rows, NDArray[np.int32]]:
    """Return for each of the (q, d) queries up to ef rows, best first by codes: rows (q, ef), how many (q,)."""
    from vecdb_index.kernels import graph as kernels

    ready, shifts = graph.coder.queries(queries)
    keys, sizes = np.zeros((len(ready), min(ef, len(graph))), np.int64), np.empty(len(ready), np.int32)
    visited = _visited.of(len(graph))
    arrays = graph.codes, graph.links, ready, shifts
    for first in range(0, len(ready), _SLICE):
        last = min(first + _SLICE, len(ready))
        kernels.search(*arrays, graph.coder.normed, graph.entries, first, last, visited, keys, sizes)
    return ((keys & _ROW_BITS) >> 1).astype(np.uint32), sizes


def search(
    graph: Graph,
    matrix: Matrix,
    query: NDArray[np.generic],
    k: int,
    metric: Metric,
    *,
    ef: int = EF,
    norms: Scores | None = None,
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

    """
    rows, sizes = candidates(graph, np.asarray(query)[None], max(ef, k))
    return _best(matrix, np.asarray(query), k, metric, rows[0, : sizes[0]], norms)


def search_batch(
    graph: Graph,
    matrix: Matrix,
    queries: NDArray[np.generic],
    k: int,
    metric: Metric,
    *,
    ef: int = EF,
    norms: Scores | None = None,
) -> list[TopK]:
    """Return for each of the (q, d) queries what `search` returns."""
    rows, sizes = candidates(graph, queries, max(ef, k))
    found = zip(queries, rows, sizes.tolist(), strict=True)
    return [_best(matrix, query, k, metric, row[:size], norms) for query, row, size in found]


def _best(matrix: Matrix, query: NDArray[np.generic], k: int, metric: Metric, rows: Rows, norms: Scores | None) -> TopK:
    rows = rows[: max(int(RESCORED * k), RESCORED_LEAST)]
    scores = flat.score_rows(matrix, query, rows, metric, norms)
    best = np.lexsort((rows, -scores))
    cut = len(best) > k and bool(scores[best[k]] == scores[best[k - 1]])
    return TopK(rows[best[:k]], scores[best[:k]], cut)
