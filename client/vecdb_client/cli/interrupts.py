"""Ctrl-C at a point of our choosing: the first one is a request, the second one is obeyed at once."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from vecdb_client.cli.errors import note


class Interrupts:
    """While the block runs, `requested` tells that the user wants to stop."""

    requested = False

    def __init__(self, stopping: str = "stopping after the rows that are being stored") -> None:
        """Keep what to say at the first one."""
        self._stopping = stopping

    def __enter__(self) -> Self:
        """Take over SIGINT; only the main thread can."""
        self._before: Any = None
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        note(f"{self._stopping}; press Ctrl-C again to stop at once")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give SIGINT back."""
        if self._main:
            signal.signal(signal.SIGINT, self._before)
