"""What must hold for a batch beyond the types of its columns: good ids, each once, and no oversized row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecdb.errors import DuplicateIdError, InvalidInputError
from vecdb.schema.arrow import pc
from vecdb.schema.blame import Blame, shown
from vecdb.schema.fields import ID_BYTES
from vecdb.schema.limits import Limits


def check_ids(ids: pa.Array, blame: Blame) -> None:
    """Raise unless every id (n,) is there, a string id has 1 to 512 bytes, and no id comes twice.

    Raises:
        DuplicateIdError: an id comes twice; the second row is the one that is named.
        InvalidInputError: an id is null, empty or too long.

    """
    check_end(ids, blame)
    if len(ids) > 1 and len(ids.unique()) < len(ids):
        raise _duplicate(ids, blame)


def check_end(ids: pa.Array, blame: Blame) -> None:
    """Raise unless every id (n,) is there, and a string id has 1 to 512 bytes: the same may come again.

    Raises:
        InvalidInputError: an id is null, empty or too long.

    """
    if ids.null_count:
        raise blame.error(int(np.flatnonzero(np.asarray(ids.is_null()))[0]), "the id is null")
    if pa.types.is_string(ids.type):
        lengths = _lengths(ids)
        bad = np.flatnonzero((lengths < 1) | (lengths > ID_BYTES))
        if len(bad):
            row = int(bad[0])
            value = ids[row].as_py()
            raise blame.error(row, f"the id {shown(value)} has {lengths[row]} bytes, not 1 to {ID_BYTES}", value)


def _duplicate(ids: pa.Array, blame: Blame) -> DuplicateIdError:
    first: dict[str | int, int] = {}
    for row, value in enumerate(ids.to_pylist()):
        if value in first:
            sentence = f"the id {shown(value)} is already in row {first[value] + blame.first_row} of the same batch"
            return blame.error(row, sentence, value, DuplicateIdError)
        first[value] = row
    raise AssertionError("the caller found a duplicate")


def check_row_bytes(batch: pa.RecordBatch, limits: Limits, first_row: int) -> None:
    """Raise unless the strings of every row together have at most limits.row_bytes bytes.

    Raises:
        InvalidInputError: a row has more.

    """
    columns = [column for column in batch.columns if pa.types.is_string(column.type) or pa.types.is_list(column.type)]
    if sum(column.nbytes for column in columns) <= limits.row_bytes:
        return
    total = np.zeros(batch.num_rows, dtype=np.int64)
    for column in columns:
        total += _lengths(column) if pa.types.is_string(column.type) else _list_lengths(column)
    largest = int(total.argmax()) if len(total) else 0
    if len(total) and total[largest] > limits.row_bytes:
        row = int(np.flatnonzero(total > limits.row_bytes)[0])
        raise InvalidInputError(
            f"row {row + first_row} has {total[row]} bytes of text, keywords and JSON, the limit is {limits.row_bytes}",
            row=row + first_row,
            value=int(total[row]),
        )


def _lengths(strings: pa.Array) -> NDArray[np.int64]:
    """Return the bytes of each string (n,), 0 for null."""
    return np.asarray(pc.fill_null(pc.binary_length(strings), 0)).astype(np.int64)


def _list_lengths(lists: pa.Array) -> NDArray[np.int64]:
    """Return the bytes of the strings of each list (n,), 0 for null."""
    counts = np.asarray(pc.fill_null(pc.list_value_length(lists), 0)).astype(np.int64)
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(_lengths(lists.flatten()))])
    ends = np.cumsum(counts)
    return sums[ends] - sums[ends - counts]
