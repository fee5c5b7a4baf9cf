"""Rows sent in chunks, with acknowledgements on the way; resumed where the connection broke.

Made of `vecdb_client/aio/upload.py` by `client/generate.py`: change that, and run it.

Each chunk has a request id. Chunks that the server has not committed are kept, and sent again under the same ids when a
conversation breaks: the server recognises those that it stored. A client may have a window of chunks on the way; before
it sends more it waits for acknowledgements, so that neither side piles rows up.
"""

from __future__ import annotations

import os
import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from vecdb.errors import ResourceExhaustedError, UnavailableError
from vecdb.results import WriteResult
from vecdb.wire import results, rows
from vecdb_client import channels, methods, retries
from vecdb_client.blocking.transport import Connection, Exchange, sleep
from vecdb_proto.v1 import record_service_pb2 as records

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_BYTES = 4 << 20
"""About the size of a chunk: large enough that a message costs little beside its rows."""

Message = records.UpsertStreamRequest


@dataclass(slots=True)
class Chunk:
    """Rows on their way, under the id by which the server knows them."""

    id: bytes
    batch: pa.RecordBatch


class Upload:
    """Rows for one collection, sent in one conversation or, when it breaks, in several."""

    def __init__(
        self,
        connection: Connection,
        collection: str,
        mode: records.UpsertMode.ValueType,
        request_id: bytes | None = None,
        rows_per_segment: int | None = None,
    ) -> None:
        self.rows = 0
        self.rows_committed = 0
        self.last: WriteResult | None = None
        self._connection = connection
        self._opening = Message.Open(collection=collection, mode=mode, rows_per_segment=rows_per_segment)
        self._finishing = Message.Finish(request_id=request_id or os.urandom(16))
        self._kept: deque[Chunk] = deque()
        self._exchange: Exchange | None = None
        self._sent = self._acknowledged = self._forgotten = 0
        self._opened = records.UpsertStreamResponse.Opened()

    def send(self, batch: pa.RecordBatch) -> None:
        """Send rows; they are on their way when this returns.

        Raises:
            VecdbError: the server refused something that was sent before, or cannot be reached.

        """
        if self._exchange is None:
            self._resuming(self._open)
        for some in self._pieces(batch):
            self._kept.append(Chunk(os.urandom(16), some))
            self.rows += some.num_rows
            self._resuming(self._advance)

    def finish(self) -> WriteResult:
        """Have everything committed; the next rows begin another conversation.

        Raises:
            VecdbError: the server refused something, or cannot be reached.

        """
        if self._exchange is None:
            self._resuming(self._open)
        result = self._resuming(self._finish)
        self.close()
        self._finishing = Message.Finish(request_id=os.urandom(16))
        return result

    def give_up(self) -> None:
        """Drop the rows that are not committed."""
        exchange = self._exchange
        if exchange is not None:
            try:
                exchange.end()
                while (response := exchange.read()) is not None:
                    self._hear(response)
            except grpc.RpcError:
                pass  # what was committed without our hearing of it stays, as after any lost answer
            self.close()
        self._kept.clear()
        self.rows = self.rows_committed

    def close(self) -> None:
        """End the conversation."""
        if self._exchange is not None:
            exchange, self._exchange = self._exchange, None
            exchange.close()

    # -- one conversation ------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self.close()
        self._sent = self._acknowledged = self._forgotten = 0
        exchange = self._exchange = self._connection.exchange(methods.UPSERT_STREAM)
        exchange.write(Message(open=self._opening))
        response = exchange.read()
        if response is None or not response.HasField("opened"):
            raise UnavailableError("the server ended an upload before it began")
        self._opened = response.opened

    def _advance(self) -> None:
        """Send what was not sent in this conversation, as the window allows."""
        while self._sent - self._forgotten < len(self._kept):
            while self._sent - self._acknowledged >= max(self._opened.window_chunks, 1):
                self._read()
            chunk = self._kept[self._sent - self._forgotten]
            self._sent += 1
            message = Message()
            message.chunk.sequence, message.chunk.request_id = self._sent, chunk.id
            rows.write(message.chunk.rows, chunk.batch, with_schema=self._sent == 1)
            self._exchanging().write(message)
        if sum(chunk.batch.nbytes for chunk in self._kept) > self._connection.settings.unsent_bytes:
            self._exchanging().write(Message(commit=Message.Commit()))
            while not (self._read()).HasField("committed"):
                pass

    def _finish(self) -> WriteResult:
        self._advance()
        self._exchanging().write(Message(finish=self._finishing))
        while not (response := self._read()).HasField("finished"):
            pass
        return results.write_from_message(response.finished)

    def _read(self) -> records.UpsertStreamResponse:
        response = self._exchanging().read()
        if response is None:
            raise UnavailableError("the server ended an upload before all of it was committed")
        self._hear(response)
        return response

    def _hear(self, response: records.UpsertStreamResponse) -> None:
        """Take note of what is acknowledged, and forget the chunks that are committed."""
        committed = self._forgotten
        if response.HasField("ack"):
            self._acknowledged = response.ack.sequence
            committed = response.ack.committed
            if response.ack.HasField("result"):
                self.last = results.write_from_message(response.ack.result)
        elif not response.HasField("opened"):
            committed = self._sent
        while self._forgotten < committed and self._kept:
            self.rows_committed += self._kept.popleft().batch.num_rows
            self._forgotten += 1

    def _exchanging(self) -> Exchange:
        assert self._exchange is not None
        return self._exchange

    # -- when it breaks --------------------------------------------------------------------------------------------

    def _resuming(self, step: Any) -> Any:
        """Take a step; when the connection breaks, begin another conversation and go on there."""
        attempt = 0
        while True:
            attempt += 1
            known = self.rows_committed
            try:
                if attempt > 1:
                    self._open()
                    self._advance()
                return None if attempt > 1 and step == self._open else step()
            except grpc.RpcError as error:
                self.close()
                attempt = 1 if self.rows_committed > known else attempt
                settings = self._connection.settings
                left = float("inf") if settings.timeout is None else settings.timeout
                pause = retries.wait(settings, channels.failure(error), True, attempt, left, random.random())
                if pause is None:
                    raise channels.raised(error, self._connection.address, methods.UPSERT_STREAM) from None
                sleep(pause)
            except BaseException:
                self.close()
                raise

    def _pieces(self, batch: pa.RecordBatch) -> list[pa.RecordBatch]:
        """Cut rows as the server wants them."""
        if batch.num_rows == 0:
            return []
        most = min(CHUNK_BYTES, self._opened.message_bytes or CHUNK_BYTES)
        step = max(1, int(batch.num_rows * min(1.0, most / 2 / max(batch.nbytes, 1)) + 0.5))
        step = min(step, self._opened.chunk_rows or step)
        pieces = [batch.slice(start, step) for start in range(0, batch.num_rows, step)]
        largest = max(piece.nbytes for piece in pieces)
        if self._opened.message_bytes and largest > self._opened.message_bytes:
            raise ResourceExhaustedError(
                f"a row has {largest} bytes, the server takes {self._opened.message_bytes} at most"
            )
        return pieces
