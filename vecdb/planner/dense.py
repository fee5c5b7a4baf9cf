"""Search by one vector column over one state: each part in the way that costs least, the best of all parts first.

Parts with an index are searched through it, unless few of their rows match; the others are scanned. Every score is
the exact one, whichever way led to its row, and does not depend on how rows are spread over parts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from vecdb.errors import CorruptionError
from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.effort import USUAL, Effort
from vecdb.planner.found import Candidates, Found, PartPlan, merged, of_one_index, of_one_part
from vecdb.planner.masks import allowed as allowed_rows
from vecdb.schema.indexes import FLAT
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import Part, SegmentView, State
from vecdb_index import factory
from vecdb_index.dense import flat
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.calibrate import width_for
from vecdb_index.dense.plan import Plan
from vecdb_index.factory import Index, Searcher

SKIP, SCAN = "skip", "scan"


@dataclass(frozen=True, slots=True)
class _Target:
    """What a search by one column needs of one part, looked up once."""

    part: Part
    matrix: np.ndarray
    norms: np.ndarray | None
    searcher: Searcher | None
    problem: str | None


@cache
def announce_compilation(dtype: str) -> None:
    """Say, where nobody set up logs on stderr, that the first search of this vector type on a machine takes seconds."""
    from vecdb_index.warmup import compiled

    if not compiled(dtype):
        logging.getLogger("vecdb").warning(
            "compiling the search kernels for %s vectors on this machine, once: some seconds "
            "(`vecdb warmup` does it ahead)",
            dtype,
        )


def search(
    state: State,
    column: Column,
    queries: np.ndarray,
    k: int,
    where: BoundFilter | None,
    pool: ThreadPoolExecutor | None,
    effort: Effort = USUAL,
    allow_partial: bool = False,
) -> list[Found]:
    """Return for each of the (q, d) queries the k best rows found that have a vector and pass the filter.

    Fewer than k only when fewer match.

    Raises:
        CorruptionError: a segment is damaged; with allow_partial it is left out instead, and named in `missing`.

    """
    announce_compilation(column.field.dtype)
    plans: list[PartPlan] = []
    missing: list[str] = []
    gathered: list[tuple[int, Sequence[Any]]] = []
    reads: np.ndarray | None = None
    parts = state.parts
    for number, part in enumerate(parts):
        try:
            target = _target(part, column, effort)
            allowed = None if target is None else allowed_rows(part, state.schema, where, column)
        except CorruptionError:
            if not allow_partial or part.uuid is None:
                raise
            missing.append(part.uuid)
            continue
        if target is None:
            continue
        plan = _plan(target, state, column, k, allowed, effort)
        plans.append(plan)
        if plan.plan == SKIP:
            continue
        if plan.plan == SCAN or target.searcher is None:
            lines = scan(target.matrix, queries, k, column.field.metric, target.norms, allowed, pool)
        else:
            chosen = Plan(plan.plan, plan.ef, 0.0)  # pyright: ignore[reportArgumentType]
            found = target.searcher.answers(queries, k, chosen, allowed, pool)
            if len(parts) == 1 and len(queries) > 1:
                return of_one_index(parts, found, k, (), tuple(plans))
            reads = found.reads if reads is None else reads + found.reads
            lines = found.lines(k)
        gathered.append((number, lines))
    gone, how = tuple(missing), tuple(plans)
    counts = [0] * len(queries) if reads is None else reads.tolist()
    if len(parts) == 1 and gathered:
        return [
            of_one_part(parts, rows, scores, k, gone, how, count)
            for (rows, scores), count in zip(gathered[0][1], counts, strict=True)
        ]
    return [
        merged(parts, [Candidates(number, *lines[at]) for number, lines in gathered], k, gone, how, count)
        for at, count in enumerate(counts)
    ]


def _target(part: Part, column: Column, effort: Effort) -> _Target | None:
    """Return what there is to search in a part, None when no row can have a vector."""
    if effort.exact or not isinstance(part, SegmentView) or column.field.spec.kind == FLAT:
        return _looked_up(part, column, None)
    try:
        return part.targets[column.id]
    except KeyError:
        found = part.targets[column.id] = _looked_up(part, column, part.index_of(column))
        return found


def _looked_up(part: Part, column: Column, index: Index | None) -> _Target | None:
    held = part.vectors(column)
    if held is None or part.rows == 0:
        return None
    matrix, _, norms = held
    searcher = None if index is None else factory.searcher(index, matrix, column.field.metric, norms)
    return _Target(part, matrix, norms, searcher, part.index_problem(column))


def _plan(target: _Target, state: State, column: Column, k: int, allowed: Allowed | None, effort: Effort) -> PartPlan:
    """Choose the way through a part."""
    part, searcher = target.part, target.searcher
    matching = part.rows if allowed is None else allowed.count
    if matching == 0:
        return PartPlan(part.uuid, part.rows, 0, SKIP, 0)
    if searcher is None:
        return PartPlan(part.uuid, part.rows, matching, SCAN, 0, None if effort.exact else target.problem)
    width = effort.width
    if width is None:
        key = column.id, id(searcher), effort.recall, k
        width = state.widths.get(key)
        if width is None:
            width = searcher.wider(width_for(tuned(state, column, searcher.curve), effort.recall), k)
            state.widths[key] = width
    plan = searcher.plan(None if allowed is None else matching, k, width, effort.plan)
    return PartPlan(part.uuid, part.rows, matching, plan.kind, plan.ef)


def any_searcher(state: State, column: Column) -> Searcher | None:
    """Return the index of the largest segment that has one."""
    targets = [_target(part, column, USUAL) for part in sorted(state.segments, key=lambda part: -part.rows)]
    return next((target.searcher for target in targets if target is not None and target.searcher is not None), None)


def tuned(state: State, column: Column, curve: np.ndarray) -> np.ndarray:
    """Return the curve that the user measured with questions of their own, or the index's."""
    points = state.located.manifest.tuning.get(str(column.id))
    return curve if points is None else np.array(points, np.float32)


def scan(
    matrix: np.ndarray,
    queries: np.ndarray,
    k: int,
    metric: Any,
    norms: np.ndarray | None,
    allowed: Allowed | None,
    pool: ThreadPoolExecutor | None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the k best rows of each query, exactly, and all that are as good as the last of them."""
    if len(queries) == 1:
        found = [flat.search(matrix, queries[0], k, metric, allowed=allowed, norms=norms, pool=pool)]
    else:
        found = flat.search_batch(matrix, queries, k, metric, allowed=allowed, norms=norms, pool=pool)
    lines = []
    for query, (rows, scores, cut) in zip(queries, found, strict=True):
        if cut:  # rows left out are as good as the last one: ids decide, so all of them compete
            tied = flat.ties_at(matrix, query, metric, scores[-1], allowed, norms)
            better = scores > scores[-1]
            rows = np.concatenate([rows[better], tied])
            scores = np.concatenate([scores[better], np.full(len(tied), scores[-1], np.float32)])
        lines.append((rows, scores))
    return lines
