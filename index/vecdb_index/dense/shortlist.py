"""Searching codes of all rows, then exact scores for the best: the way of a funnel and of signs.

The width of a search is the number of rows that are scored exactly.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense import flat
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.calibrate import K
from vecdb_index.dense.funnel import Funnel
from vecdb_index.dense.plan import FEW, Kind, Plan
from vecdb_index.dense.rescoring import FILTERED_SHARE, NOTHING, Asked, Gathered, Rescored, deepened
from vecdb_index.dense.signs import Signs
from vecdb_index.slices import Slice, shared
from vecdb_index.types import Answers, Matrix, Metric, Scores

Coded: TypeAlias = "Funnel | Signs"

WIDTHS = 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384
"""Numbers of rows scored exactly at which the recall is measured."""
OTHER, MISSES = 0.7, 1.0
"""The share of another row in the questions that it is measured with. Over 60,000 texts of 384 numbers these found as
much as 300 real questions at every width (funnel .870 and .879, .960 and .962, .993 and .992; signs .934 and .935, .985
and .989, .998 and .999, with 64, 256 and 1,024 rows scored)."""
SCATTERED = 4.0
"""What it costs to score a row that lies anywhere, against one of a scan: 370 and 96 ns there."""
GROUP = 16
"""Queries of a batch that one thread answers together: they read the same codes while the cache holds them."""


class ShortlistSearcher:
    """What a query needs, looked up once.

    Args:
        index: of this matrix and metric.
        matrix: (n, d), the rows themselves.
        metric: that of the index.
        norms: (n,) float32, the rows' lengths; worked out here when cosine misses them.

    """

    widths: ClassVar[tuple[int, ...]] = WIDTHS
    other: ClassVar[float] = OTHER
    misses: ClassVar[float] = MISSES

    def __init__(self, index: Coded, matrix: Matrix, metric: Metric, norms: Scores | None = None) -> None:
        self.index, self.matrix = index, matrix
        self.metric: Metric = metric
        self.norms = flat.norms(matrix) if norms is None and metric == "cosine" else norms

    @property
    def curve(self) -> NDArray[np.float32]:
        """The recall at each number of rows scored."""
        return self.index.curve

    def wider(self, width: int, k: int) -> int:
        """Return how many rows a search for k of them scores, where one for ten scores `width`: in proportion.

        Over 60,000 texts, .95 of the best ten were among 200 rows by a funnel and 85 by signs, and .95 of the best
        hundred among 1,900 and 900.
        """
        return width if k <= K else -(-width * k // K)

    @property
    def code_bytes(self) -> int:
        """The bytes of one row's code."""
        return max(1, self.index.bytes // len(self.index))

    def considered(self, allowed: int | None, k: int, width: int) -> tuple[Plan, ...]:
        """Return the ways to search, the cheapest first: score the `width` best by their codes, or all.

        What is compared are the rows that either scores, each at as many codes as it has their bytes. To look at the
        codes of all is left out: it takes the smaller part of the time.
        """
        total = len(self.index) if allowed is None else allowed
        row = self.matrix.strides[0] / self.code_bytes
        scan, codes = Plan("scan", 0, total * row), Plan("codes", width, SCATTERED * width * row, reads=total)
        if total <= FEW * k:
            return (scan,)
        return (scan, codes) if scan.cost <= codes.cost else (codes, scan)

    def plan(self, allowed: int | None, k: int, width: int, kind: Kind | None = None) -> Plan:
        """Choose the cheapest of them; `kind` insists on one way."""
        if kind is None:
            return self.considered(allowed, k, width)[0]
        return Plan("scan", 0, 0.0) if kind == "scan" else Plan("codes", width, 0.0)

    def answers(
        self,
        queries: NDArray[Any],
        k: int,
        plan: Plan,
        allowed: Allowed | None = None,
        pool: ThreadPoolExecutor | None = None,
    ) -> Answers:
        """Carry out a plan for each of the (q, d) queries; at least one row must be allowed.

        Fewer than k rows come only when fewer are allowed.
        """
        if plan.kind == "scan":
            given = self.matrix, queries, k, self.metric
            return Answers.of(flat.search_batch(*given, allowed=allowed, norms=self.norms, pool=pool))
        total = len(self.index) if allowed is None else allowed.count
        size = min(max(plan.ef, k), total)
        if len(queries) == 1:
            found = self._some(queries, k, size, allowed, pool)
        else:
            found = self._many(queries, k, size, allowed, pool)
        answers = Answers.of(found.found)
        answers.reads[:], answers.scored[:] = found.reads, found.scored
        return answers

    def _many(
        self, queries: NDArray[Any], k: int, size: int, allowed: Allowed | None, pool: ThreadPoolExecutor | None
    ) -> Rescored:
        """Answer a batch: threads share its queries, not the rows."""
        count = len(queries)
        out = Rescored([NOTHING] * count, np.empty(count, np.int32), np.empty(count, np.int32))

        def work(todo: Iterator[Slice]) -> None:
            for first, last in todo:
                some = self._some(queries[first:last], k, size, allowed, None)
                out.found[first:last], out.reads[first:last], out.scored[first:last] = some

        todo = [(first, min(first + GROUP, count)) for first in range(0, count, GROUP)]
        shared(work, todo, count * self.index.bytes, pool)
        return out

    def _some(
        self, queries: NDArray[Any], k: int, size: int, allowed: Allowed | None, pool: ThreadPoolExecutor | None
    ) -> Rescored:
        """Answer queries with `size` candidates each; under a filter with more, where it leaves only what is far."""
        total = len(self.index) if allowed is None else allowed.count

        def gather(some: NDArray[np.intp], size: int) -> Gathered:
            rows = self.index.candidates(queries[some], size, allowed, pool)
            counts = np.full((2, len(some)), [[size], [total]], np.int32)
            return Gathered(rows, counts[0], np.zeros(len(some), bool), counts[1])

        most = size if allowed is None else total // FILTERED_SHARE
        return deepened(gather, Asked(self.matrix, queries, k, self.metric, self.norms, allowed, pool), size, most)
