"""Repair of links: as of rows, see `vecdb/storage/repair.py`; attributes may be lost without their links."""

from __future__ import annotations

from dataclasses import replace

from pyroaring import BitMap

from vecdb.errors import CorruptionError
from vecdb.storage import format as names
from vecdb.storage import index_file, tombstones
from vecdb.storage.directory import TEMPORARY, LocalDirectory
from vecdb.storage.links.ends import Ends
from vecdb.storage.links.segment import LinkView, open_link_view
from vecdb.storage.links.writer import ATTRIBUTES, IN, KIND, OUT, incoming
from vecdb.storage.manifest import FileEntry, LinksEntry, Located, SegmentEntry
from vecdb.storage.repair_run import Repair, file_damage, set_aside
from vecdb.storage.segment_writer import file_entry


def repair_links(run: Repair, base: str, located: Located) -> LinksEntry | None:
    """Return what is kept of a version's links."""
    held = located.manifest.links
    if held is None:
        return None
    lost: list[str] = []
    entries = [_repaired(run, base, entry, lost) for entry in held.segments]
    kept = [entry for entry in entries if entry is not None]
    return replace(held, segments=_without_replaced(run, base, held, kept, lost))


def rebuild_incoming(directory: LocalDirectory, folder: str) -> FileEntry:
    """Write in.arrow of a segment again and return its entry."""
    _, out, _ = index_file.read(directory.map(f"{folder}/{OUT}"))
    building = f"{folder}/{IN}{TEMPORARY}{names.nonce()}"
    file = directory.create(building)
    try:
        index_file.write(file, KIND, incoming(out), {"types": []})
        file.sync()
    finally:
        file.close()
    directory.rename(building, f"{folder}/{IN}")
    return file_entry(directory, folder, IN)


def _repaired(run: Repair, base: str, entry: SegmentEntry, lost: list[str]) -> SegmentEntry | None:
    """Return the entry to keep, None when the links are lost; note segments whose deletions are lost."""
    folder = f"{base}/{names.SEGMENTS}/{entry.uuid}"
    files: list[FileEntry] = []
    damaged = {file.name: file_damage(run.directory, base, entry, file) for file in entry.files}
    for file in entry.files:
        error = damaged[file.name]
        if error is None:
            files.append(file)
        elif file.name == ATTRIBUTES:
            run.lose(error, f"the attributes of {entry.live} links of segment {entry.uuid} are lost")
        elif file.name != IN:
            run.lose(error, f"{entry.live} links of segment {entry.uuid} are set aside")
            run.rows_lost += entry.live
            set_aside(run.directory, base, folder, entry.uuid)
            return None
    if damaged.get(IN) is not None:
        files.append(rebuild_incoming(run.directory, folder))
        run.actions.append(f"rebuilt {folder}/{IN}")
    deletes = entry.deletes
    if deletes is not None:
        try:
            tombstones.read(run.directory, folder, deletes)
        except CorruptionError as error:
            run.lose(error, f"{deletes.count} deleted links of segment {entry.uuid} come back")
            lost.append(entry.uuid)
            deletes = None
    return replace(entry, files=tuple(sorted(files, key=lambda file: file.name)), deletes=deletes)


def _without_replaced(
    run: Repair, base: str, held: LinksEntry, entries: list[SegmentEntry], lost: list[str]
) -> tuple[SegmentEntry, ...]:
    """Delete again, where a bitmap is lost, the links that are alive elsewhere: what is there is newer."""
    repaired = {entry.uuid: entry for entry in entries}
    alive: list[LinkView] = []
    for entry in sorted(entries, key=lambda entry: (entry.uuid in lost, -entry.max_lsn)):
        view = open_link_view(run.directory, base, entry, "first_use")
        if entry.uuid in lost:
            for other in alive:
                batch = other.take_links(held.schema, other.live(), ("src", "dst", "type"))
                found = view.find_many(Ends(*batch.columns))
                view = view.without(found) if len(found) else view
            if view.deleted:
                deletes = tombstones.publish(run.directory, view.segment.folder, BitMap(view.deleted), entry.max_lsn)
                repaired[entry.uuid] = replace(entry, deletes=deletes)
        alive.append(view)
    return tuple(repaired[entry.uuid] for entry in entries)
