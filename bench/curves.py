"""Recall against speed: passes over single calls, and the rate at a recall from a sweep of widths."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVELS = {"90": 0.90, "95": 0.95, "99": 0.99}
_ENOUGH = 0.99
_CERTAIN = 0.995


@dataclass(frozen=True)
class Passes:
    """Single calls over the same queries, several times.

    Attributes:
        answers: what the last pass returned.
        best_s: each query's best seconds, float64 (queries,).
        cpu_s: CPU seconds a query of the best pass; above best_s where a call takes several threads.

    """

    answers: list[Any]
    best_s: np.ndarray
    cpu_s: float


def passes(call: Callable[[np.ndarray], Any], queries: np.ndarray, count: int, budget_s: float) -> Passes:
    """Call once a query, in `count` passes; no further pass begins once `budget_s` seconds are spent.

    Each query counts with its best pass, so that a moment when something else had the core drops out.
    """
    clock, begun = time.perf_counter, time.perf_counter()
    best, cpu, answers = np.full(len(queries), np.inf), np.inf, []
    for _ in range(count):
        answers, cpu_begun = [], time.process_time()
        for at, query in enumerate(queries):
            started = clock()
            answer = call(query)
            best[at] = min(best[at], clock() - started)
            answers.append(answer)
        cpu = min(cpu, (time.process_time() - cpu_begun) / len(queries))
        if clock() - begun > budget_s:
            break
    return Passes(answers, best, float(cpu))


def at_recall(curve: Sequence[tuple[float, float]], level: float) -> float | None:
    """Return the best figure (higher is better) at a recall of at least `level`; None when no point reaches it.

    Between two points of the Pareto front of (recall, figure) the logarithm of the figure is interpolated.
    """
    front: list[tuple[float, float]] = []
    for recall, figure in sorted(curve, reverse=True):
        if not front or figure > front[-1][1]:
            front.append((recall, figure))
    front.reverse()
    if not front or front[-1][0] < level:
        return None
    if front[0][0] >= level:
        return front[0][1]
    for (below, fast), (above, slow) in itertools.pairwise(front):
        if below < level <= above:
            share = (level - below) / (above - below)
            return float(np.exp(np.log(fast) * (1 - share) + np.log(slow) * share))
    return None


def is_done(recalls: Sequence[float]) -> bool:
    """Tell whether a sweep over one growing width may end: one point is certain, or two are past recall .99."""
    return any(recall >= _CERTAIN for recall in recalls) or sum(recall >= _ENOUGH for recall in recalls) >= 2
