"""The threads that wait for calls and answer the quick ones themselves.

`grpc.server` has one thread that waits for calls. It hands each to a thread of a pool, which asks for the message and
waits until the first thread hands that over too: a search changes threads four times and takes the lock of Python with
each. Here the thread that gets the message of a quick call answers it, and several threads wait at once. A call that
turns out to take long no longer counts, and another thread is started, as in `workers`.

gRPC has no public way to do that, so this file, and no other, uses private parts of it. `usable` says whether they are
as expected; where they are not, every call goes to the pool, slower and with the same answers.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from vecdb_server.workers import SLOW, Workers

_EXPECTED = {
    "grpc._server": (
        "_RECEIVE_MESSAGE_TOKEN", "_ServerStage", "_abort", "_is_rpc_state_active", "_process_event_and_continue",
        "_receive_message", "_unary_response_in_pool",
    ),
    "grpc._cython.cygrpc": ("CompletionType", "ReceiveMessageOperation", "StatusCode"),
}  # fmt: skip

WAIT = 0.5
"""Seconds after which a thread that waits looks whether it is still needed."""


def usable() -> bool:
    """Tell whether this version of gRPC has the parts that are needed."""
    try:
        return all(hasattr(importlib.import_module(module), name) for module in _EXPECTED for name in _EXPECTED[module])
    except ImportError:
        return False


class Pollers(Executor):
    """What a `grpc.server` gets as its pool: quick calls are answered by who polls, all others by the workers."""

    def __init__(self, workers: Workers, threads: int, most: int, quick: Callable[[Any], bool]) -> None:
        """Start nothing.

        Args:
            workers: for the other calls.
            threads: how many threads poll while no call takes long.
            most: at most so many in all; more than calls that may run, so that one is always left to wait.
            quick: tells of a handler's function whether its calls are usually quick.

        """
        self._workers = workers
        self._threads = threads
        self._most = most
        self._quick = quick
        self._server: Any = importlib.import_module("grpc._server")
        self._core: Any = importlib.import_module("grpc._cython.cygrpc")
        self._state: Any = None
        self._pollers = 1  # the server's own
        self._guard = threading.Lock()  # of _pollers
        self._busy: dict[int, float] = {}
        """Since when each thread that answers a call has done so."""
        self._all_busy = threading.Event()
        self._closed = False

    @property
    def threads(self) -> int:
        """How many threads poll now."""
        return self._pollers

    def start(self, server: Any) -> None:
        """Poll for a server that was started."""
        self._state = server._state
        for _ in range(self._threads - 1):
            self._more()
        threading.Thread(target=self._watch, name="vecdb-pollers", daemon=True).start()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads end once the server has stopped."""
        self._closed = True
        self._all_busy.set()

    # -- calls -----------------------------------------------------------------------------------------------------

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Take a call; gRPC says with which function of its own it is to be answered."""
        if len(args) == 7 and args[0] is self._server._unary_response_in_pool and self._quick(args[3]):
            return self._received(fn, *args)
        return self._workers.submit(fn, *args, **kwargs)

    def _received(
        self, run: Callable[..., Any], respond: Any, event: Any, state: Any, behavior: Any, _: Any, *codecs: Any
    ) -> Future[Any]:
        """Ask for the message of a call; whoever gets it answers."""
        future: Future[Any] = Future()
        receive = self._server._receive_message(state, event.call, codecs[0])

        def received(message_event: Any) -> Any:
            finished = receive(message_event)
            try:
                self._answer(run, respond, event, state, behavior, codecs)
            finally:
                future.set_result(None)
            return finished

        with state.condition:
            if not self._server._is_rpc_state_active(state):
                future.set_result(None)
                return future
            state.due.add(self._server._RECEIVE_MESSAGE_TOKEN)
            event.call.start_server_batch((self._core.ReceiveMessageOperation(0),), received)
        return future

    def _answer(
        self, run: Callable[..., Any], respond: Any, event: Any, state: Any, behavior: Any, codecs: tuple[Any, ...]
    ) -> None:
        with state.condition:
            request, state.request = state.request, None
            if request is None:
                if self._server._is_rpc_state_active(state):
                    told = b"a call without its message"
                    self._server._abort(state, event.call, self._core.StatusCode.unimplemented, told)
                return
        me = threading.get_ident()
        self._busy[me] = time.monotonic()
        if len(self._busy) >= self._pollers:
            self._all_busy.set()
        try:
            run(respond, event, state, behavior, lambda: request, *codecs)
        finally:
            del self._busy[me]

    # -- threads ---------------------------------------------------------------------------------------------------

    def _more(self) -> None:
        with self._guard:
            self._pollers += 1
        threading.Thread(target=self._poll, name="vecdb-poller", daemon=True).start()

    def _poll(self) -> None:
        state, timeout = self._state, self._core.CompletionType.queue_timeout
        while state.stage is not self._server._ServerStage.STOPPED:
            event = state.completion_queue.poll(time.time() + WAIT)
            if event.completion_type != timeout and not self._server._process_event_and_continue(state, event):
                return
            event = None  # nothing of a call stays while this thread waits
            if self._pollers > self._threads and self._surplus():
                return

    def _surplus(self) -> bool:
        """Take the thread out when those that are left are enough."""
        with self._guard:
            if self._pollers <= self._threads + self._slow():
                return False
            self._pollers -= 1
            return True

    def _slow(self) -> int:
        """Return how many threads are at a call that takes long."""
        late = time.monotonic() - SLOW
        return sum(since < late for since in list(self._busy.values()))

    def _watch(self) -> None:
        """Start another thread when all are at calls that take long."""
        while not self._closed:
            self._all_busy.wait()
            self._all_busy.clear()  # before the look: a call that begins now sets it again
            time.sleep(SLOW / 2)
            if len(self._busy) < self._pollers:
                continue
            self._all_busy.set()
            if self._pollers < min(self._threads + self._slow(), self._most):
                self._more()
