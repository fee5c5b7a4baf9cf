"""The files of an empty collection."""

from vecdb.schema.schema import Schema
from vecdb.storage import format as names
from vecdb.storage import manifest as manifests
from vecdb.storage import wal
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.manifest import Clock, wall_clock


def create(directory: LocalDirectory, base: str, uuid: str, schema: Schema, clock: Clock = wall_clock) -> None:
    """Write an empty collection: version 1, and a log that begins with write 1."""
    for folder in (names.MANIFESTS, names.WAL, names.SEGMENTS, names.TMP):
        directory.make(f"{base}/{folder}")
    wal.LogWriter(directory, f"{base}/{names.WAL}/{names.wal_name(1, 1)}", uuid, 1, 1).close()
    manifests.commit(directory, base, manifests.Manifest(uuid, 1, 1, clock(), 0, schema))
