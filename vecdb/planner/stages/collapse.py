"""Leaving out rows that are nearly the same as a better one."""

from __future__ import annotations

from typing import Any

import numpy as np

from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import Candidates, comparable
from vecdb.planner.gather import Context
from vecdb.planner.units import units_of
from vecdb.query.stages import Collapse
from vecdb.schema.arrays import codes_of

BLOCK = 256
"""Candidates that are compared with those kept so far, and with each other, at once."""


def collapse(context: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the candidates that are not the same as a better one that is kept, in their order."""
    stage, column = bound.stage, bound.columns[0]
    assert isinstance(stage, Collapse)
    if column.field.kind != "vector":
        coded: Any = comparable(candidates.take(column)).dictionary_encode()
        codes = codes_of(coded)
        first = np.unique(codes, return_index=True)[1]
        kept = np.zeros(len(codes), bool)
        kept[first] = True
        return candidates.some(np.flatnonzero(kept | (codes < 0)))
    # Rows of length 0, or without a vector, are like no other.
    return candidates.some(_distinct(units_of(candidates, column), np.float32(stage.similarity)))


def _distinct(units: np.ndarray, least: np.float32) -> np.ndarray:
    """Return the places of rows that are not similar to an earlier one that is kept, ascending."""
    kept = np.empty(0, np.int64)
    for start in range(0, len(units), BLOCK):
        block = units[start : start + BLOCK]
        alone = np.ones(len(block), bool)
        alone[np.nonzero(block @ units[kept].T >= least)[0]] = False
        among = np.greater_equal(block @ block.T, least)
        for at in range(len(block)):
            if alone[at]:
                alone[at + 1 :] &= ~among[at, at + 1 :]
        kept = np.concatenate([kept, start + np.flatnonzero(alone)])
    return kept
