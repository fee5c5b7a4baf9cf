"""Scoring fewer candidates: some are pruned by the scores that they came with, and scoring ends when none gets better.

Both take candidates in the order of another, cheaper score.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def pruned(scores: NDArray[np.floating], k: int, prune: float) -> int:
    """Return how many of the first candidates are worth scoring.

    Those are left out whose score is below the k-th best by more than a share of it: of its size, so that a threshold
    lies below a negative score too. A larger share leaves out fewer. Scores that do not descend prune nothing.

    Args:
        scores: (n,) of the candidates, in their order.
        k: the candidates that are wanted in the end, at least 1.
        prune: the share, from 0.

    """
    if len(scores) <= k or (np.diff(scores) > 0).any():
        return len(scores)
    last = float(scores[k - 1])
    return int(np.count_nonzero(scores >= last - prune * abs(last)))


def until_no_better(
    score: Callable[[int, int], NDArray[np.float32]], count: int, k: int, patience: int
) -> NDArray[np.float32]:
    """Return the scores of the first candidates: of all up to the one at which scoring ended.

    The first k that have a score are taken as the best; then so many candidates are scored one after the other until
    `patience` in a row were no better than the worst of the k best so far. That is what is computed, although several
    are scored in one call: never more than it takes to reach the end.

    Args:
        score: (first, last) -> the scores of these candidates, -inf for those without any.
        count: of all candidates.
        k: at least 1.
        patience: at least 1.

    """
    found: list[NDArray[np.float32]] = []
    best: list[float] = []
    done, stalls = 0, 0
    while done < count and stalls < patience:
        step = patience - stalls if len(best) == k else k - len(best)
        scores = score(done, min(done + step, count))
        found.append(scores)
        done += len(scores)
        for one in scores.tolist():
            if len(best) < k:
                if one > -np.inf:
                    heapq.heappush(best, one)
            elif one > best[0]:
                heapq.heapreplace(best, one)
                stalls = 0
            else:
                stalls += 1
    return np.concatenate(found) if found else np.empty(0, np.float32)
