"""Search by one vector column over one state: each part in the way that costs least, the best of all parts first.

Parts with an index are searched through it, unless few of their rows match; the others are scanned. Every score is
the exact one, whichever way led to its row, and does not depend on how rows are spread over parts.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from vecdb.errors import CorruptionError
from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.found import Candidates, Found, PartPlan, merged, of_one_part
from vecdb.planner.masks import allowed as allowed_rows
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import Part, State
from vecdb_index.dense import flat
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.hnsw.calibrate import width_for
from vecdb_index.dense.hnsw.graph import Graph
from vecdb_index.dense.hnsw.plan import Kind, Plan, choose, forced
from vecdb_index.dense.hnsw.search import answers

SCAN = "scan"
RECALL = 0.99
"""The share of the true best rows that a search finds, unless told otherwise, as the index measured it."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to look.

    Attributes:
        exact: scan every row that matches.
        ef: candidates that a walk through a graph keeps; None: as many as the recall calls for.
        recall: the share of the true k best rows to find, on average, without a filter.
        plan: insist on one way through parts with an index, for tests and measurements.

    """

    exact: bool = False
    ef: int | None = None
    recall: float = RECALL
    plan: Kind | None = None


USUAL = Effort()


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
    parts = state.parts
    plans: list[PartPlan] = []
    missing: list[str] = []
    gathered: list[tuple[int, Sequence[Any]]] = []
    reads = np.zeros(len(queries), np.int64)
    for number, part in enumerate(parts):
        try:
            lines = _search_part(part, state, column, queries, k, where, pool, effort, plans, reads)
        except CorruptionError:
            if not allow_partial or part.uuid is None:
                raise
            missing.append(part.uuid)
            continue
        if lines is not None:
            gathered.append((number, lines))
    told = {"missing": tuple(missing), "plans": tuple(plans)}
    counts = reads.tolist()
    if len(parts) == 1 and gathered:
        return [
            of_one_part(parts, rows, scores, k, reads=count, **told)
            for (rows, scores), count in zip(gathered[0][1], counts, strict=True)
        ]
    return [
        merged(parts, [Candidates(number, *lines[at]) for number, lines in gathered], k, reads=counts[at], **told)
        for at in range(len(queries))
    ]


def _search_part(
    part: Part,
    state: State,
    column: Column,
    queries: np.ndarray,
    k: int,
    where: BoundFilter | None,
    pool: ThreadPoolExecutor | None,
    effort: Effort,
    plans: list[PartPlan],
    reads: np.ndarray,
) -> Sequence[Any] | None:
    """Return (rows, scores) for each query, or None when no row can match; note the plan, count the codes read."""
    held = part.vectors(column)
    if held is None or part.rows == 0:
        return None
    matrix, _, norms = held
    allowed = allowed_rows(part, state.schema, where, column)
    matching = part.rows if allowed is None else allowed.count
    index = None if effort.exact else part.index_of(column)
    if matching == 0:
        plans.append(PartPlan(part.uuid, part.rows, 0, "skip", 0))
        return None
    metric = column.field.metric
    if index is not None:
        plan = _plan(index, part.rows, None if allowed is None else matching, k, effort, state, column)
        if plan.kind != SCAN:
            plans.append(PartPlan(part.uuid, part.rows, matching, plan.kind, 0 if plan.kind == "codes" else plan.ef))
            found = answers(index, matrix, queries, k, metric, plan, norms=norms, allowed=allowed, pool=pool)
            reads += found.reads
            return found.lines(k)
    problem = part.index_problem(column) if index is None and not effort.exact else None
    plans.append(PartPlan(part.uuid, part.rows, matching, SCAN, 0, problem))
    return scan(matrix, queries, k, metric, norms, allowed, pool)


def _plan(index: Graph, rows: int, matching: int | None, k: int, effort: Effort, state: State, column: Column) -> Plan:
    ef = effort.ef
    if ef is None:
        key = column.id, id(index), effort.recall, k
        ef = state.widths.get(key)
        if ef is None:
            ef = state.widths[key] = width_for(tuned(state, column, index.curve), effort.recall, k)
    if effort.plan is None:
        return choose(rows, matching, k, ef)
    return forced(effort.plan, rows, matching, k, ef)


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
