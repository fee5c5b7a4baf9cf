"""Repair of indexes: a damaged one is built again from the rows, under a new name."""

from dataclasses import replace

from vecdb.schema.schema import Schema
from vecdb.storage import format as names
from vecdb.storage import index_kinds
from vecdb.storage.check import index_damage
from vecdb.storage.indexing import save
from vecdb.storage.manifest import SegmentEntry
from vecdb.storage.repair_run import Repair
from vecdb.storage.segment import Segment
from vecdb_index.factory import Wanted


def repair_indexes(run: Repair, base: str, entry: SegmentEntry, schema: Schema) -> SegmentEntry:
    """Return the entry with sound indexes; those of columns that are gone are left out."""
    columns = {column.id: column for column in index_kinds.columns(schema)}
    for index in entry.indexes:
        if index_damage(run.directory, base, entry, index) is None:
            continue
        segment = Segment(run.directory, base, replace(entry, deletes=None, indexes=()), "first_use")
        column = columns.get(index.field)
        if column is None:
            entry = replace(entry, indexes=tuple(other for other in entry.indexes if other is not index))
            run.actions.append(f"left out {segment.folder}/{index.file.name}, whose field is gone")
            continue
        name = names.index_name(column.id)
        built = index_kinds.made(segment, column, Wanted(index.kind, index.parameters), None, None)
        file = save(run.directory, segment.folder, name, index.kind, built)
        run.directory.unlink(f"{segment.folder}/{index.file.name}")  # older versions do without it
        run.directory.sync_dir(segment.folder)
        entry = entry.with_index(replace(index, file=file))
        run.actions.append(f"built {segment.folder}/{name} again")
    return entry
