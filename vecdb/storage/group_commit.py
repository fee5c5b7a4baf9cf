"""Many threads write, one sync pays for all of them.

The thread that finds nobody leading leads: it takes every write that waits, commits them as one group, wakes their
threads, and hands the lead to the first thread that came meanwhile. A lone writer therefore pays for no hand-over
between threads at all.

Threads are woken in a chain, each by the one before it: dozens that wake at once would fight for the interpreter lock
and spend more time on that than on their work.
"""

import contextlib
import itertools
import threading
from _thread import allocate_lock
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from vecdb.schema.schema import Schema
from vecdb.storage.keys import Id
from vecdb.storage.links.ends import Key as LinkKey
from vecdb.storage.manifest import SegmentEntry
from vecdb.storage.memtable import Rows
from vecdb.storage.requests import Request


class Stale(Exception):  # noqa: N818 - a signal between layers, never seen by users
    """What a write was made from has changed meanwhile: make it again and submit that."""


@dataclass(slots=True, eq=False)
class Write:
    """One write on its way to the log; it is applied whole or not at all.

    An upsert of one row comes as a batch, and shares a frame with others of its group: see frames.py. Every other
    write comes with its payload. `unchanged_since` is the write after which none of its ids may have changed, and those
    in `absent` not have come; of a write of links the same holds for `links`, and `link_schema` is what it was made
    under. `repeats` says that a write with the same request id was made before, perhaps as `same_as` in the same group,
    and that lsn and rows are those of that one.
    """

    kind: int
    schema: Schema
    payload: bytes | memoryview = b""
    ids: list[Id] = field(default_factory=list)
    batch: pa.RecordBatch | None = None
    upserted: Rows | None = None
    segments: tuple[SegmentEntry, ...] = ()
    links: list[LinkKey] = field(default_factory=list)
    link_schema: Schema | None = None
    unchanged_since: int | None = None
    absent: frozenset[Id] = frozenset()
    requests: tuple[Request, ...] = ()
    same_as: "Write | None" = None
    repeats: bool = False
    lsn: int = 0
    rows: int = 0
    error: BaseException | None = None
    leads: bool = False
    chained: bool = False
    abandoned: bool = False
    follower: "Write | None" = None
    gate: Any = field(default_factory=allocate_lock)

    def outcome(self) -> "Write":
        """Return the committed write, or raise why it was not."""
        if self.error is not None:
            raise self.error
        return self


class GroupCommit:
    """Groups writes. `commit` is called with one group at a time while `mutex` is held."""

    def __init__(self, mutex: threading.RLock, commit: Callable[[list[Write]], None]) -> None:  # pyright: ignore[reportGeneralTypeIssues]
        self._mutex = mutex
        self._commit = commit
        self._queue: list[Write] = []
        self._guard = threading.Lock()  # of _queue and _led
        self._led = False

    def submit(self, write: Write) -> Write:
        """Return once the write is committed, or raise its error."""
        write.gate.acquire()
        with self._guard:
            self._queue.append(write)
            write.leads = not self._led
            self._led = True
        if not write.leads:
            self._wait(write)
        if write.leads:
            self._lead(write)
        return write.outcome()

    def _wait(self, write: Write) -> None:
        try:
            write.gate.acquire()
        except BaseException:
            # Ctrl-C while waiting. Leave the queue; but if the lead was handed to us, it must be handed on.
            with self._guard:
                queued = write in self._queue
                if queued and not write.leads:
                    self._queue.remove(write)
                write.abandoned = not write.chained
            if write.leads:
                self._lead(write)
            elif write.chained:
                _acquire(write.gate)
                _wake(write.follower)
            raise
        _wake(write.follower)

    def _lead(self, own: Write) -> None:
        group: list[Write] = []
        try:
            with self._mutex:
                with self._guard:
                    group, self._queue = self._queue, []
                self._commit(group)
        except BaseException as error:
            if not group:
                # Ctrl-C while waiting for the mutex: a write that stays in the queue would be handed the lead again.
                with self._guard:
                    self._queue.remove(own)
            for write in group:
                if write.error is None:
                    write.error = error
            if not isinstance(error, Exception):
                raise
        finally:
            with self._guard:
                follower = self._queue[0] if self._queue else None
                if follower is None:
                    self._led = False
                else:
                    follower.leads = True
                woken = [write for write in group if write is not own and not write.abandoned]
                for write in woken:
                    write.chained = True
                for write, behind in itertools.pairwise(woken):
                    write.follower = behind
            _wake(follower)
            if woken:
                _wake(woken[0])


def _wake(write: Write | None) -> None:
    if write is not None:
        write.gate.release()


def _acquire(gate: Any) -> None:
    """Wait for the link of the chain that is on its way to us, whatever interrupts."""
    while True:
        with contextlib.suppress(BaseException):
            gate.acquire()
            return
