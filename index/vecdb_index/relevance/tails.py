"""How likely a row that has nothing to do with a query scores so high: tails fitted to scores of a background sample.

Two models. The normal one knows the mean and the spread of the sample. The other takes the sample as it is, and beyond
a high quantile an exponential tail, which is what tails of many distributions come to (Pickands 1975).

Different from the textbook: the general Pareto tail has a shape too. Fitted to a hundred excesses, among which are the
answers themselves, it takes the answers for a heavy tail, and finds nothing unusual: told from its chances, questions
with an answer were hardly above those without one (0.52 to 0.67 of pairs on five sets, against 0.62 to 0.81 for the
exponential one). For the same reason the greatest excesses count only as being at least so great.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BEYOND = 0.05
"""The share of the sample that the tail is fitted to."""
FEWEST = 10
"""Scores beyond the quantile, at least."""
UNTRUSTED = 0.1
"""The share of them that may be answers."""

_NORMAL = NormalDist()


class Normal(NamedTuple):
    """A normal distribution of background scores."""

    mean: float
    std: float

    @classmethod
    def of(cls, sample: Floats) -> Normal:
        """Fit a sample (m,), m at least 2."""
        return cls(float(sample.mean()), max(float(sample.std(ddof=1)), np.finfo(np.float64).tiny))

    def chances(self, scores: Floats) -> Floats:
        """Return for each score how likely a background row has it or a higher one."""
        z = (scores - self.mean) / self.std
        return np.array([0.5 * math.erfc(one / math.sqrt(2)) for one in z.tolist()])

    def score_at(self, chance: float) -> float:
        """Return the score that a background row reaches with a chance between 0 and 1."""
        return self.mean - self.std * _NORMAL.inv_cdf(min(max(chance, 1e-300), 1 - 1e-16))


class Tail(NamedTuple):
    """The sample itself below a threshold, an exponential tail above it.

    Attributes:
        sample: (m,) the background scores, ascending.
        threshold: where the tail begins.
        beyond: the share of the sample above it.
        scale: the mean excess over the threshold, above 0.

    """

    sample: Floats
    threshold: float
    beyond: float
    scale: float

    @classmethod
    def of(cls, sample: Floats) -> Tail:
        """Fit a sample (m,), m at least 2 * FEWEST."""
        ordered = np.sort(sample)
        count = max(FEWEST, int(len(ordered) * BEYOND))
        threshold = float(ordered[-count - 1])
        excess = ordered[-count:] - threshold
        return cls(ordered, threshold, count / len(ordered), mean_excess(excess, max(1, int(count * UNTRUSTED))))

    def chances(self, scores: Floats) -> Floats:
        """Return for each score how likely a background row has it or a higher one."""
        at_least = len(self.sample) - np.searchsorted(self.sample, scores, side="left")
        below = np.maximum(at_least / len(self.sample), self.beyond)
        far = np.maximum(scores - self.threshold, 0) / self.scale
        return np.where(scores > self.threshold, self.beyond * np.exp(-far), below)

    def score_at(self, chance: float) -> float:
        """Return the score that a background row reaches with a chance between 0 and 1."""
        if chance >= self.beyond:
            return float(np.quantile(self.sample, 1 - min(chance, 1.0)))
        return self.threshold - self.scale * math.log(max(chance, 1e-300) / self.beyond)


def mean_excess(excess: Floats, untrusted: int) -> float:
    """Return the mean of an exponential distribution, of excesses (n,) ascending of which the last are not looked at.

    The likelihood of a sample whose greatest values are only known to be great (Epstein, Sobel 1953).
    """
    seen = excess[: len(excess) - untrusted]
    mean = (float(seen.sum()) + untrusted * float(seen[-1])) / len(seen)
    return max(mean, float(np.finfo(np.float64).tiny))
