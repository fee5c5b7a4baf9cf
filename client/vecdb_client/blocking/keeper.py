"""Snapshots that are held here: their leases are renewed while somebody holds them.

The twin of `vecdb_client.aio.keeper`, which has the same names. Invariant: a snapshot is held weakly, so that one that
nobody refers to any more is not renewed, and the server lets it go.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from vecdb.errors import VecdbError

if TYPE_CHECKING:
    from vecdb_client.blocking.snapshot import Snapshot

SHARE = 3.0
"""A lease is renewed when a third of it is over, so that one lost renewal does no harm."""


class Keeper:
    """Renews leases, in a thread that runs while there are any."""

    def __init__(self) -> None:
        self._due: WeakKeyDictionary[Snapshot, float] = WeakKeyDictionary()
        self._guard = threading.Lock()
        self._changed = threading.Event()
        self._running = False

    def keep(self, snapshot: Snapshot) -> None:
        """Renew the lease of a snapshot from now on."""
        with self._guard:
            self._due[snapshot] = time.monotonic() + snapshot.lease / SHARE
            if self._running:
                self._changed.set()
                return
            self._running = True
        threading.Thread(target=self._run, name="vecdb-leases", daemon=True).start()

    def forget(self, snapshot: Snapshot) -> None:
        """Renew it no longer."""
        with self._guard:
            self._due.pop(snapshot, None)
            self._changed.set()

    def close(self) -> None:
        """Renew nothing any more."""
        with self._guard:
            self._due.clear()
            self._changed.set()

    def _run(self) -> None:
        while True:
            with self._guard:
                self._changed.clear()
                due = min(self._due.values(), default=None)
                if due is None:
                    self._running = False
                    return
            self._changed.wait(max(due - time.monotonic(), 0.0))
            self._renew()

    def _renew(self) -> None:
        now = time.monotonic()
        with self._guard:
            late = [snapshot for snapshot, due in self._due.items() if due <= now]
            for snapshot in late:
                self._due[snapshot] = now + snapshot.lease / SHARE
        for snapshot in late:
            with suppress(VecdbError):  # the next read tells what became of it
                snapshot._renew()
