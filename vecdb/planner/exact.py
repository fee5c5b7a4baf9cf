"""Exact search over one state: every part is scanned, the best of all parts come first.

A score does not depend on how rows are spread over parts, and equal scores are ordered by id, so the same rows give
the same answer before and after a flush or a merge.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from vecdb.errors import CorruptionError
from vecdb.filters.evaluate import BoundFilter
from vecdb.schema.schema import Column, Schema
from vecdb.storage.snapshot import Part, State


@dataclass(frozen=True, slots=True)
class Found:
    """Ranked rows: for each the part, the row in it, the score; and the parts left out because of damage."""

    parts: tuple[Part, ...]
    part: np.ndarray
    row: np.ndarray
    score: np.ndarray
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidates:
    part: int
    rows: np.ndarray
    scores: np.ndarray


def filter_mask(part: Part, schema: Schema, where: BoundFilter | None) -> np.ndarray | None:
    """Return which rows are alive and pass the filter, as bool (rows,); None when all do."""
    live = part.live()
    if where is None:
        return live
    columns: dict[str, pa.Array] = {}
    for name in where.columns:
        column = schema[name]
        if column.field.kind == "vector":
            present = part.present(column)
            columns[name] = pa.array(np.ones(part.rows, bool) if present is None else present)
        else:
            columns[name] = part.column(column)
    mask = where.mask(columns, part.rows)
    return mask if live is None else mask & live


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
    allow_partial: bool = False,
) -> list[Found]:
    """Return for each of the (q, d) queries the k best rows that have a vector and pass the filter.

    Fewer than k only when fewer match.

    Raises:
        CorruptionError: a segment is damaged; with allow_partial it is left out instead, and named in `missing`.

    """
    from vecdb_index.dense import flat

    announce_compilation(column.field.dtype)
    metric = column.field.metric
    gathered: list[list[_Candidates]] = [[] for _ in queries]
    missing: list[str] = []
    for number, part in enumerate(state.parts):
        try:
            held = part.vectors(column)
            allowed = filter_mask(part, state.schema, where) if held is not None else None
        except CorruptionError:
            if not allow_partial or part.uuid is None:
                raise
            missing.append(part.uuid)
            continue
        if held is None or part.rows == 0:
            continue
        matrix, present, norms = held
        if present is not None:
            allowed = present if allowed is None else allowed & present
        if len(queries) == 1:
            found = [flat.search(matrix, queries[0], k, metric, allowed=allowed, norms=norms, pool=pool)]
        else:
            found = flat.search_batch(matrix, queries, k, metric, allowed=allowed, norms=norms, pool=pool)
        for query, candidates, (rows, scores, cut) in zip(queries, gathered, found, strict=True):
            if cut:  # rows left out are as good as the last one: ids decide, so all of them compete
                tied = flat.ties_at(matrix, query, metric, scores[-1], allowed, norms)
                better = scores > scores[-1]
                rows = np.concatenate([rows[better], tied])
                scores = np.concatenate([scores[better], np.full(len(tied), scores[-1], np.float32)])
            candidates.append(_Candidates(number, rows, scores))
    return [_merge(state.parts, candidates, k, tuple(missing)) for candidates in gathered]


def _merge(parts: Sequence[Part], candidates: list[_Candidates], k: int, missing: tuple[str, ...]) -> Found:
    """Return the k best of all parts, equal scores by id."""
    if not candidates:
        none = np.empty(0, np.int64)
        return Found(tuple(parts), none, none, np.empty(0, np.float32), missing)
    score = np.concatenate([found.scores for found in candidates])
    row = np.concatenate([found.rows for found in candidates]).astype(np.int64)
    part = np.repeat([found.part for found in candidates], [len(found.rows) for found in candidates])
    if len(score) > k:
        least = np.partition(score, len(score) - k)[len(score) - k]
        keep = score >= least
        score, row, part = score[keep], row[keep], part[keep]
    order = np.argsort(-score, kind="stable")
    score, row, part = score[order], row[order], part[order]
    if len(score) > 1 and (score[1:] == score[:-1]).any():
        order = _by_id(parts, part, row, score)
        score, row, part = score[order], row[order], part[order]
    return Found(tuple(parts), part[:k], row[:k], score[:k], missing)


def _by_id(parts: Sequence[Part], part: np.ndarray, row: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the order by score, then id."""
    ids = take(parts, part, row, lambda owner, rows: owner.ids().take(pa.array(rows))).to_pylist()
    return np.array(sorted(range(len(ids)), key=lambda at: (-score[at], ids[at])))


def take(
    parts: Sequence[Part], part: np.ndarray, row: np.ndarray, values: Callable[[Part, np.ndarray], pa.Array]
) -> pa.Array:
    """Return one value per (part, row), in their order: values(part, rows) gives those of one part."""
    used = np.unique(part)
    if len(used) == 1:
        return values(parts[int(used[0])], row)
    places = [np.flatnonzero(part == number) for number in used]
    pieces = [values(parts[int(number)], row[at]) for number, at in zip(used, places, strict=True)]
    back = np.empty(len(row), np.int64)
    back[np.concatenate(places)] = np.arange(len(row))
    return pa.concat_arrays(pieces).take(pa.array(back))
