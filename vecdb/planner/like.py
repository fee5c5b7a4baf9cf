"""Rows like some rows: what `Like` means, by its strategies.

    average   one search near the mean of the examples, moved away from the mean of the counterexamples (Rocchio, 1971)
    best      the candidates near any example, by the nearest one, less by how much nearer a counterexample is
    sum       by the mean score to the examples less that to the counterexamples

The last two score candidates exactly. Those of "best" are as good as the searches that find them; for cosine and dot,
sums are scores of one vector, so one search finds them; else, and with `exact`, all rows are candidates. The examples
themselves are left out.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from vecdb.arguments import query_matrix
from vecdb.errors import InvalidInputError, NotFoundError
from vecdb.planner import dense
from vecdb.planner.bound import BoundArm
from vecdb.planner.candidates import Candidates
from vecdb.planner.found import Found
from vecdb.planner.gather import Context, all_rows
from vecdb.planner.masks import allowed
from vecdb.query.arms import Like
from vecdb.schema.fields import Vector
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import State

AWAY = 0.5
"""How far the mean of the examples is moved away from that of the counterexamples, as a share of what is between."""


def like(context: Context, bound: BoundArm, depth: int) -> Found:
    """Return the best `depth` rows of a `Like` arm.

    Raises:
        NotFoundError: an example is not in the collection.
        InvalidInputError: an example has no vector, or the examples cancel each other out.

    """
    arm, column = cast("Like", bound.arm), cast("Column[Vector]", bound.columns[0])
    near, far = _vectors(context.state, column, arm.like), _vectors(context.state, column, arm.unlike)
    wanted = depth + len(arm.like) + len(arm.unlike)
    if arm.strategy == "average":
        (found,) = _search(context, bound, query_matrix(column, _average(column, near, far), 1), wanted)
    else:
        found = _scored(context, bound, near, far, wanted)
    examples = {context.state.find(value) for value in (*arm.like, *arm.unlike)}
    places = [(part, row) for part, row in found.places()]
    kept = [at for at, place in enumerate(places) if place not in examples][:depth]
    return found.some(np.array(kept, np.int64))


def _search(context: Context, bound: BoundArm, queries: np.ndarray, depth: int) -> list[Found]:
    return dense.search(
        context.state, bound.columns[0], queries, depth, bound.where, context.pool, bound.effort, context.allow_partial
    )


def _vectors(state: State, column: Column[Vector], ids: tuple[str | int, ...]) -> np.ndarray:
    """Return the vectors of rows, (ids, d), as stored."""
    out = []
    for value in ids:
        place = state.find(value)
        if place is None:
            raise NotFoundError(f"there is no row {value!r} to be like")
        part, row = place
        held = part.vectors(column)
        if held is None or (held[1] is not None and not held[1][row]):
            raise InvalidInputError(f"row {value!r} has no vector in {column.name!r}", field=column.name, value=value)
        out.append(np.array(held[0][row]))
    held = column.field.arrow_type
    return np.array(out, held.value_type.to_pandas_dtype()).reshape(len(ids), held.list_size)


def _average(column: Column[Vector], near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Return the point to search near, in the column's own numbers."""
    bits = column.field.dtype == "binary"
    if bits:
        near, far = np.unpackbits(near, axis=1), np.unpackbits(far, axis=1)
    means = []
    for examples in (near, far):
        points = _unit(column, examples)
        means.append(points.mean(axis=0) if len(points) else None)
    point, other = means
    assert point is not None
    if other is not None:
        point = point + AWAY * (point - other)
    if bits:  # what most have; where they are divided, what the first has
        return np.packbits(np.where(point == 0.5, near[0] != 0, point > 0.5))
    if column.field.dtype == "int8":  # directions matter, and rounding needs room
        if column.field.metric == "cosine":
            point *= 127 / max(float(np.abs(point).max()), 1e-30)
        point = np.rint(point).clip(-128, 127)
    if column.field.metric == "cosine" and not point.astype(np.float32).any():
        raise InvalidInputError(f"the examples cancel each other out in {column.name!r}", field=column.name)
    return point.astype(np.float32)


def _candidates(context: Context, bound: BoundArm, near: np.ndarray, far: np.ndarray, depth: int) -> list[Found]:
    """Return the rows to score: those near any example; of a sum, those near the vector whose scores are the sums."""
    arm, column = cast("Like", bound.arm), cast("Column[Vector]", bound.columns[0])
    if bound.effort.exact:
        return [all_rows(context.state, bound.where)]
    if arm.strategy == "best":
        return _search(context, bound, near, depth)
    linear = column.field.metric in ("cosine", "dot") and column.field.dtype in ("float32", "float16")
    if linear:
        means = [_unit(column, examples).mean(axis=0) if len(examples) else 0.0 for examples in (near, far)]
        point = np.asarray(means[0] - means[1], np.float32)
        if point.any() and np.isfinite(point).all():
            return _search(context, bound, point[None], depth)
    return [all_rows(context.state, bound.where)]


def _unit(column: Column[Vector], examples: np.ndarray) -> np.ndarray:
    """Return examples as float64, of length 1 where only their direction counts."""
    points = examples.astype(np.float64)
    if column.field.metric == "cosine" and len(points):
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points


def _scored(context: Context, bound: BoundArm, near: np.ndarray, far: np.ndarray, depth: int) -> Found:
    """Return the candidates near any example, scored against all examples."""
    column = cast("Column[Vector]", bound.columns[0])
    metric, arm = column.field.metric, cast("Like", bound.arm)
    answers = _candidates(context, bound, near, far, depth)
    pools = [Candidates.of(found) for found in answers]
    keys, first = np.unique(np.concatenate([pool.keys for pool in pools]), return_index=True)
    part = np.concatenate([pool.part for pool in pools])[first]
    row = np.concatenate([pool.row for pool in pools])[first]
    score = np.full(len(keys), -np.inf, np.float32)
    pool = Candidates(context.state.parts, part, row, score)
    context.state.hold("like", 4 * len(keys) * (len(near) + len(far)))
    for owner, at, rows in pool.by_part():
        held, may = owner.vectors(column), allowed(owner, context.state.schema, bound.where, column)
        if held is None:
            continue
        if may is not None:  # rows without a vector have no score
            there = may.mask[rows] != 0
            at, rows = at[there], rows[there]
        lines = [dense.score_rows(held[0], one, rows, metric, held[2]) for one in (*near, *far)]
        liked, unliked = np.array(lines[: len(near)]), np.array(lines[len(near) :])
        if arm.strategy == "sum":
            score[at] = liked.mean(axis=0) - (unliked.mean(axis=0) if len(far) else 0)
        else:
            best = liked.max(axis=0)
            score[at] = best - (np.maximum(unliked.max(axis=0) - best, 0) if len(far) else 0)
    ranked = pool.some(np.flatnonzero(score > -np.inf)).ranked(depth).found()
    return ranked._replace(
        missing=answers[0].missing, plans=answers[0].plans, reads=sum(found.reads for found in answers)
    )
