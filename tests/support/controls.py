"""Directories that each forget one thing that LocalDirectory does: the crash tests must notice every one.

`plain` forgets nothing and runs through the same scenario: what fails is the omission, not the scenario.
"""

import os
import time
from pathlib import Path

from support.faults import kind_of
from vecdb.storage.directory import LocalDirectory, Writer

PARKED = "parked"


class _Unsynced(Writer):
    """A file whose sync() returns at once."""

    def sync(self) -> None:
        return

    def sync_early(self) -> None:
        return


def _is_log(name: str) -> bool:
    return kind_of(name) in ("wal", "tmp-wal")


def _unsynced(writer: Writer) -> Writer:
    return _Unsynced(writer.path, writer._descriptor)


class NoLogSync(LocalDirectory):
    """The log is written but never synced: an acknowledged write may be only in the page cache."""

    def create(self, name: str) -> Writer:
        writer = super().create(name)
        return _unsynced(writer) if _is_log(name) else writer


class NoFileSync(LocalDirectory):
    """Files other than the log get their names while their bytes are only in the page cache."""

    def create(self, name: str) -> Writer:
        writer = super().create(name)
        return writer if _is_log(name) else _unsynced(writer)

    def _sync_file(self, descriptor: int) -> None:
        return


class NoFolderSync(LocalDirectory):
    """Bytes are synced, names are not."""

    def _sync_folder(self, path: Path) -> None:
        return


class CurrentFirst(LocalDirectory):
    """CURRENT names a manifest that is written, and synced, only afterwards.

    Between the two the child says "parked" and pauses, so that the cut can fall there every time.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        super().__init__(root)
        self._held: dict[str, bytes] = {}

    def publish(self, name: str, data: bytes) -> None:
        if "/manifests/" in name:
            self._held[name] = data
        else:
            super().publish(name, data)

    def swap(self, name: str, data: bytes) -> None:
        super().swap(name, data)
        os.write(1, f"{PARKED}\n".encode())
        time.sleep(0.5)
        held, self._held = self._held, {}
        for manifest, content in held.items():
            super().publish(manifest, content)


CONTROLS: dict[str, type[LocalDirectory]] = {
    "no_log_sync": NoLogSync,
    "no_file_sync": NoFileSync,
    "no_folder_sync": NoFolderSync,
    "current_first": CurrentFirst,
}
