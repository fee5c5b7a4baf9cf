"""Rows straight to segments: the road for many rows.

A segment's files are written and synced first; one small log frame then names all segments of the step, and its
sync is the commit. Memory holds one segment's narrow columns and one batch, whatever the size of the load.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

from vecdb.errors import ConflictError
from vecdb.results import WriteResult
from vecdb.schema.given import whole_number
from vecdb.schema.records import validated, validated_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from vecdb.schema.schema import Schema
    from vecdb.storage.group_commit import Write
    from vecdb.storage.manifest import SegmentEntry
    from vecdb.storage.segment_writer import SegmentWriter
    from vecdb.storage.writer import Writer

CHUNK_ROWS = 1 << 16


def direct_write(writer: Writer, schema: Schema, batch: pa.RecordBatch) -> Write:
    """Write one large batch as segments and return the write that commits them all at once."""
    from vecdb.storage.writes import segments_write

    entries: list[SegmentEntry] = []
    builder: SegmentWriter | None = None
    try:
        for chunk in _chunks(schema, batch):
            builder = builder or writer.segment_writer(schema)
            builder.append(chunk)
            if builder.bytes >= writer.settings.segment_bytes:
                entries.append(_finished(writer, builder))
                builder = None
        if builder is not None:
            entries.append(_finished(writer, builder))
    except BaseException:
        if builder is not None:
            writer.abandon(builder)
        for entry in entries:
            writer.release(entry.uuid)
        raise
    return segments_write(schema, tuple(entries))


def _finished(writer: Writer, builder: SegmentWriter) -> SegmentEntry:
    from vecdb.storage.os_errors import typed_os_errors

    with typed_os_errors():
        return builder.finish(0, 0)[0]


def _chunks(schema: Schema, batch: pa.RecordBatch, most: int = CHUNK_ROWS) -> list[pa.RecordBatch]:
    import pyarrow as pa

    stored = pa.RecordBatch.from_arrays(batch.columns, schema=schema.storage_schema())
    step = min(CHUNK_ROWS, most)
    return [stored.slice(start, step) for start in range(0, stored.num_rows, step)]


class BulkLoad:
    """Collects rows into segments. Not for use from several threads at once.

    Every add() is validated whole before any of it is taken. When an id comes again its last row wins.
    """

    def __init__(self, writer: Writer, rows_per_segment: int | None, completed: Callable[..., pa.RecordBatch]) -> None:
        if rows_per_segment is not None:
            rows_per_segment = whole_number("rows_per_segment", rows_per_segment)
        self.rows = 0
        self._writer = writer
        self._schema = writer.state.schema
        self._rows_per_segment = rows_per_segment
        self._completed = completed
        self._builder: SegmentWriter | None = None
        self._committed = 0
        self._lsn = writer.state.lsn

    @property
    def rows_committed(self) -> int:
        """Rows added that are committed; a crash from now on keeps them."""
        return self._committed

    def add(self, data: Any) -> int:
        """Add rows and return how many; data is what `upsert` takes.

        Raises:
            InvalidInputError: a value does not fit the schema; nothing of this call is taken (of a reader: nothing
                from the bad chunk on), what was added before stays.
            EncoderError: an encoder failed; the same holds.

        """
        before = self.rows
        if type(data).__name__ == "RecordBatchReader":
            for batch in validated(data, self._schema):
                self._add(self._completed(batch, self._schema))
        else:
            self._add(self._completed(validated_batch(data, self._schema), self._schema))
        return self.rows - before

    def _add(self, batch: pa.RecordBatch) -> None:
        from vecdb.storage.os_errors import typed_os_errors

        settings = self._writer.settings
        self._writer.check_space(batch.nbytes)
        most = self._rows_per_segment or sys.maxsize
        for chunk in _chunks(self._schema, batch, most):
            if self._builder is not None and self._builder.rows + chunk.num_rows > most:
                self._seal()
            with typed_os_errors():
                self._builder = self._builder or self._writer.segment_writer(self._schema)
                self._builder.append(chunk)
            self.rows += chunk.num_rows
            if self._builder.rows >= most or self._builder.bytes >= settings.segment_bytes:
                self._seal()

    def _seal(self) -> None:
        from vecdb.storage.group_commit import Stale
        from vecdb.storage.writes import segments_write

        builder, self._builder = self._builder, None
        if builder is None:
            return
        try:
            entry = _finished(self._writer, builder)
            write = self._writer.submit(segments_write(self._schema, (entry,)))
        except Stale:
            self._writer.abandon(builder)
            raise ConflictError(
                f"the fields changed during a bulk load: {builder.rows} rows after {self._committed} are not stored"
            ) from None
        except BaseException:
            self._writer.abandon(builder)
            raise
        self._committed += builder.rows
        self._lsn = write.lsn

    def commit(self) -> WriteResult:
        """Commit what was added so far and publish a version; `rows` counts all rows of this bulk load."""
        self._seal()
        self._writer.flush()
        return WriteResult(self._lsn, self._committed, self._writer.settings.durability == "sync")

    def abandon(self) -> None:
        """Drop the rows that are not committed yet."""
        if self._builder is not None:
            self._writer.abandon(self._builder)
            self.rows -= self._builder.rows
            self._builder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.abandon()
