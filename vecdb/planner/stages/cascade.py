"""Scoring in steps, each dear one for what those before left open: see `vecdb.query.cascade`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.planner.stages.max_sim import scores_of
from vecdb.query.cascade import Cascade
from vecdb.query.stages import MaxSim
from vecdb_index.relevance.progressive import probes, verdict


def cascade(context: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the best candidates by the last step, with its scores, and how many each step was asked about."""
    stage = bound.stage
    assert isinstance(stage, Cascade)
    chosen = candidates.some(slice(stage.top))
    asked = _Asked(context, bound.steps[-1], chosen)
    left, told = np.arange(len(chosen)), []
    for step in bound.steps[:-1] if not stage.exact else ():
        context.state.check(step.stage.kind)
        cheap = _scores(context, step, chosen, left)[0]
        judged = np.flatnonzero(~np.isnan(cheap))
        asked.about(left[judged[probes(cheap[judged], stage.keep)]])
        found = verdict(cheap[judged], asked.scores[left[judged]], stage.keep, stage.margin)
        # What a cheap step cannot score is left to the last one.
        open_ = np.ones(len(left), bool)
        open_[judged] = found.open
        told.append({"step": step.stage.kind, "scored": len(left), "open": int(open_.sum())})
        left = left[open_]
    asked.about(left)
    known = np.flatnonzero(~np.isnan(asked.scores))
    best = chosen.some(known).scored(asked.scores[known].astype(asked.dtype)).some(slice(stage.keep))
    told.append({"step": bound.steps[-1].stage.kind, "scored": asked.count})
    why = f"{bound.steps[-1].stage.kind} scored {asked.count} of {len(chosen)}"
    return replace(best, told={"asked": told, "why": why})


class _Asked:
    """What the last step said so far; it is asked about no candidate twice."""

    def __init__(self, context: Context, step: BoundStage, chosen: Candidates) -> None:
        self._context, self._step, self._chosen = context, step, chosen
        self._done = np.zeros(len(chosen), bool)
        self.scores = np.full(len(chosen), np.nan)
        self.dtype: Any = np.float32

    @property
    def count(self) -> int:
        """How many candidates it was asked about."""
        return int(self._done.sum())

    def about(self, places: np.ndarray) -> None:
        """Ask about those of some candidates that were not asked about yet."""
        fresh = places[~self._done[places]]
        if len(fresh):
            self._done[fresh] = True
            self.scores[fresh], self.dtype = _scores(self._context, self._step, self._chosen, fresh)


def _scores(context: Context, step: BoundStage, chosen: Candidates, places: np.ndarray) -> tuple[np.ndarray, Any]:
    """Return a step's scores of some candidates, NaN for those that it leaves out, and their dtype."""
    from vecdb.planner.stages import APPLY

    if isinstance(step.stage, MaxSim) and step.stage.prune is step.stage.patience is None:
        scores = scores_of(context, step, chosen.some(places)).astype(np.float64)
        scores[np.isneginf(scores)] = np.nan
        return scores, np.float32
    asked = chosen.some(np.sort(places))
    found = APPLY[type(step.stage)](context, step, asked)
    keys = asked.keys
    order = np.argsort(keys)
    scores = np.full(len(asked), np.nan)
    scores[order[np.searchsorted(keys, found.keys, sorter=order)]] = found.score
    return scores[np.searchsorted(np.sort(places), places)], found.score.dtype
