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


def max_sim(context: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the best candidates that have tokens, by their scores."""
    stage, column = bound.stage, cast("Column[MultiVector]", bound.columns[0])
    assert isinstance(stage, MaxSim)
    assert bound.question is not None
    chosen, question = candidates.some(slice(stage.top)), bound.question
    if stage.prune is not None and not bound.exact:
        chosen = chosen.some(slice(pruned(chosen.score, bound.k, stage.prune)))

    scored = estimated_rows if bound.rough else score_rows
    if bound.last and not bound.rough and not bound.exact:
        # One more than is wanted tells whether there is another page.
        scored = partial(_best, bound.k + 1)

    def score(first: int, last: int, scored: Score) -> np.ndarray:
        out = np.full(last - first, -np.inf, np.float32)
        for part, at, rows in chosen.some(slice(first, last)).by_part():
            context.state.check(stage.kind)
            out[at] = scored(part.tokens(column), question, rows, context.pool)
        return out

    if stage.patience is None or bound.exact:
        scores = score(0, len(chosen), scored)
    elif len(chosen) and not bound.rough and (chosen.part == chosen.part[0]).all():
        tokens = chosen.parts[int(chosen.part[0])].tokens(column)
        few = scorer(tokens, question, chosen.row, context.pool)
        scores = until_no_better(few, len(chosen), bound.k, stage.patience)
    else:
        some = estimated_rows if bound.rough else score_rows
        scores = until_no_better(partial(score, scored=some), len(chosen), bound.k, stage.patience)
    places = np.flatnonzero(scores > -np.inf)
    return chosen.some(places).scored(scores[places])


def _best(k: int, tokens: Tokens, question: Question, rows: np.ndarray, pool: ThreadPoolExecutor | None) -> np.ndarray:
    return score_best(tokens, question, rows, k, pool)
