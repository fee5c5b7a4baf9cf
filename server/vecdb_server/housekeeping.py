"""A thread that looks, now and then, at what must not stay for ever."""

import threading
from collections.abc import Callable

from vecdb_server.log import logger

INTERVAL = 0.5
"""Seconds between two looks."""


class Housekeeping:
    """Calls functions every half second until it is closed."""

    def __init__(self, *looks: Callable[[], None]) -> None:
        self._looks = looks
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="vecdb-housekeeping", daemon=True).start()

    def close(self) -> None:
        """End."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(INTERVAL):
            for look in self._looks:
                try:
                    look()
                except Exception:  # what one look meets must not end all of them
                    logger.exception("housekeeping failed")
