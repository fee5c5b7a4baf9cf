"""Scoring candidates by MaxSim, exactly."""

from __future__ import annotations

from typing import cast

import numpy as np

from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.query.stages import MaxSim
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column
from vecdb_index.multivector.maxsim import score_rows


def max_sim(context: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the best candidates that have tokens, by their scores."""
    stage, column = bound.stage, cast("Column[MultiVector]", bound.columns[0])
    assert isinstance(stage, MaxSim)
    assert bound.question is not None
    chosen = candidates.some(slice(stage.top))
    score = np.full(len(chosen), -np.inf, np.float32)
    for part, at, rows in chosen.by_part():
        context.state.check(stage.kind)
        score[at] = score_rows(part.tokens(column), bound.question, rows, context.pool)
    places = np.flatnonzero(score > -np.inf)
    return chosen.some(places).scored(score[places])
