"""Sparse vectors: found by their 8-bit weights, scored by the vectors themselves, and so that no better row is missed.

Weights are rounded up when an index is made of them, so a row's score by the index is not below its exact one. Rows are
taken from the index, best first, until the next one cannot reach the k-th best exact score any more (the threshold
algorithm: Fagin, Lotem, Naor 2003). The answer is the one that a look at every row gives.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.inverted.index import Inverted
from vecdb_index.inverted.query import Query
from vecdb_index.inverted.search import ready_for, top_of
from vecdb_index.kernels.layout import NONE
from vecdb_index.types import Mask, Rows, Scores, TopK

SPARE, SPARE_OF = 4, 4
"""Rows beyond the k best that are scored exactly at first: so many, and one of so many. Some are as good by 8 bits."""
DEEPER = 3
"""How many times more, where one that was left may be better."""
ROOM = 4
"""Slots for each term of a query, at least: most of a row's terms then meet an empty one."""
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
    depth, ready = k + SPARE + k // SPARE_OF, ready_for(index, query)
    asked, worth = _terms(query), query.weights
    # What is rounded to whole units, and once.
    slack = math.ldexp(2.0 * (len(worth) + 1), -ready.exponent)
    while True:
        candidates = top_of(index, ready, depth, allowed, some)
        best, scored = _best_of(vectors, candidates, slack, asked, worth, k)
        if scored < len(candidates.rows) or len(candidates.rows) < depth:
            return best
        depth *= DEEPER


def _best_of(
    vectors: SparseRows,
    candidates: TopK,
    slack: float,
    asked: NDArray[np.uint32],
    worth: NDArray[np.float64],
    k: int,
) -> tuple[TopK, int]:
    """Return the k best of the candidates, and all as good as the last of them, and how many were scored for that."""
    from vecdb_index.kernels.sparse import best_of

    rows, k = candidates.rows, min(k, len(candidates.rows))
    keys, state, out = np.empty(k, np.uint64), np.zeros(3, np.uint64), np.empty(len(rows), np.float32)
    best_rows, scores = np.empty(k, np.uint32), np.empty(k, np.float32)
    held = _held(vectors)
    best_of(*held, rows, candidates.scores, slack, asked, worth, _slots(asked), keys, state, out, best_rows, scores)
    size, left_out, scored = state.tolist()
    if left_out and left_out >> 32 == int(keys[size - 1]) >> 32:
        return ranked(rows[:scored], out[:scored], k), scored
    return TopK(best_rows[:size], scores[:size], False), scored


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
    from vecdb_index.kernels import sparse as kernels

    asked = _terms(query)
    wanted, out, slots = np.ascontiguousarray(rows, np.int64), np.empty(len(rows), np.float32), _slots(asked)
    held = _held(vectors)
    for first in range(0, len(rows), SLICE):
        part = slice(first, first + SLICE)
        kernels.products(*held, wanted[part], asked, query.weights, slots, out[part])
    return out


def _terms(query: Query) -> NDArray[np.uint32]:
    assert isinstance(query.terms, np.ndarray)
    return query.terms


def _held(vectors: SparseRows) -> tuple[NDArray[np.float32], NDArray[np.uint32], NDArray[np.int64]]:
    """Return the vectors as kernels take them."""
    dimensions, weights, starts = vectors
    return np.ascontiguousarray(weights, np.float32), np.ascontiguousarray(dimensions, np.uint32), starts


def _slots(asked: NDArray[np.uint32]) -> NDArray[np.int32]:
    """Return room for a table of terms."""
    return np.empty(ROOM << len(asked).bit_length(), np.int32)
