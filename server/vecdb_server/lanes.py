"""Lanes: threads that answer the quick calls from beginning to end, each with a queue of its own.

`grpc.server` has one thread that waits for all that happens to calls, and hands each call to another thread: a search
changes threads four times and gets the lock of Python with each. A lane asks gRPC's core for the calls of some methods
itself. Its thread receives a call, answers it and sees it end, and asks for the next one when it is free.

A lane whose call takes longer than `SLOW` gets another thread, so that what else happens in it does not wait.

gRPC has no public way to do that, so this file, and no other of the server, uses private parts of it. `usable` says
whether they are as expected; where they are not, `grpc.server` answers these methods too, slower and with the same
answers.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import grpc

from vecdb_server.workers import SLOW

_EXPECTED = {
    "CompletionQueue": ("poll",),
    "CompletionType": ("queue_timeout",),
    "ReceiveCloseOnServerOperation": ("cancelled",),
    "ReceiveMessageOperation": ("message",),
    "SendInitialMetadataOperation": (),
    "SendMessageOperation": (),
    "SendStatusFromServerOperation": (),
    "Server": ("register_completion_queue", "register_method", "request_registered_call"),
    "auth_context": (),
}  # fmt: skip

WAIT = 0.5
"""Seconds after which a thread that waits looks whether it is still needed."""

Guarded = Callable[[str, grpc.RpcMethodHandler], Any]

_logger = logging.getLogger(__name__)


def usable() -> bool:
    """Tell whether this version of gRPC has the parts that are needed."""
    try:
        core = importlib.import_module("grpc._cython.cygrpc")
        state = importlib.import_module("grpc._server")._ServerState
    except (ImportError, AttributeError):
        return False
    return "registered_method_handlers" in getattr(state, "__annotations__", {}) and all(
        hasattr(core, name) and all(hasattr(getattr(core, name), part) for part in parts)
        for name, parts in _EXPECTED.items()
    )


class Context:
    """One call, as much of `grpc.ServicerContext` as unary methods need."""

    __slots__ = ("_callbacks", "_guard", "_request", "active", "code", "details", "initial", "trailing")

    def __init__(self, request: Any) -> None:
        self._request = request
        self._guard = threading.Lock()  # of _callbacks
        self._callbacks: list[Callable[[], None]] | None = []
        self.active = True
        self.code = grpc.StatusCode.OK
        self.details = ""
        self.initial: Any = None
        self.trailing: Any = ()

    @property
    def call(self) -> Any:
        """The core's call."""
        return self._request.call

    def is_active(self) -> bool:
        """Tell whether the client still waits."""
        return self.active

    def time_remaining(self) -> float:
        """Return the seconds that are left."""
        return max(self._request.call_details.deadline - time.time(), 0.0)

    def invocation_metadata(self) -> Any:
        """Return what came beside the message."""
        return self._request.invocation_metadata

    def auth_context(self) -> dict[str, Any]:
        """Return what the connection says of who calls."""
        core = importlib.import_module("grpc._cython.cygrpc")
        return {key.decode(): value for key, value in (core.auth_context(self.call) or {}).items()}

    def peer(self) -> str:
        """Return the address of the client."""
        return self.call.peer().decode()

    def cancel(self) -> None:
        """End the call whatever its state."""
        self.call.cancel()

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Call something when the call has ended; False where it has."""
        with self._guard:
            if self._callbacks is None:
                return False
            self._callbacks.append(callback)
            return True

    def send_initial_metadata(self, metadata: Any) -> None:
        """Say what is sent before the answer."""
        self.initial = metadata

    def set_trailing_metadata(self, metadata: Any) -> None:
        """Say what is sent beside the status."""
        self.trailing = metadata

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with an error; raises."""
        self.code, self.details = code, details
        raise _AbortedError

    def finish(self) -> None:
        """Run the callbacks, once."""
        self.active = False
        with self._guard:
            callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            try:
                callback()
            except Exception:
                _logger.exception("a callback of a call failed")


class _AbortedError(Exception):
    """A call was ended by its handler."""


class _Lane:
    """A queue, the threads that wait at it, and the calls that it has."""

    __slots__ = ("asked", "busy", "calls", "closing", "guard", "queue", "threads")

    def __init__(self, queue: Any) -> None:
        self.queue = queue
        self.guard = threading.Lock()  # of asked and threads
        self.asked: set[str] = set()
        """Of which methods the next call is asked for."""
        self.calls: set[Context] = set()
        self.busy: dict[int, float] = {}
        """Since when each thread that answers a call has done so."""
        self.threads = 1
        self.closing = False

    @property
    def over(self) -> bool:
        """Whether nothing more can happen."""
        return self.closing and not self.asked and not self.calls

    def late(self, moment: float) -> bool:
        """Tell whether all threads have answered since before a moment."""
        busy = list(self.busy.values())
        return len(busy) >= self.threads and all(since < moment for since in busy)


class Lanes:
    """What answers some unary methods of a `grpc.server` in its place."""

    def __init__(self, server: grpc.Server, methods: Iterable[str], guarded: Guarded, lanes: int) -> None:
        """Take methods over from a server that was not started.

        Args:
            server: where the methods are registered.
            methods: which of them, by their paths; each answers one message by one.
            guarded: returns, for a path and the handler that is registered, the handler that is to answer.
            lanes: how many calls are answered at once while none takes long.

        """
        self._core: Any = importlib.import_module("grpc._cython.cygrpc")
        self._state: Any = server._state  # pyright: ignore[reportAttributeAccessIssue]
        self._answers: dict[str, Callable[[bytes, Any], bytes]] = {}
        self._all_busy = threading.Event()
        self._closed = False
        for name in methods:
            # Taken out, so that the server does not ask for these calls as well.
            handler = self._state.registered_method_handlers.pop(name)
            self._answers[name] = guarded(name, handler).unary_unary
        self._lanes = [_Lane(self._core.CompletionQueue()) for _ in range(lanes)]
        for lane in self._lanes:
            self._state.server.register_completion_queue(lane.queue)

    @property
    def threads(self) -> int:
        """How many threads there are now."""
        return sum(lane.threads for lane in self._lanes)

    def start(self) -> None:
        """Answer calls: the server was started."""
        for lane in self._lanes:
            self._thread(lane, False)
        threading.Thread(target=self._watch, name="vecdb-lanes", daemon=True).start()

    def shutdown(self) -> None:
        """Let the threads end once the server has stopped."""
        self._closed = True
        self._all_busy.set()

    # -- threads ---------------------------------------------------------------------------------------------------

    def _thread(self, lane: _Lane, extra: bool) -> None:
        threading.Thread(target=self._serve, args=(lane, extra), name="vecdb-lane", daemon=True).start()

    def _serve(self, lane: _Lane, extra: bool) -> None:
        for name in self._answers:
            self._ask(lane, name)
        timeout = self._core.CompletionType.queue_timeout
        while not lane.over and not (self._closed and lane.closing):
            event = lane.queue.poll(time.time() + WAIT)
            if event.completion_type != timeout:
                self._step(lane, event)
            event = None  # nothing of a call stays while this thread waits
            if extra and self._surplus(lane):
                return

    @staticmethod
    def _step(lane: _Lane, event: Any) -> None:
        step, subject = event.tag
        try:
            step(lane, subject, event)
        except Exception:  # one call must not take the lane from all others
            _logger.exception("a call could not be answered")

    def _surplus(self, lane: _Lane) -> bool:
        """Take a thread out when another one waits."""
        with lane.guard:
            if lane.threads - len(lane.busy) < 2:
                return False
            lane.threads -= 1
            return True

    def _watch(self) -> None:
        """Start another thread for a lane that is at calls that take long."""
        while not self._closed:
            self._all_busy.wait()
            self._all_busy.clear()  # before the look: a call that begins now sets it again
            time.sleep(SLOW / 2)
            for lane in self._lanes:
                if len(lane.busy) < lane.threads:
                    continue
                self._all_busy.set()
                if lane.late(time.monotonic() - SLOW) and self._more_allowed():
                    with lane.guard:
                        lane.threads += 1
                    self._thread(lane, True)

    def _more_allowed(self) -> bool:
        """Tell whether a thread may be added: one more than calls may run is enough, it waits and refuses."""
        most = self._state.maximum_concurrent_rpcs
        return most is None or self.threads <= most

    # -- what happens to a call ------------------------------------------------------------------------------------

    def _ask(self, lane: _Lane, name: str) -> None:
        """Ask for the next call of a method, unless that was done."""
        with lane.guard:
            if name in lane.asked:
                return
            try:
                # gRPC frees a server that has stopped under this lock: never after the core has looked whether it runs,
                # and before it is asked.
                with self._state.lock:
                    self._state.server.request_registered_call(lane.queue, lane.queue, name, (self._called, name))
            except ValueError:  # the server stops
                lane.closing = True
            else:
                lane.asked.add(name)

    def _called(self, lane: _Lane, name: str, event: Any) -> None:
        """Take a call; its message may still be on the way."""
        with lane.guard:
            lane.asked.discard(name)
        if not event.success:
            lane.closing = True
            return
        context = Context(event)
        lane.calls.add(context)
        context.call.start_server_batch((self._core.ReceiveCloseOnServerOperation(0),), (self._ended, context))
        with self._state.lock:
            most = self._state.maximum_concurrent_rpcs
            full = most is not None and self._state.active_rpc_count >= most
            self._state.active_rpc_count += 1
        if full:
            context.code, context.details = grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!"
            self._reply(context, None)
            self._ask(lane, name)
        else:
            receive = self._core.ReceiveMessageOperation(0)
            context.call.start_server_batch((receive,), (self._received, (name, context)))

    def _received(self, lane: _Lane, subject: tuple[str, Context], event: Any) -> None:
        """Answer a call whose message is there."""
        name, context = subject
        message = event.batch_operations[0].message()
        answer = None
        if message is not None:
            answer = self._answered(lane, name, message, context)
        elif context.active:
            context.code, context.details = grpc.StatusCode.UNIMPLEMENTED, "a call without its message"
        self._reply(context, answer)
        self._ask(lane, name)

    def _answered(self, lane: _Lane, name: str, message: bytes, context: Context) -> bytes | None:
        me = threading.get_ident()
        lane.busy[me] = time.monotonic()
        if len(lane.busy) >= lane.threads and not self._all_busy.is_set():
            self._all_busy.set()
        try:
            return self._answers[name](message, context)
        except _AbortedError:
            return None
        except BaseException:
            _logger.exception("a call failed in a way that its handler did not expect")
            context.code, context.details = grpc.StatusCode.UNKNOWN, "Exception calling application"
            return None
        finally:
            del lane.busy[me]

    def _reply(self, context: Context, answer: bytes | None) -> None:
        """Send the answer and the status, or the status alone, and count the call as ended."""
        core = self._core
        with self._state.lock:
            self._state.active_rpc_count -= 1
        status = core.SendStatusFromServerOperation(
            context.trailing, context.code.value[0], context.details.encode(), 0
        )
        parts = [core.SendInitialMetadataOperation(context.initial, 0), status]
        if answer is not None:
            parts.insert(1, core.SendMessageOperation(answer, 0))
        context.call.start_server_batch(parts, (self._sent, context))

    def _sent(self, lane: _Lane, context: Context, event: Any) -> None:
        """Do nothing: that the call ended is told by `_ended`."""

    def _ended(self, lane: _Lane, context: Context, event: Any) -> None:
        """Forget a call that was answered, or that its client gave up."""
        context.finish()
        lane.calls.discard(context)
