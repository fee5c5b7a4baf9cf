"""Which candidates are still open after a cheap scorer, when only the best few by a dear one are wanted.

The idea is that of GRATING/PRISM, which prunes the candidates of a cross-encoder between its layers: those clearly in
the answer and those clearly out of it need no further work. Different from the paper: it tells clusters of provisional
scores apart, with a threshold calibrated ahead. Scores of embeddings have no clusters; but the dear scorer can be asked
about a few candidates first. These tell how far the cheap score is off, for this very query, and the best of them how
high the bar is at least.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CLUSTERS = 3
"""Clusters that scores fall into, whether or not they lie apart."""
SPREAD = 10
"""Candidates that the dear scorer is asked about only to learn how far the cheap one is off."""


class Verdict(NamedTuple):
    """What a cheap score says of candidates.

    Attributes:
        open: (n,) bool: may be among the best, by the dear score.
        error: the standard deviation of the dear score around what the cheap one predicts.
        bar: the dear score that is needed at least.

    """

    open: NDArray[np.bool_]
    error: float
    bar: float


def probes(scores: Floats, keep: int) -> NDArray[np.int64]:
    """Return which candidates (n,) to ask the dear scorer about first: the best `keep`, and some of all ranks."""
    order = np.argsort(-scores, kind="stable")
    rest = order[keep:]
    spread = rest[np.linspace(0, len(rest) - 1, min(SPREAD, len(rest))).round().astype(np.int64)] if len(rest) else rest
    return np.concatenate([order[:keep], spread])


def verdict(cheap: Floats, dear: Floats, keep: int, margin: float) -> Verdict:
    """Judge candidates by a cheap score, and by the dear one where it is known.

    Args:
        cheap: (n,) scores of all of them.
        dear: (n,) scores of the probes, NaN for the others.
        keep: how many of the best are wanted.
        margin: standard deviations of the error within which a candidate is open.

    """
    known = np.flatnonzero(~np.isnan(dear))
    if len(known) < keep or len(known) < 4:
        return Verdict(np.ones(len(cheap), bool), np.inf, -np.inf)
    slope, intercept = line(cheap[known], dear[known])
    off = dear[known] - (slope * cheap[known] + intercept)
    # Two of the degrees of freedom made the line.
    error = float(np.sqrt((off**2).sum() / (len(known) - 2)))
    bar = float(np.partition(dear[known], len(known) - keep)[len(known) - keep])
    predicted = np.where(np.isnan(dear), slope * cheap + intercept + margin * error, dear)
    return Verdict(predicted >= bar, error, bar)


def far_below(scores: Floats, keep: int, separation: float) -> NDArray[np.bool_]:
    """Tell which candidates lie in clusters of scores clearly below the one that holds the keep-th best (PRISM).

    Args:
        scores: (n,) of all candidates.
        keep: how many of the best are wanted, at least 1.
        separation: how many standard deviations, inside clusters, lie between the means of that one and the next.

    """
    below, count = np.zeros(len(scores), bool), len(scores)
    if count <= max(keep, CLUSTERS):
        return below
    order = np.argsort(-scores, kind="stable")
    ends, within = _clusters(scores[order])
    own = int(np.searchsorted(ends, keep - 1, side="right"))
    if own == CLUSTERS - 1:
        return below
    begin = 0 if own == 0 else int(ends[own - 1])
    kept, next_ = scores[order[begin : ends[own]]], scores[order[ends[own] : ends[own + 1]]]
    if kept.mean() - next_.mean() > separation * within:
        below[order[ends[own] :]] = True
    return below


def _clusters(ordered: Floats) -> tuple[NDArray[np.int64], float]:
    """Return where the three clusters of descending scores end that differ least inside, and how much they do."""
    count, centred = len(ordered), ordered - ordered.mean()
    sums, squares = np.concatenate([[0.0], centred.cumsum()]), np.concatenate([[0.0], (centred**2).cumsum()])

    def spread(first: NDArray[np.int64], last: NDArray[np.int64]) -> Floats:
        size = np.maximum(last - first, 1)
        return squares[last] - squares[first] - (sums[last] - sums[first]) ** 2 / size

    one, two = np.triu_indices(count, 1)
    one, two = one[one > 0], two[one > 0]
    total = spread(np.zeros_like(one), one) + spread(one, two) + spread(two, np.full_like(two, count))
    best = int(total.argmin())
    return np.array([one[best], two[best], count]), float(np.sqrt(max(total[best], 0.0) / count))


def line(x: Floats, y: Floats) -> tuple[float, float]:
    """Return slope and intercept of the least squares line through (n,) points; a flat one where x does not vary."""
    centred = x - x.mean()
    square = float(centred @ centred)
    slope = float(centred @ (y - y.mean())) / square if square > 0 else 0.0
    return slope, float(y.mean() - slope * x.mean())
