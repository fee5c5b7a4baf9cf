"""What the chosen stand for: which rows each of them represents, and how well all of them represent the pool."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.selection.pool import Pool, base_of, products

ALIKE = 0.5
"""A row is represented by the chosen one that it is most similar to, when that is at least half way from the pool's
median similarity to 1."""


class Represented(NamedTuple):
    """What the chosen stand for.

    Attributes:
        members: for each chosen one, places of the candidates that it represents, most similar first.
        similarities: for each, the similarities of these.
        coverage: the mean, over the universe and by its weights, of the similarity to the closest chosen one, counted
            from the pool's median (0) to 1.

    """

    members: list[NDArray[np.int64]]
    similarities: list[NDArray[np.float32]]
    coverage: float


def represented(pool: Pool, picks: NDArray[np.int64]) -> Represented:
    """Return what the chosen stand for."""
    if not len(picks):
        return Represented([], [], 0.0)
    base = base_of(pool, "median")
    similar = products(pool.units[picks], pool.units) if pool.given is None else pool.given[picks]
    owner = similar.argmax(axis=0)
    closest = similar[owner, np.arange(pool.size)]
    best = np.clip((closest - base) / (1 - base), 0, 1)
    owned = best >= ALIKE
    owned[picks] = False
    weights = pool.relevance if pool.weights is None or pool.universe is not None else pool.weights
    if pool.reach is not None:
        best = pool.reach[picks].max(axis=0)
    if pool.universe is not None:
        weights = np.ones(len(pool.universe)) if pool.weights is None else pool.weights
        given = pool.given_universe
        close = products(pool.units[picks], pool.universe) if given is None else given[picks]
        best = np.clip((close - base) / (1 - base), 0, 1).max(axis=0)
    total = float(weights.sum())
    coverage = float(weights @ best) / total if total > 0 else float(best.mean()) if len(best) else 0.0
    rows = np.flatnonzero(owned)
    rows = rows[np.lexsort((-closest[rows], owner[rows]))]
    closeness = closest[rows]
    ends = np.searchsorted(owner[rows], np.arange(len(picks) + 1)).tolist()
    members = [rows[first:last] for first, last in pairwise(ends)]
    return Represented(members, [closeness[first:last] for first, last in pairwise(ends)], coverage)
