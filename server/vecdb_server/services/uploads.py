"""An upload: a stream of chunks in, acknowledgements out.

Back-pressure is the window: a client has no more chunks on the way than `opened` says, and the server reads the next
one when it has stored the last. By chunks, each is a write of its own, and resent under its request id has one effect.
A bulk load is acknowledged by `committed`: what lies behind that has to be sent again on another stream. With a request
id its chunks have numbers, and those that are stored are not stored again; without one they replace themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from vecdb.errors import InvalidInputError, PermissionDeniedError
from vecdb.wire import results, rows
from vecdb_proto.v1 import record_service_pb2 as pb
from vecdb_server.call import Call
from vecdb_server.services.shared import Shared

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.bulk import BulkLoad
    from vecdb.results import WriteResult

Response = pb.UpsertStreamResponse

WINDOW = 4
"""Chunks that a client may have on the way."""


def upload(shared: Shared, requests: Iterator[pb.UpsertStreamRequest], call: Call) -> Iterator[Response]:
    """Yield what a stream is answered.

    Raises:
        InvalidInputError: a message is out of place, or rows do not fit; what was acknowledged as committed stays.
        PermissionDeniedError: a bulk load by somebody who sees some rows only.

    """
    opening = next(requests).open  # the guard has read it: it names the collection
    stored = _MODES.get(opening.mode)
    if stored is None:
        raise InvalidInputError(f"the mode {opening.mode} of an upload is unknown", field="mode", value=opening.mode)
    yield from stored(shared, _Chunks(shared, requests), opening, call)


def _opened(shared: Shared, opening: Any, call: Call) -> Response:
    limits = shared.config.limits
    stored: list[int] = []
    if opening.request_id:
        stored = shared.served.collection(opening.collection, call).stored_chunks(opening.request_id)
    return Response(
        opened=Response.Opened(
            window_chunks=WINDOW,
            message_bytes=limits.message_in_bytes,
            chunk_rows=limits.rows_per_request,
            stored=stored,
        )
    )


class _Chunks:
    """The chunks of a stream, read and checked one by one."""

    def __init__(self, shared: Shared, requests: Iterator[pb.UpsertStreamRequest]) -> None:
        self._requests = requests
        self._bounds = shared.bounds
        self._shared = shared
        self._schema: pa.Schema | None = None
        self.sequence = 0
        self.rows = 0

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Yield each message's kind and what it holds, to the last; the client may go without `finish`."""
        for request in self._requests:
            kind = request.WhichOneof("message")
            if kind not in ("chunk", "commit", "finish"):
                raise InvalidInputError(f"an upload goes on with {kind or 'an empty message'}", field="message")
            yield kind, getattr(request, kind)
            if kind == "finish":
                return

    def read(self, chunk: pb.UpsertStreamRequest.Chunk) -> pa.RecordBatch:
        """Return the rows of the next chunk."""
        expected = self.sequence + 1
        if chunk.sequence != expected:
            raise InvalidInputError(
                f"chunk {chunk.sequence} came, expected chunk {expected}", field="sequence", value=chunk.sequence
            )
        batch = rows.from_message(chunk.rows, self._schema, self._bounds)
        self._schema = batch.schema
        self.sequence = expected
        self.rows += batch.num_rows
        return batch

    def count(self, rows: int) -> None:
        """Count rows that are committed."""
        self._shared.metrics.rows_written.inc(rows)


def _by_chunks(shared: Shared, chunks: _Chunks, opening: Any, call: Call) -> Iterator[Response]:
    view = shared.writable(opening, call)
    yield _opened(shared, opening, call)
    done: WriteResult | None = None
    rows_done = 0
    for kind, message in chunks:
        if kind == "commit":
            raise InvalidInputError("each chunk is committed by itself: only bulk loads have commits", field="message")
        if kind == "finish":
            yield Response(finished=_finished(shared, opening, call, done, rows_done))
            return
        number = _number(opening, message)
        request_id = message.request_id if number is None else opening.request_id
        done = view.upsert(chunks.read(message), request_id=request_id or None, chunk=number)
        rows_done += done.rows
        chunks.count(done.rows)
        result = results.write_to_message(done)
        yield _ack(chunks, chunks.sequence, rows_done, result)


def _finished(shared: Shared, opening: Any, call: Call, done: WriteResult | None, rows: int) -> Any:
    """Return what all chunks did together: the last one's number, and all rows."""
    if done is None:
        done = shared.writable(opening, call).upsert([])  # nothing: tells the present number
    whole = results.write_to_message(done)
    whole.rows = rows
    return whole


def _as_one(shared: Shared, chunks: _Chunks, opening: Any, call: Call) -> Iterator[Response]:
    import pyarrow as pa

    view = shared.writable(opening, call)
    yield _opened(shared, opening, call)
    held: list[pa.RecordBatch] = []
    for kind, message in chunks:
        if kind == "commit":
            raise InvalidInputError("an atomic write is committed by its end", field="message")
        if kind == "finish":
            whole: Any = pa.Table.from_batches(held).combine_chunks() if held else []
            number = message.chunk if message.HasField("chunk") else None
            done = view.upsert(whole, request_id=message.request_id or None, chunk=number)
            chunks.count(done.rows)
            yield Response(finished=results.write_to_message(done))
            return
        batch = chunks.read(message)
        # Held until the end of the stream, so counted as memory of the request and of the server.
        call.budget.hold("an upload that is one write", batch.nbytes)
        held.append(batch)
        yield _ack(chunks, 0, 0)


def _bulk(shared: Shared, chunks: _Chunks, opening: Any, call: Call) -> Iterator[Response]:
    if call.rows is not None or opening.view.restricted:
        raise PermissionDeniedError("a bulk load replaces rows unseen, and the caller sees some rows only: upsert them")
    collection = shared.served.collection(opening.collection, call)
    yield _opened(shared, opening, call)
    most = opening.rows_per_segment if opening.HasField("rows_per_segment") else None
    load = collection.bulk(most, request_id=opening.request_id or None)
    parts = _Parts(call)
    committed = 0
    try:
        for kind, message in chunks:
            if kind == "chunk":
                before = load.rows_committed
                number = _number(opening, message)
                batch = parts.whole(chunks.read(message), number, chunks.sequence, message.continues)
                if batch is not None:
                    load.add(batch, number)
                    chunks.count(load.rows_committed - before)
                if number is not None:
                    committed = parts.committed(load.pending_chunks, chunks.sequence)
                elif load.rows_committed == load.rows:
                    committed = chunks.sequence
                yield _ack(chunks, committed, load.rows_committed)
                continue
            parts.check_none_is_open()
            done = _committed(load, chunks)
            committed = chunks.sequence
            if kind == "finish":
                yield Response(finished=results.write_to_message(done))
                return
            yield Response(committed=results.write_to_message(done))
    finally:
        load.abandon()  # of what was committed nothing is left to abandon


def _number(opening: Any, chunk: pb.UpsertStreamRequest.Chunk) -> int | None:
    """Return the number of a chunk; chunks have one if, and only if, the upload has a request id."""
    number = chunk.chunk if chunk.HasField("chunk") else None
    if bool(opening.request_id) != (number is not None):
        told = "a chunk has a number where its upload has a request id: give both or none"
        raise InvalidInputError(told, field="chunk")
    return number


class _Parts:
    """Numbered chunks of a bulk load that come in several messages, and the messages in which they began."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._held: list[pa.RecordBatch] = []
        self._open: int | None = None
        self._begun: dict[int | None, int] = {}

    def whole(self, batch: pa.RecordBatch, number: int | None, sequence: int, continues: bool) -> pa.RecordBatch | None:
        """Return the rows of a chunk once all are there; None before."""
        import pyarrow as pa

        if continues and number is None:
            raise InvalidInputError("only a chunk that has a number may continue", field="continues")
        if self._held and number != self._open:
            raise InvalidInputError(f"chunk {number} came, chunk {self._open} continues", field="chunk", value=number)
        if not self._held:
            self._open = number
            self._begun.setdefault(number, sequence)
            if not continues:
                return batch
        self._call.budget.hold("a chunk of a bulk load", batch.nbytes)
        self._held.append(batch)
        if continues:
            return None
        held, self._held = self._held, []
        self._call.budget.release(sum(one.nbytes for one in held))
        return pa.Table.from_batches(held).combine_chunks().to_batches()[0] if any(map(len, held)) else held[0]

    def committed(self, pending: list[int], sequence: int) -> int:
        """Return the last message up to which everything is committed, of so many."""
        waiting = [*pending, *([self._open] if self._held else [])]
        return min((self._begun[number] for number in waiting), default=sequence + 1) - 1

    def check_none_is_open(self) -> None:
        """Refuse to end in the middle of a chunk."""
        if self._held:
            raise InvalidInputError(f"chunk {self._open} is not complete", field="message")


def _committed(load: BulkLoad, chunks: _Chunks) -> WriteResult:
    before = load.rows_committed
    done = load.commit()
    chunks.count(load.rows_committed - before)
    return done


def _ack(chunks: _Chunks, committed: int, rows_committed: int, result: Any = None) -> Response:
    return Response(
        ack=Response.Ack(
            sequence=chunks.sequence,
            committed=committed,
            result=result,
            rows=chunks.rows,
            rows_committed=rows_committed,
        )
    )


_MODES: dict[int, Callable[[Shared, _Chunks, Any, Call], Iterator[Response]]] = {
    pb.UPSERT_MODE_CHUNKS: _by_chunks,
    pb.UPSERT_MODE_ATOMIC: _as_one,
    pb.UPSERT_MODE_BULK: _bulk,
}
