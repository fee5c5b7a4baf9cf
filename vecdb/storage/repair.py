"""Repair: put back what can be put back, and say what could not.

Without loss: derived files (key indexes, norms, indexes) are rebuilt from the files they derive from, and a damaged
CURRENT is written again, naming the newest manifest. With allow_loss also: a segment whose rows cannot be read is
moved to lost+found/, a damaged deletion bitmap is taken as empty, an older version that cannot be read is forgotten,
the log is cut at its damage, and damaged request ids are forgotten.

The repaired collection is published as a new version, so a crash during repair leaves the old state.
"""

from dataclasses import replace

import pyarrow as pa
from pyroaring import BitMap

from vecdb.errors import CorruptionError
from vecdb.results import RepairReport
from vecdb.storage import arrow_file, keys, requests, tombstones
from vecdb.storage import catalog as catalogs
from vecdb.storage import format as names
from vecdb.storage import manifest as manifests
from vecdb.storage.apply import open_view
from vecdb.storage.check import check, is_derived
from vecdb.storage.directory import TEMPORARY, LocalDirectory
from vecdb.storage.links.repair import rebuild_incoming, repair_links
from vecdb.storage.links.writer import IN
from vecdb.storage.manifest import FileEntry, Located, Past, SegmentEntry
from vecdb.storage.repair_index import repair_indexes
from vecdb.storage.repair_log import first_logged, repair_log
from vecdb.storage.repair_run import LOST, Repair, file_damage, set_aside
from vecdb.storage.segment_writer import IDS, KEYS, file_entry, row_norms, vector_file


def repair(directory: LocalDirectory, allow_loss: bool) -> RepairReport:
    """Repair a database that nobody has open; the caller holds its lock.

    Raises:
        CorruptionError: something cannot be repaired without losing data and allow_loss is False.

    """
    run = Repair(directory, allow_loss)
    _repair_format(run)
    catalog = _repair_catalog(run)
    for name, uuid in sorted(catalog.collections.items()):
        _repair_collection(run, name, f"{names.COLLECTIONS}/{uuid}")
    left = [problem for problem in check(directory).problems if problem.severity != "note"]
    if left:
        raise CorruptionError(f"not everything could be repaired: {left[0].message}", path=left[0].path)
    return RepairReport(tuple(run.actions), run.rows_lost)


def _repair_format(run: Repair) -> None:
    try:
        catalogs.check_format(run.directory)
    except CorruptionError:
        catalogs.create_database(run.directory)
        run.actions.append("wrote FORMAT again")


def _repair_catalog(run: Repair) -> catalogs.Catalog:
    directory = run.directory
    try:
        return catalogs.load(directory)
    except CorruptionError as error:
        folder = f"{names.CATALOG}/{names.MANIFESTS}"
        for name in reversed(directory.list(folder)):
            try:
                content = names.unseal(directory.read(f"{folder}/{name}"), name)
            except CorruptionError:
                continue
            catalog = catalogs.from_json(content)
            catalogs.commit(directory, replace(catalog, version=catalog.version + 1))
            run.actions.append(f"wrote the catalog's CURRENT again, from version {catalog.version}")
            return catalog
        found = [name for name in directory.list(names.COLLECTIONS) if names.UUID_NAME.fullmatch(name)]
        run.lose(error, f"the names of {len(found)} collections are lost: they are now called recovered-1 and so on")
        named = {f"recovered-{number}": uuid for number, uuid in enumerate(found, 1)}
        catalog = catalogs.Catalog(1 << 20, named)
        catalogs.commit(directory, catalog)
        return catalog


def _repair_collection(run: Repair, name: str, base: str) -> None:
    located = _current(run, name, base)
    lost_bitmaps: list[str] = []
    schema = located.manifest.schema
    entries = [_repair_segment(run, base, entry, lost_bitmaps) for entry in located.manifest.segments]
    entries = [None if entry is None else repair_indexes(run, base, entry, schema) for entry in entries]
    kept = _without_replaced(run, base, [entry for entry in entries if entry is not None], lost_bitmaps)
    links = repair_links(run, base, located)
    floor = repair_log(run, base, located)
    history = _intact_history(run, base, located)
    remembered = _sound_requests(run, base, located)
    now = located.manifest
    if (floor, kept, history, remembered, links) == (now.floor, now.segments, now.history, now.requests, now.links):
        return
    if floor == now.floor and _rows_of(kept) == _rows_of(now.segments) and links == now.links:
        history = (*history, located.past())  # it lacks an index, no row; and a tag may name it
    versions = {past.version for past in history}
    manifest = replace(
        located.manifest,
        version=located.manifest.version + 1,
        epoch=located.manifest.epoch + 1,
        committed_at=manifests.wall_clock(),
        floor=floor,
        segments=kept,
        history=history,
        tags={tag: version for tag, version in located.manifest.tags.items() if version in versions},
        parent=located.sha256,
        requests=remembered,
        links=links,
    )
    manifests.commit(run.directory, base, manifest)
    run.actions.append(f"published version {manifest.version} of {name!r}")


def _rows_of(entries: tuple[SegmentEntry, ...]) -> tuple[SegmentEntry, ...]:
    return tuple(replace(entry, indexes=()) for entry in entries)


def _current(run: Repair, name: str, base: str) -> Located:
    """Return the manifest in force, writing CURRENT again if it is damaged."""
    directory = run.directory
    try:
        return manifests.load_current(directory, base)
    except CorruptionError as error:
        folder = f"{base}/{names.MANIFESTS}"
        readable = []
        for file in directory.list(folder):
            if names.MANIFEST_NAME.fullmatch(file):
                try:
                    readable.append(manifests.load(directory, base, file, None))
                except CorruptionError:
                    continue
        if not readable:
            raise CorruptionError(
                f"{error}; no manifest of {name!r} can be read, restore a backup", path=error.path
            ) from None
        newest = max(readable, key=lambda located: located.manifest.version)
        run.actions.append(f"wrote CURRENT of {name!r} again, naming version {newest.manifest.version}")
        first = first_logged(directory, base)
        if first is not None and first > newest.manifest.floor + 1:
            what = f"{name!r} goes back to version {newest.manifest.version}; segments of a later one are in {LOST}"
            run.lose(error, what)
            _set_aside_unnamed(directory, base, readable)
        current = {
            "version": newest.manifest.version,
            "file": newest.file,
            "sha256": newest.sha256,
            "epoch": newest.manifest.epoch,
            "nonce": names.nonce(),
        }
        directory.swap(f"{base}/{names.CURRENT}", names.seal(current))
        return newest


def _set_aside_unnamed(directory: LocalDirectory, base: str, readable: list[Located]) -> None:
    """Keep segments that no readable manifest names: they may hold rows that nothing else does."""
    named = {entry.uuid for located in readable for entry in located.manifest.all_segments}
    for uuid in directory.list(f"{base}/{names.SEGMENTS}"):
        if names.UUID_NAME.fullmatch(uuid) and uuid not in named:
            set_aside(directory, base, f"{base}/{names.SEGMENTS}/{uuid}", uuid)


def _sound_requests(run: Repair, base: str, located: Located) -> FileEntry | None:
    """Return the file with the request ids that are remembered, None when there is none or it is damaged."""
    entry = located.manifest.requests
    error = None if entry is None else requests.damage(run.directory, base, entry)
    if error is None:
        return entry
    run.lose(error, "the request ids of the last 24 hours are forgotten: a write that is made again is stored again")
    return None


def _intact_history(run: Repair, base: str, located: Located) -> tuple[Past, ...]:
    """Return the older versions that can be read whole, now that segments are repaired."""
    directory = run.directory
    kept = []
    for past in located.manifest.history:
        try:
            for entry in manifests.load(directory, base, past.file, past.sha256).manifest.all_segments:
                _restore_derived(run, base, entry)
                view = open_view(directory, base, entry, "first_use")
                for error in view.segment.verify_all():
                    raise error
            kept.append(past)
        except CorruptionError as error:
            tags = sorted(tag for tag, version in located.manifest.tags.items() if version == past.version)
            named = f", tagged {', '.join(tags)}," if tags else ""
            run.lose(error, f"version {past.version}{named} is forgotten: {error}")
    return tuple(kept)


def _repair_segment(run: Repair, base: str, entry: SegmentEntry, lost_bitmaps: list[str]) -> SegmentEntry | None:
    """Return the entry to keep, None when the rows are lost; note segments whose deletions are lost."""
    directory = run.directory
    folder = f"{base}/{names.SEGMENTS}/{entry.uuid}"
    files: list[FileEntry] = []
    rebuilt: list[FileEntry] = []
    for file in entry.files:
        damage = file_damage(directory, base, entry, file)
        if damage is None:
            files.append(file)
        elif is_derived(file.name):
            rebuilt.append(file)
        else:
            run.lose(damage, f"{entry.live} rows of segment {entry.uuid} are set aside in {LOST}")
            run.rows_lost += entry.live
            set_aside(directory, base, folder, entry.uuid)
            return None
    for file in rebuilt:
        files.append(_rebuild(directory, folder, file.name))
        run.actions.append(f"rebuilt {folder}/{file.name}")
    deletes = entry.deletes
    if deletes is not None:
        try:
            tombstones.read(directory, folder, deletes)
        except CorruptionError as error:
            run.lose(error, f"{deletes.count} deleted rows of segment {entry.uuid} come back")
            lost_bitmaps.append(entry.uuid)
            deletes = _own_deletes(directory, folder, entry)
    return replace(entry, files=tuple(sorted(files, key=lambda file: file.name)), deletes=deletes)


def _own_deletes(directory: LocalDirectory, folder: str, entry: SegmentEntry) -> manifests.DeletesEntry | None:
    """Return deletions that keep every id unique inside the segment, now that its bitmap is lost."""
    ids = arrow_file.read_batch(directory.map(f"{folder}/{IDS}")).column(0)
    _, replaced = keys.build(ids)
    deleted = BitMap(replaced.tolist())
    return tombstones.publish(directory, folder, deleted, entry.max_lsn) if deleted else None


def _without_replaced(
    run: Repair, base: str, entries: list[SegmentEntry], lost_bitmaps: list[str]
) -> tuple[SegmentEntry, ...]:
    """Delete again, where a bitmap is lost, the rows whose id is alive elsewhere: their newer version is."""
    if not lost_bitmaps:
        return tuple(entries)
    directory = run.directory
    alive = [open_view(directory, base, entry, "first_use") for entry in entries if entry.uuid not in lost_bitmaps]
    repaired = {entry.uuid: entry for entry in entries}
    lost = sorted((entry for entry in entries if entry.uuid in lost_bitmaps), key=lambda entry: -entry.max_lsn)
    for entry in lost:
        view = open_view(directory, base, entry, "first_use")
        for other in alive:
            ids = other.ids() if other.live() is None else other.ids().filter(pa.array(other.live()))
            rows = view.find_many(ids, keys.keys_of(ids.to_pylist(), ids.type))
            view = view.without(rows) if len(rows) else view
        if view.deleted:
            deletes = tombstones.publish(directory, view.segment.folder, view.deleted, entry.max_lsn)
            repaired[entry.uuid] = replace(entry, deletes=deletes)
        alive.append(view)
    return tuple(repaired[entry.uuid] for entry in entries)


def _rebuild(directory: LocalDirectory, folder: str, name: str) -> FileEntry:
    """Write a derived file again and return its entry."""
    if name == IN:
        return rebuild_incoming(directory, folder)
    if name == KEYS:
        batch, _ = keys.build(arrow_file.read_batch(directory.map(f"{folder}/{IDS}")).column(0))
    else:
        vectors = arrow_file.read_batch(directory.map(f"{folder}/{vector_file(int(name[5:-6]))}"))
        batch = pa.record_batch([pa.array(row_norms(arrow_file.matrix_of(vectors)))], names=["norm"])
    building = f"{folder}/{name}{TEMPORARY}{names.nonce()}"
    file = directory.create(building)
    arrow_file.write_batch(file, batch)
    file.sync()
    file.close()
    directory.rename(building, f"{folder}/{name}")
    return file_entry(directory, folder, name)


def _restore_derived(run: Repair, base: str, entry: SegmentEntry) -> None:
    """Rebuild the damaged derived files of a segment that only older versions name."""
    folder = f"{base}/{names.SEGMENTS}/{entry.uuid}"
    if any(not is_derived(file.name) and file_damage(run.directory, base, entry, file) for file in entry.files):
        return
    for file in entry.files:
        if is_derived(file.name) and file_damage(run.directory, base, entry, file) is not None:
            _rebuild(run.directory, folder, file.name)
            run.actions.append(f"rebuilt {folder}/{file.name}")
