"""A collection opened by a process that does not write: any number of them beside the one writer.

refresh() reads CURRENT. When it names the manifest that we have, only the log's new frames are applied; otherwise
the manifest is loaded, sharing the segments that are mapped already. The writer removes files while we open them:
when that happens CURRENT has moved on, so we look again; damage is reported only when CURRENT stayed.
"""

import threading
import time

from vecdb.config import Settings
from vecdb.errors import CorruptionError, NotFoundError, UnavailableError
from vecdb.storage import catalog as catalogs
from vecdb.storage import manifest as manifests
from vecdb.storage import wal
from vecdb.storage.apply import Live
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.recovery import OpenReport, log_names, open_collection
from vecdb.storage.snapshot import State

_ATTEMPTS = 20


class Reader:
    """Follows a collection that another process may be writing. `state` is what reads see."""

    def __init__(self, directory: LocalDirectory, base: str, settings: Settings) -> None:
        self.directory = directory
        self.base = base
        self.settings = settings
        self.report = OpenReport()
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._tail = ("", 0)
        self._nonce = ""
        self._looked = 0.0
        self.state: State
        self.refresh()

    def current(self) -> State:
        """Return the state to read, refreshed when the last look is older than the refresh interval."""
        if time.monotonic() - self._looked >= self.settings.refresh_interval:
            self.refresh()
        return self.state

    def refresh(self) -> State:
        """Catch up with the writer.

        Raises:
            CorruptionError: files are damaged or missing although no newer version has replaced them.
            UnavailableError: the collection is to be opened, and its writer publishes faster than that goes.

        """
        with self._lock:
            for attempt in range(_ATTEMPTS):
                nonce = self._current_nonce()
                try:
                    if nonce != self._nonce or not self._follow():
                        self._reload()
                        self._nonce = nonce
                    break
                except (CorruptionError, FileNotFoundError):
                    unmoved = self._current_nonce() == nonce
                    if unmoved and attempt >= 2:
                        raise
                    self._nonce = ""
                    time.sleep(0.01 * attempt)
            if self._live is None:
                raise UnavailableError(f"{_ATTEMPTS} versions came while one was being opened: try again")
            self._looked = time.monotonic()
            self.state = self._live.state()
            return self.state

    def _current_nonce(self) -> str:
        try:
            return manifests.read_current(self.directory, self.base)["nonce"]
        except CorruptionError:
            if not catalogs.names_folder(self.directory, self.base):
                raise NotFoundError("the collection was dropped by its writer") from None
            raise

    def _reload(self) -> None:
        opened = open_collection(self.directory, self.base, self.settings.verify, writer=False, known=self._live)
        self._live, self.report = opened.live, opened.report
        self._tail = (opened.logs[-1].name, opened.logs[-1].end)

    def _follow(self) -> bool:
        """Apply what was appended since the last look; False when the log files have changed."""
        live = self._live
        if live is None:
            return False
        name, position = self._tail
        if log_names(self.directory, self.base)[-1:] != [name]:
            return False
        data = self.directory.read_from(name, position)
        end = 0
        for frame, behind in wal.frames(data):
            if frame.lsn != live.lsn + 1:
                return False
            live.replay(frame, name)
            end = behind
        self._tail = (name, position + end)
        return True

    def close(self) -> None:
        """Nothing is held."""
