"""Choosing a set of candidates.

Of the best candidates a pool is made, and from the pool a set is chosen (vecdb_index/selection). Where limits leave too
little of the pool, a larger one is tried, as long as there are candidates; then more of them are gathered (run.py).
Rows that a quota asks for are in the pool wherever they stand among the candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np

from vecdb.errors import InvalidInputError, NotFoundError
from vecdb.planner.answered import answered
from vecdb.planner.aspects import aspects
from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import ArmColumn, Candidates
from vecdb.planner.chosen import Chosen, Members
from vecdb.planner.communities import communities_reached, link_similarities
from vecdb.planner.gather import Context
from vecdb.planner.limits import Told
from vecdb.planner.region import region
from vecdb.planner.selecting import MOST, Selecting, pool_of, rule_of
from vecdb.planner.units import tokens_of, units_of
from vecdb.query.selection import Cells, Coverage, Dpp, Mmr, Select
from vecdb.query.value import shown
from vecdb.results import Selected
from vecdb.schema.fields import Vector
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column
from vecdb_index.multivector.alike import alike
from vecdb_index.selection.greedy import Picked
from vecdb_index.selection.greedy import select as greedy
from vecdb_index.selection.pool import Pool, close, median, scaled
from vecdb_index.selection.represent import represented

GROWTH = 4
"""How many times as large the next pool is."""
SPARE = 8
"""Candidates beyond the pool for each row that a quota asks for, beside the row itself."""
WITHOUT_COPIES = 1 / 3
"""From this balance on copies of chosen rows come after all others."""


class _Chosen(NamedTuple):
    places: np.ndarray
    pool: Pool
    picked: Picked
    told: Told


def select(context: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the chosen candidates, in the order in which they were chosen.

    Raises:
        NotFoundError: a fixed row, or one of the universe, is not there.
        InvalidInputError: a similarity function returns what is none, or a row costs less than nothing.

    """
    stage, about = bound.stage, bound.selecting
    assert isinstance(stage, Select)
    assert about is not None
    candidates, fixed = _with_fixed(context, stage, about, _without(context, stage.forbidden, candidates))
    size = pool_of(stage, about.k)
    told = Told(stage, {column.name: column for column in bound.columns}, candidates)
    while True:
        found = _choose(context, bound, candidates, told, fixed, size)
        short = len(found.picked.picks) < about.k and found.picked.ended == "candidates"
        repeats = stage.pool is None and size < MOST and _repeats(stage, found)
        if not (short or repeats or found.picked.ended == "bounds") or size >= len(candidates):
            break
        size = min(GROWTH * size, MOST) if repeats else GROWTH * size
    return _answer(stage, candidates, found, short or repeats)


def _repeats(stage: Select, found: _Chosen) -> bool:
    """Tell whether a way that keeps copies out chose some, because the pool has too little else."""
    from vecdb_index.kernels.selection import SAME

    method = stage.method
    avoids = isinstance(method, Dpp) or (isinstance(method, Coverage) and method.form == "graph_cut")
    return avoids and method.balance >= WITHOUT_COPIES and close(found.pool, found.picked.picks, SAME)


def _choose(
    context: Context, bound: BoundStage, candidates: Candidates, told: Told, fixed: np.ndarray, size: int
) -> _Chosen:
    stage, about = bound.stage, bound.selecting
    assert isinstance(stage, Select)
    assert about is not None
    places = np.arange(min(size, len(candidates)))
    asked = [fixed, *(there[: low + SPARE] for there, low in told.lower())]
    if any(map(len, asked)):
        places = np.unique(np.concatenate([places, *asked]))
    pool = _pool(context, bound, candidates, places, size, len(fixed))
    pool = pool._replace(middle=median(pool))  # how rows are compared and whom they represent both ask for it
    limits = told.limits
    if limits.attributes or limits.cost is not None:
        limits = replace(
            limits,
            attributes=[one._replace(codes=one.codes[places]) for one in limits.attributes],
            cost=None if limits.cost is None else limits.cost[places],
        )
    context.state.check(stage.kind)
    picked = greedy(pool, rule_of(stage), about.k, limits, np.searchsorted(places, fixed).tolist())
    return _Chosen(places, pool, picked, told)


def _pool(
    context: Context, bound: BoundStage, candidates: Candidates, places: np.ndarray, size: int, added: int
) -> Pool:
    stage, about = bound.stage, bound.selecting
    assert isinstance(stage, Select)
    assert about is not None
    some = candidates.some(places)
    context.state.hold(stage.kind, _bytes(stage, about, len(some)))
    raw = about.cosine and isinstance(stage.method, Mmr)
    # Rows that are only there because somebody asks for them do not stretch the scale.
    usual = places < min(size, len(candidates) - added)
    relevance = some.score.astype(np.float64) if raw else scaled(some.score, usual)
    reach, weights = (None, None) if about.words is None else aspects(context, about.words, some)
    if isinstance(stage.method, Coverage) and stage.method.form == "communities":
        reach, weights = communities_reached(context, some, relevance)
    if about.column is None:
        none = np.zeros((len(some), 1), np.float32)
        return Pool(none, relevance, weights=weights, given=_given(context, bound, some), reach=reach)
    outside: Candidates | None = None
    if isinstance(stage.universe, int):
        outside = candidates.some(slice(stage.universe))
        weights = scaled(outside.score)
    elif isinstance(stage.universe, Cells):
        assert about.region is not None
        outside = region(context, about.region, stage.universe.probes)
        weights = scaled(outside.score)
    elif stage.universe is not None:
        parts, rows = _located(context, "universe", stage.universe)
        outside = Candidates(context.state.parts, parts, rows, np.zeros(len(rows), np.float32))
        weights = np.ones(len(rows))
    if about.tokens is not None:
        pool = _by_tokens(context, about.tokens, some, outside)
        return pool._replace(relevance=relevance, weights=weights, reach=reach)
    column = cast("Column[Vector]", about.column)
    universe = None if outside is None else units_of(outside, column)
    return Pool(units_of(some, column), relevance, universe, weights, reach=reach)


def _by_tokens(context: Context, column: Column[MultiVector], some: Candidates, outside: Candidates | None) -> Pool:
    """Return a pool whose similarities are those of its rows' tokens."""

    def check() -> None:
        context.state.check(Select.kind)

    tokens = tokens_of(some, column)
    context.state.hold(Select.kind, 8 * tokens.tokens.size)
    none = np.zeros((len(some), 1), np.float32)
    pool = Pool(none, np.zeros(len(some)), given=alike(tokens, check=check))
    if outside is None:
        return pool
    others = np.zeros((len(outside), 1), np.float32)
    return pool._replace(universe=others, given_universe=alike(tokens, tokens_of(outside, column), check))


def _bytes(stage: Select, about: Selecting, count: int) -> int:
    """Return about what a selection takes: the vectors twice, and similarities where a set represents others."""
    column = about.column if about.tokens is None else None
    vectors = 0 if column is None else 8 * count * column.field.dimension
    method = stage.method
    pairs = isinstance(method, Coverage) and (method.represents or method.form == "communities")
    whole = column is None or pairs
    return vectors + (4 * count * count if whole else 0)


def _answer(stage: Select, candidates: Candidates, found: _Chosen, short: bool) -> Candidates:
    picks = found.picked.picks
    means = represented(found.pool, picks)
    members = []
    for own, similar in zip(means.members, means.similarities, strict=True):
        at = found.places[own]
        members.append(Members(candidates.part[at], candidates.row[at], similar))
    chosen = found.places[picks]
    unmet = found.told.unmet(chosen) if found.picked.ended == "bounds" else None
    method = stage.method.form if isinstance(stage.method, Coverage) else stage.method.kind
    about = Selected(method, len(found.places), means.coverage, found.picked.ended)
    order = np.arange(1, len(picks) + 1)
    return replace(
        candidates.some(chosen),
        chosen=Chosen(about, order, found.picked.gains, members, short or unmet is not None, unmet),
    )


def _located(context: Context, name: str, ids: Sequence[str | int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the part's number and the row of each id.

    Raises:
        NotFoundError: there is none of an id.

    """
    state = context.state
    numbers = {id(part): number for number, part in enumerate(state.parts)}
    places = []
    for one in ids:
        place = state.find(one)
        if place is None:
            raise NotFoundError(f"{name} names {shown(one)}, and there is no such row")
        places.append((numbers[id(place[0])], place[1]))
    found = np.array(places, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _without(context: Context, ids: tuple[str | int, ...], candidates: Candidates) -> Candidates:
    if not ids:
        return candidates
    present = [one for one in ids if context.state.find(one) is not None]
    parts, rows = _located(context, "forbidden", present)
    gone = replace(candidates, part=parts, row=rows, score=np.zeros(len(rows), np.float32), arms=()).keys
    return candidates.some(np.flatnonzero(~np.isin(candidates.keys, gone)))


def _with_fixed(
    context: Context, stage: Select, about: Selecting, candidates: Candidates
) -> tuple[Candidates, np.ndarray]:
    """Return the candidates with all fixed rows among them, and the places of these."""
    if not stage.fixed:
        return candidates, np.empty(0, np.int64)
    parts, rows = _located(context, "fixed", stage.fixed)
    lone = Candidates(candidates.parts, parts, rows, np.full(len(rows), candidates.score.min(initial=0), np.float32))
    keys, wanted = candidates.keys, lone.keys
    missing = np.flatnonzero(~np.isin(wanted, keys))
    if len(missing):
        added = lone.some(missing)
        if about.near is not None and about.near.vectors is not None:
            scores = added.scores_by(about.near.columns[0], about.near.vectors[0])
            known = ~np.isnan(scores)
            added.score[known] = scores[known]
        candidates = _appended(candidates, added)
        keys = candidates.keys
    order = np.argsort(keys, kind="stable")
    return candidates, order[np.searchsorted(keys, wanted, sorter=order)]


def _appended(candidates: Candidates, added: Candidates) -> Candidates:
    """Return candidates with others behind them, which no arm found."""
    count = len(added)
    arms = tuple(
        ArmColumn(
            arm.name,
            np.concatenate([arm.ranks, np.zeros(count, arm.ranks.dtype)]),
            np.concatenate([arm.scores, np.full(count, np.nan, arm.scores.dtype)]),
        )
        for arm in candidates.arms
    )
    return Candidates(
        candidates.parts,
        np.concatenate([candidates.part, added.part]),
        np.concatenate([candidates.row, added.row]),
        np.concatenate([candidates.score, added.score.astype(candidates.score.dtype)]),
        arms,
    )


def _given(context: Context, bound: BoundStage, some: Candidates) -> np.ndarray:
    """Return the similarities that links or a user's function give.

    Raises:
        InvalidInputError: it returns something else.
        ScorerError: the function failed; errors of vecdb itself come as they are.

    """
    stage = bound.stage
    assert isinstance(stage, Select)
    if not callable(stage.similarity):
        return link_similarities(context, some)
    columns = [column for column in bound.columns if column.name in stage.fields]
    answer = answered(context, "select: similarity", stage.similarity, columns, some)
    try:
        given = np.ascontiguousarray(answer, np.float32)
    except (TypeError, ValueError):
        given = np.empty(0, np.float32)
    count = len(some)
    if given.shape != (count, count) or not np.isfinite(given).all():
        fits = given.shape == (count, count)
        what = f"{count} x {count} values, some of which are no numbers" if fits else shown(answer)
        told = f"select: similarity returned {what}, not {count} x {count} finite numbers"
        raise InvalidInputError(told, field="similarity")
    apart, greatest = float(np.abs(given - given.T).max(initial=0)), float(given.max(initial=0))
    if apart > 1e-4 or greatest > 1 + 1e-4:
        what = f"similarities up to {greatest:.4g}" if greatest > 1 + 1e-4 else f"pairs that differ by {apart:.4g}"
        told = f"select: similarity returned {what}, expected a symmetric matrix of numbers up to 1"
        raise InvalidInputError(told, field="similarity")
    return np.minimum(given, np.float32(1))
