"""Work that goes on beside reads and writes: one thread per kind of work, and what became of it.

A failure is kept for `stats` and the work is tried again at the next occasion; reads never notice.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """What a background worker has done: finished runs, failed runs, the last failure's message, what it does now."""

    state: str
    runs: int
    failures: int
    last_error: str | None


class Worker:
    """Calls `work` whenever it is woken, until it returns False, on a thread that starts when first woken."""

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self._name = name
        self._work = work
        self._wake = threading.Condition()
        self._wanted = False
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None
        self._runs = 0
        self._failures = 0
        self._last_error: BaseException | None = None

    def wake(self) -> None:
        """Ask for a run; returns at once."""
        with self._wake:
            if self._closed:
                return
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def wait(self, until: Callable[[], bool]) -> None:
        """Wake the worker and return when `until` holds, or raise the failure that keeps it from holding."""
        with self._wake:
            failures = self._failures
        self.wake()
        with self._wake:
            self._wake.wait_for(lambda: until() or self._failures > failures or self._closed)
            if self._failures > failures and not until() and self._last_error is not None:
                raise self._last_error

    def _loop(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._wanted or self._closed)
                if self._closed:
                    return
                self._wanted = False
                self._busy = True
            error: BaseException | None = None
            try:
                while self._work() and not self._closed:
                    pass
            except BaseException as failure:  # kept for stats and for whoever waits
                error = failure
            with self._wake:
                self._busy = False
                if error is None:
                    self._runs += 1
                    self._last_error = None
                else:
                    self._failures += 1
                    self._last_error = error
                self._wake.notify_all()

    def statistics(self) -> WorkerStatistics:
        """Return the counters of this moment."""
        with self._wake:
            state = "closed" if self._closed else "running" if self._busy else "idle"
            message = f"{type(self._last_error).__name__}: {self._last_error}" if self._last_error else None
            return WorkerStatistics(state, self._runs, self._failures, message)

    def close(self) -> None:
        """Let the run in progress finish, then stop."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
