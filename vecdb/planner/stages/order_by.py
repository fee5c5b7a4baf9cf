"""Ordering by fields."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.query.stages import OrderBy
from vecdb.schema.arrays import numbers_array, numbers_of


def order_by(context: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the candidates in the order of the stage's keys; nulls last, equal ones by id."""
    stage = bound.stage
    assert isinstance(stage, OrderBy)
    if len(candidates) < 2:
        return candidates
    columns = {column.name: column for column in bound.columns}
    arrays: list[pa.Array] = []
    keys: list[tuple[str, str]] = []
    for number, (name, descends) in enumerate(stage.parts):
        values = numbers_array(candidates.score) if name == "score" else candidates.take(columns[name])
        if values.null_count:  # a key of its own says that nulls come last, whichever way the values go
            arrays.append(values.is_null().cast(pa.int8()))
            keys.append((f"null{number}", "ascending"))
        arrays.append(values)
        keys.append((f"key{number}", "descending" if descends else "ascending"))
    arrays.append(candidates.take(context.state.schema.id))
    keys.append(("id", "ascending"))
    table = pa.table(arrays, names=[name for name, _ in keys])
    order: Any = pc.sort_indices(table, sort_keys=keys)  # pyright: ignore[reportAttributeAccessIssue]
    return candidates.some(numbers_of(order))
