"""Scoring candidates anew, exactly, by a vector field."""

from __future__ import annotations

import numpy as np

from vecdb.planner import dense
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
    score = np.full(len(chosen), -np.inf, np.float32)
    scored = np.zeros(len(chosen), bool)
    for part, at, rows in chosen.by_part():
        held = part.vectors(column)
        if held is None:
            continue
        matrix, present, norms = held
        if present is not None:
            at, rows = at[present[rows]], rows[present[rows]]
        score[at] = dense.score_rows(matrix, bound.vectors[0], rows, column.field.metric, norms)
        scored[at] = True
    places = np.flatnonzero(scored)
    return chosen.some(places).scored(score[places])
