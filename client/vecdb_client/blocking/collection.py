"""A collection over the wire: the methods of `vecdb.Collection`, with their arguments, results and errors.

Made of `vecdb_client/aio/collection.py` by `client/generate.py`: change that, and run it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from google.protobuf.message import Message

from vecdb.arguments import RequestId, request_bytes, rows_asked, vector_column
from vecdb.encoders.attached import space_for
from vecdb.errors import InvalidInputError
from vecdb.relevance import CalibrationReport
from vecdb.results import Refreshed, TuneReport
from vecdb.schema import given
from vecdb.schema.fields import Vector
from vecdb.wire import reports, schemas
from vecdb.wire.values import from_json, writable
from vecdb_client import asked, asked_links, asked_overviews, methods
from vecdb_client.asked import Place
from vecdb_client.blocking.bulk import BulkLoad
from vecdb_client.blocking.writes import Writes
from vecdb_client.methods import Method
from vecdb_proto.v1 import admin_service_pb2 as admin
from vecdb_proto.v1 import collection_service_pb2 as collections
from vecdb_proto.v1 import record_service_pb2 as records
from vecdb_proto.v1 import snapshot_service_pb2 as snapshots

if TYPE_CHECKING:
    from vecdb.encoders.base import TextEncoder
    from vecdb.encoders.lookup_sparse import LookupSparse
    from vecdb.encoders.progress import Progress
    from vecdb.encoders.tokens import TokenEncoder
    from vecdb.query.query import Query
    from vecdb.schema.fields import Field
    from vecdb.schema.fulltext import FullText
    from vecdb.schema.indexes import IndexSpec
    from vecdb.schema.schema import Schema


class Collection(Writes):
    """Made by `Database.create_collection` and `Database.collection`.

    Attributes:
        name: its name.
        encoders: the client's own encoders, by field.
        server_encoders: fields for which the server has an encoder: texts may be written and asked instead of vectors.

    """

    def refresh(self) -> None:
        """Ask the server what fields there are now."""
        self._changed(self.schema)

    # -- writes ----------------------------------------------------------------------------------------------------

    def stored_chunks(self, request_id: RequestId) -> list[int]:
        """Return which chunks of an upload are stored, ascending, so that it can go on behind them."""
        request = records.ListStoredChunksRequest(collection=self.name, request_id=request_bytes(request_id))
        return list((self._connection.call(methods.LIST_STORED_CHUNKS, request, self._timeout)).chunks)

    def bulk(
        self, rows_per_segment: int | None = None, progress: Progress = None, *, request_id: RequestId | None = None
    ) -> BulkLoad:
        """Return a bulk load: rows go straight to segments, not through the log. Use it in a `with` block.

        Each segment that fills up is committed on its own; leaving the block commits the rest. With a request id the
        load can be broken off and made again: each `add` then gives the number of its chunk.
        """
        self._check_writable()
        key = None if request_id is None else request_bytes(request_id)
        return BulkLoad(self._connection, self.name, rows_per_segment, lambda data: self._batches(data, progress), key)

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
            with writable():
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
        given.name("tag", name)
        with writable():
            request = snapshots.TagRequest(collection=self.name, tag=name)
        return (self._connection.call(methods.TAG, request, self._timeout)).version

    def untag(self, name: str) -> None:
        """Let a tagged version expire like any other."""
        self._check_writable()
        given.name("tag", name)
        with writable():
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
        request = admin.CompactRequest(collection=self.name, purge=given.flag("purge", purge))
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

    def refresh_similar(
        self,
        field: str,
        k: int = 10,
        *,
        least: float = 0.0,
        exact: bool = False,
        type: str = "similar",
        progress: Callable[[int, int], None] | None = None,
    ) -> Refreshed:
        """Bring the links between rows that are alike up to date, on the server; see `vecdb.overlays.refresh_similar`.

        `progress` is called with (rows done, rows) now and then. It may raise to stop, if the server is not done yet.
        """
        self._check_writable()
        request = asked_links.refresh_similar(self._place(), field, k, least, exact, type)
        told = Refreshed(0, 0, 0)
        with closing(self._connection.stream(methods.REFRESH_SIMILAR, request, self._timeout)) as responses:
            for response in responses:
                if response.HasField("done"):
                    told = Refreshed(response.done.searched, response.done.written, response.done.deleted)
                elif progress is not None:
                    progress(response.progress.done, response.progress.total)
        return told

    def tune(
        self, queries: Any = None, *, field: str | None = None, sample: int = 200, k: int = 10, reset: bool = False
    ) -> TuneReport | None:
        """Measure what recall searches reach at which width, and keep it; see `vecdb.Collection.tune`."""
        self._check_writable()

        def make(place: Place) -> Message:
            column = vector_column(place.schema, field)
            request = admin.TuneRequest(collection=self.name, field=column.name, reset=given.flag("reset", reset))
            if not reset:
                request.sample = rows_asked(sample, "sample")
                asked.questions(place, column, queries, request)
                request.k = rows_asked(k)
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
