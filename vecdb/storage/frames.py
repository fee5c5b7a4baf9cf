"""The frames of one group commit: upserts of single rows share one.

Arrow's cost per batch is that of dozens of rows. Programs that write row by row from many threads therefore pay it
once per group: their rows become one batch, one frame and one append to the memtable, under one log number. Each call
still returns for its own row only, and a frame is kept or lost whole, as the rows of the group would be.
"""

from dataclasses import dataclass

from vecdb.schema.schema import Schema
from vecdb.storage import requests, wal
from vecdb.storage.arrow_file import joined
from vecdb.storage.group_commit import Write
from vecdb.storage.keys import Id
from vecdb.storage.memtable import Rows
from vecdb.storage.requests import COUNTED, Logged

SHARED_BYTES = 1 << 20
"""Rows share a frame until it is about this large."""


@dataclass(slots=True)
class Frame:
    """What is logged and applied under one log number."""

    kind: int
    lsn: int
    payload: bytes | memoryview
    writes: list[Write]
    upserted: Rows | None = None


def frames_of(writes: list[Write], schema: Schema, lsn: int, now: float) -> list[Frame]:
    """Return the frames of accepted writes, in their order, numbered from behind lsn; the writes learn their number.

    Where some have request ids, a frame of these stands first; writes that change nothing share its number.
    """
    frames: list[Frame] = []
    if any(write.requests for write in writes):
        lsn += 1
        frames.append(Frame(wal.REQUESTS, lsn, b"", [write for write in writes if write.kind == wal.REQUESTS]))
        for write in frames[0].writes:
            write.lsn = lsn
    for part in _parts([write for write in writes if write.kind != wal.REQUESTS]):
        lsn += 1
        for write in part:
            write.lsn = lsn
        if part[0].batch is None:
            frames.append(Frame(part[0].kind, lsn, part[0].payload, part, part[0].upserted))
        else:
            batch = joined([write.batch for write in part if write.batch is not None])
            payload = memoryview(batch.serialize())
            frames.append(Frame(wal.UPSERT, lsn, payload, part, Rows.of(batch, schema, len(payload))))
    if frames and frames[0].kind == wal.REQUESTS:
        frames[0].payload = requests.encode([one for write in writes for one in _logged(write)], now)
    return frames


def _logged(write: Write) -> list[Logged]:
    """Return a write's request ids with what is known of its rows before it is applied."""
    known = {wal.UPSERT: len(write.ids), wal.REQUESTS: 0}.get(write.kind, COUNTED)
    return [
        Logged(request if request.rows != COUNTED else request._replace(rows=known), write.lsn)
        for request in write.requests
    ]


def _parts(writes: list[Write]) -> list[list[Write]]:
    """Cut where a write has a frame of its own, where an id comes again, and where a frame has grown large."""
    parts: list[list[Write]] = []
    ids: set[Id] = set()
    room = 0
    for write in writes:
        # Whole buffers, cheap to ask; a row cut from a large table counts too much and gets a frame of its own.
        size = 0 if write.batch is None else write.batch.get_total_buffer_size()
        if write.batch is None or room < size or write.ids[0] in ids:
            parts.append([])
            ids = set()
            room = SHARED_BYTES if write.batch is not None else 0
        parts[-1].append(write)
        ids.update(write.ids)
        room -= size
    return parts
