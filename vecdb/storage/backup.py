"""Backup and restore: a database in another folder, complete, verified, and openable as it is.

A backup holds one version of each collection and no older ones. Segments are copied from the memory maps of a
pinned state, so writes, flushes and merges go on meanwhile. Into a folder that holds an older backup, unchanged
segments are linked from it, and the catalog is swapped last: an interrupted backup leaves the older one whole.
"""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import google_crc32c
import pyarrow as pa

from vecdb.errors import ConflictError, CorruptionError, UnavailableError
from vecdb.results import CheckReport
from vecdb.storage import catalog as catalogs
from vecdb.storage import format as names
from vecdb.storage import manifest as manifests
from vecdb.storage import wal
from vecdb.storage.check import NOTE, check, index_damage, is_index
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.manifest import FileEntry, Manifest, SegmentEntry
from vecdb.storage.os_errors import typed_os_errors
from vecdb.storage.recovery import log_names
from vecdb.storage.segment import Segment
from vecdb.storage.writer import Writer

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Copied:
    """What a backup did. `linked` files were already there, in an older backup."""

    files: int = 0
    copied: int = 0
    linked: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Source:
    """One version of one collection, held in memory maps."""

    manifest: Manifest
    files: dict[str, pa.Buffer]


def pin(writer: Writer) -> "_Source":
    """Flush a collection and hold everything its manifest names."""
    with writer.quiet() as state:
        manifest = state.located.manifest
        views = {view.segment.uuid: view.segment for view in state.segments}
        entries = tuple(_with_sound_indexes(entry, views[entry.uuid]) for entry in manifest.segments)
        manifest = replace(manifest, segments=entries)
        views |= {view.segment.uuid: view.segment.files for view in state.links.segments}
        files: dict[str, pa.Buffer] = {}
        for entry in manifest.all_segments:
            files.update(_held(writer.directory, writer.base, entry, views[entry.uuid]))
        if manifest.requests is not None:
            files[manifest.requests.name] = writer.directory.map(f"{writer.base}/{manifest.requests.name}")
        return _Source(manifest, files)


def _with_sound_indexes(entry: SegmentEntry, segment: Segment) -> SegmentEntry:
    """Leave out indexes that are damaged: the copy builds them again when it is opened."""
    sound = tuple(index for index in entry.indexes if segment.verify_index(index) is None)
    return replace(entry, indexes=sound)


def _held(directory: LocalDirectory, base: str, entry: SegmentEntry, segment: Segment) -> dict[str, pa.Buffer]:
    folder = f"{names.SEGMENTS}/{entry.uuid}"
    files = (*entry.files, *(index.file for index in entry.indexes))
    held = {f"{folder}/{file.name}": segment.buffer(file.name) for file in files}
    if entry.deletes is not None:
        name = f"{folder}/{entry.deletes.name}"
        held[name] = pa.py_buffer(directory.read(f"{base}/{name}"))
    return held


@typed_os_errors()
def backup(sources: dict[str, Writer], destination: Path, progress: Progress | None = None) -> Copied:
    """Copy collections into a folder that is new, empty, or an older backup; durable and verified on return.

    Raises:
        ConflictError: the folder holds something else.
        CorruptionError: a source file is damaged; the older backup stays.
        ResourceExhaustedError: the destination's disk is full.

    """
    target = LocalDirectory(destination)
    old = _prepare(target)
    lock = target.lock(names.LOCK)
    try:
        done = Copied()
        named: dict[str, str] = {}
        for number, (name, writer) in enumerate(sorted(sources.items())):
            if progress is not None:
                progress(name, number, len(sources))
            try:
                source = pin(writer)
            except (UnavailableError, FileNotFoundError):
                if catalogs.names_folder(writer.directory, writer.base):
                    raise
                continue  # it was dropped meanwhile
            uuid = names.new_uuid()
            before = f"{names.COLLECTIONS}/{old.collections[name]}" if name in old.collections else None
            _write_collection(target, uuid, source, before, done)
            named[name] = uuid
        fresh = catalogs.Catalog(old.version + 1, named)
        catalogs.commit(target, fresh)
        catalogs.create_database(target)
        catalogs.remove_unnamed(target, fresh)
        return done
    finally:
        lock.close()


def _prepare(target: LocalDirectory) -> catalogs.Catalog:
    if target.exists(names.FORMAT):
        catalogs.check_format(target)
        return catalogs.load(target)
    catalogs.make_folder(target)
    target.make(f"{names.CATALOG}/{names.MANIFESTS}")
    target.make(names.COLLECTIONS)
    return catalogs.Catalog(0, {})


def _write_collection(target: LocalDirectory, uuid: str, source: _Source, before: str | None, done: Copied) -> None:
    """Write one version of a collection under a new folder."""
    base = f"{names.COLLECTIONS}/{uuid}"
    for folder in (names.MANIFESTS, names.WAL, names.SEGMENTS, names.TMP):
        target.make(f"{base}/{folder}")
    manifest = source.manifest
    for entry in manifest.all_segments:
        folder = f"{names.SEGMENTS}/{entry.uuid}"
        target.make(f"{base}/{folder}")
        deletes = (
            [FileEntry(entry.deletes.name, entry.deletes.bytes, entry.deletes.crc32c, "")] if entry.deletes else []
        )
        for file in (*entry.files, *deletes, *(index.file for index in entry.indexes)):
            _place(target, f"{folder}/{file.name}", source, base, before, file, done)
        target.sync_dir(f"{base}/{folder}")
    if manifest.requests is not None:
        _place(target, manifest.requests.name, source, base, before, manifest.requests, done)
        target.sync_dir(base)
    first = manifest.floor + 1
    wal.LogWriter(target, f"{base}/{names.WAL}/{names.wal_name(1, first)}", uuid, 1, first).close()
    tags = {name: version for name, version in manifest.tags.items() if version == manifest.version}
    manifests.commit(target, base, replace(manifest, collection=uuid, history=(), tags=tags))


def _place(
    target: LocalDirectory, name: str, source: _Source, base: str, before: str | None, file: FileEntry, done: Copied
) -> None:
    """Put one file in its place: linked from the older backup if it is there, else copied."""
    if before is not None and _link(target, f"{before}/{name}", f"{base}/{name}", file):
        done.linked += 1
    else:
        _copy(target, f"{base}/{name}", source.files[name], file)
        done.copied += 1
        done.bytes += file.bytes
    done.files += 1


def _link(target: LocalDirectory, old: str, new: str, file: FileEntry) -> bool:
    """Link a file of the older backup when it is the same one; False when it has to be copied."""
    with contextlib.suppress(OSError):
        held = target.map(old)
        if held.size == file.bytes and google_crc32c.value(held) == file.crc32c:
            target.path(new).hardlink_to(target.path(old))
            return True
    return False


def _copy(target: LocalDirectory, name: str, data: pa.Buffer, file: FileEntry) -> None:
    if data.size != file.bytes or google_crc32c.value(data) != file.crc32c:
        raise names.damaged(name)
    writer = target.create(name)
    try:
        writer.write(data)
        writer.sync()
    finally:
        writer.close()


@typed_os_errors()
def restore(source: Path, destination: Path) -> CheckReport:
    """Copy the newest version of each collection of a database to a new folder, verifying all of it first.

    Indexes that are damaged are left out: the copy builds them again when it is opened.

    Raises:
        NotFoundError: there is no database in source.
        ConflictError: destination exists and is not an empty folder, or source has writes that no version holds.
        CorruptionError: the source is damaged, or holds links; nothing was written.

    """
    origin = LocalDirectory(source)
    catalogs.check_format(origin)
    _refuse_links(source)
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise ConflictError(f"{destination} exists and is not an empty folder: restore never overwrites")
    found = [problem for problem in check(origin).problems if problem.severity != NOTE]
    damaged = [problem for problem in found if not is_index(problem.path)]
    if damaged:
        first = damaged[0]
        raise CorruptionError(f"the backup in {source} is damaged: {first.message}", path=first.path)
    held = {
        name: _from_disk(origin, f"{names.COLLECTIONS}/{uuid}")
        for name, uuid in catalogs.load(origin).collections.items()
    }
    target = LocalDirectory(destination)
    _prepare(target)
    named = {name: names.new_uuid() for name in held}
    try:
        for name, one in held.items():
            _write_collection(target, named[name], one, None, Copied())
        catalogs.commit(target, catalogs.Catalog(1, named))
        catalogs.create_database(target)
    except BaseException:
        for folder in (names.COLLECTIONS, names.CATALOG):  # or it could not be tried again
            target.remove_tree(folder)
        raise
    return check(target)


def _from_disk(origin: LocalDirectory, base: str) -> _Source:
    """Hold the version in force of a backup."""
    manifest = manifests.load_current(origin, base).manifest
    for path in log_names(origin, base):
        if any(frame.lsn > manifest.floor for frame in wal.scan(origin.read(path), path).frames):
            raise ConflictError(f"{origin.root} is a database in use, not a backup: make a backup of it first")
    entries = tuple(
        replace(entry, indexes=tuple(one for one in entry.indexes if index_damage(origin, base, entry, one) is None))
        for entry in manifest.segments
    )
    manifest = replace(manifest, segments=entries)
    files: dict[str, pa.Buffer] = {}
    for entry in manifest.all_segments:
        listed: Iterable[str] = [file.name for file in (*entry.files, *(index.file for index in entry.indexes))]
        if entry.deletes is not None:
            listed = [*listed, entry.deletes.name]
        for name in listed:
            path = f"{names.SEGMENTS}/{entry.uuid}/{name}"
            files[path] = origin.map(f"{base}/{path}")
    if manifest.requests is not None:
        files[manifest.requests.name] = origin.map(f"{base}/{manifest.requests.name}")
    return _Source(manifest, files)


def _refuse_links(source: Path) -> None:
    for path in source.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise CorruptionError(f"{path} is a link or a special file: a backup holds neither", path=str(path))
