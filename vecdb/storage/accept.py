"""Which writes of a group can be made now: the others are told why not, or that they were made before."""

from __future__ import annotations

from vecdb.errors import ConflictError, VecdbError
from vecdb.storage import wal
from vecdb.storage.apply import Live
from vecdb.storage.group_commit import Stale, Write
from vecdb.storage.requests import Key, Requests, mismatch

_GROWING = wal.UPSERT, wal.SEGMENTS, wal.LINK, wal.LINK_SEGMENTS
"""Writes that need space."""


def accept(group: list[Write], live: Live, no_space: VecdbError | None) -> list[Write]:
    """Return the writes that can be made, in their order; no_space says why no row may be added, where none may."""
    accepted: list[Write] = []
    touched: set[object] = set()
    named: dict[Key, Write] = {}
    bulk = False
    for write in group:
        if write.requests and _was_made(write, live.requests, named):
            continue
        if no_space is not None and write.kind in _GROWING:
            write.error = no_space
        elif (
            write.schema is not live.schema
            or write.link_schema not in (None, live.links.schema)
            or (
                write.unchanged_since is not None
                and (
                    bulk
                    or not touched.isdisjoint(write.ids)
                    or not touched.isdisjoint(write.links)
                    or live.changed(write.ids, write.unchanged_since, write.absent)
                    or live.links.changed(write.links, write.unchanged_since)
                )
            )
        ):
            write.error = Stale()
        else:
            touched.update(write.ids)
            touched.update(write.links)
            bulk = bulk or write.kind in (wal.SEGMENTS, wal.LINK_SEGMENTS)
            named.update((request.key, write) for request in write.requests)
            accepted.append(write)
    return accepted


def _was_made(write: Write, known: Requests, named: dict[Key, Write]) -> bool:
    """Tell whether a request id of the write stands for a write that was made, or is in this group; it learns which."""
    for request in write.requests:
        done, earlier = known.get(request.key), named.get(request.key)
        if done is not None:
            content = done.content
        elif earlier is not None:
            content = next(one.content for one in earlier.requests if one.key == request.key)
        else:
            continue
        if content != request.content:
            write.error = mismatch(request.key)
        elif len(write.requests) > 1:
            write.error = ConflictError(f"chunk {request.key.chunk} of this upload was stored by somebody else")
        else:
            write.repeats, write.same_as = True, earlier if done is None else None
            if done is not None:
                write.lsn, write.rows = done.lsn, done.rows
        return True
    return False
