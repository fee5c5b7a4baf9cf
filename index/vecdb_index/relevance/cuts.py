"""Where an answer ends: which of the scores that a query found are kept.

zscore, evt        a row is kept while fewer than so many background rows are expected to score as high
higher_criticism   the best cut of the sorted chances (Donoho, Jin 2004), none where it is no better than noise makes it
gap                before the largest gap between neighbours

All are monotone: a row is kept when one with a lower score is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.relevance.tails import Floats, Normal, Tail

SHARE = 0.1
"""The share of all rows among which higher criticism looks for its cut."""
NOISE = 4.5
"""Higher criticism of pure noise is above this in about one of twenty queries: its first value exceeds c with a chance
of about 1 / c^2, and the later ones rarely do."""


class Kept(NamedTuple):
    """What is kept.

    Attributes:
        keep: (n,) bool.
        bar: the score that was needed; NaN where there is none.
        chances: (n,) how likely a background row scores as high; NaN where the method does not ask.
        statistic: what the method decided by: rows expected to be as good as the best one, the higher criticism, or
            the gap.

    """

    keep: NDArray[np.bool_]
    bar: float
    chances: Floats
    statistic: float


def expected(model: Normal | Tail, scores: Floats, rows: int, expect_false: float) -> Kept:
    """Keep scores (n,) that at most `expect_false` of `rows` background rows are expected to reach."""
    chances = model.chances(scores)
    bar = model.score_at(expect_false / rows) if expect_false < rows else -np.inf
    least = float(chances.min()) * rows if len(chances) else np.nan
    return Kept(chances * rows <= expect_false, float(bar), chances, least)


def higher_criticism(chances: Floats, scores: Floats, rows: int, threshold: float = NOISE) -> Kept:
    """Keep the scores before the cut where more small chances came together than noise explains.

    Args:
        chances: (n,) of the best rows, of which there are `rows` in all.
        scores: (n,) theirs.
        rows: all rows that compete.
        threshold: what the criticism must reach; else nothing is kept.

    """
    keep = np.zeros(len(chances), bool)
    most = min(len(chances), max(1, int(rows * SHARE)))
    if not most:
        return Kept(keep, np.nan, chances, np.nan)
    order = np.argsort(chances, kind="stable")
    # A chance of exactly 0 would be infinitely surprising; the sample cannot know that.
    sorted_chances = np.clip(chances[order], 1e-12, 1 - 1e-12)
    criticism = criticisms(sorted_chances, rows)[:most]
    best = int(np.argmax(criticism))
    if criticism[best] < threshold:
        return Kept(keep, np.nan, chances, float(criticism[best]))
    keep[order[: best + 1]] = True
    keep |= chances <= chances[order[best]]
    return Kept(keep, float(scores[keep].min()), chances, float(criticism[best]))


def criticisms(chances: Floats, rows: int) -> Floats:
    """Return sqrt(n) (i/n - p_i) / sqrt(p_i (1 - p_i)) for the i-th smallest of n chances, ascending (m,)."""
    share = np.arange(1, len(chances) + 1) / rows
    return np.sqrt(rows) * (share - chances) / np.sqrt(chances * (1 - chances))


def largest_gap(scores: Floats, skip: int = 0, extra: int = 0) -> Kept:
    """Keep what lies before the largest gap between neighbours in the upper half of scores (n,), best first.

    Args:
        scores: best first.
        skip: gaps at the beginning that do not count.
        extra: how many more to keep behind the gap.

    """
    keep = np.zeros(len(scores), bool)
    none = np.full(len(scores), np.nan)
    if len(scores) < 2:
        keep[:] = True
        return Kept(keep, np.nan, none, np.nan)
    gaps = scores[:-1] - scores[1:]
    last = max(skip + 1, (len(scores) + 1) // 2)
    looked_at = gaps[min(skip, len(gaps) - 1) : last]
    at = min(skip, len(gaps) - 1) + int(np.argmax(looked_at))
    keep[: at + 1 + extra] = True
    return Kept(keep, float(scores[at]), none, float(gaps[at]))
