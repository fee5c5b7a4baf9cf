"""What one call may take: time and memory, looked at between segments and slices; a running kernel ends its slice.

A budget is asked by whoever works for the call, from any thread. It raises, and that ends the call.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from vecdb_index.errors import BudgetExceededError, CancelledError, DeadlineExceededError


class Budget:
    """The limits of a call that has begun."""

    def __init__(self, seconds: float | None = None, memory_bytes: int | None = None) -> None:
        """Begin now. None: no limit."""
        self._begun = time.monotonic()
        self._seconds = seconds
        self._deadline = None if seconds is None else self._begun + seconds
        self._memory = memory_bytes
        self._held = 0
        self._lock = threading.Lock()  # of _held
        self._cancelled = False

    def cancel(self) -> None:
        """End the call at its next look; from any thread."""
        self._cancelled = True

    def check(self, stage: str) -> None:
        """Return when the call may go on.

        Raises:
            DeadlineExceededError: its time is over.
            CancelledError: it was cancelled.

        """
        if self._cancelled:
            raise CancelledError(f"the call was cancelled while it was at {stage}", stage=stage)
        if self._deadline is not None and time.monotonic() >= self._deadline:
            elapsed, seconds = time.monotonic() - self._begun, self._seconds or 0.0
            raise DeadlineExceededError(
                f"the call may take {seconds:g} s, and after {elapsed:.3g} s it was still at {stage}",
                stage=stage,
                elapsed=elapsed,
                limit=seconds,
            )

    def hold(self, stage: str, size: int) -> None:
        """Count memory that the call is about to take, in bytes, and look at the time.

        Raises:
            BudgetExceededError: it would hold more than it may.

        """
        self.check(stage)
        if self._memory is None:
            return
        with self._lock:
            needed = self._held + size
            if needed <= self._memory:
                self._held = needed
                return
        raise BudgetExceededError(
            f"the call may hold {self._memory} bytes of memory and needs {needed} at {stage}: "
            "ask for fewer rows, or by a narrower filter",
            stage=stage,
            needed=needed,
            limit=self._memory,
        )

    @contextmanager
    def holding(self, stage: str, size: int) -> Iterator[None]:
        """Count memory that is taken inside the block only."""
        self.hold(stage, size)
        try:
            yield
        finally:
            self.release(size)

    def release(self, size: int) -> None:
        """Say that memory was given back."""
        if self._memory is not None:
            with self._lock:
                self._held -= size
