"""Rows as messages: a schema and a record batch of the Arrow IPC format.

Arrow reads a batch without copying it and without looking into it, so everything is checked here before anybody does:
what compressed buffers claim to hold before memory is taken for them, then every offset, length and text.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vecdb.errors import InvalidInputError
from vecdb_proto.v1 import values_pb2 as pb

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.schema.schema import Column

KINDS: dict[str, pb.ColumnKind.ValueType] = {
    "json": pb.COLUMN_KIND_JSON,
    "vector": pb.COLUMN_KIND_VECTOR,
    "sparse": pb.COLUMN_KIND_SPARSE,
    "multivector": pb.COLUMN_KIND_MULTI_VECTOR,
}
"""The kinds of field whose values Arrow's type does not tell."""
_KINDS: dict[pb.ColumnKind.ValueType, str] = {number: kind for kind, number in KINDS.items()}
PLAIN = "plain"

_DAMAGED = ValueError, TypeError, LookupError, OSError, EOFError, OverflowError
"""What Arrow raises besides its own errors where a message is damaged."""

_SMALL = 1 << 20

COLUMNS = 4_096
"""The most columns of a message; more than any schema has."""

Table = Callable[[int], int]
"""The place of a field of a flatbuffer's table, by its number; 0 where it is left out."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one message of rows may hold.

    Attributes:
        rows: of the batch.
        bytes: of all its buffers, once they are decompressed.
        ratio: how many times as large buffers may be as they are when compressed; up to a megabyte is always taken.

    """

    rows: int = 1 << 22
    bytes: int = 1 << 30
    ratio: int = 200


DEFAULT_BOUNDS = Bounds()


def to_message(
    batch: pa.RecordBatch,
    columns: Iterable[Column] | None = None,
    *,
    with_schema: bool = True,
    compression: str | None = None,
) -> pb.Rows:
    """Return rows as a message.

    Args:
        batch: the rows.
        columns: what its columns are, in order, where the reader shall see their values as Python has them.
        with_schema: False behind the first message of a stream.
        compression: "lz4" or "zstd".

    """
    message = pb.Rows()
    write(message, batch, columns, with_schema=with_schema, compression=compression)
    return message


def write(
    message: pb.Rows,
    batch: pa.RecordBatch,
    columns: Iterable[Column] | None = None,
    *,
    with_schema: bool = True,
    compression: str | None = None,
) -> None:
    """Write rows into a message that may be part of another one, as `to_message` does: large ones are copied once."""
    message.batch = _serialized(batch, compression)
    if with_schema:
        message.schema = batch.schema.serialize().to_pybytes()
        if columns is not None:
            message.kinds.extend(KINDS.get(column.field.kind, pb.COLUMN_KIND_PLAIN) for column in columns)


def from_message(message: pb.Rows, schema: pa.Schema | None = None, bounds: Bounds = DEFAULT_BOUNDS) -> pa.RecordBatch:
    """Return the rows of a message, fully validated; their memory is that of the message.

    Args:
        message: the rows.
        schema: that of the stream's first message, for those behind it.
        bounds: the most that is taken.

    Raises:
        InvalidInputError: they are no rows, or damaged, or more than the bounds allow.

    """
    import pyarrow as pa

    if message.schema:
        schema = schema_from_message(message)
    if schema is None:
        raise InvalidInputError("the rows come without a schema")
    try:
        sealed = pa.ipc.read_message(pa.py_buffer(message.batch))
        if sealed.type != "record batch":
            raise InvalidInputError(f"the rows are a {sealed.type}, expected a record batch")
        _check_size(sealed, bounds)
        batch = pa.ipc.read_record_batch(sealed, schema)
        batch.validate(full=True)
    except (pa.ArrowException, struct.error, *_DAMAGED) as error:
        raise InvalidInputError(f"the rows are no valid Arrow record batch: {error}") from None
    if batch.num_rows > bounds.rows:
        raise _too_many(batch.num_rows, bounds)
    return batch


def schema_from_message(message: pb.Rows) -> pa.Schema:
    """Return the Arrow schema of a message that has one.

    Raises:
        InvalidInputError: it is damaged, or has more columns than any collection.

    """
    import pyarrow as pa

    try:
        schema = pa.ipc.read_schema(pa.py_buffer(message.schema))
        _check_names(schema)
    except (pa.ArrowException, *_DAMAGED) as error:
        raise InvalidInputError(f"the rows have no valid Arrow schema: {error}") from None
    if len(schema) > COLUMNS:
        raise InvalidInputError(f"the rows have {len(schema)} columns, at most {COLUMNS}")
    return schema


def _check_names(fields: Iterable[pa.Field]) -> None:
    """Look at every name, which Arrow does not: one that is no UTF-8 would be an error somewhere else."""
    for field in fields:
        _ = field.name
        type_ = field.type
        if type_.num_fields:
            _check_names(type_.field(at) for at in range(type_.num_fields))


def kinds_from_message(message: pb.Rows, columns: int) -> list[str]:
    """Return the kind of each column: "json", "vector", "sparse", "multivector", or "plain" for what Arrow tells.

    Raises:
        InvalidInputError: there are not as many kinds as columns.

    """
    if not message.kinds:
        return [PLAIN] * columns
    if len(message.kinds) != columns:
        raise InvalidInputError(f"the rows have {columns} columns and {len(message.kinds)} kinds")
    return [_KINDS.get(kind, PLAIN) for kind in message.kinds]


def one_batch(tables: Sequence[pa.Table]) -> pa.RecordBatch:
    """Return the rows of one or more tables with the same columns as one batch."""
    import pyarrow as pa

    table = pa.concat_tables(tables) if len(tables) > 1 else tables[0]
    columns = [column.combine_chunks() for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def _serialized(batch: pa.RecordBatch, compression: str | None) -> bytes:
    import pyarrow as pa

    if compression is None:
        return batch.serialize().to_pybytes()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as stream:
        stream.write_batch(batch)
    messages = pa.ipc.MessageReader.open_stream(sink.getvalue())
    messages.read_next_message()  # the schema
    return messages.read_next_message().serialize().to_pybytes()


def _check_size(sealed: pa.Message, bounds: Bounds) -> None:
    """Refuse a batch that would take too much memory, as its head tells; see Arrow's Message.fbs."""
    head, body = memoryview(sealed.metadata), memoryview(sealed.body)
    message = _table(head, _u32(head, 0))
    batch = _table(head, _referred(head, message(2)))
    rows = struct.unpack_from("<q", head, batch(0))[0] if batch(0) else 0
    if rows > bounds.rows:
        raise _too_many(rows, bounds)
    if not batch(3):  # not compressed
        return
    held, most = 0, min(bounds.bytes, max(bounds.ratio * len(body), _SMALL))
    for offset, length in _buffers(head, batch):
        if length == 0:
            continue
        told = struct.unpack_from("<q", body, offset)[0]
        held += length if told == -1 else told
        if told < -1 or held > most:
            raise InvalidInputError(
                f"the rows are compressed to {len(body)} bytes and hold more than {bounds.bytes}, or more than"
                f" {bounds.ratio} times as many"
            )


def _buffers(head: memoryview, batch: Table) -> Sequence[tuple[int, int]]:
    """Return offset and length of each buffer of a record batch."""
    if not batch(2):
        return []
    begin = _referred(head, batch(2))
    return list(struct.iter_unpack("<qq", head[begin + 4 : begin + 4 + 16 * _u32(head, begin)]))


def _table(data: memoryview, begin: int) -> Table:
    """Return where the fields of a flatbuffer's table lie that begins at a place."""
    fields = begin - struct.unpack_from("<i", data, begin)[0]
    size = struct.unpack_from("<H", data, fields)[0]

    def place(number: int) -> int:
        at = 4 + 2 * number
        offset = struct.unpack_from("<H", data, fields + at)[0] if at < size else 0
        return begin + offset if offset else 0

    return place


def _referred(data: memoryview, place: int) -> int:
    return place + _u32(data, place)


def _u32(data: memoryview, place: int) -> int:
    return struct.unpack_from("<I", data, place)[0]


def _too_many(rows: Any, bounds: Bounds) -> InvalidInputError:
    return InvalidInputError(f"a message has {rows} rows, at most {bounds.rows}")
