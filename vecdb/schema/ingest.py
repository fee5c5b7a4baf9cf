"""Any accepted input as named columns.

A column is still whatever the caller gave: an Arrow array, a NumPy array, or a list of Python values. Nothing is
copied or converted here, and nothing is trusted.

The surprise is a dict, which means one record or a whole batch: it is a batch when its id is a list or an array.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.errors import InvalidInputError
from vecdb.schema.blame import shown
from vecdb.schema.schema import Schema
from vecdb.schema.space import space_in

_ACCEPTED = (
    "a record is a dict, a batch is a list of dicts, a dict of columns, an Arrow table, batch or reader,"
    " or a pandas or Polars frame"
)
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Columns of equal length by name."""

    columns: dict[str, Any]
    rows: int

    def slices(self, rows: int) -> Iterator[Chunk]:
        """Cut into chunks of at most that many rows, without copying arrays; nothing comes of no rows."""
        for start in range(0, self.rows, rows):
            stop = min(start + rows, self.rows)
            yield Chunk({name: column[start:stop] for name, column in self.columns.items()}, stop - start)


def whole(data: Any, schema: Schema, partial: bool) -> Chunk:
    """Return everything in data as one chunk.

    Raises:
        InvalidInputError: data is none of the accepted kinds, or its columns differ in length.
        UnknownFieldError: a record of a list has a field that the schema lacks.
        SpaceMismatchError: Arrow data says that its vectors are of another space than the field's.

    """
    stream = _stream(data)
    if stream is not None:
        try:
            return _from_table(stream.read_all() if isinstance(stream, pa.RecordBatchReader) else stream, schema)
        except pa.ArrowInvalid as error:
            raise InvalidInputError(f"the Arrow data cannot be read: {error}") from error
    if isinstance(data, Mapping):
        return _from_mapping(data, schema)
    if isinstance(data, Sequence) and not isinstance(data, str | bytes | bytearray):
        return _from_records(data, schema, partial)
    raise InvalidInputError(f"{shown(data)} ({type(data).__name__}) holds no records: {_ACCEPTED}")


def chunks(data: Any, schema: Schema, partial: bool, rows: int) -> Iterator[Chunk]:
    """Return data in chunks of at most that many rows, each of a stream's own batches separate.

    Raises:
        InvalidInputError: as `whole`, when the first or a later chunk is taken.

    """
    stream = _stream(data)
    if stream is None:
        yield from whole(data, schema, partial).slices(rows)
        return
    batches = iter(stream.to_batches() if isinstance(stream, pa.Table) else stream)
    while True:
        try:
            batch = next(batches, None)
        except pa.ArrowInvalid as error:
            raise InvalidInputError(f"the Arrow stream cannot be read: {error}") from error
        if batch is None:
            return
        yield from _from_table(batch, schema).slices(rows)


def _stream(data: Any) -> Any:
    """Return data as a Table or RecordBatchReader if it is Arrow data in any form, else None."""
    if isinstance(data, pa.Table | pa.RecordBatchReader):
        return data
    try:
        if isinstance(data, pa.RecordBatch):
            return pa.Table.from_batches([data])
        if hasattr(data, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(data)
        if hasattr(data, "__arrow_c_array__"):
            return pa.Table.from_batches([pa.record_batch(data)])
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise InvalidInputError(f"a {type(data).__name__} cannot be read as records: {error}") from error
    return None


def _from_table(table: Any, schema: Schema) -> Chunk:
    names: list[str] = table.schema.names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError(f"the column {twice!r} comes twice", field=twice)
    _check_spaces(table.schema, schema)
    # pandas adds its row labels as a column under such a name when rows were filtered or sorted.
    columns = {
        name: table.column(at) for at, name in enumerate(names) if name in schema or not _PANDAS_INDEX.fullmatch(name)
    }
    return Chunk(columns, table.num_rows)


def _check_spaces(given: pa.Schema, schema: Schema) -> None:
    """Refuse vectors that say of themselves, in the metadata of their Arrow field, that they are of another space."""
    for column in (*schema.vectors, *schema.multivectors):
        held, at = column.field.space, given.get_field_index(column.name)
        found = None if held is None or at < 0 else space_in(given.field(at).metadata, column.name)
        if held is not None and found is not None:
            held.check_same(found, column.name, "the Arrow data has those")


def _from_mapping(data: Mapping[Any, Any], schema: Schema) -> Chunk:
    key = data.get(schema.id.name)
    if isinstance(key, str | bytes) or not hasattr(key, "__len__"):
        return Chunk({name: [value] for name, value in data.items()}, 1)
    columns = {name: _column(name, value) for name, value in data.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInputError(f"the columns differ in length: {lengths}")
    return Chunk(columns, next(iter(lengths.values())))


def _column(name: str, value: Any) -> Any:
    """Return one value of a dict of columns as an Arrow array, a NumPy array of up to three dimensions, or a list."""
    if isinstance(value, pa.Array | pa.ChunkedArray | list):
        return value
    if isinstance(value, tuple | range):
        return list(value)
    if isinstance(value, np.ma.MaskedArray):
        raise InvalidInputError(f"field {name!r}: a masked array is not read; give a list with None", field=name)
    if hasattr(value, "tocsr") and getattr(value, "ndim", 0) == 2:
        from vecdb.schema.sparse import arrow_of_scipy

        return arrow_of_scipy(value)
    column = value if isinstance(value, np.ndarray) else _of_another_library(name, value)
    if isinstance(column, np.ndarray) and column.ndim not in (1, 2, 3):
        raise InvalidInputError(f"field {name!r}: an array of shape {column.shape} is not a column", field=name)
    return column


def _of_another_library(name: str, value: Any) -> pa.Array | pa.ChunkedArray | np.ndarray:
    try:
        if hasattr(value, "__arrow_c_stream__"):
            return pa.chunked_array(value)
        if hasattr(value, "__arrow_c_array__"):
            return pa.array(value)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise InvalidInputError(f"field {name!r} cannot be read as a column: {error}", field=name) from error
    if not hasattr(value, "__array__"):
        raise InvalidInputError(
            f"field {name!r}: {shown(value)} is not a list or an array, but the id is: every column has one value"
            " per row",
            field=name,
            value=value,
        )
    return np.asarray(value)


def _from_records(records: Sequence[Any], schema: Schema, partial: bool) -> Chunk:
    for row, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise InvalidInputError(f"row {row}: {shown(record)} is not a dict: {_ACCEPTED}", row=row, value=record)
    names = set().union(*records)
    if not names.issubset(column.name for column in schema):
        row, name = next((row, name) for row, record in enumerate(records) for name in record if name not in schema)
        raise schema.unknown(name, row)
    if partial:
        for row, record in enumerate(records):
            if record.keys() != names:
                lacking = min(names - record.keys())
                raise InvalidInputError(
                    f"row {row} has no {lacking!r}, which another row has: the records of one patch have the same"
                    " fields; None makes a field null",
                    field=lacking,
                    row=row,
                )
    columns = {name: [record.get(name) for record in records] for name in names}
    return Chunk(columns, len(records))
