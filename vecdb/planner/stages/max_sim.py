"""Scoring candidates by MaxSim: all of them, or those that are worth it."""

from __future__ import annotations

from typing import cast

import numpy as np

from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.query.stages import MaxSim
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column
from vecdb_index.multivector.maxsim import estimated_rows, score_best, score_rows, scorer
from vecdb_index.multivector.rerank import pruned, until_no_better
from vecdb_index.multivector.stored import Tokens


def max_sim(context: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the best candidates that have tokens, by their scores."""
    stage, column = bound.stage, cast("Column[MultiVector]", bound.columns[0])
    assert isinstance(stage, MaxSim)
    assert bound.question is not None
    chosen, question = candidates.some(slice(stage.top)), bound.question
    if stage.prune is not None and not bound.exact:
        chosen = chosen.some(slice(pruned(chosen.score, bound.k, stage.prune)))
    patience = None if bound.exact else stage.patience
    if patience is None:
        scores = scores_of(context, bound, chosen)
    else:
        one_part = len(chosen) and not bound.rough and (chosen.part == chosen.part[0]).all()
        prepared = None
        if one_part:
            prepared = scorer(chosen.parts[int(chosen.part[0])].tokens(column), question, chosen.row, context.pool)

        def few(first: int, last: int) -> np.ndarray:
            if prepared is None:
                return scores_of(context, bound, chosen.some(slice(first, last)))
            context.state.check(stage.kind)
            return prepared(first, last)

        scores = until_no_better(few, len(chosen), bound.k, patience)
    places = np.flatnonzero(scores > -np.inf)
    return chosen.some(places).scored(scores[places])


def scores_of(context: Context, bound: BoundStage, candidates: Candidates) -> np.ndarray:
    """Return the scores of candidates in their order, -inf for those that have no tokens or are none of the best."""
    stage, column, question = bound.stage, cast("Column[MultiVector]", bound.columns[0]), bound.question
    assert isinstance(stage, MaxSim)
    assert question is not None

    def scored(tokens: Tokens, rows: np.ndarray) -> np.ndarray:
        if bound.rough:
            return estimated_rows(tokens, question, rows, context.pool)
        if bound.last and not bound.exact and stage.patience is None:
            # One more than is wanted tells whether there is another page.
            return score_best(tokens, question, rows, bound.k + 1, context.pool)
        return score_rows(tokens, question, rows, context.pool)

    out = np.full(len(candidates), -np.inf, np.float32)
    for part, at, rows in candidates.by_part():
        context.state.check(stage.kind)
        out[at] = scored(part.tokens(column), rows)
    return out
