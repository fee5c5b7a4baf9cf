"""How many requests each caller has running, so that one alone cannot take all the room."""

import threading
from collections import Counter

from vecdb.errors import ResourceExhaustedError


class Callers:
    """Counts the running requests of callers, by name."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: Counter[str] = Counter()
        self._guard = threading.Lock()

    def begin(self, caller: str) -> None:
        """Count a request that begins.

        Raises:
            ResourceExhaustedError: the caller has as many as it may.

        """
        with self._guard:
            if self._running[caller] >= self._most:
                raise ResourceExhaustedError(f"{self._most} requests of yours are running: wait for one to end")
            self._running[caller] += 1

    def end(self, caller: str) -> None:
        """Count a request that ended."""
        with self._guard:
            self._running[caller] -= 1
            if not self._running[caller]:
                del self._running[caller]
