"""An inverted file with the rows that it was made of, as searches of several kinds of index see it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense import flat
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.calibrate import K
from vecdb_index.dense.ivf.index import Ivf
from vecdb_index.dense.ivf.search import answered
from vecdb_index.dense.plan import FEW, MANY, Kind, Plan
from vecdb_index.dense.rescoring import Asked, scanned
from vecdb_index.types import Answers, Matrix, Metric, Scores

WIDTHS = 1, 2, 4, 8, 16, 32, 64, 128, 256, 512
"""Numbers of lists at which the recall is measured."""
OTHER, MISSES = 1.0, 4.0
"""The share of another row in the questions that it is measured with, and how many rows real questions miss for each
that these do: the neighbours of short questions lie scattered over many lists. Over 30,000 texts in 173 lists the two
together promise .90, .95 and .99 where real questions found .89, .94 and .99."""
CODES_PER_ROW = 3.0
"""A row that is scored exactly costs as much as so many codes that are read list by list."""
KEPT = 60.0
"""Each row asked for beyond MANY costs as much as so many codes, to be kept in order and scored exactly."""
SPREAD = 8.0
"""Rows beyond the ten best are spread over so many times the lists that they would fill."""


class IvfSearcher:
    """What a query needs, looked up once.

    Args:
        index: of this matrix and metric.
        matrix: (n, d), the rows themselves.
        metric: that of the index.
        norms: (n,) float32, the rows' lengths.

    """

    widths: ClassVar[tuple[int, ...]] = WIDTHS
    other: ClassVar[float] = OTHER
    misses: ClassVar[float] = MISSES

    def __init__(self, index: Ivf, matrix: Matrix, metric: Metric, norms: Scores | None = None) -> None:
        self.index, self.matrix = index, matrix
        self.metric: Metric = metric
        self.norms = flat.norms(matrix) if norms is None and metric == "cosine" else norms

    @property
    def curve(self) -> NDArray[np.float32]:
        """The recall at each number of lists."""
        return self.index.curve

    def wider(self, width: int, k: int) -> int:
        """Return how many lists a search for k rows reads, where one for ten reads `width`."""
        per_list = len(self.index) / self.index.lists
        return width + int(SPREAD * max(0, k - K) / per_list)

    @property
    def code_bytes(self) -> int:
        """The bytes of one row's code, about."""
        return max(1, self.index.bytes // len(self.index))

    def considered(self, allowed: int | None, k: int, width: int) -> tuple[Plan, ...]:
        """Return the ways to search, the cheapest first: read `width` lists, or scan; only that where few rows are."""
        total = len(self.index)
        read = min(total, total * width / self.index.lists)
        matching = total if allowed is None else allowed
        scan = Plan("scan", 0, matching * CODES_PER_ROW)
        if allowed is not None and allowed <= FEW * k:
            return (scan,)
        lists = Plan("lists", width, read + KEPT * max(0, k - MANY), reads=int(read))
        return (scan, lists) if scan.cost <= lists.cost else (lists, scan)

    def plan(self, allowed: int | None, k: int, width: int, kind: Kind | None = None) -> Plan:
        """Choose the cheapest of them; `kind` insists on one way."""
        if kind is None:
            return self.considered(allowed, k, width)[0]
        return Plan("scan", 0, 0.0) if kind == "scan" else Plan("lists", width, 0.0)

    def answers(
        self,
        queries: NDArray[Any],
        k: int,
        plan: Plan,
        allowed: Allowed | None = None,
        pool: ThreadPoolExecutor | None = None,
    ) -> Answers:
        """Carry out a plan for each of the (q, d) queries; at least one row must be allowed."""
        asked = Asked(self.matrix, queries, k, self.metric, self.norms, allowed, pool)
        found = scanned(asked) if plan.kind == "scan" else answered(self.index, asked, plan.ef)
        out = Answers.of(found.found)
        out.reads[:], out.scored[:] = found.reads, found.scored
        return out
