"""Older versions of a collection: reading them, and keeping one by a name."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from vecdb.arguments import version_of

if TYPE_CHECKING:
    from datetime import datetime

    from vecdb.reads import Snapshot
    from vecdb.storage.reader import Reader
    from vecdb.storage.snapshot import State
    from vecdb.storage.writer import Writer


class Versions:
    """What a collection does with its versions."""

    _store: Writer | Reader

    @abstractmethod
    def _state(self) -> State: ...

    @abstractmethod
    def _writable(self) -> Writer: ...

    @abstractmethod
    def _frozen(self, state: State) -> Snapshot: ...

    def at(
        self, version: int | None = None, timestamp: datetime | float | None = None, tag: str | None = None
    ) -> Snapshot:
        """Return an older version: by number, by tag, or the newest that was published by a moment.

        Versions are published by flushes, merges, bulk loads, tags and schema changes, and kept as the settings say.
        The moment is a datetime, in UTC where it has no zone, or seconds since 1970.

        Raises:
            NotFoundError: there is no such version any more.

        """
        from vecdb.storage import history

        return self._frozen(history.at(self._store, self._state(), **version_of(version, timestamp, tag)))

    def versions(self) -> list[dict[str, Any]]:
        """Return the versions that `at` can reach, oldest first: version, committed_at, rows, tags."""
        from vecdb.storage import history

        return history.versions(self._state().located)

    def tag(self, name: str) -> int:
        """Publish everything acknowledged so far as a version, keep it until untag(), and return its number."""
        from vecdb.storage import history

        return history.tag(self._writable(), name)

    def untag(self, name: str) -> None:
        """Let a tagged version expire like any other."""
        from vecdb.storage import history

        history.untag(self._writable(), name)

    def tags(self) -> dict[str, int]:
        """Return each tag's version."""
        return dict(self._state().located.manifest.tags)
