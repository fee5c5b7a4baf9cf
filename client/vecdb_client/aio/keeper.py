"""Snapshots that are held here: their leases are renewed while somebody holds them.

The twin of `vecdb_client.blocking.keeper`, which has the same names. Invariant: a snapshot is held weakly, so that one
that nobody refers to any more is not renewed, and the server lets it go.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from vecdb.errors import VecdbError

if TYPE_CHECKING:
    from vecdb_client.aio.snapshot import Snapshot

SHARE = 3.0
"""A lease is renewed when a third of it is over, so that one lost renewal does no harm."""


class Keeper:
    """Renews leases, in a task that runs while there are any."""

    def __init__(self) -> None:
        self._due: WeakKeyDictionary[Snapshot, float] = WeakKeyDictionary()
        self._task: asyncio.Task[None] | None = None

    def keep(self, snapshot: Snapshot) -> None:
        """Renew the lease of a snapshot from now on."""
        self._due[snapshot] = time.monotonic() + snapshot.lease / SHARE
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def forget(self, snapshot: Snapshot) -> None:
        """Renew it no longer."""
        self._due.pop(snapshot, None)

    async def close(self) -> None:
        """Renew nothing any more."""
        self._due.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while self._due:
            await asyncio.sleep(max(min(self._due.values()) - time.monotonic(), 0.01))
            for snapshot in [one for one, due in list(self._due.items()) if due <= time.monotonic()]:
                self._due[snapshot] = time.monotonic() + snapshot.lease / SHARE
                with suppress(VecdbError):  # the next read tells what became of it
                    await snapshot._renew()
                del snapshot
