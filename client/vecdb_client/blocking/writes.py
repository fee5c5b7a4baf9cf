"""Writing rows over the wire, for a collection and for a view of it, and the states that both can name.

Made of `vecdb_client/aio/writes.py` by `client/generate.py`: change that, and run it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from google.protobuf.message import Message

from vecdb.arguments import RequestId, version_of
from vecdb.encoders.attached import Attached
from vecdb.errors import ConflictError, InvalidInputError
from vecdb.results import WriteResult
from vecdb.schema import given
from vecdb.schema.records import validated, validated_batch
from vecdb.wire import results, schemas
from vecdb.wire import rows as wire_rows
from vecdb.wire.values import ids_to_message, writable
from vecdb_client import asked, methods, views
from vecdb_client.asked import Place
from vecdb_client.blocking.links import Linked
from vecdb_client.blocking.reads import Reads
from vecdb_client.blocking.snapshot import Snapshot
from vecdb_client.blocking.transport import Connection, in_thread
from vecdb_client.blocking.upload import Upload
from vecdb_client.known_schemas import KnownSchemas
from vecdb_client.requests import numbered, write_id
from vecdb_proto.v1 import collection_service_pb2 as collections
from vecdb_proto.v1 import record_service_pb2 as records
from vecdb_proto.v1 import snapshot_service_pb2 as snapshots
from vecdb_proto.v1 import view_pb2

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from vecdb.config import Limits
    from vecdb.encoders.progress import Progress
    from vecdb.filters import Expression
    from vecdb.schema.schema import Schema
    from vecdb_client.blocking.view import View

UNARY_ROWS = 10_000
UNARY_BYTES = 8 << 20
"""More rows, or more bytes, than these go in chunks."""
FEW = 64
"""So many records are checked in no time, in the caller's own thread."""


class Writes(Reads, Linked):
    """What a collection, and a view of it, have in common."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        known: KnownSchemas,
        encoders: Attached,
        server_encoders: frozenset[str] = frozenset(),
        read_only: bool = False,
        limits: Limits = views.UNLIMITED,
        filters: tuple[str | Expression, ...] = (),
    ) -> None:
        self.name = name
        self.encoders = encoders
        self.server_encoders = server_encoders
        self._connection = connection
        self._known = known
        self._read_only = read_only
        self._limits = limits
        self._timeout = limits.seconds
        self._filters = filters

    @property
    def schema(self) -> Schema:
        """The fields, as the client last heard of them; `refresh` asks the server."""
        return self._known[self.name]

    @property
    def _view(self) -> view_pb2.View | None:
        return views.to_message(self._filters, self._limits)

    def _changed(self, schema: Schema) -> bool:
        request = collections.GetCollectionRequest(name=self.name)
        response = self._connection.call(methods.GET_COLLECTION, request, self._timeout)
        return self._keep(response) != schema

    def _keep(self, response: Any) -> Schema:
        return self._known.keep(self.name, schemas.from_message(response.collection.schema))

    def within(self, limits: Limits) -> View:
        """Return a view whose calls may take so many seconds, and hold so many bytes on the server, each.

        The server's own limits hold beside these: the smaller one of both ends the call.
        """
        return self._seen(self._filters, views.checked(limits))

    def restricted(self, where: str | Expression) -> View:
        """Return a view of the rows that pass a filter; see `vecdb.Collection.restricted`."""
        return self._seen((*self._filters, where), self._limits)

    def _seen(self, filters: tuple[str | Expression, ...], limits: Limits) -> View:
        from vecdb_client.blocking.view import View

        return View(
            self._connection, self.name, self._known, self.encoders, self.server_encoders, self._read_only, limits,
            filters,
        )  # fmt: skip

    def snapshot(self) -> Snapshot:
        """Return the present state, frozen: later writes do not show in it."""
        return self._pinned(None)

    def _pinned(self, view: view_pb2.View | None) -> Snapshot:
        request = snapshots.OpenSnapshotRequest(collection=self.name, view=view)
        opened = self._connection.call(methods.OPEN_SNAPSHOT, request, self._timeout)
        return Snapshot(self._connection, self.name, opened, self.encoders, self._limits, self._filters)

    def at(
        self, version: int | None = None, timestamp: datetime | float | None = None, tag: str | None = None
    ) -> Snapshot:
        """Return an older version: by number, by tag, or the newest that was published by a moment.

        The moment is a datetime, in UTC where it has no zone, or seconds since 1970.

        Raises:
            NotFoundError: there is no such version any more.

        """
        with writable():
            view = view_pb2.View(**version_of(version, timestamp, tag))
        return self._pinned(view)

    def upsert(
        self,
        data: Any,
        progress: Progress = None,
        *,
        request_id: RequestId | None = None,
        chunk: int | None = None,
    ) -> WriteResult:
        """Store records: new ids are added, the rows of known ids replaced as a whole; see `vecdb.Collection.upsert`.

        The records are checked here, and again by the server. Every write has a request id, a random one by default: a
        call whose answer is lost is made again and has its effect once.
        """
        self._check_writable()
        key, number = write_id(request_id), numbered(request_id, chunk)
        if type(data).__name__ == "RecordBatchReader":
            if number is not None:
                raise InvalidInputError("a reader is stored in chunks of its own: leave chunk out", field="chunk")
            return self._chunk_by_chunk(data, progress, None if request_id is None else key)

        def batch() -> pa.RecordBatch:
            return self._checked(data, False, progress)

        schema = self.schema
        try:
            return self._stored(batch(), key, number)
        except InvalidInputError:
            if not self._changed(schema):
                raise
        return self._stored(batch(), key, number)

    def _stored(self, batch: pa.RecordBatch, key: bytes, number: int | None) -> WriteResult:
        if batch.num_rows > UNARY_ROWS or batch.nbytes > UNARY_BYTES:
            upload = Upload(self._connection, self._opening(records.UPSERT_MODE_ATOMIC), key, number)
            upload.send(batch)
            return upload.finish()
        request = records.UpsertRequest(
            collection=self.name, view=self._view, request_id=key, chunk=number, rows=wire_rows.to_message(batch)
        )
        return results.write_from_message((self._connection.call(methods.UPSERT, request, self._timeout)).result)

    def _opening(self, mode: records.UpsertMode.ValueType, key: bytes | None = None) -> Any:
        return records.UpsertStreamRequest.Open(collection=self.name, view=self._view, mode=mode, request_id=key or b"")

    def _chunk_by_chunk(self, data: Any, progress: Progress, key: bytes | None) -> WriteResult:
        upload = Upload(self._connection, self._opening(records.UPSERT_MODE_CHUNKS, key))
        for batch in self._batches(data, progress):
            upload.send(batch)
        done = upload.finish()
        return WriteResult(done.lsn, upload.rows_committed, done.durable)

    def delete(
        self,
        ids: Any = None,
        where: str | Expression | None = None,
        *,
        cascade: bool = False,
        request_id: RequestId | None = None,
    ) -> WriteResult:
        """Delete rows by id (one or a list), or all that pass a filter; see `vecdb.Collection.delete`."""
        self._check_writable()
        key = write_id(request_id)
        if (ids is None) == (where is None):
            raise InvalidInputError("name either ids or where")

        def make(place: Place) -> Message:
            request = records.DeleteRequest(
                collection=self.name, view=self._view, request_id=key, cascade=given.flag("cascade", cascade)
            )
            if where is None:
                listed = list(dict.fromkeys(self.checked_ids(ids)[0]))
                request.ids.CopyFrom(ids_to_message(listed, place.schema.id.field.type))
            else:
                request.where.CopyFrom(cast(Any, asked.filter_of(where)))
            return request

        return results.write_from_message((self._call(methods.DELETE, make)).result)

    def patch(self, data: Any, progress: Progress = None, *, request_id: RequestId | None = None) -> WriteResult:
        """Change some fields of existing rows; see `vecdb.Collection.patch`."""
        self._check_writable()
        key = write_id(request_id)

        def patched() -> WriteResult:
            batch = self._checked(data, True, progress)
            request = records.PatchRequest(
                collection=self.name, view=self._view, request_id=key, rows=wire_rows.to_message(batch)
            )
            response = self._connection.call(methods.PATCH, request, self._timeout)
            return results.write_from_message(response.result)

        schema = self.schema
        try:
            return patched()
        except InvalidInputError:
            if not self._changed(schema):
                raise
        return patched()

    def _checked(self, data: Any, partial: bool, progress: Progress) -> pa.RecordBatch:
        """Return records as a batch that fits the fields, with the vectors that the client's own encoders make."""
        schema = self.schema
        if type(data) in (dict, list) and len(data) <= FEW and not self.encoders:
            return validated_batch(data, schema, partial=partial)
        batch = in_thread(validated_batch, data, schema, partial=partial)
        return in_thread(self._encoded, batch, schema, progress)

    def _batches(self, data: Any, progress: Progress) -> Iterator[pa.RecordBatch]:
        if type(data).__name__ != "RecordBatchReader":
            yield self._checked(data, False, progress)
            return
        schema = self.schema
        batches = validated(data, schema)
        while (batch := in_thread(next, batches, None)) is not None:
            yield in_thread(self._encoded, batch, schema, progress)

    def _encoded(self, batch: pa.RecordBatch, schema: Schema, progress: Progress) -> pa.RecordBatch:
        mine = [vector.name for vector, _ in (*schema.encoded, *schema.token_encoded) if vector.name in self.encoders]
        return self.encoders.completed(batch, schema, progress) if mine else batch

    def _check_writable(self) -> None:
        if self._read_only:
            raise ConflictError(f"collection {self.name!r} is open read-only: connect without read_only=True to write")
