"""Groups of rows that are nearly the same: linked, directly or by others, by cosines of at least a threshold.

Each row is compared with the rows of the cells whose centres are nearest to it, which finds nearly all pairs that are
really near. `exact` compares each row with each, block by block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vecdb.planner.overview.rows import OVERVIEW, PIECE, Rows

PROBES = 4
"""Cells in which a row looks for others like it."""
CELL_ROWS = 256
"""Rows of a cell, about."""
FEW = 2048
"""Up to so many rows are compared each with each in any case."""


class Group(NamedTuple):
    """Rows that are nearly the same: their places, by id; and the least of their cosines to the next of them."""

    places: np.ndarray
    similarity: float


class Twins(NamedTuple):
    """The groups, the largest first, how many there are in all, and whether every pair was compared."""

    groups: list[Group]
    total: int
    exact: bool


def duplicates(rows: Rows, threshold: float, exact: bool, most: int, seed: int = 0) -> Twins:
    """Return the largest groups of rows that are nearly the same."""
    exact = exact or len(rows) <= FEW
    forest, nearest = _Forest(len(rows)), np.full(len(rows), -np.inf, np.float32)
    for one, other, near in _all_pairs(rows, threshold) if exact else _near_pairs(rows, threshold, seed):
        forest.join(one, other)
        np.maximum.at(nearest, one, near)
        np.maximum.at(nearest, other, near)
    roots = forest.roots()
    order = np.argsort(roots, kind="stable")
    begins = np.flatnonzero(np.r_[True, roots[order][1:] != roots[order][:-1]]) if len(order) else order
    ends = np.r_[begins[1:], len(order)]
    several = np.flatnonzero(ends - begins > 1)
    sizes = (ends - begins)[several]
    # Ids decide between groups of a size; those that cannot be among the largest need none.
    if len(several) > most:
        several = several[sizes >= np.partition(sizes, len(sizes) - most)[len(sizes) - most]]
    found = []
    for group in several.tolist():
        places = order[begins[group] : ends[group]]
        ids = rows.ids(places)
        by_id = sorted(range(len(places)), key=ids.__getitem__)
        found.append((-len(places), ids[by_id[0]], Group(places[by_id], min(1.0, float(nearest[places].min())))))
    found.sort(key=lambda one: one[:2])
    return Twins([group for _, _, group in found[:most]], len(sizes), exact)


Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def _all_pairs(rows: Rows, threshold: float) -> Iterator[Pairs]:
    for first in range(0, len(rows), PIECE):
        mine = rows.units(np.arange(first, min(first + PIECE, len(rows))))
        for other in range(first, len(rows), PIECE):
            rows.state.check(OVERVIEW)
            theirs = mine if other == first else rows.units(np.arange(other, min(other + PIECE, len(rows))))
            yield from _joined(
                mine, theirs, np.arange(first, first + len(mine)), np.arange(other, other + len(theirs)), threshold
            )


def _near_pairs(rows: Rows, threshold: float, seed: int) -> Iterator[Pairs]:
    centroids = rows.clustered(max(2, len(rows) // CELL_ROWS), seed).centroids
    probes = min(PROBES, len(centroids))
    halves = (centroids**2).sum(axis=1) / 2
    cells = np.empty((len(rows), probes), np.int32)
    for piece in rows.pieces():
        scores = piece.units @ centroids.T - halves
        best = np.argpartition(-scores, probes - 1, axis=1)[:, :probes]
        first = np.take_along_axis(scores, best, 1).argmax(axis=1)
        best[np.arange(len(best)), first], best[:, 0] = best[:, 0].copy(), best[np.arange(len(best)), first]
        cells[piece.places] = best
    home, visits = cells[:, 0], cells.ravel()
    by_home, by_visit = np.argsort(home, kind="stable"), np.argsort(visits, kind="stable")
    home_at = np.searchsorted(home[by_home], np.arange(len(centroids) + 1))
    visit_at = np.searchsorted(visits[by_visit], np.arange(len(centroids) + 1))
    for cell in range(len(centroids)):
        rows.state.check(OVERVIEW)
        mine = by_home[home_at[cell] : home_at[cell + 1]]
        theirs = by_visit[visit_at[cell] : visit_at[cell + 1]] // probes
        for first in range(0, len(mine), PIECE):
            some = mine[first : first + PIECE]
            units = rows.units(some)
            for other in range(0, len(theirs), PIECE):
                others = theirs[other : other + PIECE]
                yield from _joined(units, rows.units(others), some, others, threshold)


def _joined(
    mine: np.ndarray, theirs: np.ndarray, places: np.ndarray, others: np.ndarray, threshold: float
) -> Iterator[Pairs]:
    """Yield the pairs of two blocks that are near, but a row with itself, some thousand rows at a time."""
    step = max(1, (1 << 22) // max(1, len(theirs)))
    for first in range(0, len(mine), step):
        similar = mine[first : first + step] @ theirs.T
        at, by = np.nonzero(similar >= np.float32(threshold))
        one, other = places[first + at], others[by]
        different = one != other
        if different.any():
            yield one[different], other[different], similar[at[different], by[different]]


class _Forest:
    """Sets of rows that are joined step by step."""

    def __init__(self, rows: int) -> None:
        self._parent = np.arange(rows)

    def roots(self) -> np.ndarray:
        """Return the smallest row of each row's set."""
        while True:
            above = self._parent[self._parent]
            if np.array_equal(above, self._parent):
                return above
            self._parent = above

    def join(self, one: np.ndarray, other: np.ndarray) -> None:
        """Join the sets of pairs of rows."""
        while True:
            roots = self.roots()
            left, right = roots[one], roots[other]
            apart = left != right
            if not apart.any():
                return
            one, other = one[apart], other[apart]
            np.minimum.at(self._parent, np.maximum(left, right)[apart], np.minimum(left, right)[apart])
