"""Clients that neither read nor write: a stream that waits for one too long is cancelled, and its thread is free."""

import threading
import time
from collections.abc import Callable
from math import inf

from vecdb_server.log import logger


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

    def look(self) -> None:
        """Cancel what has waited too long."""
        now = time.monotonic()
        with self._guard:
            late = [stall for stall in self._watched if stall.until < now]
            self._watched.difference_update(late)
        for stall in late:
            logger.warning("cancelled: the client stalled")
            stall.cancel()
