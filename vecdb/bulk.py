"""Rows straight to segments: the road for many rows.

A segment's files are written and synced first; one small log frame then names all segments of the step, and its
sync is the commit. Memory holds one segment's narrow columns and one batch, whatever the size of the load.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

from vecdb.arguments import AT_ONCE, chunk_number, rows_asked
from vecdb.errors import ConflictError, InvalidInputError
from vecdb.results import WriteResult
from vecdb.row_writes import request_key, request_of
from vecdb.schema.records import validated, validated_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from vecdb.row_writes import RequestId
    from vecdb.schema.schema import Schema
    from vecdb.storage.group_commit import Write
    from vecdb.storage.manifest import SegmentEntry
    from vecdb.storage.requests import Key, Request
    from vecdb.storage.segment_writer import SegmentWriter
    from vecdb.storage.writer import Writer

CHUNK_ROWS = 1 << 16
CHUNK_BYTES = 64 << 20


def direct_write(writer: Writer, schema: Schema, batch: pa.RecordBatch) -> Write:
    """Write one large batch as segments and return the write that commits them all at once."""
    from vecdb.storage.os_errors import typed_os_errors
    from vecdb.storage.writes import segments_write

    entries: list[SegmentEntry] = []
    builder: SegmentWriter | None = None
    try:
        with typed_os_errors():
            writer.check_space(batch.nbytes)
            for chunk in _chunks(schema, batch):
                if builder is not None and not builder.has_room(chunk, writer.settings.segment_bytes):
                    entries.append(builder.finish(0, 0)[0])
                    builder = None
                builder = builder or writer.segment_writer(schema)
                builder.append(chunk)
            if builder is not None:
                entries.append(builder.finish(0, 0)[0])
    except BaseException:
        if builder is not None:
            writer.abandon(builder)
        for entry in entries:
            writer.release(entry.uuid)
        raise
    return segments_write(schema, tuple(entries))


def _chunks(schema: Schema, batch: pa.RecordBatch, most: int = CHUNK_ROWS) -> list[pa.RecordBatch]:
    import pyarrow as pa

    stored = pa.RecordBatch.from_arrays(batch.columns, schema=schema.storage_schema())
    step = min(CHUNK_ROWS, most)
    if schema.multivectors:  # rows of many tokens are large, and a segment is closed behind a chunk
        step = max(1, min(step, CHUNK_BYTES * stored.num_rows // max(1, stored.nbytes)))
    return [stored.slice(start, step) for start in range(0, stored.num_rows, step)]


class BulkLoad:
    """Collects rows into segments. Not for use from several threads at once.

    Every add() is validated whole before any of it is taken. When an id comes again its last row wins.

    With a request id each add() is a numbered chunk of an upload that may be broken off and made again: chunks that are
    stored already are left out. A chunk is committed whole, and remembered, with the segment that holds its last row.
    """

    def __init__(
        self,
        writer: Writer,
        rows_per_segment: int | None,
        completed: Callable[..., pa.RecordBatch],
        request_id: RequestId | None = None,
    ) -> None:
        if rows_per_segment is not None:
            rows_per_segment = rows_asked(rows_per_segment, "rows_per_segment", AT_ONCE)
        self.rows = 0
        self._writer = writer
        self._schema = writer.state.schema
        self._most = rows_per_segment or sys.maxsize
        self._completed = completed
        self._upload = request_key(request_id)
        self._builder: SegmentWriter | None = None
        self._built: list[SegmentEntry] = []
        self._requests: dict[Key, Request] = {}
        self._committed = 0
        self._lsn = writer.state.lsn

    @property
    def rows_committed(self) -> int:
        """Rows added that are committed; a crash from now on keeps them."""
        return self._committed

    @property
    def pending_chunks(self) -> list[int]:
        """The chunks that were added and are not committed yet, in the order in which they came."""
        return [key.chunk for key in self._requests]

    def add(self, data: Any, chunk: int | None = None) -> int:
        """Add rows and return how many; data is what `upsert` takes.

        Args:
            data: the rows.
            chunk: its number in the upload, where the load has a request id. Of a chunk that is stored already, or was
                added before, nothing is taken, and 0 returned.

        Raises:
            InvalidInputError: a value does not fit the schema; nothing of this call is taken (of a reader: nothing
                from the bad chunk on), what was added before stays.
            RequestMismatchError: the chunk was stored, or added, with other rows.
            EncoderError: an encoder failed; the same holds.
            ResourceExhaustedError: the disk is full; of all that was added only `rows_committed` rows are kept.
            UnavailableError: the disk failed; the same holds.

        """
        before = self.rows
        if type(data).__name__ == "RecordBatchReader":
            if self._upload is not None:
                raise InvalidInputError("the chunks of an upload are tables, not readers", field="data")
            for batch in validated(data, self._schema):
                self._add(self._completed(batch, self._schema))
            return self.rows - before
        batch = validated_batch(data, self._schema)
        request = self._request(batch, chunk)
        if request is not None and self._was_added(request):
            return 0
        self._add(self._completed(batch, self._schema), request)
        return self.rows - before

    def _request(self, batch: pa.RecordBatch, chunk: int | None) -> Request | None:
        if (self._upload is None) != (chunk is None):
            told = "a load with a request_id needs the chunk's number" if chunk is None else "chunk needs a request_id"
            raise InvalidInputError(f"{told}: give both or none", field="chunk")
        if self._upload is None or chunk is None:
            return None
        key = self._upload._replace(chunk=chunk_number(chunk))
        return request_of(key, "upsert", batch, batch.num_rows)

    def _was_added(self, request: Request) -> bool:
        from vecdb.storage.requests import mismatch

        added = self._requests.get(request.key)
        if added is not None and added.content != request.content:
            raise mismatch(request.key)
        return added is not None or self._writer.requests.made(request) is not None

    def _add(self, batch: pa.RecordBatch, request: Request | None = None) -> None:
        from vecdb.storage.os_errors import typed_os_errors

        if self._schema.multivectors:
            from vecdb.storage.prepare import prepared

            batch = prepared(batch, self._schema)
        whole = self._writer.settings.segment_bytes
        with typed_os_errors():
            self._writer.check_space(batch.nbytes)
        if request is not None and self._builder is not None:
            full = self._builder.size + batch.nbytes > whole or self._builder.rows + batch.num_rows > self._most
            if full:
                self._seal()  # a chunk that begins here would be cut, and its first half be a segment too small
        for chunk in _chunks(self._schema, batch, self._most):
            held = self._builder
            if held is not None and (held.rows + chunk.num_rows > self._most or not held.has_room(chunk, whole)):
                self._close_segment(request)
            try:
                with typed_os_errors():
                    self._builder = self._builder or self._writer.segment_writer(self._schema)
                    self._builder.append(chunk)
            except BaseException:
                self.abandon()  # of the chunk some columns may be written and others not
                raise
            self.rows += chunk.num_rows
            if self._builder.rows >= self._most or self._builder.size >= whole:
                self._close_segment(request)
        if request is not None:
            self._requests[request.key] = request
            if self._built:
                self._seal()

    def _close_segment(self, request: Request | None) -> None:
        """Finish a segment; of an upload it is committed with the rest of the chunk that is being added."""
        if request is None:
            self._seal()
            return
        builder, self._builder = self._builder, None
        if builder is not None:
            self._finish(builder)

    def _finish(self, builder: SegmentWriter) -> None:
        from vecdb.storage.os_errors import typed_os_errors

        try:
            with typed_os_errors():
                self._built.append(builder.finish(0, 0)[0])
        except BaseException:
            self._writer.abandon(builder)
            self._drop_built()
            raise

    def _seal(self) -> None:
        """Commit what was built."""
        from vecdb.storage.group_commit import Stale
        from vecdb.storage.writes import nothing_write, segments_write

        builder, self._builder = self._builder, None
        if builder is not None:
            self._finish(builder)
        if not self._built and not self._requests:
            return
        built, rows = tuple(self._built), sum(entry.rows for entry in self._built)
        write = segments_write(self._schema, built) if built else nothing_write(self._schema)
        write.requests = tuple(self._requests.values())
        try:
            done = self._writer.submit(write)
        except Stale:
            self._drop_built()
            raise ConflictError(
                f"the fields changed during a bulk load: {rows} rows after {self._committed} are not stored"
            ) from None
        except BaseException:
            self._drop_built()
            raise
        self._built, self._requests = [], {}
        self._committed += rows
        self._lsn = done.lsn

    def _drop_built(self) -> None:
        """Forget segments that were built and not committed, and the chunks that they hold."""
        for entry in self._built:
            self._writer.release(entry.uuid)
        self._built, self._requests = [], {}

    def commit(self) -> WriteResult:
        """Commit what was added so far and publish a version; `rows` counts all rows of this bulk load."""
        self._seal()
        self._writer.flush()
        return WriteResult(self._lsn, self._committed, self._writer.settings.durability == "sync")

    def abandon(self) -> None:
        """Drop the rows that are not committed yet."""
        if self._builder is not None:
            self._writer.abandon(self._builder)
            self._builder = None
        self._drop_built()
        self.rows = self._committed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.abandon()
