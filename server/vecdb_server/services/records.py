"""RecordService: rows in and out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vecdb.wider_reads import BATCH_ROWS
from vecdb.wire import results, rows, values
from vecdb.wire.stages import sort_keys_from_message
from vecdb_proto.v1 import record_service_pb2 as pb
from vecdb_server.call import Call
from vecdb_server.services.rows import rows_by_id
from vecdb_server.services.shared import Shared, fields_of
from vecdb_server.services.uploads import upload

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.results import WriteResult
    from vecdb.schema.schema import Column

BATCH_BYTES = 8 << 20
"""Larger batches of a scan are cut, so that a message of rows with long texts is not refused."""


class RecordService:
    """Writes and reads rows."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def Upsert(self, request: pb.UpsertRequest, call: Call) -> pb.UpsertResponse:  # noqa: N802
        """Store rows."""
        view = self._shared.writable(request, call)
        chunk = request.chunk if request.HasField("chunk") else None
        done = view.upsert(self._rows(request), request_id=request.request_id or None, chunk=chunk)
        return pb.UpsertResponse(result=self._written(done))

    def UpsertStream(  # noqa: N802
        self, requests: Iterator[pb.UpsertStreamRequest], call: Call
    ) -> Iterator[pb.UpsertStreamResponse]:
        """Store any number of rows."""
        yield from upload(self._shared, requests, call)

    def Patch(self, request: pb.PatchRequest, call: Call) -> pb.PatchResponse:  # noqa: N802
        """Change some fields of rows."""
        view = self._shared.writable(request, call)
        done = view.patch(self._rows(request), request_id=request.request_id or None)
        return pb.PatchResponse(result=self._written(done))

    def Delete(self, request: pb.DeleteRequest, call: Call) -> pb.DeleteResponse:  # noqa: N802
        """Delete rows by id, or all that pass a filter."""
        view = self._shared.writable(request, call)
        request_id = request.request_id or None
        if request.WhichOneof("what") == "ids":
            done = view.delete(self._ids(request), cascade=request.cascade, request_id=request_id)
        else:
            done = view.delete(where=self._shared.where(request), cascade=request.cascade, request_id=request_id)
        return pb.DeleteResponse(result=self._written(done))

    def Get(self, request: pb.GetRequest, call: Call) -> pb.GetResponse:  # noqa: N802
        """Return rows by id."""
        snapshot = self._shared.snapshot(request, call)
        found, batch, columns = rows_by_id(snapshot, self._ids(request), fields_of(request))
        return pb.GetResponse(found=found, rows=rows.to_message(batch, columns))

    def Count(self, request: pb.CountRequest, call: Call) -> pb.CountResponse:  # noqa: N802
        """Count rows."""
        snapshot = self._shared.snapshot(request, call)
        return pb.CountResponse(count=snapshot.count(self._shared.where(request)))

    def Scan(self, request: pb.ScanRequest, call: Call) -> Iterator[pb.ScanResponse]:  # noqa: N802
        """Return all rows that pass, batch by batch."""
        snapshot = self._shared.snapshot(request, call)
        fields = fields_of(request)
        order = sort_keys_from_message(request.order_by).keys if request.order_by else None
        scan = snapshot.scan(
            self._shared.where(request),
            fields,
            request.batch_rows or BATCH_ROWS,
            order_by=order,
            after=request.after if request.HasField("after") else None,
        )
        schema = snapshot.schema
        columns = list(schema.columns) if fields is None else [schema.id, *snapshot._columns(fields)]
        first = True
        for batch in scan:
            pieces = list(_pieces(batch))
            for piece in pieces[:-1]:
                yield pb.ScanResponse(rows=_message(piece, columns, first))
                first = False
            yield pb.ScanResponse(rows=_message(pieces[-1], columns, first), cursor=scan.cursor)
            first = False
        if first:
            yield pb.ScanResponse(rows=_message(_empty(columns), columns, True))

    def ListStoredChunks(self, request: pb.ListStoredChunksRequest, call: Call) -> pb.ListStoredChunksResponse:  # noqa: N802
        """Tell which chunks of an upload are stored."""
        collection = self._shared.served.collection(request.collection, call)
        return pb.ListStoredChunksResponse(chunks=collection.stored_chunks(request.request_id))

    # -- what they share -------------------------------------------------------------------------------------------

    def _rows(self, request: Any) -> pa.RecordBatch:
        return rows.from_message(request.rows, bounds=self._shared.bounds)

    def _ids(self, request: Any) -> list[Any]:
        ids = values.ids_from_message(request.ids)
        self._shared.check_most("ids", len(ids), self._shared.config.limits.rows_per_request)
        return ids

    def _written(self, done: WriteResult) -> Any:
        self._shared.metrics.rows_written.inc(done.rows)
        return results.write_to_message(done)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield a batch in pieces of a size that fits into a message; a single row is sent whatever its size."""
    count = max(1, min(batch.num_rows, -(-batch.nbytes // BATCH_BYTES)))
    step = -(-batch.num_rows // count) if batch.num_rows else 1
    for begin in range(0, max(batch.num_rows, 1), step):
        yield batch.slice(begin, step)


def _message(batch: pa.RecordBatch, columns: list[Column], first: bool) -> Any:
    return rows.to_message(batch, columns, with_schema=first)


def _empty(columns: list[Column]) -> pa.RecordBatch:
    import pyarrow as pa

    schema = pa.schema([column.arrow_field for column in columns])
    return pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)
