"""Searching a graph: candidates by codes, then exact scores for a short list, in one call of a kernel."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense import calibrate, flat
from vecdb_index.dense import plan as plans
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.hnsw.graph import EF, ENTRIES, Graph, unmarked
from vecdb_index.dense.plan import USUAL, Costs, Kind, Plan
from vecdb_index.slices import Slice, shared
from vecdb_index.types import METRIC_CODES, Answers, Mask, Matrix, Metric, Scores, TopK

RESCORED, RESCORED_LEAST = 2, 20
"""Candidates that are scored exactly whatever their codes say, per row asked for, and at least. How many more depends
on how close together the candidates lie (kernels/rescoring.py)."""
LISTED, LISTED_LEAST = 8, 4000
"""Candidates that a look at codes keeps, at most: the sum of both."""
ENOUGH = 0.5
"""Where a walk over all rows met less than this share of the allowed candidates that chance would have it meet, the
allowed rows lie away from the query and their codes are looked at instead."""
WIDTHS = 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512
"""Widths of a walk at which the recall is measured."""
PER_ROW = 1.5
"""Candidates more for each row that is asked for beyond ten."""
_SLICE = 64
_WORK = 1 << 17
"""Bytes that a query is counted as, where it is asked whether waking a helper is worth it."""

_NO_MASK, _NO_ROWS, _NO_ENTRIES = np.empty(0, np.uint8), np.empty(0, np.uint32), np.empty(0, np.int32)
_NO_NORMS, _ONE = np.empty(0, np.float32), np.ones(1, np.float32)


class _Visited(threading.local):
    """Room of one thread for the marks of a search: one array for all graphs, as long as the largest needs."""

    marks = unmarked(0)

    def of(self, rows: int) -> NDArray[np.uint32]:
        if len(self.marks) <= rows >> 5:
            self.marks = unmarked(rows)
        return self.marks


_visited = _Visited()


class Searcher:
    """A graph with the rows that it was made of: all that a query needs, looked up once.

    Args:
        graph: of this matrix and metric.
        matrix: (n, d), the rows themselves.
        metric: that of the graph.
        norms: (n,) float32, the rows' lengths; worked out here when cosine misses them.
        costs: what plans are weighed with.

    """

    widths: ClassVar[tuple[int, ...]] = WIDTHS
    other: ClassVar[float] = calibrate.OTHER
    misses: ClassVar[float] = 1.0

    def __init__(
        self, graph: Graph, matrix: Matrix, metric: Metric, norms: Scores | None = None, costs: Costs = USUAL
    ) -> None:
        from vecdb_index.kernels.answer import answer_of

        if norms is None:
            norms = flat.norms(matrix) if metric == "cosine" else _NO_NORMS
        self.graph, self.matrix, self.norms = graph, matrix, norms
        self.metric: Metric = metric
        self.costs = costs
        self._rows = len(graph)
        self._stored = matrix.view(np.uint16) if matrix.dtype == np.float16 else matrix
        self._kernel = answer_of(self._stored.dtype.char)
        self._whole = matrix.dtype == np.int8
        self._prepare = metric == "cosine" and not self._whole
        coder = graph.coder
        coding = coder.normed, coder.centre, coder.scale, coder.noise
        self._constants = *coding, norms, METRIC_CODES[metric], self._prepare
        # What the last search was told: threads replace it as a whole, and mostly ask for the same again.
        self._known: tuple[Any, ...] = 0, None, None

    @property
    def curve(self) -> NDArray[np.float32]:
        """The recall at each width of a walk."""
        return self.graph.curve

    def wider(self, width: int, k: int) -> int:
        """Return how many candidates a search for k rows keeps, where one for ten keeps `width`."""
        return width + int(np.ceil(PER_ROW * max(0, k - 10)))

    @property
    def code_bytes(self) -> int:
        """The bytes of one row's code."""
        return self.graph.codes.shape[1]

    def considered(self, allowed: int | None, k: int, width: int) -> tuple[Plan, ...]:
        """Return the ways to search among so many allowed rows, None: all; the cheapest first."""
        row = self.matrix.strides[0] / self.code_bytes
        return plans.considered(self._rows, allowed, k, width, self.costs, row)

    def plan(self, allowed: int | None, k: int, width: int, kind: Kind | None = None) -> Plan:
        """Choose the cheapest of them; `kind` insists on one way."""
        if kind is not None:
            return plans.forced(kind, self._rows, allowed, k, width)
        return self.considered(allowed, k, width)[0]

    def answers(
        self,
        queries: NDArray[Any],
        k: int,
        plan: Plan,
        allowed: Allowed | None = None,
        pool: ThreadPoolExecutor | None = None,
    ) -> Answers:
        """Carry out a plan for each of the (q, d) queries; at least one row must be allowed.

        The answer has room for k + 1 rows. A walk that met too few of the allowed rows is followed by a look at the
        codes of all; so fewer than k come only when fewer match.
        """
        if plan.kind == "scan":
            return _scanned(self, queries, k, allowed, pool)
        found = self._run(queries, k, plan, allowed, pool)
        if plan.kind == "codes":
            return found
        matching = self._rows if allowed is None else allowed.count
        least = min(k, matching)
        if plan.kind == "wide":
            least = max(least, int(ENOUGH * min(plan.ef * matching / self._rows, matching)))
        if len(found.met) == 1:
            if found.met[0] >= least:
                return found
            all_codes = self._run(queries, k, plan._replace(kind="codes"), allowed, pool)
            all_codes.reads[0] += found.reads[0]
            all_codes.scored[0] += found.scored[0]
            return all_codes
        short = np.flatnonzero(found.met < least)
        if len(short):
            found.put(short, self._run(queries[short], k, plan._replace(kind="codes"), allowed, pool))
        return found

    def _run(
        self,
        queries: NDArray[Any],
        k: int,
        plan: Plan,
        allowed: Allowed | None,
        pool: ThreadPoolExecutor | None,
    ) -> Answers:
        known = self._known
        if known[0] != k or known[1] is not plan or known[2] is not allowed:
            known = self._known = k, plan, allowed, *self._fixed_for(k, plan, allowed)
        fixed, width = known[3], known[4]
        numbers, count = np.ascontiguousarray(queries, np.float32), len(queries)
        scales = _ONE if count == 1 else np.ones(count, np.float32)
        ready = np.empty(numbers.shape, np.float32) if self._prepare else numbers
        if self._whole:
            ready, scales = flat.prepared(self.matrix, queries, self.metric)
        out = Answers.empty(count, width)
        if count == 1:
            self._kernel(*fixed, numbers, ready, scales, 0, 1, _visited.of(self._rows), *out)
            return out

        def work(todo: Iterator[Slice]) -> None:
            visited = _visited.of(self._rows)
            for first, last in todo:
                self._kernel(*fixed, numbers, ready, scales, first, last, visited, *out)

        todo = [(first, min(first + _SLICE, count)) for first in range(0, count, _SLICE)]
        shared(work, todo, count * _WORK, pool)
        return out

    def _fixed_for(self, k: int, plan: Plan, allowed: Allowed | None) -> tuple[tuple[Any, ...], int]:
        """Return what the kernel is told whatever the queries are, and how many rows it returns of each."""
        graph, rows = self.graph, self._rows
        # Room is made for so many: k may be any number.
        least = min(max(RESCORED * k, RESCORED_LEAST), rows)
        if allowed is None:
            # A width below it is a wish for speed; the recall of such widths is measured like that of others.
            least = min(least, max(plan.ef, k + 1))
        ef = min(max(plan.ef, least), rows)
        entries, mask, listed = graph.entries, _NO_MASK, _NO_ROWS
        if plan.kind == "codes" or plan.fewest:
            listed = np.arange(rows, dtype=np.uint32) if allowed is None else allowed.rows
        room = min(LISTED * k + LISTED_LEAST, len(listed))
        if plan.kind == "codes":
            entries, ef = _NO_ENTRIES, room
        elif allowed is not None:
            mask = allowed.mask
            if plan.kind == "two_hops":
                entries = allowed.entries(ENTRIES)
        stretch = 0.0
        if plan.kind == "graph" and allowed is None and graph.slack:
            own = plan.ef - self.wider(0, k)
            ef, stretch = min(ef + own, rows), (1 + graph.slack * own / 100) ** 2
        sizes = ef, max(plan.enough, least), room, plans.PROBE, plan.fewest, least, np.float32(stretch)
        walk = graph.codes, graph.links, entries, mask, listed, plan.kind == "two_hops"
        # One row more than asked for tells whether others are as good as the last.
        return (self._stored, *walk, *self._constants, *sizes), min(k + 1, least, ef)


def _scanned(
    searcher: Searcher, queries: NDArray[Any], k: int, allowed: Allowed | None, pool: ThreadPoolExecutor | None
) -> Answers:
    matrix, norms = searcher.matrix, searcher.norms
    found = flat.search_batch(matrix, queries, k, searcher.metric, allowed=allowed, norms=norms, pool=pool)
    return Answers.of(found)


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
    return Searcher(graph, matrix, metric, norms).answers(queries, k, plan, chosen, pool).top(k)
