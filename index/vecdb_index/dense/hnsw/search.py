"""Searching a graph: candidates by codes, then exact scores for a short list, in one call of a kernel."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense import flat
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.hnsw import plan as plans
from vecdb_index.dense.hnsw.graph import EF, ENTRIES, Graph
from vecdb_index.dense.hnsw.plan import Plan
from vecdb_index.dense.slices import Slice, shared
from vecdb_index.types import METRIC_CODES, Answers, Mask, Matrix, Metric, Scores, TopK

RESCORED = 2
"""Candidates that are scored exactly, per row asked for: codes confuse near neighbours, rarely more than these."""
RESCORED_LEAST = 20
ENOUGH = 0.5
"""Where a walk over all rows met less than this share of the allowed candidates that chance would have it meet, the
allowed rows lie away from the query and their codes are looked at instead."""
_SLICE = 64
_WORK = 1 << 20
"""Bytes of codes that a query reads, about: what it is worth to wake a helper for."""

_NO_MASK, _NO_ROWS, _NO_ENTRIES = np.empty(0, np.uint8), np.empty(0, np.uint32), np.empty(0, np.int32)
_NO_NORMS, _ONE = np.empty(0, np.float32), np.ones(1, np.float32)


class _Visited(threading.local):
    """Room of one thread for the marks of a search: one array for all graphs, as long as the largest needs."""

    marks: NDArray[np.uint16] = np.zeros(1, np.uint16)

    def of(self, rows: int) -> NDArray[np.uint16]:
        if len(self.marks) <= rows:
            self.marks = np.zeros(rows + 1, np.uint16)
        return self.marks


_visited = _Visited()


def answers(
    graph: Graph,
    matrix: Matrix,
    queries: NDArray[np.generic],
    k: int,
    metric: Metric,
    plan: Plan,
    *,
    norms: Scores | None = None,
    allowed: Allowed | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> Answers:
    """Carry out a plan for each of the (q, d) queries.

    The answer has room for more than k rows: those whose scores were computed. With an allowed row at all, a walk
    that met too few of them is followed by a look at the codes of all; so fewer than k come only when fewer match.
    """
    if plan.kind == "scan":
        return _scanned(matrix, queries, k, metric, norms, allowed, pool)
    if norms is None:
        norms = flat.norms(matrix) if metric == "cosine" else _NO_NORMS
    found, met = _run(graph, matrix, queries, k, metric, plan, norms, allowed, pool)
    if plan.kind == "codes":
        return found
    matching = len(graph) if allowed is None else allowed.count
    least = min(k, matching)
    if plan.kind == "wide":
        least = max(least, int(ENOUGH * min(plan.ef * matching / len(graph), matching)))
    short = np.flatnonzero(met < least) if len(met) > 1 or met[0] < least else ()
    if len(short):
        again = Plan("codes", plan.ef, 0.0)
        one, _ = _run(graph, matrix, queries[short], k, metric, again, norms, allowed, pool)
        width = min(found.rows.shape[1], one.rows.shape[1])
        found.rows[short, :width], found.scores[short, :width] = one.rows[:, :width], one.scores[:, :width]
        found.counts[short] = np.minimum(one.counts, width)
        found.reads[short] += one.reads
    return found


def _run(
    graph: Graph,
    matrix: Matrix,
    queries: NDArray[Any],
    k: int,
    metric: Metric,
    plan: Plan,
    norms: Scores,
    allowed: Allowed | None,
    pool: ThreadPoolExecutor | None,
) -> tuple[Answers, NDArray[np.int32]]:
    from vecdb_index.kernels.answer import answer_of

    rescored = max(RESCORED * k, RESCORED_LEAST)
    ef, most = max(plan.ef, rescored), len(graph)
    mask, listed, entries = _NO_MASK, _NO_ROWS, graph.entries
    if plan.kind == "codes":
        listed = np.arange(len(graph), dtype=np.uint32) if allowed is None else allowed.rows
        entries, ef = _NO_ENTRIES, min(rescored, len(listed))
    elif allowed is not None:
        mask = allowed.mask
        if plan.kind == "two_hops":
            entries = allowed.sample(ENTRIES)
    count, coder = len(queries), graph.coder
    stored, ready, scales, prepare = _exactly(matrix, queries, metric)
    numbers = np.ascontiguousarray(queries, np.float32)
    out = np.empty((count, min(rescored, ef)), np.uint32), np.empty((count, min(rescored, ef)), np.float32)
    met, reads = np.empty(count, np.int32), np.empty(count, np.int32)
    kernel = answer_of(stored.dtype.char)
    given = stored, graph.codes, graph.links, entries, mask, listed, plan.kind == "two_hops", coder.normed
    exact = coder.centre, coder.scale, norms, METRIC_CODES[metric], numbers, prepare, ready, scales

    def work(todo: Iterator[Slice]) -> None:
        visited = _visited.of(len(graph))
        for first, last in todo:
            kernel(*given, *exact, first, last, ef, most, visited, *out, met, reads)

    if count == 1:
        work(iter(((0, 1),)))
    else:
        todo = [(first, min(first + _SLICE, count)) for first in range(0, count, _SLICE)]
        shared(work, todo, count * _WORK // 8, pool)
    return Answers(*out, np.minimum(met, out[0].shape[1]), reads), met


def _exactly(matrix: Matrix, queries: NDArray[Any], metric: Metric) -> tuple[NDArray[Any], NDArray[Any], Scores, bool]:
    """Return the matrix and queries as exact scores need them, each query's factor, and whether to normalise first."""
    if matrix.dtype == np.int8:
        return matrix, *flat.prepared(matrix, queries, metric), False
    scales = _ONE if len(queries) == 1 else np.ones(len(queries), np.float32)
    stored = matrix if matrix.dtype == np.float32 else matrix.view(np.uint16)
    if metric == "cosine":
        return stored, np.empty(queries.shape, np.float32), scales, True
    return stored, np.ascontiguousarray(queries, np.float32), scales, False


def _scanned(
    matrix: Matrix,
    queries: NDArray[Any],
    k: int,
    metric: Metric,
    norms: Scores | None,
    allowed: Allowed | None,
    pool: ThreadPoolExecutor | None,
) -> Answers:
    found = flat.search_batch(matrix, queries, k, metric, allowed=allowed, norms=norms, pool=pool)
    width = max((len(one.rows) for one in found), default=0)
    counts = np.zeros((2, len(found)), np.int32)
    out = Answers(np.zeros((len(found), width), np.uint32), np.zeros((len(found), width), np.float32), *counts)
    for at, one in enumerate(found):
        out.rows[at, : len(one.rows)], out.scores[at, : len(one.rows)] = one.rows, one.scores
        out.counts[at] = len(one.rows)
    return out


def search(
    graph: Graph,
    matrix: Matrix,
    query: NDArray[np.generic],
    k: int,
    metric: Metric,
    *,
    ef: int = EF,
    norms: Scores | None = None,
    allowed: Mask | Allowed | None = None,
) -> TopK:
    """Return about the k best rows for one query: those among ef candidates, with the scores that `flat` gives.

    Args:
        graph: of this matrix and metric.
        matrix: (n, d), the rows themselves.
        query: (d,).
        k: at least 1.
        metric: that of the graph.
        ef: candidates to keep; at least those that are scored exactly are.
        norms: (n,) float32 for cosine.
        allowed: (n,) bool or uint8; None allows every row. k rows are found whenever k are allowed.

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
    allowed: Mask | Allowed | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> list[TopK]:
    """Return for each of the (q, d) queries what `search` returns, by the plan that seems cheapest."""
    chosen = Allowed.of(allowed)
    if chosen is not None and chosen.count == 0:
        return [TopK(_NO_ROWS, _NO_NORMS, False) for _ in queries]
    plan = plans.choose(len(graph), None if chosen is None else chosen.count, k, ef)
    return answers(graph, matrix, queries, k, metric, plan, norms=norms, allowed=chosen, pool=pool).top(k)
