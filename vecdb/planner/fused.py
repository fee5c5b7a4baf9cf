"""The candidates of several arms as one ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vecdb.planner.candidates import ROW_BITS, ArmColumn, Candidates
from vecdb.planner.found import Found, ties_by_id
from vecdb.planner.fuse import Fused, Ranking, fuse
from vecdb.query.fusion import Fusion
from vecdb.storage.snapshot import Part

SPARE = 32
"""Rows behind the k-th that may be as good, before all are looked at."""


def fused(
    parts: Sequence[Part],
    fusion: Fusion,
    pools: Sequence[Candidates],
    labels: Sequence[str],
    rests: Sequence[float | None],
    k: int | None = None,
) -> Candidates:
    """Return the rows of all pools, best first, equal scores by id, with their rank and score in each.

    Args:
        parts: of the state.
        fusion: checked for so many arms.
        pools: what each arm found.
        labels: what each arm is called.
        rests: what a row scores in each arm that did not find it, where that is known; see `Ranking`.
        k: how many are wanted; None: all. Ties are many, and putting them in order costs more than all else.

    """
    rankings = [Ranking(pool.keys, pool.score, rest) for pool, rest in zip(pools, rests, strict=True)]
    most = None if k is None else k + SPARE
    found = fuse(rankings, fusion, most)
    if k is not None and len(found.keys) == most and found.scores[-1] == found.scores[k - 1]:
        found = fuse(rankings, fusion)  # ids decide among those that are as good as the k-th: all of them must be here
    found = _in_order(found, parts, k)
    arms = tuple(ArmColumn(label, found.ranks[:, at], found.arm_scores[:, at]) for at, label in enumerate(labels))
    return Candidates(parts, *_parted(parts, found.keys), found.scores, arms)


def _in_order(found: Fused, parts: Sequence[Part], k: int | None) -> Fused:
    """Return the k best, equal scores by id. They come by score, with all that are as good as the k-th."""
    scores = found.scores
    if k is not None and k < len(scores):
        scores = scores[: np.count_nonzero(scores >= scores[k - 1])]
    (equal,) = (scores[1:] == scores[:-1]).nonzero()
    if not len(equal):
        return found if k is None else found.some(slice(k))

    def ids_at(places: np.ndarray) -> list[Any]:
        return Found(parts, *_parted(parts, found.keys[places]), scores[places]).ids()

    return found.some(ties_by_id(len(scores), equal, ids_at)[:k])


def _parted(parts: Sequence[Part], keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each key's part, and the row in it."""
    if len(parts) == 1:
        return np.zeros(len(keys), np.int64), keys
    return keys >> ROW_BITS, keys & ((1 << ROW_BITS) - 1)
