"""What recall a graph reaches at which width of the search, measured when it is built.

The questions are made from the rows: each is a row with half of another one added. Rows themselves would be too easy
(recall .993 where real questions had .931, over 60,000 texts); these had .933, and at every width at most .006 more
than the real ones.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense import flat
from vecdb_index.dense.hnsw import plan as plans
from vecdb_index.dense.hnsw.graph import UNMEASURED, Graph
from vecdb_index.dense.hnsw.search import Searcher
from vecdb_index.types import Matrix, Metric, Scores

QUESTIONS = 200
WIDTHS = 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512
K = 10
OTHER = 0.5
"""The share of another row in a question, before both are weighed to one."""
ENOUGH = 0.999
"""Wider searches than the first that finds so much are not tried."""
PER_ROW = 1.5
"""Candidates more for each row that is asked for beyond K."""

Curve = NDArray[np.float32]
"""(points, 2): a width, and the recall at it; both ascending."""


def questions(matrix: Matrix, norms: Scores) -> Matrix:
    """Return questions for a matrix of rows, of its type; the same ones each time."""
    some = np.flatnonzero(norms > 0)
    if len(some) == 0:
        return matrix[:0]
    pairs = some[np.random.default_rng(len(matrix)).integers(0, len(some), (2, QUESTIONS))]
    asked = mixed(matrix[pairs[0]], matrix[pairs[1]])
    return asked[asked.any(axis=1)]


def mixed(rows: Matrix, others: Matrix) -> Matrix:
    """Return each row with half of another one added: float32, or int8 for rows of int8."""
    sums = (rows.astype(np.float32) + np.float32(OTHER) * others.astype(np.float32)) / np.float32(1 + OTHER)
    return np.rint(sums).astype(np.int8) if rows.dtype == np.int8 else sums


def measured(
    graph: Graph, matrix: Matrix, metric: Metric, norms: Scores, pool: ThreadPoolExecutor | None = None
) -> Curve:
    """Return the curve of a graph; without a point where no question can be asked."""
    asked = questions(matrix, norms)
    if len(asked) == 0:
        return UNMEASURED
    exact = flat.search_batch(matrix, asked, K, metric, norms=norms, pool=pool)
    true = [set(found.rows.tolist()) for found in exact]
    points: list[tuple[float, float]] = []
    searcher = Searcher(graph, matrix, metric, norms)
    for width in WIDTHS:
        found = searcher.answers(asked, K, plans.Plan("graph", width, 0.0), pool=pool).top(K)
        shares = [len(best & set(one.rows.tolist())) / len(best) for best, one in zip(true, found, strict=True)]
        share = float(np.mean(shares))
        points.append((width, max(share, points[-1][1] if points else 0.0)))
        if share >= ENOUGH:
            break
    return np.array(points, np.float32)


def width_for(curve: Curve, recall: float, k: int) -> int:
    """Return the least width that promises a recall, or the widest that was measured."""
    widths, reached = curve[:, 0], curve[:, 1]
    at = int(np.searchsorted(reached, np.float32(recall)))
    if at == 0:
        width = widths[0]
    elif at == len(widths):
        width = widths[-1]
    else:
        part = (recall - reached[at - 1]) / (reached[at] - reached[at - 1])
        width = widths[at - 1] + part * (widths[at] - widths[at - 1])
    return int(np.ceil(width)) + extra(k)


def extra(k: int) -> int:
    """Return how much wider a search for k rows has to be than one for K."""
    return int(np.ceil(PER_ROW * max(0, k - K)))
