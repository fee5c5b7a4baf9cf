"""Clients that neither read nor write: a stream that waits for one too long is cancelled, so that it holds no thread."""

import threading
import time
from collections.abc import Callable
from math import inf

from vecdb_server.log import logger

INTERVAL = 0.5


class Stall:
    """One request, and until when it may wait for its client."""

    __slots__ = ("cancel", "until")

    def __init__(self, cancel: Callable[[], object]) -> None:
        self.cancel = cancel
        self.until = inf

    def wait(self, seconds: float) -> None:
        """Say that the request waits for its client from now on."""
        self.until = time.monotonic() + seconds

    def go_on(self) -> None:
        """Say that it does not wait any more."""
        self.until = inf


class Stalls:
    """Watches requests that may wait."""

    def __init__(self) -> None:
        self._watched: set[Stall] = set()
        self._guard = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="vecdb-stalls", daemon=True).start()

    def watch(self, cancel: Callable[[], object]) -> Stall:
        """Watch a request; `cancel` ends it."""
        stall = Stall(cancel)
        with self._guard:
            self._watched.add(stall)
        return stall

    def forget(self, stall: Stall) -> None:
        """Watch it no longer."""
        with self._guard:
            self._watched.discard(stall)

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(INTERVAL):
            now = time.monotonic()
            with self._guard:
                late = [stall for stall in self._watched if stall.until < now]
                self._watched.difference_update(late)
            for stall in late:
                logger.warning("cancelled: the client stalled")
                stall.cancel()
