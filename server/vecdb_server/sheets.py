"""The numbers of a server's processes, one sheet of words each: in shared memory where there are readers.

Each process writes its own sheet and reads all. A sheet outlives its process, so nothing that was counted is lost when
a reader is started again.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

RUNNING, THREADS, RESERVED = range(3)
"""The words of what a process has now: requests, threads, bytes. The words behind them only grow."""
NOW = 8


class Sheets:
    """The sheets of all processes; `own` is that of this one."""

    def __init__(self, words: int, folder: Path | None = None, processes: int = 1, number: int = 0) -> None:
        """Map the sheets.

        Args:
            words: how many there are on each, those of what is now included.
            folder: where they are shared; None: there is one process.
            processes: how many share them.
            number: which of them this one is.

        """
        size = 8 * words
        self.all = [
            memoryview(bytearray(size)).cast("Q") if folder is None else _mapped(folder / f"sheet-{at}", size)
            for at in range(processes)
        ]
        self.own = self.all[number]
        self.forget(number)

    def forget(self, number: int) -> None:
        """Say that a process has nothing now: it begins, or it has ended."""
        for word in range(NOW):
            self.all[number][word] = 0

    def total(self, word: int) -> int:
        """Return the sum of a word over all processes."""
        return sum(sheet[word] for sheet in self.all)


def _mapped(path: Path, size: int) -> memoryview:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(file, size)
        return memoryview(mmap.mmap(file, size)).cast("Q")
    finally:
        os.close(file)
