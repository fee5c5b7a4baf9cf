"""The candidates of several arms as one ranking."""

from __future__ import annotations

from collections.abc import Sequence

from vecdb.planner.candidates import ROW_BITS, ArmColumn, Candidates
from vecdb.planner.fuse import Ranking, fuse
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
    arms = tuple(ArmColumn(label, found.ranks[:, at], found.arm_scores[:, at]) for at, label in enumerate(labels))
    row = found.keys & ((1 << ROW_BITS) - 1)
    return Candidates(parts, found.keys >> ROW_BITS, row, found.scores, arms).ranked(k)
