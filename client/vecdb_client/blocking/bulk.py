"""A bulk load over the wire: rows straight to segments of the server.

Made of `vecdb_client/aio/bulk.py` by `client/generate.py`: change that, and run it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

from vecdb.arguments import AT_ONCE, chunk_number, rows_asked
from vecdb.errors import InvalidInputError
from vecdb.results import WriteResult
from vecdb_client.blocking.transport import Connection
from vecdb_client.blocking.upload import Upload
from vecdb_proto.v1 import record_service_pb2 as records

if TYPE_CHECKING:
    import pyarrow as pa


class BulkLoad:
    """Collects rows into segments; see `vecdb.bulk.BulkLoad`. Not for use from several threads or tasks at once.

    A connection that breaks is made again, and what was not committed is sent again; no row is stored twice.
    """

    def __init__(
        self,
        connection: Connection,
        collection: str,
        rows_per_segment: int | None,
        checked: Callable[[Any], Iterator[pa.RecordBatch]],
        request_id: bytes | None,
    ) -> None:
        if rows_per_segment is not None:
            rows_per_segment = rows_asked(rows_per_segment, "rows_per_segment", AT_ONCE)
        opening = records.UpsertStreamRequest.Open(
            collection=collection,
            mode=records.UPSERT_MODE_BULK,
            rows_per_segment=rows_per_segment,
            request_id=request_id or b"",
        )
        self._upload = Upload(connection, opening)
        self._request_id = request_id
        self._checked = checked

    @property
    def rows(self) -> int:
        """Rows added."""
        return self._upload.rows

    @property
    def rows_committed(self) -> int:
        """Rows added of which the server said that they are committed; a crash from now on keeps them."""
        return self._upload.rows_committed

    @property
    def pending_chunks(self) -> list[int]:
        """The chunks that were added and that the server has not committed yet, in the order in which they came."""
        return self._upload.pending

    def add(self, data: Any, chunk: int | None = None) -> int:
        """Add rows and return how many; data is what `upsert` takes.

        Args:
            data: the rows.
            chunk: its number in the upload, where the load has a request id. Of a chunk that is stored already, or was
                added before, nothing is taken, and 0 returned.

        Raises:
            RequestMismatchError: the chunk was stored, or added, with other rows.
            InvalidInputError: a value does not fit the schema; nothing of this call is taken (of a reader: nothing
                from the bad chunk on), what was added before stays.

        """
        before = self._upload.rows
        if self._request_id is not None and type(data).__name__ == "RecordBatchReader":
            raise InvalidInputError("the chunks of an upload are tables, not readers", field="data")
        if (self._request_id is None) != (chunk is None):
            told = "a load with a request_id needs the chunk's number" if chunk is None else "chunk needs a request_id"
            raise InvalidInputError(f"{told}: give both or none", field="chunk")
        if chunk is not None:
            number = chunk_number(chunk)
            for batch in self._checked(data):
                self._upload.send_numbered(batch, number)
            return self._upload.rows - before
        for batch in self._checked(data):
            self._upload.send(batch)
        return self._upload.rows - before

    def commit(self) -> WriteResult:
        """Commit what was added so far and publish a version; `rows` counts all rows of this bulk load."""
        done = self._upload.finish()
        return WriteResult(done.lsn, self._upload.rows_committed, done.durable)

    def abandon(self) -> None:
        """Drop the rows that are not committed yet."""
        self._upload.give_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.abandon()
