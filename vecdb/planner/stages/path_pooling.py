"""Scoring facts by the best path that each is on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.planner.paths import PathColumn
from vecdb.query.graph import PathPooling
from vecdb.results import Paths
from vecdb_index.graph.pooling import pool_paths


def path_pooling(_: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the best candidates by their scores after pooling, each with the path that gave its score."""
    stage = bound.stage
    assert isinstance(stage, PathPooling)
    chosen = candidates.some(slice(stage.top))
    heads, tails = (chosen.take(column).to_pylist() for column in bound.columns)
    ids = chosen.ids()
    # A fact without an end joins nothing: each such end is one of its own.
    heads = [object() if value is None else value for value in heads]
    tails = [object() if value is None else value for value in tails]
    pooled = pool_paths(heads, tails, chosen.score, stage.entities, stage.bonus)

    def paths(places: Sequence[int]) -> Paths:
        ways = [pooled.paths[place] if place >= 0 else () for place in places]
        steps = [ids[fact] for way in ways for fact in way]
        return Paths([len(way) for way in ways], steps, (), [-1] * len(steps), [True] * len(steps))

    column = PathColumn(np.arange(len(chosen)), paths)
    told = {"on_paths": sum(len(one) > 1 for one in pooled.paths)}
    return replace(replace(chosen, paths=column).scored(pooled.scores), told=told)
