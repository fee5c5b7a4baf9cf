"""Gathering: each arm finds its candidates in the state, the best first."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow.compute as pc

from vecdb.filters.evaluate import BoundFilter
from vecdb.fulltext import text_query
from vecdb.planner import dense, sparse, text, tokens
from vecdb.planner.bound import BoundArm
from vecdb.planner.found import Found, PartPlan
from vecdb.planner.masks import filter_mask
from vecdb.query.arms import Like, Match, Near, Terms, Tokens
from vecdb.query.graph import Linked
from vecdb.schema.arrays import numbers_array, numbers_of
from vecdb.schema.fields import Sparse, Text
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import State

Ready = Mapping[tuple[int, int], Found]
"""What arms gather, found before: by the identity of the `BoundArm` and the number of candidates."""
ROW_BYTES = 40
"""What a row takes while all of them are candidates: part, row and score, and once more in another order."""
NOT_READY: Ready = MappingProxyType({})


class Context(NamedTuple):
    """What every stage of one query shares."""

    state: State
    pool: ThreadPoolExecutor | None
    allow_partial: bool
    ready: Ready = NOT_READY


def gathered(context: Context, bound: BoundArm, depth: int) -> Found:
    """Return the best `depth` rows of an arm that is not nested; fewer only when fewer match."""
    ready = context.ready.get((id(bound), depth))
    if ready is not None:
        return ready
    if isinstance(bound.arm, Near):
        assert bound.vectors is not None
        (found,) = dense.search(
            context.state, bound.columns[0], bound.vectors, depth, bound.where, context.pool, bound.effort,
            context.allow_partial,
        )  # fmt: skip
        return found
    if isinstance(bound.arm, Like):
        from vecdb.planner.like import like

        return like(context, bound, depth)
    if isinstance(bound.arm, Linked):
        from vecdb.planner.linked import linked

        return linked(context, bound, depth)
    if isinstance(bound.arm, Terms):
        assert bound.terms is not None
        return sparse.search(
            context.state,
            cast("Column[Sparse]", bound.columns[0]),
            *bound.terms,
            depth,
            bound.where,
            exact=bound.effort.exact,
            allow_partial=context.allow_partial,
        )
    if isinstance(bound.arm, Tokens):
        assert bound.question is not None
        return tokens.search(
            context.state,
            cast("Column[MultiVector]", bound.columns[0]),
            bound.question,
            depth,
            bound.where,
            context.pool,
            bound.effort,
            allow_partial=context.allow_partial,
        )
    assert isinstance(bound.arm, Match)
    fields = [(cast("Column[Text]", column), bound.arm.fields[column.name]) for column in bound.columns]
    return text.search(
        context.state,
        fields,
        text_query(bound.arm.text, bound.label),
        depth,
        bound.where,
        exact=bound.effort.exact,
        allow_partial=context.allow_partial,
    )


def all_rows(state: State, where: BoundFilter | None) -> Found:
    """Return every row that passes, in storage order, with score 0."""
    numbers, rows, plans = [], [], []
    for number, part in enumerate(state.parts):
        mask = filter_mask(part, state.schema, where, state.budget)
        state.hold("all rows", ROW_BYTES * (part.rows if mask is None else int(np.count_nonzero(mask))))
        matching = np.arange(part.rows) if mask is None else np.flatnonzero(mask)
        plans.append(PartPlan(part.uuid, part.told, len(matching), "scan" if len(matching) else "skip", 0))
        numbers.append(np.full(len(matching), number, np.int64))
        rows.append(matching.astype(np.int64))
    part = np.concatenate(numbers) if numbers else np.empty(0, np.int64)
    row = np.concatenate(rows) if rows else np.empty(0, np.int64)
    return Found(state.parts, part, row, np.zeros(len(row), np.float32), (), tuple(plans))


def rows_by_id(state: State, where: BoundFilter | None) -> Found:
    """Return every row that passes, by id, with score 0: the candidates of a query without an arm."""
    found = all_rows(state, where)
    if len(found.row) < 2:
        return found
    order: Any = pc.array_sort_indices(found.take(lambda part, rows: part.ids().take(numbers_array(rows))))  # pyright: ignore[reportAttributeAccessIssue]
    return found.some(numbers_of(order))
