"""A collection over the wire: the methods of `vecdb.Collection`, with their arguments, results and errors.

Made of `vecdb_client/aio/collection.py` by `client/generate.py`: change that, and run it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import orjson
from google.protobuf.message import Message

from vecdb.arguments import RequestId, request_bytes, vector_column, whole_number
from vecdb.encoders.attached import Attached, space_for
from vecdb.errors import ConflictError, InvalidInputError
from vecdb.relevance import CalibrationReport
from vecdb.results import TuneReport, WriteResult
from vecdb.schema.fields import Vector
from vecdb.schema.given import flag
from vecdb.schema.records import validated, validated_batch
from vecdb.wire import reports, results, schemas
from vecdb.wire import rows as wire_rows
from vecdb.wire.values import from_json, ids_to_message
from vecdb_client import asked, asked_overviews, methods
from vecdb_client.asked import Place
from vecdb_client.blocking.bulk import BulkLoad
from vecdb_client.blocking.links import Linked
from vecdb_client.blocking.reads import Reads
from vecdb_client.blocking.snapshot import Snapshot
from vecdb_client.blocking.transport import Connection, in_thread
from vecdb_client.blocking.upload import Upload
from vecdb_client.known_schemas import KnownSchemas
from vecdb_client.methods import Method
from vecdb_proto.v1 import admin_service_pb2 as admin
from vecdb_proto.v1 import collection_service_pb2 as collections
from vecdb_proto.v1 import record_service_pb2 as records
from vecdb_proto.v1 import snapshot_service_pb2 as snapshots
from vecdb_proto.v1 import values_pb2

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.config import Limits
    from vecdb.encoders.base import TextEncoder
    from vecdb.encoders.lookup_sparse import LookupSparse
    from vecdb.encoders.progress import Progress
    from vecdb.encoders.tokens import TokenEncoder
    from vecdb.filters import Expression
    from vecdb.query.query import Query
    from vecdb.schema.fields import Field
    from vecdb.schema.fulltext import FullText
    from vecdb.schema.indexes import IndexSpec
    from vecdb.schema.schema import Schema

UNARY_ROWS = 10_000
UNARY_BYTES = 8 << 20
"""More rows, or more bytes, than these go in chunks."""
FEW = 64
"""So many records are checked in no time, in the caller's own thread."""


class Collection(Reads, Linked):
    """Made by `Database.create_collection` and `Database.collection`.

    Attributes:
        name: its name.
        encoders: the client's own encoders, by field.
        server_encoders: fields for which the server has an encoder: texts may be written and asked instead of vectors.

    """

    _view = None

    def __init__(
        self,
        connection: Connection,
        name: str,
        known: KnownSchemas,
        encoders: Attached,
        server_encoders: frozenset[str] = frozenset(),
        read_only: bool = False,
        timeout: float | None = None,
    ) -> None:
        self.name = name
        self.encoders = encoders
        self.server_encoders = server_encoders
        self._connection = connection
        self._known = known
        self._read_only = read_only
        self._timeout = timeout

    @property
    def schema(self) -> Schema:
        """The fields, as the client last heard of them; `refresh` asks the server."""
        return self._known[self.name]

    def within(self, limits: Limits) -> Collection:
        """Return the same collection whose calls may take so many seconds each; uploads take the time that they take.

        Raises:
            InvalidInputError: the limits are about memory, which is the server's.

        """
        return Collection(
            self._connection, self.name, self._known, self.encoders, self.server_encoders, self._read_only,
            asked.seconds_of(limits),
        )  # fmt: skip

    def refresh(self) -> None:
        """Ask the server what fields there are now."""
        self._changed(self.schema)

    def _changed(self, schema: Schema) -> bool:
        request = collections.GetCollectionRequest(name=self.name)
        response = self._connection.call(methods.GET_COLLECTION, request, self._timeout)
        return self._keep(response) != schema

    def _keep(self, response: Any) -> Schema:
        return self._known.keep(self.name, schemas.from_message(response.collection.schema))

    def snapshot(self) -> Snapshot:
        """Return the present state, frozen: later writes do not show in it."""
        return self._pinned(None)

    def _pinned(self, view: values_pb2.View | None) -> Snapshot:
        request = snapshots.OpenSnapshotRequest(collection=self.name, view=view)
        opened = self._connection.call(methods.OPEN_SNAPSHOT, request, self._timeout)
        return Snapshot(self._connection, self.name, opened, self.encoders, self._timeout)

    # -- writes ----------------------------------------------------------------------------------------------------

    def upsert(self, data: Any, progress: Progress = None, *, request_id: RequestId | None = None) -> WriteResult:
        """Store records: new ids are added, the rows of known ids replaced as a whole; see `vecdb.Collection.upsert`.

        The records are checked here, and again by the server. Every write has a request id, a random one by default: a
        call whose answer is lost is made again and has its effect once.
        """
        self._check_writable()
        key = _request_id(request_id)
        if type(data).__name__ == "RecordBatchReader":
            return self._chunk_by_chunk(data, progress, key)

        def batch() -> pa.RecordBatch:
            return self._checked(data, False, progress)

        schema = self.schema
        try:
            return self._stored(batch(), key)
        except InvalidInputError:
            if not self._changed(schema):
                raise
        return self._stored(batch(), key)

    def _stored(self, batch: pa.RecordBatch, key: bytes) -> WriteResult:
        if batch.num_rows > UNARY_ROWS or batch.nbytes > UNARY_BYTES:
            upload = Upload(self._connection, self.name, records.UPSERT_MODE_ATOMIC, key)
            upload.send(batch)
            return upload.finish()
        request = records.UpsertRequest(collection=self.name, request_id=key, rows=wire_rows.to_message(batch))
        return results.write_from_message((self._connection.call(methods.UPSERT, request, self._timeout)).result)

    def _chunk_by_chunk(self, data: Any, progress: Progress, key: bytes) -> WriteResult:
        upload = Upload(self._connection, self.name, records.UPSERT_MODE_CHUNKS, key)
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
        key = _request_id(request_id)
        if (ids is None) == (where is None):
            raise InvalidInputError("name either ids or where")

        def make(place: Place) -> Message:
            request = records.DeleteRequest(collection=self.name, request_id=key, cascade=flag("cascade", cascade))
            if where is None:
                given = list(dict.fromkeys(self.checked_ids(ids)[0]))
                request.ids.CopyFrom(ids_to_message(given, place.schema.id.field.type))
            else:
                request.where.CopyFrom(cast(Any, asked.filter_of(where)))
            return request

        return results.write_from_message((self._call(methods.DELETE, make)).result)

    def patch(self, data: Any, progress: Progress = None, *, request_id: RequestId | None = None) -> WriteResult:
        """Change some fields of existing rows; see `vecdb.Collection.patch`."""
        self._check_writable()
        key = _request_id(request_id)

        def patched() -> WriteResult:
            batch = self._checked(data, True, progress)
            request = records.PatchRequest(collection=self.name, request_id=key, rows=wire_rows.to_message(batch))
            response = self._connection.call(methods.PATCH, request, self._timeout)
            return results.write_from_message(response.result)

        schema = self.schema
        try:
            return patched()
        except InvalidInputError:
            if not self._changed(schema):
                raise
        return patched()

    def bulk(self, rows_per_segment: int | None = None, progress: Progress = None) -> BulkLoad:
        """Return a bulk load: rows go straight to segments, not through the log. Use it in a `with` block.

        Each segment that fills up is committed on its own; leaving the block commits the rest.
        """
        self._check_writable()
        return BulkLoad(self._connection, self.name, rows_per_segment, lambda data: self._batches(data, progress))

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

    # -- fields ----------------------------------------------------------------------------------------------------

    def add_column(self, name: str, field: Field) -> None:
        """Add a field; the rows that exist have no value in it. No file is rewritten."""
        self._changes(lambda schema: schema.with_column(name, field))
        request = collections.AddColumnRequest(
            collection=self.name, name=name, field=schemas.field_to_message(field.described())
        )
        self._change(methods.ADD_COLUMN, request)
        self.encoders.adopt(self.schema, {name: field})

    def set_encoder(
        self, name: str, encoder: TextEncoder | TokenEncoder | LookupSparse | str, source: str | None = None
    ) -> None:
        """Say which model made the vectors of a field, and use it for queries from now on.

        Args:
            name: the field.
            encoder: an encoder, which this client uses; or the name of one that the server's operator configured,
                which the server uses.
            source: a text field: the encoder makes vectors of its texts in rows that are written without.

        Raises:
            SpaceMismatchError: the field holds vectors of another space.
            InvalidInputError: name is no vector, source no text, or the encoder makes another number of values.

        """
        if isinstance(encoder, str):
            request = collections.SetEncoderRequest(collection=self.name, name=name, encoder=encoder, source=source)
            self._change(methods.SET_ENCODER, request)
            return
        space = space_for(self.schema[name], encoder)
        self._changes(lambda schema: schema.with_space(name, space, source))
        request = collections.SetEncoderRequest(
            collection=self.name, name=name, space=schemas.space_to_message(space), source=source
        )
        self._change(methods.SET_ENCODER, request)
        self.encoders.attach(self.schema, {name: encoder})

    def drop_column(self, name: str) -> None:
        """Drop a field. Its bytes go with the next merge of each segment, or when older versions expire."""
        self._changes(lambda schema: schema.without_column(name))
        self._change(methods.DROP_COLUMN, collections.DropColumnRequest(collection=self.name, name=name))

    def rename_column(self, old: str, new: str) -> None:
        """Rename a field. No file is rewritten."""
        self._changes(lambda schema: schema.renamed(old, new))
        request = collections.RenameColumnRequest(collection=self.name, name=old, new_name=new)
        self._change(methods.RENAME_COLUMN, request)

    def set_index(self, name: str, index: IndexSpec | FullText | str | bool) -> None:
        """Search a vector field, or a text field, in another way from now on; see `vecdb.Collection.set_index`."""
        self._changes(lambda schema: schema.with_index(name, index))
        request = collections.SetIndexRequest(collection=self.name, name=name)
        wanted = self.schema.with_index(name, index)[name].field
        if isinstance(wanted, Vector):
            request.vector.CopyFrom(schemas.index_to_message(wanted.spec))
        elif wanted.fulltext is None:
            request.searched = False
        else:
            request.text.CopyFrom(schemas.fulltext_to_message(wanted.fulltext))
        self._change(methods.SET_INDEX, request)

    def repool(self, name: str, pool_factor: float) -> int:
        """Store a field of multi-vectors with fewer vectors; see `vecdb.Collection.repool`.

        Returns:
            How many segments were rewritten.

        """
        self._changes(lambda schema: schema.with_pool_factor(name, pool_factor))
        self._check_writable()
        request = collections.RepoolRequest(collection=self.name, name=name, pool_factor=pool_factor)
        response = self._connection.call(methods.REPOOL, request, self._timeout)
        self._keep(response)
        return response.segments

    def _changes(self, change: Callable[[Schema], Schema]) -> None:
        """Raise what is wrong with a change of the fields as they are known, once they are known for sure."""
        schema = self.schema
        try:
            change(schema)
        except InvalidInputError:
            if not self._changed(schema):
                raise
            change(self.schema)

    def _change(self, method: Method[Any], request: Message) -> None:
        self._check_writable()
        self._keep(self._connection.call(method, request, self._timeout))

    # -- versions --------------------------------------------------------------------------------------------------

    def at(
        self, version: int | None = None, timestamp: datetime | float | None = None, tag: str | None = None
    ) -> Snapshot:
        """Return an older version: by number, by tag, or the newest that was published by a moment.

        Raises:
            NotFoundError: there is no such version any more.

        """
        if sum(choice is not None for choice in (version, timestamp, tag)) != 1:
            raise InvalidInputError("name one of version, timestamp and tag")
        if version is not None:
            return self._pinned(values_pb2.View(version=whole_number("version", version)))
        if tag is not None:
            return self._pinned(values_pb2.View(tag=tag))
        moment = timestamp.timestamp() if isinstance(timestamp, datetime) else timestamp
        if not isinstance(moment, int | float):
            raise InvalidInputError(
                f"timestamp is {timestamp!r}, expected a datetime or seconds since 1970", field="timestamp"
            )
        return self._pinned(values_pb2.View(timestamp=moment))

    def versions(self) -> list[dict[str, Any]]:
        """Return the versions that `at` can reach, oldest first: version, committed_at, rows, tags."""
        request = snapshots.ListVersionsRequest(collection=self.name)
        response = self._connection.call(methods.LIST_VERSIONS, request, self._timeout)
        return [
            {"version": one.version, "committed_at": one.committed_at, "rows": one.rows, "tags": list(one.tags)}
            for one in response.versions
        ]

    def tag(self, name: str) -> int:
        """Publish everything acknowledged so far as a version, keep it until untag(), and return its number."""
        self._check_writable()
        request = snapshots.TagRequest(collection=self.name, tag=name)
        return (self._connection.call(methods.TAG, request, self._timeout)).version

    def untag(self, name: str) -> None:
        """Let a tagged version expire like any other."""
        self._check_writable()
        request = snapshots.UntagRequest(collection=self.name, tag=name)
        self._connection.call(methods.UNTAG, request, self._timeout)

    def tags(self) -> dict[str, int]:
        """Return each tag's version."""
        request = snapshots.ListTagsRequest(collection=self.name)
        return dict((self._connection.call(methods.LIST_TAGS, request, self._timeout)).tags)

    # -- upkeep ----------------------------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Move rows from the log to a segment and publish a version; False when there was nothing to move."""
        self._check_writable()
        request = admin.FlushRequest(collection=self.name)
        return (self._connection.call(methods.FLUSH, request, self._timeout)).flushed

    def compact(self, purge: bool = False) -> dict[str, Any]:
        """Merge segments and drop deleted rows; with purge also forget older versions that no tag keeps.

        Returns the counts before and after: segments_before, segments_after, bytes_before, bytes_after, seconds.
        """
        self._check_writable()
        request = admin.CompactRequest(collection=self.name, purge=purge)
        done = self._connection.call(methods.COMPACT, request, self._timeout)
        return {field.name: getattr(done, field.name) for field in done.DESCRIPTOR.fields}

    def build_indexes(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Build what indexes are missing, on the server, and wait for it; return how many were built.

        Args:
            progress: called with (rows done, rows) of the index that is being built; it may raise to stop.

        """
        self._check_writable()
        request = admin.BuildIndexesRequest(collection=self.name)
        built = 0
        with closing(self._connection.stream(methods.BUILD_INDEXES, request, self._timeout)) as responses:
            for response in responses:
                if response.HasField("built"):
                    built = response.built
                elif progress is not None:
                    progress(response.progress.done, response.progress.total)
        return built

    def tune(
        self, queries: Any = None, *, field: str | None = None, sample: int = 200, k: int = 10, reset: bool = False
    ) -> TuneReport | None:
        """Measure what recall searches reach at which width, and keep it; see `vecdb.Collection.tune`."""
        self._check_writable()

        def make(place: Place) -> Message:
            column = vector_column(place.schema, field)
            request = admin.TuneRequest(collection=self.name, field=column.name, reset=reset)
            if not reset:
                request.sample = whole_number("sample", sample)
                asked.questions(place, column, queries, request)
                request.k = whole_number("k", k)
            return request

        response = self._call(methods.TUNE, make)
        return reports.tune_from_message(response.report) if response.HasField("report") else None

    def calibrate(
        self, judged: Sequence[tuple[Query, Sequence[Any]]] = (), name: str = "default", *, reset: bool = False
    ) -> CalibrationReport | None:
        """Learn from judged answers which hits are relevant, and keep it; see `vecdb.Collection.calibrate`."""
        self._check_writable()
        make = partial(asked_overviews.calibrate, judged=judged, name=name, reset=reset)
        response = self._call(methods.CALIBRATE, make)
        return CalibrationReport.from_json(from_json(response.report.json)) if response.HasField("report") else None

    def stats(self) -> dict[str, Any]:
        """Return counts, sizes, what opening found, and what background work is doing."""
        request = admin.GetStatsRequest(collection=self.name)
        return orjson.loads((self._connection.call(methods.GET_STATS, request, self._timeout)).stats)

    def __repr__(self) -> str:
        return f"Collection({self.name!r}, at {self._connection.address})"


def _request_id(given: RequestId | None) -> bytes:
    return os.urandom(16) if given is None else request_bytes(given)
