"""Some rows that stand for all in sums: uniform, or by sensitivity (Bachem, Lucic, Krause 2018).

A row's sensitivity is how much a sum over all rows may depend on it: half of it is shared out evenly over clusters, so
that small ones are not missed, half goes by the squared distance to the cluster's centre. Rows are drawn by priority
sampling (Duffield, Lund, Thorup 2007): without repetition, and sums over the sample times the weights estimate sums
over all rows without bias. Weights are then scaled so that they add up to the number of rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vecdb.planner.overview.rows import Rows
from vecdb_index.cluster.kmeans import nearest

CENTRES = 64


class Drawn(NamedTuple):
    """Rows that were drawn, and for how many rows each counts: (k,) places and (k,) weights."""

    places: np.ndarray
    weights: np.ndarray


def draw(rows: Rows, k: int, method: str, seed: int) -> Drawn:
    """Draw k rows, or take all where there are no more."""
    if len(rows) <= k:
        return Drawn(rows.drawn(len(rows), seed), np.ones(len(rows)))
    if method == "uniform":
        return Drawn(rows.drawn(k, seed), np.full(k, len(rows) / k))
    return by_priority(sensitivity(rows, seed), rows.chances(seed), k)


def by_priority(worth: np.ndarray, chances: np.ndarray, k: int) -> Drawn:
    """Draw k of n > k rows in proportion to their worth (n,), above 0, by chances (n,) between 0 and 1."""
    priority = worth / chances
    order = np.argpartition(-priority, k)[: k + 1]
    order = order[np.argsort(-priority[order], kind="stable")]
    places, threshold = order[:k], priority[order[k]]
    weights = np.maximum(worth[places], threshold) / worth[places]
    return Drawn(places, weights * (len(worth) / weights.sum()))


def sensitivity(rows: Rows, seed: int) -> np.ndarray:
    """Return the share of all sensitivity that each row has: (n,) float64, adding up to 1."""
    centroids = rows.clustered(min(CENTRES, len(rows)), seed).centroids
    labels, away = np.empty(len(rows), np.int64), np.empty(len(rows))
    for piece in rows.pieces():
        mine = nearest(piece.units, centroids, pool=rows.pool).astype(np.int64)
        labels[piece.places] = mine
        away[piece.places] = ((piece.units - centroids[mine]).astype(np.float64) ** 2).sum(axis=1)
    sizes = np.bincount(labels, minlength=len(centroids))
    even = 1 / (np.count_nonzero(sizes) * sizes[labels])
    total = away.sum()
    return 0.5 * even + 0.5 * away / total if total > 0 else even
