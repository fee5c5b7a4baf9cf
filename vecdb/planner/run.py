"""Running a query: gather, fuse, stage after stage, and the best k.

    arms  ->  fusion  ->  stages  ->  behind the cursor  ->  the first k

Each arm gathers `depth` candidates. Where stages leave some out and too few are left, everything is done again with
more, until the answer is full or no arm has more. So an answer is short only when no more rows qualify.

The surprise: not every page goes deeper than the one before; see `depth.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.planner import depth, paging
from vecdb.planner.bound import BoundQuery
from vecdb.planner.candidates import NOTHING_TOLD, Candidates
from vecdb.planner.depth import Fetches
from vecdb.planner.found import Found
from vecdb.planner.fused import fused
from vecdb.planner.gather import NOT_READY, Context, Ready, all_rows, gathered, rows_by_id
from vecdb.planner.paths import carried
from vecdb.planner.stages import APPLY
from vecdb.planner.trace import Step
from vecdb.query import cursors
from vecdb.query.arms import Match, Terms
from vecdb.query.fusion import Fusion
from vecdb.query.selection import Select
from vecdb.query.stages import OrderBy
from vecdb.storage.snapshot import State

CANDIDATE_BYTES = 8
"""What each arm says of a candidate of several arms: a rank and a score."""


class Answer(NamedTuple):
    """The hits of a query, how they were found, and where the next page begins.

    `fetches` is what each arm gathered, where the cursor follows from that, the query and the last hit; else ().
    """

    candidates: Candidates
    steps: tuple[Step, ...]
    missing: tuple[str, ...]
    cursor: Callable[[], str | None]
    fetches: Fetches = ()


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
        InvalidInputError: the cursor is of no use, or no set of rows meets the quotas of a selection.

    """
    query = bound.query
    context = Context(state, pool, query.allow_partial, ready)
    cursor = paging.read(query)
    fetches, widens = depth.of_page(bound, cursor), depth.thins(bound) and cursor is None
    widens = widens or (cursor is not None and not depth.fixed(bound))
    if cursor is None and bound.stages:  # behind a cursor, the scores of all candidates are needed
        bound = bound._replace(stages=(*bound.stages[:-1], bound.stages[-1]._replace(last=True)))
    while True:
        found = staged(context, bound, fetches)
        candidates, steps = found.candidates, found.steps
        if cursor is not None:
            candidates = paging.behind(bound, state.schema, candidates, cursor)
        have = len(candidates) if candidates.groups is None else len(candidates.groups)
        enough = have >= query.k if candidates.chosen is None else not candidates.chosen.wants
        if enough or not found.more or not widens:
            break
        fetches = depth.deeper(fetches)
    if candidates.chosen is not None and candidates.chosen.unmet is not None:
        raise InvalidInputError(candidates.chosen.unmet, field="quotas")
    answer, more = _first(candidates, query.k), have > query.k or (found.more and not depth.fixed(bound))
    return Answer(
        answer,
        tuple(steps),
        found.missing,
        lambda: _next(bound, state, answer, cursor, fetches) if more else None,
        fetches if more and cursor is None and len(answer) and paging.by_score(query) else (),
    )


def staged(context: Context, bound: BoundQuery, fetches: Fetches) -> Gathered:
    """Return what is left after all stages of what the arms gather."""
    found = _gather(context, bound, fetches)
    candidates = found.candidates
    for stage in bound.stages:
        context.state.check(stage.stage.kind)
        candidates = _apply(context, stage, candidates, found.steps)
    return found._replace(candidates=candidates)


def _gather(context: Context, bound: BoundQuery, fetches: Fetches) -> Gathered:
    steps: list[Step] = []
    if not bound.arms:
        begun = time.perf_counter()
        ordered = bool(bound.stages) and isinstance(bound.stages[0].stage, OrderBy)
        found = all_rows(context.state, bound.where) if ordered else rows_by_id(context.state, bound.where)
        steps.append(Step.of("rows", begun, None, len(found.row), {"parts": _told(found)}))
        return Gathered(Candidates.of(found), steps, found.missing, False)
    pools: list[Candidates] = []
    rests: list[float | None] = []
    missing: list[str] = []
    more = False
    for arm, fetch in zip(bound.arms, fetches, strict=True):
        context.state.check(arm.label)
        begun = time.perf_counter()
        if arm.inner is not None:
            inner = run(context.state, arm.inner, context.pool, context.ready)
            pools.append(_once(replace(inner.candidates, arms=(), groups=None, chosen=None)))
            rests.append(None)
            missing += inner.missing
            steps.append(Step.of(arm.label, begun, None, len(inner.candidates), {"kind": arm.arm.kind}, inner.steps))
            continue
        found = gathered(context, arm, fetch)
        pool = Candidates.of(found)
        pools.append(pool.alone(arm.label) if len(bound.arms) == 1 else pool)
        rests.append(0.0 if isinstance(arm.arm, Match | Terms) and len(found.row) < fetch else None)
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
    context.state.hold("fuse", CANDIDATE_BYTES * len(pools) * sum(map(len, pools)))
    begun = time.perf_counter()
    # Without stages the best k are the answer, and one more tells whether there is another page.
    plain = not bound.stages and bound.query.cursor is None
    k = bound.query.k + 1 if plain else None
    one = fused(context.state.parts, bound.fusion, pools, [arm.label for arm in bound.arms], rests, k)
    steps.append(Step.of("fuse", begun, sum(map(len, pools)), len(one), _described(bound.fusion)))
    walked = next((pool for pool in pools if pool.paths is not None), None)
    if walked is not None and walked.paths is not None:
        one = replace(one, paths=carried(walked.paths, walked.keys, one.keys))
    return one


@lru_cache(64)
def _described(fusion: Fusion) -> Mapping[str, Any]:
    return MappingProxyType(fusion.to_json())


def _apply(context: Context, stage: Any, candidates: Candidates, steps: list[Step]) -> Candidates:
    begun, before = time.perf_counter(), len(candidates)
    after = APPLY[type(stage.stage)](context, stage, candidates)
    told = dict(after.told)
    if isinstance(stage.stage, Select) and after.chosen is not None:
        told |= after.chosen.about._asdict()
    steps.append(Step.of(stage.stage.kind, begun, before, len(after), told))
    return after if not after.told else replace(after, told=NOTHING_TOLD)


def _first(candidates: Candidates, k: int) -> Candidates:
    if candidates.groups is None:
        return candidates if len(candidates) <= k else candidates.some(slice(k))
    groups = candidates.groups[:k]
    return replace(candidates.some(slice(groups[-1][2] if groups else 0)), groups=groups)


def _once(candidates: Candidates) -> Candidates:
    """Return the candidates without those that came before: a row may be in several groups."""
    firsts = np.unique(candidates.keys, return_index=True)[1]
    return candidates if len(firsts) == len(candidates) else candidates.some(np.sort(firsts))


def _next(
    bound: BoundQuery, state: State, answer: Candidates, cursor: cursors.Cursor | None, fetches: Fetches
) -> str | None:
    """Return the cursor of the next page; None where there are no pages."""
    if (
        answer.groups is not None
        or answer.chosen is not None
        or not len(answer)
        or not all(stage.portable for stage in bound.query.stages)
    ):
        return None
    key = paging.key_of(bound, state.schema, answer, len(answer) - 1)
    seen = len(answer) + (0 if cursor is None else cursor.seen)
    return cursors.written(bound.query, cursors.Cursor(key, seen, fetches))


def _told(found: Found) -> list[dict[str, Any]]:
    return found.told()
