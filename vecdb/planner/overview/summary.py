"""A few rows that stand for all: facility location over the whole collection (Nemhauser, Wolsey, Fisher 1978).

The coverage of some rows is the mean, over all rows, of the greatest cosine to one of them, at least 0. The greedy
choice reaches 63 % of the best possible. Over all rows it would compare each with each; so rows are put into cells by
k-means, the row in the middle of each cell is a candidate, and a cell counts as its mean vector, as often as it has
rows. What is told of the choice, its coverage and how many rows each stands for, is then counted over all rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.planner.overview.rows import OVERVIEW, Middles, Rows
from vecdb_index.cluster.kmeans import nearest
from vecdb_index.selection.greedy import Rule, select
from vecdb_index.selection.pool import Pool

CELLS = 1024
"""Cells at most, but two for each row that is chosen."""
EXACT_ROWS = 4096
"""Rows that are compared each with each at most."""
PAIR_BYTES = 8
"""What each such pair takes."""


class Chosen(NamedTuple):
    """Rows that stand for all, best first.

    Attributes:
        places: (k,) of the rows.
        sizes: (k,) how many rows are nearest to each.
        gains: (k,) what each added to the coverage as it was estimated when it was chosen.
        coverage: the coverage of all of them, over all rows.
        method: "exact" or "cells".

    """

    places: np.ndarray
    sizes: np.ndarray
    gains: np.ndarray
    coverage: float
    method: str


def summary(rows: Rows, k: int, exact: bool, seed: int) -> Chosen:
    """Choose k rows, or all where there are fewer.

    Raises:
        InvalidInputError: exact is asked for, and there are too many rows.

    """
    if exact and len(rows) > EXACT_ROWS:
        told = f"an exact summary compares each row with each: {len(rows)} rows are more than {EXACT_ROWS}"
        raise InvalidInputError(told, field="exact")
    if not len(rows):
        return Chosen(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), 0.0, "exact")
    cells = max(CELLS, 2 * k)
    if exact or len(rows) <= cells:
        # In the order of a draw, so that ties do not follow the storage order.
        candidates = rows.drawn(len(rows), seed)
        units = rows.units(candidates)
        universe, weights, method = units, np.ones(len(units)), "exact"
    else:
        candidates, universe, weights = _cells(rows, cells, seed)
        units, method = rows.units(candidates), "cells"
    held = PAIR_BYTES * len(universe) * len(units)
    rows.state.hold(OVERVIEW, held)
    chosen, gains = covering(Pool(units, np.zeros(len(units)), universe, weights), k)
    rows.state.release(held)
    places = candidates[chosen]
    sizes, coverage = _counted(rows, rows.units(places))
    return Chosen(places, sizes, gains, coverage, method)


def covering(pool: Pool, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which candidates cover the universe of a pool most, greedily, and what each adds to the coverage."""
    picked = select(pool, Rule("facility", 1.0), k, exact=True)
    return picked.picks, picked.gains / max(1, min(k, pool.size))


def _cells(rows: Rows, cells: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the middle row of each cell, its mean vector, and how many rows it has; cells without rows left out."""
    centroids = rows.clustered(cells, seed).centroids
    middles, sizes = Middles(rows, len(centroids)), np.zeros(len(centroids))
    for piece in rows.pieces():
        labels = nearest(piece.units, centroids, pool=rows.pool).astype(np.int64)
        sizes += np.bincount(labels, minlength=len(centroids))
        middles.add(piece.first, labels, np.einsum("ij,ij->i", piece.units, centroids[labels]).astype(np.float64))
    there = np.flatnonzero(sizes)
    return middles.places()[there], centroids[there], sizes[there]


def _counted(rows: Rows, chosen: np.ndarray) -> tuple[np.ndarray, float]:
    sizes, total = np.zeros(len(chosen), np.int64), 0.0
    for piece in rows.pieces():
        similar = piece.units @ chosen.T
        sizes += np.bincount(similar.argmax(axis=1), minlength=len(chosen))
        total += float(np.maximum(similar.max(axis=1), 0).sum(dtype=np.float64))
    return sizes, total / len(rows)
