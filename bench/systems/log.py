"""The disk's own figure: append the bytes of a row to a file, fdatasync, next.

Nothing can be read back; a database that promises durable rows cannot beat it with one writer, unless its file is
already as long as it will be (then the sync has no new length to store): the zeroed variant shows that rate.
"""

import os
import threading
from pathlib import Path
from typing import ClassVar

from bench.systems.base import Record, Shape, System

_ZEROED_BYTES = 64 * 1024**2
# macOS has no fdatasync.
_datasync = getattr(os, "fdatasync", os.fsync)


class AppendLog(System):
    """Appends under a lock and syncs outside it, so that the file system may join concurrent syncs."""

    name: ClassVar[str] = "log"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor = -1
        self._end = 0

    def create(self, path: Path, shape: Shape) -> None:
        path.mkdir(parents=True)
        self._descriptor = os.open(path / "log", os.O_CREAT | os.O_RDWR, 0o600)

    def upsert(self, record: Record) -> None:
        payload = b"".join((record["id"].encode(), record["text"].encode(), record["embedding"].tobytes()))
        with self._lock:
            offset = self._place(len(payload))
            os.pwrite(self._descriptor, payload, offset)
        _datasync(self._descriptor)

    def _place(self, size: int) -> int:
        """Return where the next record goes."""
        offset, self._end = self._end, self._end + size
        return offset

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class ZeroedLog(AppendLog):
    """Writes into a file of zeros made beforehand, going round it when it is full."""

    name: ClassVar[str] = "log-zeroed"

    def create(self, path: Path, shape: Shape) -> None:
        super().create(path, shape)
        for offset in range(0, _ZEROED_BYTES, 1024**2):
            os.pwrite(self._descriptor, bytes(1024**2), offset)
        os.fsync(self._descriptor)

    def _place(self, size: int) -> int:
        if self._end + size > _ZEROED_BYTES:
            self._end = 0
        return super()._place(size)
