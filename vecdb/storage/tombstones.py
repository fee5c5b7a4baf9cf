"""Which rows of a segment are deleted, as a roaring bitmap with a checksum.

A bitmap is never changed once a view holds it; a new deletion makes a new bitmap. The checksum is not optional:
of 60 single-bit flips in a serialised bitmap the library accepted 4 as another set of the same size.
"""

import struct

import google_crc32c
from pyroaring import BitMap

from vecdb.errors import CorruptionError
from vecdb.storage import format as names
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.manifest import DeletesEntry

_HEADER = struct.Struct("<4sII")  # magic, count, crc32c of the bitmap
_MAGIC = b"VDBD"


def encode(deleted: BitMap) -> bytes:
    """Return the file's bytes."""
    body = deleted.serialize()
    return _HEADER.pack(_MAGIC, len(deleted), google_crc32c.value(body)) + body


def publish(directory: LocalDirectory, folder: str, deleted: BitMap, lsn: int) -> DeletesEntry:
    """Write a bitmap into a segment's folder; durable on return."""
    data = encode(deleted)
    name = f"del-{lsn:020d}-{names.nonce(4)}.roar"
    directory.publish(f"{folder}/{name}", data)
    return DeletesEntry(name, len(data), google_crc32c.value(data), len(deleted))


def read(directory: LocalDirectory, folder: str, entry: DeletesEntry) -> BitMap:
    """Read and verify a bitmap.

    Raises:
        CorruptionError: the file is missing, or is not what the manifest names.

    """
    path = f"{folder}/{entry.name}"
    try:
        data = directory.read(path)
    except FileNotFoundError:
        raise names.missing(path) from None
    if len(data) != entry.bytes or google_crc32c.value(data) != entry.crc32c:
        raise names.damaged(path)
    magic, count, crc = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if magic != _MAGIC or google_crc32c.value(body) != crc or count != entry.count:
        raise CorruptionError(f"{path} is damaged", path=path)
    return BitMap.deserialize(body)
