"""A file that is read again when it changes, so that nobody has to restart the server."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from vecdb_server.log import logger

T = TypeVar("T")

INTERVAL = 1.0
"""Seconds between two looks at a file."""


class Watched(Generic[T]):
    """What was read of some files.

    A change that cannot be read is logged, and tried again at each look: its cause, such as the rights of the file, may
    go without another change. Until then what was read before stays in force.
    """

    def __init__(self, paths: list[Path], read: Callable[[], T], interval: float = INTERVAL) -> None:
        """Read the files; what `read` raises the first time is raised."""
        self._paths = paths
        self._read = read
        self._interval = interval
        self._guard = threading.Lock()
        self._seen = self._stamp()
        self._failed = self._seen
        self._looked = time.monotonic()
        self._value = read()

    @property
    def value(self) -> T:
        """The content as it is, or was a second ago."""
        if time.monotonic() - self._looked >= self._interval and self._guard.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._guard.release()
        return self._value

    def _look(self) -> None:
        stamp = self._stamp()
        if stamp != self._seen:
            name = str(self._paths[0])
            try:
                self._value = self._read()
            except Exception as error:
                if stamp != self._failed:
                    logger.error("file not read again", extra={"file": name, "reason": str(error)})
                self._failed = stamp
            else:
                self._seen = stamp
                logger.info("file read again", extra={"file": name})
        self._looked = time.monotonic()

    def _stamp(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
