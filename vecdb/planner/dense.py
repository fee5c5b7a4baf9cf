"""Search by one vector column over one state: each part in the way that costs least, the best of all parts first.

Every score is the exact one, whichever way led to its row, and does not depend on how rows are spread over parts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.found import NO_WORK, Candidates, Found, Work, merged, of_one_index, of_one_part, works
from vecdb.planner.route import route
from vecdb.query.effort import USUAL, Effort
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import State
from vecdb_index.dense import binary, flat
from vecdb_index.dense.allowed import Allowed

SEARCHING = "a search of vectors"
TIES = 64
"""Rows beyond the k best of a scan of bits that may be as good as the last of them, and are then found with them."""


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
    state.hold_hits(SEARCHING, k, len(queries))
    legs, how, gone = route(state, column, k, where, effort, allow_partial)
    gathered: list[tuple[int, Sequence[Any]]] = []
    took: list[list[Work]] = []
    parts = state.parts
    for number, target, allowed, plan in legs:
        state.check(SEARCHING)
        if plan is None or target.searcher is None:
            lines = scan(target.matrix, queries, k, column.field.metric, target.norms, allowed, pool)
            took.append([NO_WORK] * len(queries))
        else:
            found = target.searcher.answers(queries, k, plan, allowed, pool)
            if len(parts) == 1 and len(queries):
                return of_one_index(parts, found, k, gone, how)
            took.append(works(found))
            lines = found.lines(k)
        gathered.append((number, lines))
    if len(parts) == 1 and gathered:
        return [
            of_one_part(parts, rows, scores, k, gone, how, work.codes, (work,))
            for (rows, scores), work in zip(gathered[0][1], took[0], strict=True)
        ]
    answers = []
    for at in range(len(queries)):
        work = tuple(each[at] for each in took)
        candidates = [Candidates(number, *lines[at]) for number, lines in gathered]
        answers.append(merged(parts, candidates, k, gone, how, sum(one.codes for one in work), work))
    return answers


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
    if metric == "hamming":
        return _scan_bits(matrix, queries, k, allowed, pool)
    if len(queries) == 1:
        found = [flat.search(matrix, queries[0], k, metric, allowed=allowed, norms=norms, pool=pool)]
    else:
        found = flat.search_batch(matrix, queries, k, metric, allowed=allowed, norms=norms, pool=pool)
    lines = []
    for query, (rows, scores, cut) in zip(queries, found, strict=True):
        if cut:  # rows left out are as good as the last one: ids decide, so all of them compete
            tied = flat.ties_at(matrix, query, metric, scores[-1], allowed, norms)
            better = scores > scores[-1]
            rows, scores = np.concatenate([rows[better], tied]), _with(scores[better], scores[-1], len(tied))
        lines.append((rows, scores))
    return lines


def score_rows(matrix: np.ndarray, query: np.ndarray, rows: Any, metric: Any, norms: np.ndarray | None) -> np.ndarray:
    """Return the exact scores of some rows, in their order: float32."""
    if metric == "hamming":
        return binary.score_rows(matrix, query, rows)
    return flat.score_rows(matrix, query, rows, metric, norms)


def _scan_bits(
    matrix: np.ndarray, queries: np.ndarray, k: int, allowed: Allowed | None, pool: ThreadPoolExecutor | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Do what `scan` does for binary vectors.

    Whole distances are often equal. So some rows more than k are kept, and only where all of them are as good as the
    last of the k are the rows read once more.
    """
    lines = []
    found = binary.search_batch(matrix, queries, k + TIES, allowed=allowed, pool=pool)
    for query, (rows, scores, cut) in zip(queries, found, strict=True):
        if len(scores) > k and cut and scores[-1] == scores[k - 1]:
            better = scores > scores[-1]
            tied = binary.ties_at(matrix, query, scores[-1], allowed)
            lines.append((np.concatenate([rows[better], tied]), _with(scores[better], scores[-1], len(tied))))
        else:
            kept = len(scores) if len(scores) <= k else int(np.count_nonzero(scores >= scores[k - 1]))
            lines.append((rows[:kept], scores[:kept]))
    return lines


def _with(scores: np.ndarray, last: np.float32, count: int) -> np.ndarray:
    """Return scores, and so many more that are equal to the last."""
    return np.concatenate([scores, np.full(count, last, np.float32)])
