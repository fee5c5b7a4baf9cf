"""Rows by id, as one Arrow batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vecdb.planner.found import take
from vecdb.row_values import values

if TYPE_CHECKING:
    from vecdb.reads import Snapshot
    from vecdb.schema.schema import Column


def rows_by_id(
    snapshot: Snapshot, ids: Sequence[Any], fields: Sequence[str] | None
) -> tuple[bytes, pa.RecordBatch, list[Column]]:
    """Return the rows of some ids.

    Args:
        snapshot: where they are looked up.
        ids: in the order of the answer.
        fields: which, beside the id; None for all.

    Returns:
        A byte for each id, 1 where there is such a row; the rows, in the order of the ids; their columns.

    Raises:
        InvalidInputError: an id is of another type than the collection's, or a field is unknown.

    """
    state, schema = snapshot._state, snapshot.schema
    columns = list(schema.columns) if fields is None else [schema.id, *snapshot._columns(fields)]
    state.check("reading rows by id")
    places = [state.find(one) for one in snapshot.checked_ids(list(ids))[0]]
    parts = state.parts
    numbers = {id(part): number for number, part in enumerate(parts)}
    there = [place for place in places if place is not None]
    part = np.array([numbers[id(owner)] for owner, _ in there], np.int64)
    row = np.array([number for _, number in there], np.int64)
    arrow = pa.schema([column.arrow_field for column in columns])
    found = bytes(place is not None for place in places)
    if not there:
        return found, pa.record_batch([pa.array([], field.type) for field in arrow], schema=arrow), columns
    arrays = [
        take(parts, part, row, lambda owner, some, column=column: values(owner, column, some)) for column in columns
    ]
    return found, pa.record_batch(arrays, schema=arrow), columns
