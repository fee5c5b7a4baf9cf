"""Pages without offsets: a cursor says behind which hit an answer begins.

What a cursor holds is in `vecdb.query.cursors`. The next page is what comes behind its key in the state that is asked,
so rows that were written meanwhile neither shift the others nor come twice.
"""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pyarrow as pa

from vecdb.errors import InvalidInputError
from vecdb.planner.bound import BoundQuery
from vecdb.planner.candidates import Candidates
from vecdb.query.cursors import FORM, Cursor, digest
from vecdb.query.query import Query
from vecdb.query.selection import Select
from vecdb.query.stages import GroupBy, OrderBy
from vecdb.schema.schema import Schema


def read(query: Query) -> Cursor | None:
    """Return the cursor of a query.

    Raises:
        InvalidInputError: it is no cursor, or that of another query; or the query has groups, which have no pages.

    """
    if query.cursor is None:
        return None
    if not all(stage.portable for stage in query.stages):
        raise InvalidInputError("what a Python function scores has no pages: ask for a larger k", field="cursor")
    if any(isinstance(stage, Select) for stage in query.stages):
        raise InvalidInputError("a set has no pages: ask for a larger k", field="cursor")
    if any(isinstance(stage, GroupBy) for stage in query.stages):
        raise InvalidInputError("groups have no pages: ask for more groups by a larger k", field="cursor")
    try:
        padded = query.cursor + "=" * (-len(query.cursor) % 4)
        form, told, key, seen, fetches = orjson.loads(base64.urlsafe_b64decode(padded))
        usable = form == FORM and isinstance(key, list) and isinstance(fetches, list)
        usable = usable and all(type(count) is int and 0 <= count < 1 << 40 for count in (seen, *fetches))
    except (ValueError, TypeError):
        usable, told, key, seen, fetches = False, "", [], 0, []
    if not usable or len(key) != 1 + max(1, len(_orders(query))):
        raise InvalidInputError("the cursor is not one of vecdb: pass SearchResult.cursor as it is", field="cursor")
    if told != digest(query):
        raise InvalidInputError("the cursor belongs to another query: only k and fields may change", field="cursor")
    return Cursor(tuple(key), seen, tuple(fetches))


def key_of(bound: BoundQuery, schema: Schema, candidates: Candidates, at: int) -> tuple[Any, ...]:
    """Return the key of the candidate at a place."""
    one = candidates.some(slice(at, at + 1))
    columns = {column.name: column for stage in bound.stages for column in stage.columns}
    key: list[Any] = []
    for name, _ in _orders(bound.query) or [("score", True)]:
        if name == "score":
            key.append(float(one.score[0]))
            continue
        value = one.take(columns[name])
        key.append((value.cast(pa.int64()) if pa.types.is_timestamp(value.type) else value)[0].as_py())
    return (*key, one.take(schema.id)[0].as_py())


def behind(bound: BoundQuery, schema: Schema, candidates: Candidates, cursor: Cursor) -> Candidates:
    """Return the candidates behind a cursor's key; they are in order, so a binary search finds the place."""
    orders = [*(_orders(bound.query) or [("score", True)]), ("id", False)]
    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        if _follows(key_of(bound, schema, candidates, middle), cursor.key, orders):
            high = middle
        else:
            low = middle + 1
    return candidates.some(slice(low, None))


def by_score(query: Query) -> bool:
    """Tell whether the key of a hit is its score and its id, and the answer has pages."""
    return all(stage.portable and not isinstance(stage, GroupBy | OrderBy | Select) for stage in query.stages)


def _orders(query: Query) -> list[tuple[str, bool]]:
    """Return by what the answer is ordered, if not by score: the last `OrderBy` decides."""
    ordered = [stage.parts for stage in query.stages if isinstance(stage, OrderBy)]
    return ordered[-1] if ordered else []


def _follows(one: tuple[Any, ...], other: tuple[Any, ...], orders: list[tuple[str, bool]]) -> bool:
    """Tell whether a key comes behind another one; nulls come last."""
    try:
        for mine, theirs, (_, descends) in zip(one, other, orders, strict=True):
            if mine == theirs:
                continue
            if mine is None or theirs is None:
                return mine is None
            return bool(mine < theirs) if descends else bool(mine > theirs)
    except TypeError as error:
        raise InvalidInputError("the cursor does not fit what the query orders by", field="cursor") from error
    return False
