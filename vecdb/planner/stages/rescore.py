"""Scoring candidates anew, exactly, by a vector field."""

from __future__ import annotations

import numpy as np

from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.query.stages import Rescore


def rescore(_: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the best candidates that have a vector, by its score."""
    stage, column = bound.stage, bound.columns[0]
    assert isinstance(stage, Rescore)
    assert bound.vectors is not None
    chosen = candidates.some(slice(stage.top))
    score = chosen.scores_by(column, bound.vectors[0])
    places = np.flatnonzero(~np.isnan(score))
    return chosen.some(places).scored(score[places])
