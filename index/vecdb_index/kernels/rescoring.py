"""Exact scores for the candidates that codes found, as far down their order as one of the best may still come.

A whole number and what it was rounded from differ by up to half a unit either way, all differences alike likely: their
variance is 1/12. That of a row's number, `noise`, is as much for 8-bit codes, and was measured for packed ones. So what
a similarity (codes.py, packed.py) lacks to the exact score is a sum of many small errors:

    without norms   variance |query|^2 noise + |row|^2 / 12, both lengths in code units; a packed row's is so short
                    beside the query's that it is left out
    with norms      variance 4 f noise + 1 / (3 f) of the squared distance, where the query's unit is f times finer than
                    the rows', and 3 d / 2 (f noise + 1 / (12 f))^2 for the squares of the errors

Candidates come best first. Once the next one would have to be SIGMAS standard deviations better than its code says,
no other is looked at. Near the query ten rows stand out after twenty; of rows that are all far from it the scores lie
so close together that hundreds may be among the best.

The surprise: numbers outside the codes' range are clipped, and no variance tells of it. Therefore some candidates are
scored whatever the bound says (`least`).
"""

from typing import Any

import numpy as np

from vecdb_index.kernels.codes import NORM_BYTES, prefetch
from vecdb_index.kernels.graph import insert, row_of
from vecdb_index.kernels.jit import helper
from vecdb_index.kernels.lanes import square
from vecdb_index.kernels.loops import COSINE, score_row
from vecdb_index.kernels.topk import key_of as key_of_score
from vecdb_index.kernels.topk import score_of

FINER = 4  # as in codes/packed.py
SIGMAS = 3.0
"""Of a million candidates that are beaten by so much, 1,350 are better than their codes say."""
AHEAD = 8
"""Rows that are asked for ahead of the one that is scored."""


@helper
def squares(line: Any) -> Any:
    """Return the squared length of a query's code: int32."""
    total = np.int32(0)
    for j in range(line.shape[0]):
        total = np.int32(total + np.int32(line[j]) * np.int32(line[j]))
    return total


@helper
def _squares_of_row(codes: Any, row: Any) -> Any:
    total = np.int32(0)
    for j in range(codes.shape[1]):
        number = np.int32(codes[row, j]) - np.int32(128)
        total = np.int32(total + number * number)
    return total


@helper
def finer(packed: Any, normed: Any) -> Any:
    """Return how many times finer than rows a query is measured."""
    return FINER if packed and normed else 1


@helper
def variance(codes: Any, key: Any, own: Any, noise: Any, packed: Any, normed: Any) -> Any:
    """Return the variance of a candidate's similarity: float64. own is the squared length of the query's code."""
    if normed:
        f = np.float64(finer(packed, normed))
        distance = np.float64(own) / f - np.float64(key >> np.int64(32))
        return distance * (4.0 * f * noise + 1.0 / (3.0 * f)) + variance_of_near(codes, own, noise, packed, normed)
    if packed:
        return np.float64(own) * noise
    return np.float64(own) * noise + np.float64(_squares_of_row(codes, row_of(key))) / 12.0


@helper
def variance_of_near(codes: Any, own: Any, noise: Any, packed: Any, normed: Any) -> Any:
    """Return the variance of the similarity of a row that is as near as can be: float64."""
    if not normed:
        return np.float64(own) * noise
    f = np.float64(finer(packed, normed))
    return 1.5 * (codes.shape[1] - NORM_BYTES) * (2.0 if packed else 1.0) * (f * noise + 1.0 / (12.0 * f)) ** 2


@helper
def unit_of(queries: Any, query: Any, reach: Any, scale: Any, packed: Any, normed: Any, metric: Any) -> Any:
    """Return how much a similarity grows as the exact score grows by one: float64."""
    if normed:
        return np.float64(scale) * np.float64(scale) * np.float64(finer(packed, normed))
    unit = np.float64(scale) * 127.0 / np.float64(reach) if reach > 0 else 0.0
    return unit * np.sqrt(np.float64(square(queries, query))) if metric == COSINE else unit


@helper
def rescore(
    matrix: Any,
    codes: Any,
    keys: Any,
    size: Any,
    least: Any,
    own: Any,
    unit: Any,
    noise: Any,
    packed: Any,
    normed: Any,
    query: Any,
    metric: Any,
    scale: Any,
    norms: Any,
    best: Any,
) -> Any:
    """Fill best with the keys (topk.py) of the best candidates by their exact scores, best first.

    Return how many there are, and how many candidates were scored.

    Args:
        matrix: (n, d), the rows themselves.
        codes: (n, width) uint8.
        keys: int64 keys of graph.py, best first.
        size: how many of them are meant.
        least: so many are scored whatever their codes say.
        own: squared length of the query's code.
        unit: from unit_of.
        noise: mean squared error of a row's number.
        packed: whether codes are 4-bit ones.
        normed: whether codes end with a squared length.
        query: (d,) as the exact scan has it.
        metric: one of METRIC_CODES.
        scale: factor of every score.
        norms: (n,) float32, read for cosine.
        best: uint64 room.

    """
    base = np.float64(own) / finer(packed, normed) if normed else 0.0
    count, scored, worst = 0, 0, 0.0
    for at in range(min(size, AHEAD)):
        prefetch(matrix, row_of(keys[at]))
    for at in range(size):
        if at >= least and count == best.shape[0]:
            worst = max(worst, variance(codes, keys[at], own, noise, packed, normed))
            bound = np.float64(keys[at] >> np.int64(32)) - base + SIGMAS * np.sqrt(worst)
            if bound < unit * np.float64(score_of(best[count - 1])):
                break
        if at + AHEAD < size:
            prefetch(matrix, row_of(keys[at + AHEAD]))
        row = row_of(keys[at])
        scored += 1
        key = key_of_score(score_row(matrix, row, query, metric, scale, norms), row)
        if count < best.shape[0] or key > best[count - 1]:
            insert(best, count, key)
            count = min(count + 1, best.shape[0])
    return count, scored
