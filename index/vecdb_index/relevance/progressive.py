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


def line(x: Floats, y: Floats) -> tuple[float, float]:
    """Return slope and intercept of the least squares line through (n,) points; a flat one where x does not vary."""
    centred = x - x.mean()
    square = float(centred @ centred)
    slope = float(centred @ (y - y.mean())) / square if square > 0 else 0.0
    return slope, float(y.mean() - slope * x.mean())
