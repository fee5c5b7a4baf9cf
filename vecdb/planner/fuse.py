"""Fusing the rankings of several arms: once, over all segments, whatever the keys are that stand for rows."""

import functools
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb.query.fusion import AutoFusion, Fusion, Interleave, Rrf, WeightedSum

DEPTH = 200
"""Rows that each arm should fetch where the query does not say; docs/fusion.md has what fewer cost."""

Keys = NDArray[np.int64]


class Ranking(NamedTuple):
    """What one arm found.

    Attributes:
        keys: (n,) int64, one for each row, best first.
        scores: (n,) float32 or float64, descending, never NaN.
        rest: the score of every row that is not listed, where that is known: 0 for words if all rows that have one are
            listed; None where the list is merely cut.

    """

    keys: Keys
    scores: NDArray[np.floating]
    rest: float | None = None


class Fused(NamedTuple):
    """Rows of several arms, by descending score, then best rank in an arm, then name or key.

    Attributes:
        keys: (n,) int64.
        scores: (n,) float32.
        ranks: (n, arms) int32, the rank of each row in each arm, from 1; 0 where the arm did not find it.
        arm_scores: (n, arms) float64, its score there; NaN where the arm did not find it.

    """

    keys: Keys
    scores: NDArray[np.float32]
    ranks: NDArray[np.int32]
    arm_scores: NDArray[np.float64]

    def some(self, places: slice | list[int] | NDArray[np.integer]) -> "Fused":
        """Return the rows at some places."""
        return Fused(self.keys[places], self.scores[places], self.ranks[places], self.arm_scores[places])


def fuse(
    rankings: Sequence[Ranking],
    fusion: Fusion,
    k: int | None = None,
    names: Callable[[Keys], Sequence[Any]] | None = None,
) -> Fused:
    """Return the k best of all rows that an arm of a positive weight found.

    The order of the arms (and of their weights with them) changes nothing, unless they take turns.

    Args:
        rankings: of the arms.
        fusion: `check`ed for so many arms.
        k: rows wanted; None: all.
        names: returns for some keys what to order rows by that tie in score and best rank, such as their ids; asked
            only where there is such a tie. None: they are ordered by key.

    """
    from vecdb_index.kernels.fuse import fused

    arms, sizes = len(rankings), [len(ranking.keys) for ranking in rankings]
    if not any(sizes):
        return _tables(0, arms)
    starts = np.array([0, *accumulate(sizes)], np.int64)
    keys = np.concatenate([ranking.keys for ranking in rankings])
    scores = np.concatenate([ranking.scores for ranking in rankings], dtype=np.float64)
    weights = _weights(getattr(fusion, "weights", None) or (1.0,) * arms)
    worth, absent = _worth(rankings, fusion, starts, scores, weights)
    # Rows that tie have the same best rank, and so each of them another arm: no tie has more rows than there are arms.
    out = _tables(len(keys) if k is None else min(len(keys), k + arms - 1), arms)
    count = np.empty(1, np.int64)
    fused(keys, starts, scores, weights, worth, absent, isinstance(fusion, Interleave), *out, count)
    wanted = min(int(count[0]), len(keys) if k is None else k)
    order = None if names is None else _by_name(out, int(count[0]), wanted, weights, names)
    if order is not None:
        return out.some(order)
    return out if wanted == len(out.keys) else out.some(slice(wanted))


def _tables(rows: int, arms: int) -> Fused:
    return Fused(
        np.empty(rows, np.int64),
        np.empty(rows, np.float32),
        np.empty((rows, arms), np.int32),
        np.empty((rows, arms), np.float64),
    )


def _by_name(
    found: Fused, rows: int, wanted: int, weights: NDArray[np.float64], names: Callable[[Keys], Sequence[Any]]
) -> list[int] | None:
    """Return the order of the wanted rows with ties ordered by name, or None where nothing ties."""
    scores = found.scores[:rows].tolist()
    if len(set(scores)) == rows:
        return None
    counts, ranks = weights.tolist(), found.ranks[:rows].tolist()

    def best_rank(at: int) -> int:
        return min(rank for rank, weight in zip(ranks[at], counts, strict=True) if rank and weight)

    order, first = list(range(rows)), 0
    while first < wanted:
        last = first + 1
        while last < rows and scores[last] == scores[first] and best_rank(last) == best_rank(first):
            last += 1
        if last - first > 1:
            called = names(found.keys[first:last])
            order[first:last] = [first + at for at in sorted(range(last - first), key=called.__getitem__)]
        first = last
    return order[:wanted]


def _worth(
    rankings: Sequence[Ranking],
    fusion: Fusion,
    starts: NDArray[np.int64],
    scores: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what each entry is worth, and what a row counts in each arm that did not find it."""
    from vecdb_index.kernels import worth as kernels

    worth, absent = np.empty(len(scores)), np.zeros(len(rankings))
    match fusion:
        case Rrf():
            kernels.by_rank(starts, weights, float(fusion.k), worth)
        case Interleave():
            pass
        case WeightedSum() | AutoFusion():
            ways = {
                "minmax": kernels.MINMAX,
                "zscore": kernels.ZSCORE,
                "calibrated": kernels.CALIBRATED,
                "none": kernels.AS_THEY_ARE,
            }
            how = kernels.STANDING_OUT if isinstance(fusion, AutoFusion) else ways[fusion.normalise]
            rests = np.array([np.nan if ranking.rest is None else ranking.rest for ranking in rankings], np.float64)
            kernels.by_score(scores, starts, rests, weights, how, worth, absent)
        case _:
            raise TypeError(f"{type(fusion).__name__} is no fusion that the planner knows")
    return worth, absent


@functools.lru_cache(64)
def _weights(weights: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the weights as an array that nobody writes to."""
    made = np.array(weights, np.float64)
    made.setflags(write=False)
    return made
