"""A collection beside its writer that shows exactly what the writer shows, or says that it is behind.

A reader looks for new data now and then. A follower compares its number with the writer's before each read: one look
at shared memory where nothing was written. What is missing it takes from the log when that is little; else it raises
Behind, its caller asks the writer, and `catch_up` does the rest in the background.
"""

import threading

from vecdb.config import Settings
from vecdb.errors import CorruptionError
from vecdb.storage import shown, wal
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.reader import Reader
from vecdb.storage.recovery import log_names
from vecdb.storage.snapshot import State

LITTLE = 256 << 10
"""Bytes of the log that a read may read on its way."""
MOMENT = 0.02
"""Seconds that a read waits for another one that reads the log."""

_HEAVY = (wal.SEGMENTS, wal.LINK_SEGMENTS)


class Behind(Exception):  # noqa: N818 - a signal between layers, never seen by users
    """What the writer shows is not here yet; `follower` can catch up with it, where there is one."""

    def __init__(self, follower: "Follower | None" = None) -> None:
        super().__init__()
        self.follower = follower


class Follower(Reader):
    """Follows what a writer shows in a word."""

    def __init__(self, directory: LocalDirectory, base: str, settings: Settings, word: shown.Word) -> None:
        self._word = word
        self._shown: tuple[int, State | None] = (-1, None)
        self._renewing = threading.Lock()
        super().__init__(directory, base, settings)

    def current(self) -> State:
        """Return the state that the writer shows.

        Raises:
            Behind: it takes more than a moment to get there.

        """
        held, state = self._shown
        if held == self._word.value and state is not None:
            return state
        if self._renewing.locked() or not self._lock.acquire(timeout=MOMENT):
            raise Behind(self)
        try:
            if not self._reached(self._word.value, LITTLE):
                raise Behind(self)
            _, state = self._shown
            assert state is not None
            return state
        finally:
            self._lock.release()

    @property
    def is_stale(self) -> bool:
        """Whether the writer shows another version than the files that are mapped here."""
        assert self._live is not None
        return self._live.located.manifest.version != shown.version_and_lsn(self._word.value)[0]

    def catch_up(self) -> None:
        """Read whatever is missing.

        Raises:
            CorruptionError: files are damaged or missing although no newer version has replaced them.

        """
        with self._renewing:
            with self._lock:
                wanted = self._word.value
                if self._own() > wanted or self._reached(wanted, None):
                    return  # ahead: the writer is about to show what its files say already
            super().refresh()
            with self._lock:
                self._reached(self._word.value, None)

    def refresh(self) -> State:
        """Open the collection; later `catch_up` does it."""
        state = super().refresh()
        self._reached(self._word.value, None)
        return state

    def _own(self) -> int:
        live = self._live
        return -1 if live is None else shown.number(live.located.manifest.version, live.lsn)

    def _reached(self, wanted: int, most: int | None) -> bool:
        """Go on to the state of a number, reading at most so many bytes; False when that does not lead there."""
        live = self._live
        if self._shown[0] == wanted:
            return True
        version, lsn = shown.version_and_lsn(wanted)
        if live is None or live.located.manifest.version != version or live.lsn > lsn:
            return False
        try:
            if not self._read_on(lsn, most):
                return False
        except FileNotFoundError:  # of a log that a newer version does without
            return False
        except CorruptionError:
            self._live = None  # half of a write may have been applied
            return False
        self._shown = wanted, live.state()
        return True

    def _read_on(self, lsn: int, most: int | None) -> bool:
        """Apply the log up to a write; False when that takes more than a moment, with `most` as its bytes."""
        live = self._live
        assert live is not None
        while live.lsn < lsn:
            name, position = self._tail
            data = self.directory.read_from(name, position, -1 if most is None else most)
            end = 0
            for frame, behind in wal.frames(data):
                if frame.type != wal.FILE:
                    if frame.lsn > lsn:
                        break
                    if frame.lsn != live.lsn + 1 or (most is not None and frame.type in _HEAVY):
                        return False
                    live.replay(frame, name)
                end = behind
                self._tail = name, position + end
            if live.lsn < lsn and most is not None and len(data) == most and any(data[end : end + 4]):
                return False  # there is more than was read
            if live.lsn < lsn and not end:
                if not self._next_log(name):
                    return False
                live.requests.end_of_log_file()
        return True

    def _next_log(self, name: str) -> bool:
        names = log_names(self.directory, self.base)
        if name not in names or names[-1] == name:
            return False
        self._tail = names[names.index(name) + 1], 0
        return True
