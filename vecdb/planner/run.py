"""Running a query: gather, fuse, stage after stage, and the best k.

    arms  ->  fusion  ->  stages  ->  behind the cursor  ->  the first k

Each arm gathers `depth` candidates. Where stages leave some out and too few are left, everything is done again with
more, until the answer is full or no arm has more. So an answer is short only when no more rows qualify.

The surprise: with several arms and a cursor the depth stays that of the first page, because fused scores depend on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from vecdb.planner import paging
from vecdb.planner.bound import BoundArm, BoundQuery
from vecdb.planner.candidates import Candidates
from vecdb.planner.found import Found
from vecdb.planner.fuse import DEPTH
from vecdb.planner.fused import fused
from vecdb.planner.gather import NOT_READY, Context, Ready, all_rows, gathered
from vecdb.planner.stages import APPLY, THINNING
from vecdb.planner.trace import Step
from vecdb.query.arms import Match
from vecdb.query.fusion import Fusion
from vecdb.storage.snapshot import State

GROUP_FETCH = 4
"""Candidates at first for each row that a query with thinning stages asks for."""
DEEPER = 4
"""How many times more candidates each time that too few were left."""


class Answer(NamedTuple):
    """The hits of a query, how they were found, and where the next page begins."""

    candidates: Candidates
    steps: tuple[Step, ...]
    missing: tuple[str, ...]
    cursor: Callable[[], str | None]


class Gathered(NamedTuple):
    """One pass over all arms: the fused candidates, and whether more depth would find more."""

    candidates: Candidates
    steps: list[Step]
    missing: tuple[str, ...]
    more: bool


def run(state: State, bound: BoundQuery, pool: ThreadPoolExecutor | None, ready: Ready = NOT_READY) -> Answer:
    """Answer a query; `ready` has what some of its arms gather, as a batch found it before.

    Raises:
        CorruptionError: a segment is damaged; where the query allows it, it is left out instead, and named.
        InvalidInputError: the cursor is of no use.

    """
    query = bound.query
    context = Context(state, pool, query.allow_partial, ready)
    cursor = paging.read(query)
    thins = _thins(bound)
    fixed = len(bound.arms) > 1 and cursor is not None
    depth, deeper = beginning(bound, cursor)
    while True:
        found = staged(context, bound, depth, deeper)
        candidates, steps = found.candidates, found.steps
        if cursor is not None:
            candidates = paging.behind(bound, state.schema, candidates, cursor)
        have = len(candidates) if candidates.groups is None else len(candidates.groups)
        if have >= query.k or not found.more or fixed or not (thins or cursor is not None):
            break
        depth, deeper = depth * DEEPER, True
    answer, more = _first(candidates, query.k), found.more
    return Answer(
        answer,
        tuple(steps),
        found.missing,
        lambda: _next(bound, state, answer, have, more, cursor, depth),
    )


def beginning(bound: BoundQuery, cursor: paging.Cursor | None) -> tuple[int, bool]:
    """Return the depth of the first pass, and whether it may be deeper than an arm's own `fetch`."""
    if cursor is None:
        return first_depth(bound, _thins(bound)), False
    fixed = len(bound.arms) > 1
    return cursor.depth if fixed else max(cursor.depth, cursor.seen + bound.query.k), not fixed


def _thins(bound: BoundQuery) -> bool:
    return any(isinstance(one.stage, THINNING) for one in bound.stages)


def first_depth(bound: BoundQuery, thins: bool) -> int:
    """Return how many candidates each arm gathers at first."""
    least = bound.query.k
    for one in bound.stages:
        least = max(least, getattr(one.stage, "top", None) or 0)
    if thins:
        per_group = max(getattr(one.stage, "per_group", 1) for one in bound.stages)
        least = max(GROUP_FETCH * bound.query.k * per_group, DEPTH)
    return max(least, DEPTH) if len(bound.arms) > 1 or bound.stages else least


def fetch_of(bound: BoundQuery, arm: BoundArm, depth: int, deeper: bool) -> int:
    """Return how many candidates an arm gathers in a pass."""
    asked = arm.arm.fetch
    return max(asked, bound.query.k) if asked and not deeper else max(depth, asked or 0)


def staged(context: Context, bound: BoundQuery, depth: int, deeper: bool) -> Gathered:
    """Return what is left after all stages of what the arms gather at a depth."""
    found = _gather(context, bound, depth, deeper)
    candidates = found.candidates
    for stage in bound.stages:
        candidates = _apply(context, stage, candidates, found.steps)
    return found._replace(candidates=candidates)


def _gather(context: Context, bound: BoundQuery, depth: int, deeper: bool) -> Gathered:
    steps: list[Step] = []
    if not bound.arms:
        begun = time.perf_counter()
        found = all_rows(context.state, bound.where)
        steps.append(Step.of("rows", begun, None, len(found.row), {"parts": _told(found)}))
        return Gathered(Candidates.of(found), steps, found.missing, False)
    pools: list[Candidates] = []
    rests: list[float | None] = []
    missing: list[str] = []
    more = False
    for arm in bound.arms:
        fetch = fetch_of(bound, arm, depth, deeper)
        begun = time.perf_counter()
        if arm.inner is not None:
            inner = run(context.state, arm.inner, context.pool, context.ready)
            pools.append(replace(inner.candidates, arms=(), groups=None))
            rests.append(None)
            missing += inner.missing
            steps.append(Step.of(arm.label, begun, None, len(inner.candidates), {"kind": arm.arm.kind}, inner.steps))
            continue
        found = gathered(context, arm, fetch)
        pool = Candidates.of(found)
        pools.append(pool.alone(arm.label) if len(bound.arms) == 1 else pool)
        rests.append(0.0 if isinstance(arm.arm, Match) and len(found.row) < fetch else None)
        missing += found.missing
        more = more or len(found.row) == fetch
        told = {"kind": arm.arm.kind, "fetch": fetch, "codes_compared": found.reads, "parts": _told(found)}
        steps.append(Step.of(arm.label, begun, None, len(found.row), told))
    return Gathered(_fused(bound, context, pools, rests, steps), steps, tuple(dict.fromkeys(missing)), more)


def _fused(
    bound: BoundQuery, context: Context, pools: list[Candidates], rests: list[float | None], steps: list[Step]
) -> Candidates:
    if len(pools) == 1:
        return pools[0]
    begun = time.perf_counter()
    # Without stages the best k are the answer, and one more tells whether there is another page.
    plain = not bound.stages and bound.query.cursor is None
    k = bound.query.k + 1 if plain else None
    one = fused(context.state.parts, bound.fusion, pools, [arm.label for arm in bound.arms], rests, k)
    steps.append(Step.of("fuse", begun, sum(map(len, pools)), len(one), _described(bound.fusion)))
    return one


@lru_cache(64)
def _described(fusion: Fusion) -> Mapping[str, Any]:
    return MappingProxyType(fusion.to_json())


def _apply(context: Context, stage: Any, candidates: Candidates, steps: list[Step]) -> Candidates:
    begun, before = time.perf_counter(), len(candidates)
    after = APPLY[type(stage.stage)](context, stage, candidates)
    steps.append(Step.of(stage.stage.kind, begun, before, len(after), {}))
    return after


def _first(candidates: Candidates, k: int) -> Candidates:
    if candidates.groups is None:
        return candidates.some(slice(k))
    groups = candidates.groups[:k]
    return replace(candidates.some(slice(groups[-1][2] if groups else 0)), groups=groups)


def _next(
    bound: BoundQuery,
    state: State,
    answer: Candidates,
    have: int,
    more: bool,
    cursor: paging.Cursor | None,
    depth: int,
) -> str | None:
    """Return the cursor of the next page; None where this is the last one, or there are no pages."""
    if not all(stage.portable for stage in bound.query.stages):
        return None
    if answer.groups is not None or not len(answer) or not (have > bound.query.k or (more and len(bound.arms) == 1)):
        return None
    key = paging.key_of(bound, state.schema, answer, len(answer) - 1)
    seen = len(answer) + (0 if cursor is None else cursor.seen)
    return paging.written(bound.query, paging.Cursor(key, seen, depth))


def _told(found: Found) -> list[dict[str, Any]]:
    return [plan._asdict() for plan in found.plans]
