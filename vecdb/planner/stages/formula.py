"""Scores by a formula over candidates: all of them at once, in float64."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.errors import InvalidInputError
from vecdb.filters.geo import distances
from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import Candidates
from vecdb.planner.columns import bound_filter
from vecdb.planner.gather import Context
from vecdb.planner.masks import filter_mask
from vecdb.query import formula as parts
from vecdb.query.stages import Rank
from vecdb.query.value import shown

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "min": np.minimum,
    "max": np.maximum,
    "pow": np.power,
}
_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "exp": np.exp,
    "neg": np.negative,
}

MICROS = 1e6
"""Microseconds in a second: formulas count in seconds."""


def rank(context: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the candidates by the formula's score, those left out for which it gives no finite number."""
    stage = bound.stage
    assert isinstance(stage, Rank)
    chosen = candidates.some(slice(stage.top))
    with np.errstate(all="ignore"):
        result = _Evaluation(context, bound, chosen).of(stage.formula)
        scores = np.broadcast_to(np.asarray(result, np.float64), len(chosen))
    usable = np.flatnonzero(np.isfinite(scores))
    return chosen.some(usable).scored(scores[usable])


class _Evaluation:
    """A formula over some candidates; each column is fetched once."""

    def __init__(self, context: Context, bound: BoundStage, candidates: Candidates) -> None:
        self._context = context
        self._candidates = candidates
        self._columns = {column.name: column for column in bound.columns}
        self._values: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def of(self, formula: parts.Formula) -> Any:
        """Return the formula's numbers: (n,) float64, or one number."""
        match formula:
            case parts.Constant(number):
                return number
            case parts.Score():
                return self._candidates.score.astype(np.float64)
            case parts.Value(field, missing):
                values, null = self._numbers(field)
                return np.where(null, missing, values)
            case parts.Arm(name, missing):
                scores = self._arm(name)
                return np.where(np.isnan(scores), missing, scores)
            case parts.Operation(operator, (one, other)):
                return _OPERATORS[operator](self.of(one), self.of(other))
            case parts.Function(name, part):
                return _FUNCTIONS[name](self.of(part))
            case parts.When(where, then, otherwise):
                return np.where(self._passing(where), self.of(then), self.of(otherwise))
            case parts.Away(field, latitude, longitude, missing):
                kilometres = self._distances(field, latitude, longitude)
                return np.where(np.isnan(kilometres), missing, kilometres)
            case parts.Decay():
                return self._decay(formula)
            case _:
                raise TypeError(formula)

    def _arm(self, name: str) -> np.ndarray:
        for arm in self._candidates.arms:
            if arm.name == name:
                return arm.scores.astype(np.float64)
        known = ", ".join(repr(arm.name) for arm in self._candidates.arms) or "none"
        raise InvalidInputError(f"the query has no arm {shown(name)} (there are: {known})", field="formula", value=name)

    def _numbers(self, field: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a field's values as float64, and where there are none."""
        if field not in self._values:
            values: Any = self._candidates.take(self._columns[field])
            null = values.is_null().to_numpy(zero_copy_only=False)
            if pa.types.is_timestamp(values.type):
                values = values.cast(pa.int64())
            filled = values.fill_null(False if pa.types.is_boolean(values.type) else 0)
            given = filled.to_numpy(zero_copy_only=False).astype(np.float64)
            moments = self._columns[field].field.kind == "timestamp"
            self._values[field] = given / MICROS if moments else given, null
        return self._values[field]

    def _distances(self, field: str, latitude: float, longitude: float) -> np.ndarray:
        return distances(self._candidates.take(self._columns[field]), latitude, longitude)

    def _passing(self, where: Any) -> np.ndarray:
        schema = self._context.state.schema
        bound = bound_filter(where, schema)
        passing = np.zeros(len(self._candidates), bool)
        for part, at, rows in self._candidates.by_part():
            mask = filter_mask(part, schema, bound, self._context.state.budget)
            passing[at] = True if mask is None else mask[rows]
        return passing

    def _decay(self, decay: parts.Decay) -> np.ndarray:
        if isinstance(decay.origin, tuple):
            away = self._distances(decay.field, *decay.origin)
            null = np.isnan(away)
        else:
            values, null = self._numbers(decay.field)
            away = np.abs(values - (time.time() if decay.origin == parts.NOW else float(decay.origin)))
        steps = np.maximum(away - decay.offset, 0) / decay.scale
        if decay.shape == "linear":
            fallen = np.maximum(1 - (1 - decay.at_scale) * steps, 0)
        else:
            fallen = np.exp(np.log(decay.at_scale) * (steps**2 if decay.shape == "gauss" else steps))
        return np.where(null, decay.missing, fallen)
