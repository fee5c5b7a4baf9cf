"""The way from a reader to the writer: calls as they came, byte for byte, and answers and failures as they are.

The writer's socket is in a folder of the server's user alone. Who calls is found out by the writer, as for its own
connections; what it cannot see, the address and the certificate of the connection, the reader tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from vecdb.errors import CancelledError, DeadlineExceededError, ResourceExhaustedError, VecdbError
from vecdb.storage.follower import Behind
from vecdb_server.admission import FOREVER
from vecdb_server.auth.identity import Peer
from vecdb_server.failures import Failure
from vecdb_server.options import PATIENT

if TYPE_CHECKING:
    from vecdb_server.config import LimitsSection
    from vecdb_server.stalls import Stalls

LARGE = 1 << 20
"""Answers of more bytes are watched until the client has read them."""

_BY_SERVICE = {
    "RecordService": ("Get", "Count", "Scan"),
    "LinkService": ("Neighbours", "ScanLinks", "Degrees", "GetLinkStats", "GetLinkSchema"),
    "SearchService": (
        "Search", "SearchBatch", "SearchStream", "Explain", "Highlight", "Facets", "Recall", "Summarise", "Sample",
        "Clusters", "Duplicates",
    ),
}  # fmt: skip
LOCAL = frozenset(f"/vecdb.v1.{service}/{method}" for service, methods in _BY_SERVICE.items() for method in methods)
"""What a reader answers: reads that need the files and nothing that only the writer has in memory."""

_ADDRESS = "vecdb-peer"
_NAME = "vecdb-peer-name-bin"
_FINAL = ResourceExhaustedError, DeadlineExceededError, CancelledError, MemoryError


def address_of(context: grpc.ServicerContext) -> str:
    """Return the address from which a call came to the reader that passed it on."""
    return next((str(value) for key, value in context.invocation_metadata() if key == _ADDRESS), context.peer())


def peer_of(context: grpc.ServicerContext) -> Peer:
    """Return the names in the certificate of the connection on which a call came to the reader that passed it on."""
    return Peer(tuple(value.decode() for key, value in context.invocation_metadata() if key == _NAME))  # pyright: ignore


class Passage:
    """Passes calls on to the writer."""

    def __init__(
        self, socket: str, limits: LimitsSection, stalls: Stalls, behind: Callable[[Behind], None], names: bool
    ) -> None:
        """Connect when the first call comes.

        Args:
            socket: the path of the writer's socket.
            limits: how long a stream waits for its client.
            stalls: watches those that wait.
            behind: is told what was not here yet.
            names: whether the names in certificates say who calls.

        """
        self._limits = limits
        self._stalls = stalls
        self._behind = behind
        self._names = names
        self._channel = grpc.insecure_channel(
            f"unix:{socket}",
            [
                PATIENT,
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                ("grpc.enable_retries", 0),
                ("grpc.enable_http_proxy", 0),
            ],
        )
        self._stubs: dict[tuple[str, str], Any] = {}

    def takes(self, error: Exception, method: str) -> bool:
        """Tell whether a call that failed here is to be passed on: unless it has used up what it may take.

        The writer knows all collections, and what it says of a mistake is what everybody reads.
        """
        if isinstance(error, Behind):
            self._behind(error)
            return True
        if isinstance(error, _FINAL):
            return False
        if not isinstance(error, VecdbError):
            Failure.of(error, method)  # writes where, to the log: the writer's answer may be a good one
        return True

    def handler(self, method: str, handler: Any) -> grpc.RpcMethodHandler:
        """Return a handler that passes on all calls of a method, of the same kind as another handler."""
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(lambda data, context: self.conversation(method, data, context))
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(lambda data, context: self.stream(method, data, context))
        return grpc.unary_unary_rpc_method_handler(lambda data, context: self.answer(method, data, context))

    def answer(self, method: str, data: bytes, context: grpc.ServicerContext) -> bytes:
        """Pass on a call of one message and one answer."""
        call = self._stub("unary_unary", method).future(data, **self._how(context))
        _end_with(context, call)
        try:
            answer = call.result()
        except (grpc.RpcError, grpc.FutureCancelledError):
            _fail(call, context)
        _head(call, context)
        context.set_trailing_metadata(call.trailing_metadata())
        if len(answer) > LARGE:
            stall = self._stalls.watch(context.cancel)
            stall.wait(self._limits.longest_deadline_seconds)
            _finally(context, lambda: self._stalls.forget(stall))
        return answer

    def stream(self, method: str, data: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Pass on a call of one message and many answers."""
        yield from self._answers(self._stub("unary_stream", method)(data, **self._how(context)), context)

    def conversation(self, method: str, data: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """Pass on a call of many messages and many answers."""
        gone: list[Any] = []

        def messages() -> Iterator[bytes]:
            try:
                yield from data
            except Exception:  # the client has gone: its messages did not end, they broke off
                for call in gone:
                    call.cancel()

        call = self._stub("stream_stream", method)(messages(), **self._how(context))
        gone.append(call)
        yield from self._answers(call, context)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _answers(self, call: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
        _end_with(context, call)
        stall = self._stalls.watch(context.cancel)
        try:
            head = False
            for answer in call:
                if not head:
                    head = True
                    _head(call, context)
                stall.wait(self._limits.stalled_seconds)
                yield answer
                stall.go_on()
            context.set_trailing_metadata(call.trailing_metadata())
        except grpc.RpcError:
            _fail(call, context)
        finally:
            self._stalls.forget(stall)
            call.cancel()

    def _stub(self, kind: str, method: str) -> Any:
        found = self._stubs.get((kind, method))
        if found is None:
            found = self._stubs[kind, method] = getattr(self._channel, kind)(method)
        return found

    def _how(self, context: grpc.ServicerContext) -> dict[str, Any]:
        """Return the deadline and the headers of a call."""
        sent: list[tuple[str, str | bytes]] = [
            (key, value)
            for key, value in context.invocation_metadata()
            if key != "user-agent" and not key.startswith(("grpc-", _ADDRESS))  # these are gRPC's, and the reader's
        ]
        sent.append((_ADDRESS, context.peer()))
        if self._names:
            sent += [(_NAME, name.encode()) for name in Peer.of(context.auth_context()).names]  # pyright: ignore
        remaining = context.time_remaining()
        return {"timeout": None if remaining is None or remaining > FOREVER else remaining, "metadata": sent}


def _head(call: Any, context: grpc.ServicerContext) -> None:
    sent = call.initial_metadata()
    if sent:
        context.send_initial_metadata(sent)


def _fail(call: Any, context: grpc.ServicerContext) -> NoReturn:
    """End a call as the writer ended it; raises what gRPC expects."""
    context.set_trailing_metadata(call.trailing_metadata() or ())
    context.abort(call.code(), call.details() or "")
    raise AssertionError  # abort has raised


def _end_with(context: grpc.ServicerContext, call: Any) -> None:
    """End the call to the writer when the client's ends."""
    _finally(context, call.cancel)


def _finally(context: grpc.ServicerContext, what: Callable[[], Any]) -> None:
    if not context.add_callback(what):
        what()
