"""The candidates of several arms as one ranking."""

from __future__ import annotations

from collections.abc import Sequence

from vecdb.planner.candidates import ROW_BITS, ArmColumn, Candidates
from vecdb.planner.fuse import Ranking, fuse
from vecdb.query.fusion import Fusion
from vecdb.storage.snapshot import Part


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
    found = fuse([Ranking(pool.keys, pool.score, rest) for pool, rest in zip(pools, rests, strict=True)], fusion)
    arms = tuple(ArmColumn(label, found.ranks[:, at], found.arm_scores[:, at]) for at, label in enumerate(labels))
    row = found.keys & ((1 << ROW_BITS) - 1)
    return Candidates(parts, found.keys >> ROW_BITS, row, found.scores, arms).ranked(k)
