"""The threads that answer requests: as many as cores, and one more for each request that takes long.

With more running threads than cores, Python's lock is handed round more often than work is done, and every request is
slower. But a long query, or a stream that waits for its client, must not keep others waiting.
So a request that has run longer than `SLOW` no longer counts, and another thread is started when requests wait.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any

SLOW = 0.02
"""Seconds after which a request does not count any more."""


class _Slot:
    """One thread, and since when it has been busy; 0 while it waits."""

    __slots__ = ("busy_since",)

    def __init__(self) -> None:
        self.busy_since = 0.0


class Workers(Executor):
    """What `grpc.server` runs requests on."""

    def __init__(self, threads: int, most: int) -> None:
        self._threads = threads
        self._most = max(most, threads)
        self._tasks: SimpleQueue[tuple[Future, Callable, tuple, dict] | None] = SimpleQueue()
        self._slots: list[_Slot] = []
        self._guard = threading.Lock()
        self._waiting = threading.Event()
        self._closed = False
        for _ in range(threads):
            self._start()
        threading.Thread(target=self._watch, name="vecdb-workers", daemon=True).start()

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Run a function on one of the threads."""
        if self._closed:
            raise RuntimeError("the server stopped")
        future: Future = Future()
        self._tasks.put((future, fn, args, kwargs))
        if not self._waiting.is_set() and all(slot.busy_since for slot in self._slots):
            self._waiting.set()
        return future

    @property
    def threads(self) -> int:
        """How many threads there are now."""
        return len(self._slots)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads end after what was submitted. They are daemons: a request that hangs keeps no process."""
        with self._guard:
            self._closed = True
            for _ in self._slots:
                self._tasks.put(None)
        self._waiting.set()

    def _start(self) -> None:
        slot = _Slot()
        self._slots = [*self._slots, slot]  # replaced, never changed: submit looks at it without the lock
        threading.Thread(target=self._run, args=(slot,), name="vecdb-request", daemon=True).start()

    def _run(self, slot: _Slot) -> None:
        while (task := self._tasks.get()) is not None:
            future, function, args, kwargs = task
            slot.busy_since = time.monotonic()
            if not self._tasks.empty():
                self._waiting.set()
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)
            slot.busy_since = 0.0
            del task, future, function, args, kwargs  # a waiting thread holds no request
            if len(self._slots) > self._threads and self._surplus(slot):
                return

    def _surplus(self, slot: _Slot) -> bool:
        """Take the thread out when those that are left are enough: what it was started for has ended."""
        with self._guard:
            if len(self._slots) <= self._threads + self._slow() or self._closed:
                return False
            self._slots = [other for other in self._slots if other is not slot]
            return True

    def _slow(self) -> int:
        """Return how many threads are at something that takes long."""
        late = time.monotonic() - SLOW
        return sum(0 < slot.busy_since < late for slot in self._slots)

    def _watch(self) -> None:
        while not self._closed:
            self._waiting.wait()
            self._waiting.clear()  # before the look: a request that comes now sets it again
            time.sleep(SLOW / 2)
            if self._tasks.empty():
                continue
            self._waiting.set()
            with self._guard:
                if self._closed:
                    return
                if len(self._slots) < min(self._threads + self._slow(), self._most):
                    self._start()
