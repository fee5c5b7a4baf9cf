"""Sparse vectors: found by their 8-bit weights, scored by the vectors themselves, and so that no better row is missed.

Weights are rounded up when an index is made of them, so a row's score by the index is not below its exact one. Rows are
taken from the index, best first, until the next one cannot reach the k-th best exact score any more (the threshold
algorithm: Fagin, Lotem, Naor 2003). The answer is the one that a look at every row gives.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.inverted.index import Inverted
from vecdb_index.inverted.query import Query
from vecdb_index.inverted.search import search
from vecdb_index.kernels.sparse import NONE
from vecdb_index.kernels.sparse import products as _products
from vecdb_index.types import Mask, Rows, Scores, TopK

FIRST, FIRST_LEAST = 2, 20
"""Rows that are scored exactly at first for each row asked for, and how many more."""
DEEPER = 3
"""How many times more, where one that was left may be better."""
SLICE = 1 << 16
"""Rows that are scored in one call of the kernel: between two, Ctrl-C gets through."""


class SparseRows(NamedTuple):
    """The sparse vectors of n rows.

    Attributes:
        dimensions: (w,) uint32, ascending in each row.
        weights: (w,) float32, not negative.
        starts: (n + 1,) int64: row i is the places starts[i] to starts[i + 1].

    """

    dimensions: NDArray[Any]
    weights: NDArray[np.floating[Any]]
    starts: NDArray[np.int64]


def nearest(
    index: Inverted, vectors: SparseRows, query: Query, k: int, *, allowed: Mask | None = None, some: Rows | None = None
) -> TopK:
    """Return the k best rows with exact scores, and all that are as good as the last of them; equal ones by row.

    Args:
        index: of these vectors.
        vectors: the rows themselves.
        query: made by `sparse`.
        k: at least 1.
        allowed: (n,) bool, or uint8 of 0 and 1; None allows every row.
        some: the allowed rows, ascending, where the caller knows them.

    """
    depth = FIRST * k + FIRST_LEAST
    slack = _slack(index, query)
    while True:
        found = search(index, query, depth, allowed=allowed, some=some)
        exact = products(vectors, query, found.rows)
        done = len(found.rows) < depth
        if not done:
            least = float(np.partition(exact, len(exact) - k)[len(exact) - k])
            done = float(found.scores[-1]) + slack < least
        if done:
            return ranked(found.rows, exact, k)
        depth *= DEEPER


def scanned(vectors: SparseRows, query: Query, rows: NDArray[np.integer], k: int) -> TopK:
    """Return what `nearest` returns, by looking at every one of these rows."""
    scores = matching(vectors, query, rows)
    met = np.flatnonzero(scores != NONE)
    return ranked(rows[met].astype(np.uint32), scores[met], k)


def ranked(rows: Rows, scores: Scores, k: int) -> TopK:
    """Return the k best of some rows and all that are as good as the last of them."""
    order = np.lexsort((rows, -scores))
    if len(order) > k:
        order = order[scores[order] >= scores[order[k - 1]]]
    return TopK(rows[order], scores[order], False)


def products(vectors: SparseRows, query: Query, rows: NDArray[np.integer]) -> Scores:
    """Return the exact dot products of some rows (m,) with a query; the same bits whichever rows are asked for."""
    return np.maximum(matching(vectors, query, rows), np.float32(0))


def matching(vectors: SparseRows, query: Query, rows: NDArray[np.integer]) -> Scores:
    """Return what `products` returns, and NONE for rows that have no term of the query."""
    asked, worth = _ascending(query)
    terms = np.ascontiguousarray(vectors.dimensions, np.uint32)
    weights = np.ascontiguousarray(vectors.weights, np.float32)
    wanted, out = np.ascontiguousarray(rows, np.int64), np.empty(len(rows), np.float32)
    for first in range(0, len(rows), SLICE):
        part = slice(first, first + SLICE)
        _products(weights, terms, vectors.starts, wanted[part], asked, worth, out[part])
    return out


def _ascending(query: Query) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    asked = query.terms[0].view(">u4").astype(np.uint32)
    order = np.argsort(asked)
    return asked[order], np.ascontiguousarray(query.weights[order])


def _slack(index: Inverted, query: Query) -> float:
    """Return by how much a score by the index may be below the exact one: what is rounded to whole units, and once."""
    exponent, weights = query.units(index.scale)
    return float(np.ldexp(2.0 * (len(weights) + 1), -exponent))
