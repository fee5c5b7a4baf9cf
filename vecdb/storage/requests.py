"""Request ids: a write that comes again under its id has the effect of one, and gets the first one's result.

An id stands for one write, or with chunk numbers for the chunks of an upload, each a write of its own. What is
remembered of a write is a hash of its content, its number in the log, how many rows it had, and when it was made: for
24 hours, and of the latest writes only (`Settings.request_ids`).

    log         a frame of type 4 before the frames of its group says which ids the writes behind it have
    manifest    names a file with all that is remembered up to its floor, when the log is dropped

Invariant: an id is remembered if and only if its write is kept. The frame of the ids stands first, names its writes by
their numbers, and counts only for those that follow it in the same file: wherever a crash cuts a group, neither an id
without its write nor a write without its id is left.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import google_crc32c
import numpy as np
import pyarrow as pa
import xxhash

from vecdb.errors import CorruptionError, RequestMismatchError
from vecdb.schema.arrays import numbers_array, numbers_of
from vecdb.storage import format as names

if TYPE_CHECKING:
    from vecdb.storage.directory import LocalDirectory
    from vecdb.storage.manifest import Clock, FileEntry

SECONDS = 86400.0
"""How long a request id is remembered."""
WHOLE = -1
"""The chunk of a write that is no chunk."""

_HEAD = struct.Struct("<dI")  # when, count
_ENTRY = struct.Struct("<16sq16sqq")  # id, chunk, content, lsn, rows or COUNTED
COUNTED = -1
"""Rows that the write itself tells when it is applied."""


class Key(NamedTuple):
    """A request id, 16 bytes, and the number of a chunk or WHOLE."""

    id: bytes
    chunk: int = WHOLE


class Request(NamedTuple):
    """What a write that has an id says of itself; `content` is a hash of 16 bytes, rows may be COUNTED."""

    key: Key
    content: bytes
    rows: int = COUNTED


class Done(NamedTuple):
    """What is remembered of a write."""

    content: bytes
    lsn: int
    rows: int
    at: float


class Logged(NamedTuple):
    """An id in the log, and the number of its write."""

    request: Request
    lsn: int


class Requests:
    """The ids that a collection remembers, oldest first. Changed under the commit mutex, read by any thread."""

    def __init__(self, most: int, clock: Clock) -> None:
        self.most = most
        self._clock = clock
        self.dropped = 0
        """Ids that were forgotten before their time, because there were too many."""
        self._known: dict[Key, Done] = {}
        self._expected: dict[int, list[tuple[Logged, float]]] = {}

    def get(self, key: Key) -> Done | None:
        """Return what is remembered of an id; None when it is new, or older than SECONDS."""
        done = self._known.get(key)
        return None if done is None or done.at < self._clock() - SECONDS else done

    def made(self, request: Request) -> Done | None:
        """Return what came of a request; None when it is new.

        Raises:
            RequestMismatchError: the id was used for another content.

        """
        done = self.get(request.key)
        if done is not None and done.content != request.content:
            raise mismatch(request.key)
        return done

    def chunks(self, request_id: bytes) -> list[int]:
        """Return the chunks of an upload that are stored, ascending."""
        oldest = self._clock() - SECONDS
        found = [key.chunk for key, done in list(self._known.items()) if key.id == request_id and done.at >= oldest]
        return sorted(chunk for chunk in found if chunk != WHOLE)

    def statistics(self) -> dict[str, Any]:
        """Return how many ids are remembered, how many were forgotten before their time, and when the oldest came."""
        oldest = next((done.at for done in list(self._known.values())), None)
        return {"remembered": len(self._known), "forgotten_early": self.dropped, "oldest_at": oldest}

    def add(self, key: Key, done: Done) -> None:
        """Remember a write; the oldest ones are forgotten when there are too many."""
        self._known.pop(key, None)  # one that was forgotten by age comes again as the latest
        self._known[key] = done
        while len(self._known) > self.most:
            del self._known[next(iter(self._known))]
            self.dropped += 1

    # -- the log ---------------------------------------------------------------------------------------------------

    def expect(self, payload: bytes | memoryview, lsn: int) -> None:
        """Read a frame of ids: their writes follow, but for those that changed nothing, which have its own number."""
        at, logged = decode(payload)
        for one in logged:
            if one.lsn == lsn:
                self.add(one.request.key, Done(one.request.content, lsn, one.request.rows, at))
            else:
                self._expected.setdefault(one.lsn, []).append((one, at))

    def settle(self, lsn: int, rows: int) -> None:
        """Say that a write was applied, to so many rows."""
        for one, at in self._expected.pop(lsn, ()) if self._expected else ():
            key, content, told = one.request
            self.add(key, Done(content, lsn, rows if told == COUNTED else told, at))

    def end_of_log_file(self) -> None:
        """Say that the writes which were not there by now were cut off: no other file can hold them."""
        self._expected.clear()

    # -- the file --------------------------------------------------------------------------------------------------

    def until(self, lsn: int) -> list[tuple[Key, Done]]:
        """Return what is to be kept of the writes up to a number."""
        oldest = self._clock() - SECONDS
        return [(key, done) for key, done in self._known.items() if done.lsn <= lsn and done.at >= oldest]


def mismatch(key: Key) -> RequestMismatchError:
    """Return the error for an id that comes again with another content."""
    chunk = "" if key.chunk == WHOLE else f", chunk {key.chunk},"
    return RequestMismatchError(
        f"the request id {key.id.hex()}{chunk} was used before for another write: give each write an id of its own",
        field="request_id",
        value=key.id.hex(),
    )


def encode(logged: Iterable[Logged], at: float) -> bytes:
    """Return the payload of a frame of ids."""
    entries = [_ENTRY.pack(*request.key, request.content, lsn, request.rows) for request, lsn in logged]
    return _HEAD.pack(at, len(entries)) + b"".join(entries)


def decode(payload: bytes | memoryview) -> tuple[float, list[Logged]]:
    """Return what encode() was given."""
    at, count = _HEAD.unpack_from(payload)
    found = []
    for position in range(_HEAD.size, _HEAD.size + count * _ENTRY.size, _ENTRY.size):
        request_id, chunk, content, lsn, rows = _ENTRY.unpack_from(payload, position)
        found.append(Logged(Request(Key(request_id, chunk), content, rows), lsn))
    return at, found


def publish(directory: LocalDirectory, base: str, kept: list[tuple[Key, Done]], lsn: int) -> FileEntry:
    """Write what is remembered up to a write beside the manifests; durable on return."""
    from vecdb.storage.manifest import FileEntry

    columns = {
        "id": _bytes([key.id for key, _ in kept]),
        "chunk": numbers_array(np.array([key.chunk for key, _ in kept], np.int64)),
        "content": _bytes([done.content for _, done in kept]),
        "lsn": numbers_array(np.array([done.lsn for _, done in kept], np.int64)),
        "rows": numbers_array(np.array([done.rows for _, done in kept], np.int64)),
        "at": numbers_array(np.array([done.at for _, done in kept], np.float64)),
    }
    batch = pa.record_batch(list(columns.values()), names=list(columns))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data = sink.getvalue().to_pybytes()
    name = names.requests_name(lsn)
    directory.publish(f"{base}/{name}", data)
    return FileEntry(name, len(data), google_crc32c.value(data), xxhash.xxh3_128_hexdigest(data))


def floor_of(entry: FileEntry) -> int:
    """Return the last write whose id a file may hold."""
    match = names.REQUESTS_NAME.fullmatch(entry.name)
    return 0 if match is None else int(match[1])


def read(directory: LocalDirectory, base: str, entry: FileEntry) -> list[tuple[Key, Done]]:
    """Read and verify a file of ids.

    Raises:
        CorruptionError: the file is missing, or is not what the manifest names.

    """
    path = f"{base}/{entry.name}"
    try:
        data = directory.read(path)
    except FileNotFoundError:
        raise names.missing(path) from None
    sound = len(data) == entry.bytes and google_crc32c.value(data) == entry.crc32c
    if not sound or xxhash.xxh3_128_hexdigest(data) != entry.xxh128:
        raise names.damaged(path)
    batch = pa.ipc.open_file(pa.py_buffer(data)).get_batch(0)
    ids, contents = (_cut(batch.column(name)) for name in ("id", "content"))
    chunks, lsns, rows, at = (numbers_of(batch.column(name)).tolist() for name in ("chunk", "lsn", "rows", "at"))
    return list(zip(map(Key, ids, chunks), map(Done, contents, lsns, rows, at), strict=True))


def _bytes(values: list[bytes]) -> pa.Array:
    """Return values of 16 bytes as an array."""
    return pa.Array.from_buffers(pa.binary(16), len(values), [None, pa.py_buffer(b"".join(values))])


def _cut(values: pa.Array) -> list[bytes]:
    """Return an array's values of 16 bytes."""
    data = values.buffers()[1].to_pybytes()
    return [data[start : start + 16] for start in range(0, 16 * len(values), 16)]


def damage(directory: LocalDirectory, base: str, entry: FileEntry) -> CorruptionError | None:
    """Return what is wrong with a file of ids, or None."""
    try:
        read(directory, base, entry)
    except CorruptionError as error:
        return error
    return None
