"""What a query will do, before it does anything: the steps that `run` would carry out, with estimates."""

from __future__ import annotations

import math
from typing import Any, cast

from vecdb.planner import depth, estimates, paging, tokens
from vecdb.planner.bound import BoundArm, BoundQuery
from vecdb.planner.found import PartPlan
from vecdb.planner.masks import filter_mask
from vecdb.planner.route import route
from vecdb.planner.trace import Step
from vecdb.query.arms import Match, Near, Terms, Tokens
from vecdb.query.selection import Select
from vecdb.schema.fields import Vector
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import State


def planned(state: State, bound: BoundQuery) -> tuple[Step, ...]:
    """Return the steps of a query with the rows expected after each; times are NaN.

    Filters are evaluated, and which rows have the words that must be there, because plans are chosen from exact counts;
    nothing else is.
    """
    fetches = depth.of_page(bound, paging.read(bound.query))
    arms = [_arm(state, bound, arm, fetch) for arm, fetch in zip(bound.arms, fetches, strict=True)]
    steps = arms or [_rows(state, bound)]
    rows = sum(step.rows_out for step in steps)
    if len(bound.arms) > 1:
        steps.append(Step("fuse", rows, rows, math.nan, bound.fusion.to_json()))
    for stage in bound.stages:
        top = getattr(stage.stage, "top", None)
        after = rows if top is None else min(rows, top)
        if isinstance(stage.stage, Select):
            after = min(rows, bound.query.k)
        steps.append(Step(stage.stage.kind, rows, after, math.nan, {}))
        rows = after
    return tuple(steps)


def beside(expected: tuple[Step, ...], done: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps that were done, with what had been expected of the arms of words and terms."""
    out = []
    for will, did in zip(expected, done, strict=True):
        told = dict(did.told)
        if did.told.get("kind") in (Match.kind, Terms.kind):
            told["parts"] = [
                part | {name: plan[name] for name in ("matches", "postings", "blocks")}
                for plan, part in zip(will.told["parts"], did.told["parts"], strict=True)
            ]
        out.append(did._replace(told=told, steps=beside(will.steps, did.steps)))
    return tuple(out)


def _arm(state: State, bound: BoundQuery, arm: BoundArm, fetch: int) -> Step:
    told: dict[str, Any] = {"kind": arm.arm.kind}
    if arm.inner is not None:
        inner = planned(state, arm.inner)
        return Step(arm.label, None, min(arm.inner.query.k, inner[-1].rows_out), math.nan, told, inner)
    if isinstance(arm.arm, Near):
        column = cast("Column[Vector]", arm.columns[0])
        parts = route(state, column, fetch, arm.where, arm.effort, bound.query.allow_partial).plans
    elif isinstance(arm.arm, Match | Terms):
        parts = estimates.plans(state, arm, bound.query.allow_partial)
    elif isinstance(arm.arm, Tokens):
        assert arm.question is not None
        asked = cast("Column[MultiVector]", arm.columns[0]), arm.question, fetch, arm.where
        parts = tokens.plans(state, *asked, arm.effort, bound.query.allow_partial)
    else:
        parts = _counted(state, arm)
    words = isinstance(arm.arm, Match | Terms)
    found = sum(part.matches if words else part.matching for part in parts)
    told |= {"fetch": fetch, "parts": [part._asdict() for part in parts]}
    return Step(arm.label, None, min(fetch, found), math.nan, told)


def _counted(state: State, arm: BoundArm) -> list[PartPlan]:
    """Return the parts of an arm whose plan is always the same, with the rows that may be found in each."""
    out = []
    for part in state.parts:
        mask = filter_mask(part, state.schema, arm.where, state.budget)
        matching = part.rows if mask is None else int(mask.sum())
        out.append(PartPlan(part.uuid, part.told, matching, arm.arm.kind if matching else "skip", 0))
    return out


def _rows(state: State, bound: BoundQuery) -> Step:
    parts = []
    for part in state.parts:
        mask = filter_mask(part, state.schema, bound.where, state.budget)
        matching = part.rows if mask is None else int(mask.sum())
        parts.append(PartPlan(part.uuid, part.told, matching, "scan" if matching else "skip", 0))
    return Step("rows", None, sum(part.matching for part in parts), math.nan, {"parts": [p._asdict() for p in parts]})
