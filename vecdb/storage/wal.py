"""Write-ahead log: bytes on disk, appending, and reading back.

    file  = frame*, then zeros or nothing; the first frame is a FILE frame
    frame = magic u32 | length u32 | lsn u64 | type u8 | pad 1 | unsynced u16 | schema id u32 | reserved 16 B
            | crc32c u32 | payload | zeros to a multiple of 8

The crc covers the header before it, and the payload. A frame's lsn is its predecessor's plus one; the FILE frame
carries the lsn before the first. `unsynced` counts the frames before this one that were appended since the last sync:
those of its own group commit, or of a whole session without syncs (it stops at 65535).

The file is extended with written zeros ahead of the frames, so that an fdatasync need not change the file's size: this
doubles the commit rate, and a zero magic ends the log.

A bad frame ends a file. It is a torn tail, cut off and reported, when every valid frame behind it was appended before
the bad one was synced: pages of one unsynced group may reach the disk in any order. A valid frame behind it that was
appended later proves that the bad one had been synced: that is corruption.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import google_crc32c
import orjson

from vecdb.errors import CorruptionError
from vecdb.storage import format as names
from vecdb.storage.directory import TEMPORARY, LocalDirectory

MAGIC = 0x4C444256  # "VBDL", little-endian
HEADER = struct.Struct("<IIQBxHI16s")
CRC = struct.Struct("<I")
PREFIX = HEADER.size + CRC.size

FILE = 0
UPSERT = 1  # payload: one Arrow record batch message in the storage schema
DELETE = 2  # payload: one Arrow record batch message with the id column
SEGMENTS = 3  # payload: JSON list of segment entries whose files are already durable
REQUESTS = 4  # payload: the request ids of writes behind it, see requests.py
LINK = 5  # payload: one Arrow record batch message in the storage schema of links
UNLINK = 6  # payload: one Arrow record batch message with source, destination and type
LINK_SEGMENTS = 7  # payload: JSON list of entries of segments of links, as of SEGMENTS
DELETE_CASCADE = 8  # payload: as of DELETE; the links of the ids go too

_RESERVED = bytes(16)
UNSYNCED_MOST = 0xFFFF
EXTEND = 1 << 20


@dataclass(frozen=True, slots=True)
class Frame:
    """One logged write."""

    lsn: int
    type: int
    schema_id: int
    payload: memoryview
    unsynced: int = 0


def encode(
    lsn: int,
    kind: int,
    schema_id: int,
    payload: bytes | memoryview,
    unsynced: int = 0,
) -> bytes:
    """Return a frame's bytes, padded to a multiple of 8; unsynced frames stand before it since the last sync."""
    header = HEADER.pack(MAGIC, len(payload), lsn, kind, min(unsynced, UNSYNCED_MOST), schema_id, _RESERVED)
    crc = google_crc32c.extend(google_crc32c.value(header), bytes(payload))
    padding = -(PREFIX + len(payload)) % 8
    return b"".join((header, CRC.pack(crc), payload, bytes(padding)))


class LogWriter:
    """Appends frames to one log file. A failed write or sync leaves the outcome unknown: never use it again."""

    def __init__(self, directory: LocalDirectory, name: str, collection: str, epoch: int, first_lsn: int) -> None:
        """Create the file with its FILE frame; both are durable on return.

        The file gets its name only once its first frame is on the disk, so that a log without one is damage.
        """
        self.name = name
        self.unsynced = 0
        folder, _, file = name.rpartition("/wal/")
        building = f"{folder}/tmp/{file}{TEMPORARY}{names.nonce()}"  # nosec B108
        self._file = directory.create(building)
        self._end = 0
        content = orjson.dumps({"collection": collection, "epoch": epoch, "first_lsn": first_lsn})
        try:
            self.append(encode(first_lsn - 1, FILE, 0, content))
            self.sync()
            directory.rename(building, name)
        except BaseException:
            self._file.close()
            raise

    def append(self, frames: bytes) -> None:
        """Write frames behind the last; not durable before sync()."""
        if self._file.tell() + len(frames) > self._end:
            self._end = self._file.tell() + len(frames) + EXTEND
            self._file.write(frames + bytes(EXTEND))
            self._file.seek(self._file.tell() - EXTEND)
        else:
            self._file.write(frames)

    def sync(self) -> None:
        """Return once everything appended is on the disk."""
        self._file.sync()
        self.unsynced = 0

    def size(self) -> int:
        """Return the bytes of frames written, without the zeros behind them."""
        return self._file.tell()

    def close(self, trim: bool = True) -> None:
        """Close the file; trim cuts the zeros, so that a closed log ends with its last frame."""
        try:
            if trim:
                self._file.truncate(self._file.tell())
                self._file.sync()
        finally:
            self._file.close()


@dataclass(frozen=True, slots=True)
class Scan:
    """What one log file holds. `end` is the position behind the last good frame, `cut` the torn bytes behind it."""

    first_lsn: int
    frames: list[Frame]
    end: int
    cut: int


def frames(data: bytes | memoryview, position: int = 0) -> Iterator[tuple[Frame, int]]:
    """Yield each valid frame from position on, with the position behind it, up to the first that is not."""
    view = memoryview(data)
    size = len(view)
    while position + PREFIX <= size:
        frame = _frame_at(view, position, size)
        if frame is None:
            return
        position += PREFIX + len(frame.payload) + -(PREFIX + len(frame.payload)) % 8
        yield frame, position


def _frame_at(view: memoryview, position: int, size: int) -> Frame | None:
    magic, length, lsn, kind, unsynced, schema_id, _ = HEADER.unpack_from(view, position)
    if magic != MAGIC or position + PREFIX + length > size:
        return None
    start = position + PREFIX
    payload = view[start : start + length]
    crc = google_crc32c.extend(google_crc32c.value(bytes(view[position : position + HEADER.size])), bytes(payload))
    if CRC.unpack_from(view, start - CRC.size)[0] != crc:
        return None
    return Frame(lsn, kind, schema_id, payload, unsynced)


def scan(data: bytes, path: str) -> Scan:
    """Read one whole log file.

    Raises:
        CorruptionError: no FILE frame, an lsn out of order, or a bad frame that had been synced.

    """
    found = list(frames(data))
    if not found or found[0][0].type != FILE:
        raise CorruptionError(f"{path} is damaged: it does not begin with a log header", path=path)
    first_lsn = orjson.loads(found[0][0].payload)["first_lsn"]
    for expected, (frame, _) in enumerate(found, first_lsn - 1):
        if frame.lsn != expected:
            raise CorruptionError(f"{path} is damaged: write {frame.lsn} stands where {expected} belongs", path=path)
    end = found[-1][1]
    rest = data[end:]
    last = found[-1][0].lsn
    behind = _synced_behind(rest, last + 1)
    if behind is not None:
        raise CorruptionError(
            f"{path} is damaged at byte {end}: writes {last + 1} to {behind - 1} cannot be read, write {behind} can",
            path=path,
        )
    return Scan(first_lsn, [frame for frame, _ in found[1:]], end, len(rest.rstrip(b"\0")))


def _synced_behind(rest: bytes, unreadable: int) -> int | None:
    """Return the lsn of a valid frame that was appended after the write `unreadable` was synced, if there is one."""
    needle = MAGIC.to_bytes(4, "little")
    view = memoryview(rest)
    position = rest.find(needle)
    while position >= 0:
        if position + PREFIX <= len(rest):
            frame = _frame_at(view, position, len(rest))
            if frame is not None and frame.unsynced < UNSYNCED_MOST and frame.lsn - frame.unsynced > unreadable:
                return frame.lsn
        position = rest.find(needle, position + 1)
    return None
