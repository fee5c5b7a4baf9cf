"""What the writer of a database shows: a number for each collection, which readers in other processes compare.

A number is a version and an lsn in one word of 64 bits, in a mapped file of its own, so that it is replaced in one
step. The writer puts it there before it acknowledges a write and before its own reads see the state. A reader that
shows the state of this number, neither an older nor a newer one, is one with the writer: what anybody was told or has
read, everybody reads from then on.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import TYPE_CHECKING

from vecdb.errors import NotFoundError

if TYPE_CHECKING:
    from vecdb.storage.snapshot import State

CATALOG = "catalog"
"""The word that has the catalog's version."""

_LSN_BITS = 40


def number(version: int, lsn: int) -> int:
    """Return the number of a state; of two states of a collection the later one has the larger number."""
    return version << _LSN_BITS | lsn


def version_and_lsn(number: int) -> tuple[int, int]:
    """Return what a number was made of."""
    return divmod(number, 1 << _LSN_BITS)


class Word:
    """A number of 64 bits that processes share. It belongs to whoever made it; the others read it."""

    __slots__ = ("_words",)

    def __init__(self, path: Path, make: bool) -> None:
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0)
        file = os.open(path, flags, 0o600)
        try:
            if make:
                os.ftruncate(file, mmap.PAGESIZE)
            self._words = memoryview(mmap.mmap(file, mmap.PAGESIZE)).cast("Q")
        finally:
            os.close(file)

    @property
    def value(self) -> int:
        """The number."""
        return self._words[0]

    @value.setter
    def value(self, value: int) -> None:
        self._words[0] = value  # one store of 8 aligned bytes


class Board:
    """The words of one database, in a folder that its processes share and nobody else reaches."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def made(self, name: str) -> Word:
        """Return a word to write to; it is 0 when it is new."""
        return Word(self._folder / name, make=True)

    def found(self, name: str) -> Word:
        """Return a word to read.

        Raises:
            NotFoundError: nobody has made it.

        """
        try:
            return Word(self._folder / name, make=False)
        except FileNotFoundError:
            raise NotFoundError(f"the writer does not show {name}") from None

    def remove(self, name: str) -> None:
        """Forget a word; who has it keeps it."""
        (self._folder / name).unlink(missing_ok=True)


class Shows:
    """Whoever has a `state` that readers in other processes may follow; without a word nobody does.

    Only one thread at a time sets it. Setting it may be broken off anywhere, by Ctrl-C for example, and as often as may
    be: whatever number the word has, a pair of it is there.
    """

    _word: Word | None = None
    _state: State
    _pairs: tuple[tuple[int, State], ...] = ()
    """States by their numbers: that of the number in the word, and the one that is about to be shown."""

    @property
    def state(self) -> State:
        """What reads see now: of followed states the one whose number the word has."""
        if self._word is None:
            return self._state
        while True:
            shown = self._word.value
            for told, state in self._pairs:
                if told == shown:
                    return state
            # Another thread has set the state, and the next one, since the word was looked at.

    @state.setter
    def state(self, state: State) -> None:
        if self._word is None:
            self._state = state
            return
        told = number(state.located.manifest.version, state.lsn)
        shown = self._word.value
        # Before the word, so that reads which see it there find its state, and none shows an older one.
        self._pairs = *(pair for pair in self._pairs if pair[0] == shown != told), (told, state)
        self._word.value = told
        self._pairs = ((told, state),)
