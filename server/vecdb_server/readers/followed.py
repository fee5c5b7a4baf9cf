"""The collections of a reader: as the writer shows them, or `Behind` until a thread in the background has caught up."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, cast

from vecdb.errors import NotFoundError, VecdbError
from vecdb.storage.follower import Behind, Follower
from vecdb_server.log import logger
from vecdb_server.served import Served

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.database import Database
    from vecdb.storage.shown import Word
    from vecdb_server.call import Call

IDLE = 5.0
"""Seconds after which a collection that nobody reads lets go of files that the writer has replaced."""


class Followed(Served):
    """A database that another process writes, open in this one."""

    def __init__(self, database: Database, catalog: Word) -> None:
        """Open what there is; `catalog` says which catalog the writer shows."""
        super().__init__(database, {}, False)
        self._catalog = catalog
        self._seen = -1
        self._named: dict[str, str] = {}
        self._queue: SimpleQueue[Follower | None] = SimpleQueue()
        self._closed = False
        self._tried(self._renew)
        self._thread = Thread(target=self._work, name="vecdb-follow", daemon=True)
        self._thread.start()

    def collection(self, name: str, call: Call) -> Collection:
        """Return a collection.

        Raises:
            Behind: it is not open here, or does not exist.

        """
        if self._catalog.value == self._seen:
            found = self._open.get(name)
            if found is not None:
                return found
            if name not in self._named:
                raise Behind
        self._queue.put(None)
        raise Behind

    def behind(self, error: Behind) -> None:
        """Catch up in the background with what was not here yet."""
        if error.follower is not None:
            self._queue.put(error.follower)

    def _warm_up(self, collection: Collection) -> None:
        try:
            super()._warm_up(collection)
        except Behind as error:  # the writer has gone on since the collection was opened here
            self.behind(error)

    def close(self) -> None:
        """Stop following, and close the database."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        super().close()

    # -- in the background -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        looked = time.monotonic()
        while not self._closed:
            wanted = self._next()
            if None in wanted:
                self._tried(self._renew)
            if time.monotonic() - looked >= IDLE:
                looked = time.monotonic()
                wanted |= {one for one in map(_follower, self._open.values()) if one.is_stale}
            for follower in wanted - {None}:
                self._tried(cast("Follower", follower).catch_up)

    def _next(self) -> set[Follower | None]:
        """Return who has to catch up, and None where the catalog has to be read; nothing when nothing came for long."""
        wanted: set[Follower | None] = set()
        with contextlib.suppress(Empty):
            wanted.add(self._queue.get(timeout=IDLE))
            while True:
                wanted.add(self._queue.get_nowait())
        return wanted

    @staticmethod
    def _tried(what: Callable[[], None]) -> None:
        try:
            what()
        except NotFoundError:
            return  # it was dropped meanwhile
        except (VecdbError, OSError) as error:
            logger.error("not followed", extra={"reason": f"{type(error).__name__}: the writer answers instead"})

    def _renew(self) -> None:
        """Open the collections that are in the catalog that the writer shows now."""
        catalog = self._catalog.value
        named = self.database._close_dropped()
        known, self._named = self._named, named
        opened: dict[str, Collection] = {}
        for name, uuid in named.items():
            found = self._open.get(name) if known.get(name) == uuid else None
            if found is None:
                with contextlib.suppress(NotFoundError):  # the writer has not opened it yet, or cannot
                    found = self.database.collection(name)
            if found is not None:
                opened[name] = found
        self._open = opened
        self._seen = catalog


def _follower(collection: Collection) -> Follower:
    return cast("Follower", collection._store)
