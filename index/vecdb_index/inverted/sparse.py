"""Sparse vectors, searched by their 8-bit weights and then scored exactly."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.inverted.index import Inverted
from vecdb_index.inverted.query import Query
from vecdb_index.inverted.search import search
from vecdb_index.types import Mask, Rows, Scores, TopK

RESCORED, RESCORED_LEAST = 2.0, 20
"""Candidates that are scored exactly for each row asked for, and the least number of them."""


class SparseRows(NamedTuple):
    """The sparse vectors of n rows.

    Attributes:
        dimensions: (w,) whole numbers from 0 to 2^32 - 1, none twice in a row.
        weights: (w,) floating point.
        starts: (n + 1,) int64: row i is the places starts[i] to starts[i + 1].

    """

    dimensions: NDArray[Any]
    weights: NDArray[np.floating[Any]]
    starts: NDArray[np.int64]


def nearest(index: Inverted, vectors: SparseRows, query: Query, k: int, *, allowed: Mask | None = None) -> TopK:
    """Return about the k best rows, with exact scores: the best of the candidates that `search` finds.

    Args:
        index: of these vectors.
        vectors: the rows themselves.
        query: made by `sparse`.
        k: at least 1.
        allowed: (n,) bool or uint8; None allows every row.

    """
    found = search(index, query, max(int(RESCORED * k), RESCORED_LEAST), allowed=allowed)
    exact = products(vectors, query, found.rows)
    order = np.lexsort((found.rows, -exact))
    kept = order[:k]
    cut = len(order) > k and bool(exact[order[k]] == exact[order[k - 1]])
    return TopK(found.rows[kept], exact[kept], cut)


def products(vectors: SparseRows, query: Query, rows: Rows) -> Scores:
    """Return the exact dot products of some rows (m,) with a query; the same bits whichever rows are asked for."""
    dimensions = query.terms[0].view(">u4").astype(np.int64)
    order = np.argsort(dimensions)
    dimensions, weights = dimensions[order], query.weights[order]
    starts, sizes = vectors.starts[rows], vectors.starts[rows.astype(np.int64) + 1] - vectors.starts[rows]
    if len(dimensions) == 0 or sizes.sum() == 0:
        return np.zeros(len(rows), np.float32)
    of = np.repeat(np.arange(len(rows)), sizes)
    places = np.arange(len(of)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(starts, sizes)
    there = vectors.dimensions[places].astype(np.int64)
    at = np.minimum(np.searchsorted(dimensions, there), len(dimensions) - 1)
    terms = np.where(dimensions[at] == there, weights[at] * vectors.weights[places].astype(np.float64), 0.0)
    return np.bincount(of, terms, len(rows)).astype(np.float32)
