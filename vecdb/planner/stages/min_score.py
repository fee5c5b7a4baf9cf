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
    # As precise as the scores: 0.3 leaves a row in whose score is the float32 that is nearest to it.
    with np.errstate(over="ignore"):  # beyond float32 all rows are below, or none is
        least = candidates.score.dtype.type(stage.score)
    return candidates.some(np.flatnonzero(candidates.score >= least))
