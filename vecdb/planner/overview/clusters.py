"""Groups of rows that are near each other: k-means, and how many there are by the simplified silhouette.

The simplified silhouette (Hruschka, de Castro, Campello 2004) of a row compares its distance to its own centre with
that to the next one; it is measured on rows that were drawn. Where rows have no clusters it says so by low numbers,
which the caller sees beside the choice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vecdb.planner.overview.rows import SAMPLE, Middles, Rows
from vecdb_index.cluster.kmeans import KMeans, kmeans, nearest

TRIED = 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64
"""Numbers of clusters."""
JUDGED = 4096
"""Rows by which they are judged."""
STARTS = 5
"""First centres that are tried for so few clusters."""


class Clustered(NamedTuple):
    """Clusters, the largest first.

    Attributes:
        medoids: (k,) the place of the row that is nearest to each centre.
        sizes: (k,) rows of each.
        cohesion: (k,) the mean cosine of its rows to its centre.
        tried: each number of clusters that was tried, and its silhouette; empty where the number was given.

    """

    medoids: np.ndarray
    sizes: np.ndarray
    cohesion: np.ndarray
    tried: tuple[tuple[int, float], ...]


def clusters(rows: Rows, k: int | None, seed: int) -> Clustered:
    """Return k clusters, or as many as the rows suggest; fewer where rows do not differ."""
    if not len(rows):
        return Clustered(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), ())
    tried: tuple[tuple[int, float], ...] = ()
    if k is None:
        tried = _tried(rows, seed)
        k = max(tried, key=lambda one: (one[1], -one[0]))[0] if tried else 1
    points = rows.units(rows.drawn(max(SAMPLE, k), seed))
    centroids = _best(points, min(k, len(points)), seed, rows).centroids
    lengths = np.linalg.norm(centroids, axis=1, keepdims=True)
    directions = np.divide(centroids, lengths, out=np.zeros_like(centroids), where=lengths > 0)
    middles, sizes, total = Middles(rows, len(centroids)), np.zeros(len(centroids), np.int64), np.zeros(len(centroids))
    for piece in rows.pieces():
        labels = nearest(piece.units, centroids, pool=rows.pool).astype(np.int64)
        near = np.einsum("ij,ij->i", piece.units, directions[labels]).astype(np.float64)
        sizes += np.bincount(labels, minlength=len(centroids))
        total += np.bincount(labels, near, minlength=len(centroids))
        middles.add(piece.first, labels, near)
    medoids = middles.places()
    there = np.flatnonzero(sizes)
    ids = dict(zip(there.tolist(), rows.ids(medoids[there]), strict=True))
    order = np.array(sorted(there.tolist(), key=lambda one: (-sizes[one], ids[one])), np.int64)
    return Clustered(medoids[order], sizes[order], total[order] / sizes[order], tried)


def silhouette(points: np.ndarray, centroids: np.ndarray) -> float:
    """Return the mean simplified silhouette of points (n, d) for two centroids (k, d) or more: -1 to 1."""
    squares = (points**2).sum(axis=1)[:, None] + (centroids**2).sum(axis=1) - 2 * points @ centroids.T
    away = np.sqrt(np.maximum(np.partition(squares, 1, axis=1)[:, :2], 0))
    return float(((away[:, 1] - away[:, 0]) / np.maximum(away[:, 1], 1e-12)).mean())


def _tried(rows: Rows, seed: int) -> tuple[tuple[int, float], ...]:
    points = rows.units(rows.drawn(JUDGED, seed))
    out = []
    for k in TRIED:
        if 2 * k > len(points):
            break
        rows.state.check("clusters")
        out.append((k, silhouette(points, _best(points, k, seed, rows).centroids)))
    return tuple(out)


def _best(points: np.ndarray, k: int, seed: int, rows: Rows) -> KMeans:
    """Return the best of several k-means: from poor first centres it ends with one for two clusters, two for one."""
    starts = STARTS if k <= TRIED[-1] else 1
    found = [kmeans(points, k, seed=seed + start, init="++", pool=rows.pool) for start in range(starts)]
    return min(found, key=lambda one: one.inertia)
