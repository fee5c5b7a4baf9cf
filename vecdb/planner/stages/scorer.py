"""Scores by a user's function, batch by batch, until its deadline."""

from __future__ import annotations

import time

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.planner.answered import answered
from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.query.scorer import Scorer
from vecdb.query.value import shown


def scorer(context: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the candidates that the function scored in time, by its scores.

    Raises:
        InvalidInputError: the function returns something else than a number for each record.
        ScorerError: the function failed; errors of vecdb itself come as they are.

    """
    stage = bound.stage
    assert isinstance(stage, Scorer)
    chosen = candidates.some(slice(stage.top))
    stop = None if stage.deadline is None else time.monotonic() + stage.deadline
    scores = np.full(len(chosen), np.nan)
    for first in range(0, len(chosen), stage.batch):
        if stop is not None and time.monotonic() >= stop:
            break
        context.state.check(stage.kind)
        some = chosen.some(slice(first, first + stage.batch))
        scores[first : first + stage.batch] = _asked(context, bound, stage, some)
    scored = np.flatnonzero(np.isfinite(scores))
    return chosen.some(scored).scored(scores[scored])


def _asked(context: Context, bound: BoundStage, stage: Scorer, some: Candidates) -> np.ndarray:
    answer = answered(context, f"score_by: {stage.called}", stage.function, bound.columns, some)
    try:
        numbers = np.asarray(answer, np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (len(some),):
        raise InvalidInputError(
            f"score_by: {stage.called} returned {shown(answer)}, not {len(some)} numbers",
            field="function",
        )
    return numbers
