"""Making a write: everything that can fail is done here, before a byte of it is logged."""

import orjson
import pyarrow as pa

from vecdb.schema.arrays import python_array
from vecdb.schema.schema import Schema
from vecdb.storage import wal
from vecdb.storage.group_commit import Write
from vecdb.storage.keys import Id
from vecdb.storage.links.coded import DST, SRC, TYPE
from vecdb.storage.links.ends import Key
from vecdb.storage.links.table import link_rows
from vecdb.storage.manifest import SegmentEntry
from vecdb.storage.memtable import Rows


def upsert_write(schema: Schema, batch: pa.RecordBatch, unchanged_since: int | None = None) -> Write:
    """Return the write that stores validated rows, whose columns are those of the schema in order."""
    stored = pa.RecordBatch.from_arrays(batch.columns, schema=schema.storage_schema())
    if stored.num_rows == 1:
        ids = [stored.column(schema.id.storage_name)[0].as_py()]
        return Write(wal.UPSERT, schema, ids=ids, batch=stored, unchanged_since=unchanged_since)
    payload = memoryview(stored.serialize())
    rows = Rows.of(stored, schema, len(payload))
    return Write(wal.UPSERT, schema, payload, rows.ids, upserted=rows, unchanged_since=unchanged_since)


def delete_write(schema: Schema, ids: list[Id], unchanged_since: int | None, cascade: bool = False) -> Write:
    """Return the write that deletes rows by id; with cascade, the links of these ids too."""
    column = schema.id
    batch = pa.record_batch([python_array(ids, column.field.arrow_type)], names=[column.storage_name])
    kind = wal.DELETE_CASCADE if cascade else wal.DELETE
    return Write(kind, schema, memoryview(batch.serialize()), ids, unchanged_since=unchanged_since)


def nothing_write(schema: Schema) -> Write:
    """Return the write that changes no row: it is made for its request id."""
    return Write(wal.REQUESTS, schema)


def segments_write(schema: Schema, entries: tuple[SegmentEntry, ...]) -> Write:
    """Return the write that adds segments whose files are durable already."""
    payload = orjson.dumps([entry.to_json() for entry in entries])
    return Write(wal.SEGMENTS, schema, payload, segments=entries)


def link_write(schema: Schema, links: Schema, batch: pa.RecordBatch) -> Write:
    """Return the write that stores validated links, whose columns are those of their schema in order."""
    stored = pa.RecordBatch.from_arrays(batch.columns, schema=links.storage_schema())
    payload = memoryview(stored.serialize())
    rows = link_rows(stored, len(payload))
    return Write(wal.LINK, schema, payload, links=rows.ids, upserted=rows)  # pyright: ignore[reportArgumentType]


def unlink_write(schema: Schema, links: Schema, keys: list[Key], unchanged_since: int | None) -> Write:
    """Return the write that deletes links by source, destination and type."""
    types = [column.field.arrow_type for column in links.columns[:3]]
    columns = [pa.array(values, kind) for values, kind in zip(zip(*keys, strict=True), types, strict=True)]
    batch = pa.record_batch(columns, names=[SRC, DST, TYPE])
    return Write(wal.UNLINK, schema, memoryview(batch.serialize()), links=keys, unchanged_since=unchanged_since)


def link_segments_write(schema: Schema, entries: tuple[SegmentEntry, ...]) -> Write:
    """Return the write that adds segments of links whose files are durable already."""
    payload = orjson.dumps([entry.to_json() for entry in entries])
    return Write(wal.LINK_SEGMENTS, schema, payload, segments=entries)
