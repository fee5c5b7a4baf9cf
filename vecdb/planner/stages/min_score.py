"""Leaving out what scores too low."""

import numpy as np

from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.query.stages import MinScore


def min_score(_: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the candidates that score high enough, in their order."""
    stage = bound.stage
    assert isinstance(stage, MinScore)
    return candidates.some(np.flatnonzero(candidates.score >= np.float32(stage.score)))
