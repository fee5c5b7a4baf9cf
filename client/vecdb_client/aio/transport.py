"""Calls that are awaited: the twin of `vecdb_client.blocking.transport`, which has the same names."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, ParamSpec, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from vecdb.errors import UnavailableError, VecdbError
from vecdb_client import channels, retries
from vecdb_client.address import Address
from vecdb_client.aio.keeper import Keeper
from vecdb_client.asked_nearest import Written
from vecdb_client.methods import Method
from vecdb_client.settings import Settings, Tls

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=Message)


class Slot:
    """A channel, and how many calls are under way on it."""

    __slots__ = ("busy", "channel", "methods")

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.busy = 0
        self.methods: dict[Method[Any], Any] = {}


class Connection:
    """A way to one server, by several channels. It belongs to the event loop in which it was made."""

    def __init__(self, address: Address, settings: Settings, tls: Tls, api_key: str | None) -> None:
        self.address = address
        self.settings = settings
        self._tls = tls
        self._contents = tls.contents() if address.tls else None
        self._metadata = channels.metadata(api_key)
        self._slots: list[Slot] = []
        self.keeper = Keeper()
        self._closed = False

    async def call(self, method: Method[R], request: Message | Written, timeout: float | None = None) -> R:
        """Return the answer to one request.

        Args:
            method: what is called.
            request: its request.
            timeout: seconds for all attempts together; None: as the settings say.

        Raises:
            VecdbError: as the server says; UnavailableError when it cannot be reached, DeadlineExceededError when it
                takes too long.

        """
        limit = (self.settings.timeout if method.timed else None) if timeout is None else timeout
        channels.check_time(limit, self.address, method)
        end = None if limit is None else time.monotonic() + limit
        attempt = 0
        while True:
            attempt += 1
            slot = self._taken()
            try:
                return await self._callable(slot, method)(request, timeout=limit, metadata=self._metadata)
            except grpc.RpcError as error:
                pause = self._pause(error, method, attempt, end)
                if pause is None:
                    raise self.raised(error, method) from None
            except asyncio.CancelledError:
                self._check_open()
                raise
            finally:
                slot.busy -= 1
            await asyncio.sleep(pause)
            limit = None if end is None else max(end - time.monotonic(), 0.001)

    async def stream(
        self, method: Method[R], request: Message, timeout: float | None = None
    ) -> AsyncGenerator[R, None]:
        """Yield the answers to one request; those of a repeatable method are asked for again until the first came."""
        limit = (self.settings.timeout if method.timed else None) if timeout is None else timeout
        channels.check_time(limit, self.address, method)
        end = None if limit is None else time.monotonic() + limit
        attempt, begun = 0, False
        while True:
            attempt += 1
            slot = self._taken()
            answers = self._streaming(slot, method)(request, timeout=limit, metadata=self._metadata)
            try:
                async for answer in answers:
                    begun = True
                    yield answer
                return
            except grpc.RpcError as error:
                pause = None if begun else self._pause(error, method, attempt, end)
                if pause is None:
                    raise self.raised(error, method) from None
            except asyncio.CancelledError:
                self._check_open()
                raise
            finally:
                answers.cancel()
                slot.busy -= 1
            await asyncio.sleep(pause)
            limit = None if end is None else max(end - time.monotonic(), 0.001)

    def exchange(self, method: Method[R]) -> Exchange:
        """Begin a conversation."""
        return Exchange(self, method)

    async def close(self) -> None:
        """Close all channels; calls that are under way fail."""
        self._closed = True
        await self.keeper.close()
        slots, self._slots = self._slots, []
        for slot in slots:
            await slot.channel.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def raised(self, error: Any, method: Method[Any]) -> VecdbError:
        """Return the error of vecdb for one of gRPC."""
        return channels.raised(error, self.address, method, self._tls)

    def _pause(self, error: Any, method: Method[Any], attempt: int, end: float | None) -> float | None:
        left = float("inf") if end is None else end - time.monotonic()
        failure = channels.failure(error)
        return retries.wait(self.settings, failure, method.repeatable, attempt, left, random.random())

    def _taken(self) -> Slot:
        """Return the channel that does least; a new one where all do something and more are allowed."""
        if self._closed:
            raise UnavailableError("the database is closed")
        slot = min(self._slots, key=lambda one: one.busy, default=None)
        if slot is None or (slot.busy and len(self._slots) < self.settings.connections):
            slot = Slot(self._channel())
            self._slots.append(slot)
        slot.busy += 1
        return slot

    def _check_open(self) -> None:
        """Raise where the connection was closed: gRPC tells those who wait that they were cancelled, and nobody did."""
        task = asyncio.current_task()
        if self._closed and not (task is not None and task.cancelling()):
            raise UnavailableError("the database is closed") from None

    def _channel(self) -> grpc.aio.Channel:
        told = channels.options(self.address, self.settings, self._tls)
        if self._contents is None:
            return grpc.aio.insecure_channel(self.address.target, told)
        return grpc.aio.secure_channel(self.address.target, grpc.ssl_channel_credentials(*self._contents), told)

    def _callable(self, slot: Slot, method: Method[Any]) -> Any:
        found = slot.methods.get(method)
        if found is None:
            found = slot.methods[method] = slot.channel.unary_unary(
                method.path, method.serialize, method.answer.FromString
            )
        return found

    def _streaming(self, slot: Slot, method: Method[Any]) -> Any:
        return slot.channel.unary_stream(method.path, method.serialize, method.answer.FromString)


class Exchange:
    """A conversation: messages are written and read in turn."""

    def __init__(self, connection: Connection, method: Method[Any]) -> None:
        self._slot: Slot | None = connection._taken()
        make = self._slot.channel.stream_stream(method.path, method.serialize, method.answer.FromString)
        self._call: Any = make(metadata=connection._metadata)

    async def write(self, message: Message) -> None:
        """Send a message; waits while the server takes no more.

        Raises:
            grpc.RpcError: the conversation failed.

        """
        try:
            await self._call.write(message)
        except asyncio.InvalidStateError:
            await self.read()  # it is over, and reading tells why

    async def read(self) -> Any:
        """Return the next answer, None behind the last one.

        Raises:
            grpc.RpcError: the conversation failed.

        """
        answer = await self._call.read()
        return None if answer is grpc.aio.EOF else answer

    async def end(self) -> None:
        """Say that nothing more is written."""
        await self._call.done_writing()

    async def close(self) -> None:
        """End the conversation whatever its state."""
        if self._slot is not None:
            self._call.cancel()
            self._slot.busy -= 1
            self._slot = None


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that works for a while, and leave the event loop to others meanwhile."""
    return await asyncio.to_thread(function, *args, **kwargs)


async def sleep(seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)
