"""A bulk load over the wire: rows straight to segments of the server.

Made of `vecdb_client/aio/bulk.py` by `client/generate.py`: change that, and run it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

from vecdb.arguments import whole_number
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
    ) -> None:
        if rows_per_segment is not None:
            rows_per_segment = whole_number("rows_per_segment", rows_per_segment)
        self._upload = Upload(connection, collection, records.UPSERT_MODE_BULK, None, rows_per_segment)
        self._checked = checked

    @property
    def rows(self) -> int:
        """Rows added."""
        return self._upload.rows

    @property
    def rows_committed(self) -> int:
        """Rows added of which the server said that they are committed; a crash from now on keeps them."""
        return self._upload.rows_committed

    def add(self, data: Any) -> int:
        """Add rows and return how many; data is what `upsert` takes.

        Raises:
            InvalidInputError: a value does not fit the schema; nothing of this call is taken (of a reader: nothing
                from the bad chunk on), what was added before stays.

        """
        before = self._upload.rows
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
