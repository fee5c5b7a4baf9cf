"""The bodies of the scan kernels, the same for every element type.

dense.py, half.py and int8.py compile them; which arithmetic they get follows from the matrix (lanes.py).
"""

from typing import Any

import numpy as np

from vecdb_index.kernels.codes import prefetch
from vecdb_index.kernels.jit import helper
from vecdb_index.kernels.lanes import (
    COLUMNS,
    dot,
    dots,
    dots_of_two,
    l2_squared,
    l2s_squared,
    l2s_squared_of_two,
    square,
)
from vecdb_index.kernels.topk import offer
from vecdb_index.types import METRIC_CODES

COSINE, L2 = METRIC_CODES["cosine"], METRIC_CODES["l2"]
# Rows with a smaller norm, the least normal float32, count as zero vectors.
SMALLEST = np.float32(2.0**-126)


@helper
def _pick(rows: Any, at: int) -> Any:
    """Row number at a position of the row list; an empty list means all rows."""
    return np.int64(rows[at]) if rows.shape[0] > 0 else at


@helper
def _sum(matrix: Any, query: Any, metric: int, rows: Any, first: int, last: int, out: Any) -> None:
    """Fill out with inner products, or with squared distances when the metric is L2."""
    for at in range(first, last):
        row = _pick(rows, at)
        out[at - first] = l2_squared(matrix, row, query) if metric == L2 else dot(matrix, row, query)


@helper
def _sum_first(matrix: Any, queries: Any, metric: int, rows: Any, first: int, last: int, out: Any) -> None:
    """Fill the first COLUMNS rows of out, each for one query, while the matrix streams from memory."""
    for at in range(first, last):
        row = _pick(rows, at)
        sums = l2s_squared(matrix, row, queries, 0) if metric == L2 else dots(matrix, row, queries, 0)
        for i in range(COLUMNS):
            out[i, at - first] = sums[i]


@helper
def _sum_next(matrix: Any, queries: Any, metric: int, rows: Any, first: int, last: int, column: int, out: Any) -> None:
    """Fill COLUMNS more rows of out, with matrix rows that the cache holds by now."""
    for at in range(first, last, 2):
        # A last row without a partner is paired with itself.
        other = min(at + 1, last - 1)
        a, b = _pick(rows, at), _pick(rows, other)
        if metric == L2:
            sums = l2s_squared_of_two(matrix, a, b, queries, column)
        else:
            sums = dots_of_two(matrix, a, b, queries, column)
        for i in range(COLUMNS):
            out[column + i, at - first] = sums[i]
            out[column + i, other - first] = sums[COLUMNS + i]


@helper
def _weigh(metric: int, norms: Any, rows: Any, first: int, count: int, weights: Any) -> None:
    """Write what the sum of each row is to be multiplied by."""
    for i in range(count):
        if metric == COSINE:
            norm = norms[_pick(rows, first + i)]
            # 1 / norm would be infinite for norms that are not much smaller.
            weights[i] = np.float32(1) / norm if norm >= SMALLEST else np.float32(0)
        else:
            weights[i] = np.float32(-1 if metric == L2 else 1)


@helper
def _finish(out: Any, weights: Any, scale: Any, count: int) -> None:
    """Turn sums into scores: higher is better, no NaN, no -0.0."""
    for i in range(count):
        # Adding zero turns -0.0 to 0.0. Infinities of both signs in one sum gave NaN: the worst score.
        score = out[i] * weights[i] * scale + np.float32(0)
        out[i] = score if score == score else np.float32(-np.inf)


def scan(
    matrix: Any,
    query: Any,
    metric: int,
    scale: Any,
    norms: Any,
    rows: Any,
    first: int,
    last: int,
    allowed: Any,
    weights: Any,
    out: Any,
    keys: Any,
    state: Any,
) -> None:
    """Score rows[first:last], or the rows first .. last - 1 when `rows` is empty, and keep the best.

    Args:
        matrix: (n, d) elements.
        query: (d,) float32, or int16 beside int8.
        metric: one of METRIC_CODES.
        scale: factor of every score (1 / norm of the query, where the query is not normalised itself).
        norms: (n,) float32; read for COSINE only, else may be empty.
        rows: (m,) uint32 row numbers, or empty.
        first: start of the slice, in row numbers or in positions of `rows`.
        last: end of the slice.
        allowed: (n,) uint8 or empty.
        weights: float32, at least last - first long: room.
        out: float32, at least last - first long; its first values become the scores.
        keys: uint64 heap of topk.py; empty: only `out` is wanted.
        state: (2,) uint64 of topk.py.

    """
    _sum(matrix, query, metric, rows, first, last, out)
    _weigh(metric, norms, rows, first, last - first, weights)
    _finish(out, weights, scale, last - first)
    if keys.shape[0] > 0:
        offer(out, last - first, rows, first, allowed, keys, state)


def scan_batch(
    matrix: Any,
    queries: Any,
    metric: int,
    scales: Any,
    norms: Any,
    rows: Any,
    first: int,
    last: int,
    allowed: Any,
    weights: Any,
    out: Any,
    keys: Any,
    states: Any,
) -> None:
    """Do what `scan` does for many queries at once; the same bits.

    Args:
        matrix: (n, d) elements.
        queries: (q, d), with rows of zeros behind up to a multiple of COLUMNS.
        metric: one of METRIC_CODES.
        scales: (q,) what `scan` has as scale.
        norms: as in `scan`.
        rows: as in `scan`.
        first: as in `scan`.
        last: as in `scan`.
        allowed: as in `scan`.
        weights: (block,) float32: room.
        out: (padded queries, block) float32: room; block = rows that stay in the cache for all queries.
        keys: (q, k) uint64, a heap for each query; k at least 1.
        states: (q, 2) uint64.

    """
    block = out.shape[1]
    for start in range(first, last, block):
        stop = min(start + block, last)
        _sum_first(matrix, queries, metric, rows, start, stop, out)
        for column in range(COLUMNS, queries.shape[0], COLUMNS):
            _sum_next(matrix, queries, metric, rows, start, stop, column, out)
        _weigh(metric, norms, rows, start, stop - start, weights)
        for i in range(keys.shape[0]):
            _finish(out[i], weights, scales[i], stop - start)
            offer(out[i], stop - start, rows, start, allowed, keys[i], states[i])


def scan_lists(
    matrix: Any,
    queries: Any,
    metric: int,
    scales: Any,
    norms: Any,
    rows: Any,
    counts: Any,
    first: int,
    last: int,
    weights: Any,
    out: Any,
) -> None:
    """Score for each of the queries first .. last - 1 the rows of its own list, and sort it; the same bits as `scan`.

    Args:
        matrix: (n, d) elements.
        queries: (q, d).
        metric: one of METRIC_CODES.
        scales: (q,) what `scan` has as scale.
        norms: as in `scan`.
        rows: (q, c) uint32 row numbers; put in the order of their scores.
        counts: (q,) int32, how many of a line are meant.
        first: first query.
        last: last query + 1.
        weights: (c,) float32: room.
        out: (q, c) float32; the first counts[i] of a line become the scores.

    """
    for i in range(first, last):
        count = np.int64(counts[i])
        for at in range(count):
            prefetch(matrix, rows[i, at])
        score_list(matrix, queries, i, metric, scales, norms, rows, count, weights, out)


@helper
def score_list(
    matrix: Any,
    queries: Any,
    i: int,
    metric: int,
    scales: Any,
    norms: Any,
    rows: Any,
    count: int,
    weights: Any,
    out: Any,
) -> None:
    """Score the first rows of one query's list, which the caller has asked for ahead, and sort them."""
    _sum(matrix, queries[i], metric, rows[i], 0, count, out[i])
    _weigh(metric, norms, rows[i], 0, count, weights)
    _finish(out[i], weights, scales[i], count)
    _sort(rows[i], out[i], count)


@helper
def score_row(matrix: Any, row: Any, query: Any, metric: int, scale: Any, norms: Any) -> Any:
    """Return the score of one row; the same bits as `scan`."""
    total = np.float32(l2_squared(matrix, row, query) if metric == L2 else dot(matrix, row, query))
    weight = np.float32(-1 if metric == L2 else 1)
    if metric == COSINE:
        weight = np.float32(1) / norms[row] if norms[row] >= SMALLEST else np.float32(0)
    score = total * weight * scale + np.float32(0)
    return score if score == score else np.float32(-np.inf)


@helper
def _sort(rows: Any, scores: Any, count: int) -> None:
    """Put the best score first, equal ones by row (Shell's sort: lists are short, and mostly in order)."""
    gap = count
    while gap > 1:
        gap = max(1, gap // 3)
        for i in range(gap, count):
            row, score = rows[i], scores[i]
            at = i
            while at >= gap and (scores[at - gap] < score or (scores[at - gap] == score and rows[at - gap] > row)):
                rows[at], scores[at] = rows[at - gap], scores[at - gap]
                at -= gap
            rows[at], scores[at] = row, score


def norms(matrix: Any, first: int, last: int, out: Any) -> None:
    """Write the Euclidean norms of the rows first .. last - 1 to out[first:last]; summed in float64."""
    for row in range(first, last):
        out[row] = np.float32(np.sqrt(square(matrix, row)))
