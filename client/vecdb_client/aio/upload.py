"""Rows sent in chunks, with acknowledgements on the way; resumed where the connection broke.

Each chunk has a request id. Chunks that the server has not committed are kept, and sent again under the same ids when a
conversation breaks: the server recognises those that it stored. A client may have a window of chunks on the way; before
it sends more it waits for acknowledgements, so that neither side piles rows up.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import grpc

from vecdb.errors import RequestMismatchError, ResourceExhaustedError, UnavailableError
from vecdb.results import WriteResult
from vecdb.wire import results, rows
from vecdb_client import channels, methods, retries
from vecdb_client.aio.transport import Connection, Exchange, sleep
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
    number: int | None = None
    continues: bool = False
    again: bool = False
    """Whether the server should have it already: it compares the rows and takes none."""

    @property
    def rows(self) -> int:
        """How many rows it adds."""
        return 0 if self.again else self.batch.num_rows


class Upload:
    """Rows for one collection, sent in one conversation or, when it breaks, in several."""

    def __init__(
        self,
        connection: Connection,
        opening: Message.Open,
        request_id: bytes | None = None,
        number: int | None = None,
    ) -> None:
        """Take what the first message says and, of a write that is one step, its request id and number."""
        self.rows = 0
        self.rows_committed = 0
        self.last: WriteResult | None = None
        self._connection = connection
        self._opening = opening
        self._finishing = Message.Finish(request_id=request_id or os.urandom(16), chunk=number)
        self._pieces_sent = 0
        self._numbers: set[int] = set()
        self._kept: deque[Chunk] = deque()
        self._exchange: Exchange | None = None
        self._sent = self._acknowledged = self._forgotten = 0
        self._opened = records.UpsertStreamResponse.Opened()
        self._begun = False

    async def send(self, batch: pa.RecordBatch) -> None:
        """Send rows; they are on their way when this returns.

        Raises:
            VecdbError: the server refused something that was sent before, or cannot be reached.

        """
        if self._exchange is None:
            await self._resuming(self._open)
        for some in self._pieces(batch):
            number = self._pieces_sent if self._opening.request_id else None
            self._pieces_sent += 1
            await self._send(Chunk(os.urandom(16), some, number))

    async def send_numbered(self, batch: pa.RecordBatch, number: int) -> None:
        """Send the rows of one numbered chunk; of one that is stored, or was sent before, nothing is taken.

        Raises:
            RequestMismatchError: the chunk had other rows.
            VecdbError: as `send`.

        """
        if self._exchange is None:
            await self._resuming(self._open)
        again = number in self._numbers or number in self._opened.stored
        pieces = self._pieces(batch) or [batch]
        kept = len(self._kept)
        try:
            for at, some in enumerate(pieces):
                await self._send(Chunk(b"", some, number, at + 1 < len(pieces), again))
            if again:
                await self._resuming(self._acknowledge)
        except RequestMismatchError:
            while len(self._kept) > kept or (self._kept and self._kept[-1].again):
                self._kept.pop()
            raise
        self._numbers.add(number)

    async def _send(self, chunk: Chunk) -> None:
        self._kept.append(chunk)
        self.rows += chunk.rows
        await self._resuming(self._advance)

    @property
    def pending(self) -> list[int]:
        """The numbers of the chunks that are kept, because the server has not committed them."""
        return [one.number for one in self._kept if one.number is not None and not (one.again or one.continues)]

    async def finish(self) -> WriteResult:
        """Have everything committed; the next rows begin another conversation.

        Raises:
            VecdbError: the server refused something, or cannot be reached.

        """
        if self._exchange is None:
            await self._resuming(self._open)
        result = await self._resuming(self._finish)
        await self.close()
        self._finishing = Message.Finish(request_id=os.urandom(16))
        return result

    async def give_up(self) -> None:
        """Drop the rows that are not committed."""
        exchange = self._exchange
        if exchange is not None:
            try:
                await exchange.end()
                while (response := await exchange.read()) is not None:
                    self._hear(response)
            except grpc.RpcError:
                pass  # what was committed without our hearing of it stays, as after any lost answer
            await self.close()
        self._kept.clear()
        self.rows = self.rows_committed

    async def close(self) -> None:
        """End the conversation."""
        if self._exchange is not None:
            exchange, self._exchange = self._exchange, None
            await exchange.close()

    # -- one conversation ------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        await self.close()
        self._sent = self._acknowledged = self._forgotten = 0
        exchange = self._exchange = self._connection.exchange(methods.UPSERT_STREAM)
        await exchange.write(Message(open=self._opening))
        response = await exchange.read()
        if response is None or not response.HasField("opened"):
            raise UnavailableError("the server ended an upload before it began")
        self._opened, self._begun = response.opened, True

    async def _advance(self) -> None:
        """Send what was not sent in this conversation, as the window allows."""
        while self._sent - self._forgotten < len(self._kept):
            while self._sent - self._acknowledged >= max(self._opened.window_chunks, 1):
                await self._read()
            chunk = self._kept[self._sent - self._forgotten]
            self._sent += 1
            message = Message()
            message.chunk.sequence, message.chunk.request_id = self._sent, chunk.id
            if chunk.number is not None:
                message.chunk.chunk, message.chunk.continues = chunk.number, chunk.continues
            rows.write(message.chunk.rows, chunk.batch, with_schema=self._sent == 1)
            await self._exchanging().write(message)
        complete = not (self._kept and self._kept[-1].continues)
        if complete and sum(chunk.batch.nbytes for chunk in self._kept) > self._connection.settings.unsent_bytes:
            await self._exchanging().write(Message(commit=Message.Commit()))
            while not (await self._read()).HasField("committed"):
                pass

    async def _acknowledge(self) -> None:
        await self._advance()
        while self._acknowledged < self._sent:
            await self._read()

    async def _finish(self) -> WriteResult:
        await self._advance()
        await self._exchanging().write(Message(finish=self._finishing))
        while not (response := await self._read()).HasField("finished"):
            pass
        return results.write_from_message(response.finished)

    async def _read(self) -> records.UpsertStreamResponse:
        response = await self._exchanging().read()
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
            self.rows_committed += self._kept.popleft().rows
            self._forgotten += 1

    def _exchanging(self) -> Exchange:
        assert self._exchange is not None
        return self._exchange

    # -- when it breaks --------------------------------------------------------------------------------------------

    async def _resuming(self, step: Any) -> Any:
        """Take a step; when the connection breaks, begin another conversation and go on there."""
        attempt, broken = 0, time.monotonic()
        while True:
            attempt += 1
            known = self.rows_committed
            try:
                if attempt > 1:
                    await self._open()
                    await self._advance()
                return None if attempt > 1 and step == self._open else await step()
            except grpc.RpcError as error:
                await self.close()
                if attempt == 1 or self.rows_committed > known:
                    attempt, broken = 1, time.monotonic()
                pause = self._pause(error, attempt, broken)
                if pause is None:
                    raise self._connection.raised(error, methods.UPSERT_STREAM) from None
                await sleep(pause)
            except BaseException:
                await self.close()
                raise

    def _pause(self, error: Any, attempt: int, broken: float) -> float | None:
        """Return the seconds until the next attempt, None where there is none.

        An upload that was begun has rows to lose: it outlasts a restart of the server, so time ends it, not attempts.
        """
        settings, left = self._connection.settings, float("inf")
        if settings.timeout is not None:
            left = broken + settings.timeout - time.monotonic()
            if self._begun:
                settings = replace(settings, attempts=sys.maxsize)
        return retries.wait(settings, channels.failure(error), True, attempt, left, random.random())

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
