"""How a search goes through the parts of a state: decided once, for all queries that ask for the same.

Nothing of it depends on the query itself, so a state remembers its routes. Parts with an index are searched through it,
unless few of their rows match; the others are scanned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vecdb.errors import CorruptionError
from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.found import PartPlan
from vecdb.planner.masks import allowed as allowed_rows
from vecdb.planner.masks import remembered
from vecdb.query.effort import USUAL, Effort
from vecdb.schema.indexes import FLAT
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import Part, SegmentView, State
from vecdb_index import factory
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.calibrate import width_for
from vecdb_index.dense.machine import costs
from vecdb_index.dense.plan import Plan
from vecdb_index.factory import Index, Searcher

SKIP, SCAN = "skip", "scan"
POOR = 0.8
"""An index that reached less recall than this when it was measured, at any width, is not used: codes of rows whose
numbers differ by orders of magnitude tell nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a search by one column needs of one part, looked up once."""

    part: Part
    matrix: np.ndarray
    norms: np.ndarray | None
    searcher: Searcher | None
    problem: str | None


class Leg(NamedTuple):
    """One part to be searched: its number, what there is, which rows may be found; plan None: scan them."""

    number: int
    target: Target
    allowed: Allowed | None
    plan: Plan | None


class Route(NamedTuple):
    """The parts to be searched, what `explain` says of all parts, and the damaged ones that are left out."""

    legs: tuple[Leg, ...]
    plans: tuple[PartPlan, ...]
    missing: tuple[str, ...]


def route(
    state: State, column: Column, k: int, where: BoundFilter | None, effort: Effort, allow_partial: bool
) -> Route:
    """Return how to search a state.

    Raises:
        CorruptionError: a segment is damaged; with allow_partial it is left out instead, and named in `missing`.

    """
    key = column.id, k, effort, None if where is None else where.key, allow_partial
    try:
        return state.routes[key]
    except KeyError:
        return remembered(state.routes, key, _decided(state, column, k, where, effort, allow_partial))


def _decided(
    state: State, column: Column, k: int, where: BoundFilter | None, effort: Effort, allow_partial: bool
) -> Route:
    legs: list[Leg] = []
    plans: list[PartPlan] = []
    missing: list[str] = []
    for number, part in enumerate(state.parts):
        try:
            target = _target(part, column, effort)
            allowed = None if target is None else allowed_rows(part, state.schema, where, column, state.budget)
        except CorruptionError:
            if not allow_partial or part.uuid is None:
                raise
            missing.append(part.uuid)
            continue
        if target is None:
            continue
        told, plan = _planned(target, state, column, k, allowed, effort)
        plans.append(told)
        if told.plan != SKIP:
            legs.append(Leg(number, target, allowed, plan))
    return Route(tuple(legs), tuple(plans), tuple(missing))


def _target(part: Part, column: Column, effort: Effort) -> Target | None:
    """Return what there is to search in a part, None when no row can have a vector."""
    if effort.exact or not isinstance(part, SegmentView) or column.field.spec.kind == FLAT:
        return _looked_up(part, column, None)
    try:
        return part.targets[column.id]
    except KeyError:
        found = part.targets[column.id] = _looked_up(part, column, part.index_of(column))
        return found


def _looked_up(part: Part, column: Column, index: Index | None) -> Target | None:
    held = part.vectors(column)
    if held is None or part.rows == 0:
        return None
    matrix, _, norms = held
    searcher = None if index is None else factory.searcher(index, matrix, column.field.metric, norms, costs())
    return Target(part, matrix, norms, searcher, part.index_problem(column))


def _planned(
    target: Target, state: State, column: Column, k: int, allowed: Allowed | None, effort: Effort
) -> tuple[PartPlan, Plan | None]:
    """Choose the way through a part: what `explain` says of it, and the plan of its index, None to scan."""
    part, searcher = target.part, target.searcher
    matching = part.rows if allowed is None else allowed.count
    if matching == 0:
        return PartPlan(part.uuid, part.told, 0, SKIP, 0, reason="no row may be found"), None
    row_bytes = target.matrix.strides[0]
    if searcher is None:
        problem = None if effort.exact else target.problem
        reason = "asked to be exact" if effort.exact else "it has no index"
        return PartPlan(part.uuid, part.told, matching, SCAN, 0, problem, reason=reason, row_bytes=row_bytes), None
    width = effort.width
    if width is None:
        curve = tuned(state, column, searcher.curve)
        best = float(curve[:, 1].max()) if len(curve) else 1.0
        if effort.plan is None and best < min(POOR, effort.recall):
            reason = f"its index finds no more than {best:.0%} of the nearest rows"
            return PartPlan(part.uuid, part.told, matching, SCAN, 0, reason=reason, row_bytes=row_bytes), None
        width = searcher.wider(width_for(curve, effort.recall), k)
    counted = None if allowed is None else matching
    if effort.plan is None:
        considered = searcher.considered(counted, k, width)
        plan, reason = considered[0], _reason(part.told, matching, considered[1:])
    else:
        plan, reason = searcher.plan(counted, k, width, effort.plan), "asked for"
    told = PartPlan(
        part.uuid,
        part.told,
        matching,
        plan.kind,
        plan.ef,
        cost=plan.cost,
        reason=reason,
        codes=plan.reads,
        code_bytes=searcher.code_bytes,
        row_bytes=row_bytes,
    )
    return told, None if plan.kind == SCAN else plan


def _reason(rows: int, matching: int, others: Sequence[Plan]) -> str:
    """Return why a plan was chosen, in words: how many rows may be found, and what the others would have cost."""
    found = "all rows may be found" if matching == rows else f"{matching / rows:.2%} of its rows may be found"
    instead = ", ".join(f"{other.kind} at {other.cost:,.0f}" for other in others)
    return f"{found}; instead of {instead}" if instead else found


def any_searcher(state: State, column: Column) -> Searcher | None:
    """Return the index of the largest segment that has one."""
    targets = [_target(part, column, USUAL) for part in sorted(state.segments, key=lambda part: -part.rows)]
    return next((target.searcher for target in targets if target is not None and target.searcher is not None), None)


def tuned(state: State, column: Column, curve: np.ndarray) -> np.ndarray:
    """Return the curve that the user measured with questions of their own, or the index's."""
    points: Any = state.located.manifest.tuning.get(str(column.id))
    return curve if points is None else np.array(points, np.float32)
