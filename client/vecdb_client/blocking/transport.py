"""Calls that block: the twin of `vecdb_client.aio.transport`, which has the same names."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, ParamSpec, TypeVar

import grpc
from google.protobuf.message import Message

from vecdb.errors import UnavailableError, VecdbError
from vecdb_client import channels, retries
from vecdb_client.address import Address
from vecdb_client.asked_nearest import Written
from vecdb_client.blocking import unary
from vecdb_client.blocking.keeper import Keeper
from vecdb_client.methods import Method
from vecdb_client.settings import Settings, Tls

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=Message)


class Slot:
    """A channel, and how many calls are under way on it."""

    __slots__ = ("busy", "channel", "methods")

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.busy = 0
        self.methods: dict[Method[Any], Any] = {}


class Connection:
    """A way to one server, by several channels. All methods may be called from any thread."""

    def __init__(self, address: Address, settings: Settings, tls: Tls, api_key: str | None) -> None:
        self.address = address
        self.settings = settings
        self._tls = tls
        self._contents = tls.contents() if address.tls else None
        self._metadata = channels.metadata(api_key)
        self._slots: list[Slot] = []
        self.keeper = Keeper()
        self._lock = threading.Lock()
        self._closed = False

    def call(self, method: Method[R], request: Message | Written, timeout: float | None = None) -> R:
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
                return self._callable(slot, method)(request, limit, self._metadata)
            except grpc.RpcError as error:
                pause = self._pause(error, method, attempt, end)
                if pause is None:
                    raise self.raised(error, method) from None
            except ValueError:  # what gRPC raises where the channel was closed since it was taken
                self._check_open()
                raise
            finally:
                self._given_back(slot)
            time.sleep(pause)
            limit = None if end is None else max(end - time.monotonic(), 0.001)

    def stream(self, method: Method[R], request: Message, timeout: float | None = None) -> Generator[R, None, None]:
        """Yield the answers to one request; those of a repeatable method are asked for again until the first came."""
        limit = (self.settings.timeout if method.timed else None) if timeout is None else timeout
        channels.check_time(limit, self.address, method)
        end = None if limit is None else time.monotonic() + limit
        attempt, begun = 0, False
        while True:
            attempt += 1
            slot = self._taken()
            answers = None
            try:
                answers = self._streaming(slot, method)(request, limit, self._metadata)
                for answer in answers:
                    begun = True
                    yield answer
                return
            except grpc.RpcError as error:
                pause = None if begun else self._pause(error, method, attempt, end)
                if pause is None:
                    raise self.raised(error, method) from None
            except ValueError:
                self._check_open()
                raise
            finally:
                if answers is not None:
                    answers.cancel()
                self._given_back(slot)
            time.sleep(pause)
            limit = None if end is None else max(end - time.monotonic(), 0.001)

    def exchange(self, method: Method[R]) -> Exchange:
        """Begin a conversation."""
        return Exchange(self, method)

    def close(self) -> None:
        """Close all channels; calls that are under way fail."""
        self.keeper.close()
        with self._lock:
            self._closed = True
            slots, self._slots = self._slots, []
        for slot in slots:
            slot.channel.close()

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
        with self._lock:
            self._check_open()
            slot = min(self._slots, key=lambda one: one.busy, default=None)
            if slot is None or (slot.busy and len(self._slots) < self.settings.connections):
                slot = Slot(self._channel())
                self._slots.append(slot)
            slot.busy += 1
            return slot

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("the database is closed") from None

    def _given_back(self, slot: Slot) -> None:
        with self._lock:
            slot.busy -= 1

    def _channel(self) -> grpc.Channel:
        told = channels.options(self.address, self.settings, self._tls)
        if self._contents is None:
            return grpc.insecure_channel(self.address.target, told)
        return grpc.secure_channel(self.address.target, grpc.ssl_channel_credentials(*self._contents), told)

    def _callable(self, slot: Slot, method: Method[Any]) -> Any:
        found = slot.methods.get(method)
        if found is None:
            parse = method.answer.FromString
            found = slot.channel.unary_unary(method.path, method.serialize, parse)
            if unary.usable(found):
                found = unary.Unary(found, method.serialize, parse)
            slot.methods[method] = found
        return found

    def _streaming(self, slot: Slot, method: Method[Any]) -> Any:
        return slot.channel.unary_stream(method.path, method.serialize, method.answer.FromString)


class Exchange:
    """A conversation: messages are written and read in turn."""

    def __init__(self, connection: Connection, method: Method[Any]) -> None:
        self._connection = connection
        self._method = method
        self._written: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._slot: Slot | None = connection._taken()
        make = self._slot.channel.stream_stream(method.path, method.serialize, method.answer.FromString)
        self._call = make(iter(self._written.get, None), None, connection._metadata)

    def write(self, message: Message) -> None:
        """Send a message; it may be on its way when this returns."""
        self._written.put(message)

    def read(self) -> Any:
        """Return the next answer, None behind the last one.

        Raises:
            grpc.RpcError: the conversation failed.

        """
        return next(self._call, None)

    def end(self) -> None:
        """Say that nothing more is written."""
        self._written.put(None)

    def close(self) -> None:
        """End the conversation whatever its state."""
        if self._slot is not None:
            self._written.put(None)
            self._call.cancel()
            self._connection._given_back(self._slot)
            self._slot = None


def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that works for a while; here in the caller's own thread."""
    return function(*args, **kwargs)


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
