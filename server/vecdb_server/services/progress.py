"""Long work that tells how far it is: it runs in a thread of its own, and stops when its client goes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from vecdb.errors import CancelledError

T = TypeVar("T")
Told = tuple[str, int, int]
"""A stage in a word, how much is done, and how much there is."""
Tell = Callable[[str, int, int], None]

INTERVAL = 0.2
"""Seconds between two messages."""


class Progress(Generic[T]):
    """Iterate to hear how far the work is; then `result` is there."""

    def __init__(self, work: Callable[[Tell], T]) -> None:
        """Take the work; it gets what it tells its progress to, which raises when the client has gone."""
        self._work = work
        self._told: queue.SimpleQueue[Told | None] = queue.SimpleQueue()
        self._gone = False
        self._last = 0.0
        self._outcome: tuple[T | None, BaseException | None] = (None, None)

    def __iter__(self) -> Iterator[Told]:
        """Do the work, and yield how far it is."""
        thread = threading.Thread(target=self._run, name="vecdb-upkeep", daemon=True)
        thread.start()
        try:
            while (told := self._told.get()) is not None:
                yield told
        finally:
            self._gone = True
            thread.join()
        if self._outcome[1] is not None:
            raise self._outcome[1]

    @property
    def result(self) -> T:
        """What the work returned."""
        return self._outcome[0]  # pyright: ignore[reportReturnType]

    def _run(self) -> None:
        try:
            self._outcome = self._work(self._tell), None
        except BaseException as error:
            self._outcome = None, error
        self._told.put(None)

    def _tell(self, stage: str, done: int, total: int) -> None:
        if self._gone:
            raise CancelledError(f"the client went away during {stage}", stage=stage)
        now = time.monotonic()
        if now - self._last >= INTERVAL:
            self._last = now
            self._told.put((stage, done, total))
