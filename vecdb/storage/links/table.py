"""The writer's changing picture of the links: segment views, the frozen memtable, the active one.

Touched only under the commit mutex, like the rows in `apply.py`. Every link is alive in at most one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import orjson
import pyarrow as pa

from vecdb.config import Verify
from vecdb.schema.links import link_schema
from vecdb.schema.schema import Schema
from vecdb.storage import wal
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.keys import Id, keys_of
from vecdb.storage.links.coded import DST, SRC, TYPE
from vecdb.storage.links.ends import Ends, Key
from vecdb.storage.links.graph import Bases
from vecdb.storage.links.memtable import LinkMemtable
from vecdb.storage.links.segment import LinkView, open_link_view, open_link_views
from vecdb.storage.links.state import LinkState
from vecdb.storage.manifest import Manifest, SegmentEntry
from vecdb.storage.memtable import Rows


def schema_of(manifest: Manifest) -> Schema:
    """Return the schema of a version's links: without any declared, the columns that every link has."""
    return link_schema(manifest.schema.id.field) if manifest.links is None else manifest.links.schema


def entries_of(manifest: Manifest) -> tuple[SegmentEntry, ...]:
    """Return a version's segments of links."""
    return () if manifest.links is None else manifest.links.segments


class LinkTable:
    """The links as the latest write left them."""

    def __init__(
        self,
        directory: LocalDirectory,
        base: str,
        manifest: Manifest,
        verify: Verify,
        known: dict[str, LinkView] | None = None,
        bases: Bases | None = None,
    ) -> None:
        """Open the segments of a manifest; those that are known stay open. bases are shared with states of now."""
        self._directory = directory
        self._base = base
        self._verify: Verify = verify
        self.schema = schema_of(manifest)
        self.views = open_link_views(directory, base, entries_of(manifest), verify, known)
        self.active = LinkMemtable(self.schema)
        self.frozen: LinkMemtable | None = None
        self.lsn = manifest.floor
        self.bases = bases or Bases()
        self._state: LinkState | None = None

    def state(self) -> LinkState:
        """Return the immutable view of this moment: the same one until a link changes."""
        if self._state is None:
            memtables = (self.frozen, self.active) if self.frozen is not None else (self.active,)
            self._state = LinkState(
                self.lsn,
                self.schema,
                tuple(self.views.values()),
                tuple(memtable.view(self.lsn) for memtable in memtables if memtable.rows),
                self.bases,
            )
        return self._state

    def changed_at(self, lsn: int) -> None:
        """Say that links were changed, or moved, by a write."""
        self.lsn = max(self.lsn, lsn)
        self._state = None

    def moved(self) -> None:
        """Say that links are in other parts now; none has changed."""
        self._state = None

    def freeze(self) -> None:
        """Begin another memtable; the one so far is about to become a segment."""
        if self.active.rows:
            self.frozen, self.active = self.active, LinkMemtable(self.schema)
            self._state = None

    def set_schema(self, schema: Schema) -> None:
        """Take another schema; nothing is in memory."""
        self.schema = schema
        self.active = LinkMemtable(schema)
        self._state = None

    # -- writes ----------------------------------------------------------------------------------------------------

    def upsert(self, rows: Rows, lsn: int) -> int:
        """Replace or add links; return how many were given."""
        ends = Ends(*(rows.batch.column(name) for name in (SRC, DST, TYPE)))
        self.delete(cast("list[Key]", rows.ids), lsn, ends)
        self.active.append(rows, lsn)
        return len(rows.ids)

    def delete(self, keys: Sequence[Key], lsn: int, ends: Ends | None = None) -> int:
        """Delete the live links of these names and return how many there were."""
        self.changed_at(lsn)
        count = 0
        for memtable in self._memtables:
            if memtable.index:
                count += sum(memtable.kill(key, lsn) for key in keys)  # pyright: ignore[reportArgumentType]
        if self.views and count < len(keys):
            ends = ends or Ends.of_keys(keys, self._id_type)
            for uuid, view in list(self.views.items()):
                count += self._without(uuid, view.find_many(ends))
        return count

    def cut(self, ids: Sequence[Id], lsn: int) -> int:
        """Delete all links from and to these ids and return how many there were."""
        self.changed_at(lsn)
        count = 0
        for memtable in self._memtables:
            rows = {row for value in ids for row in memtable.touching(value)}
            keys = {memtable.ids[row] for row in rows}
            count += sum(memtable.kill(key, lsn) for key in keys)
        if self.views:
            hashed, values = keys_of(ids, self._id_type), pa.array(ids, self._id_type)
            for uuid, view in list(self.views.items()):
                numbers = [view.touching(values, hashed, direction)[1] for direction in ("out", "in")]
                count += self._without(uuid, np.unique(np.concatenate(numbers)))
        return count

    def add_segments(self, entries: Sequence[SegmentEntry], lsn: int) -> int:
        """Add segments that were built past the log, each replacing older links; return how many links they have."""
        self.changed_at(lsn)
        for built in entries:
            entry = replace(built, min_lsn=lsn, max_lsn=lsn)
            view = open_link_view(self._directory, self._base, entry, self._verify)
            if self.views or any(memtable.index for memtable in self._memtables):
                batch = view.take_links(self.schema, view.live(), ("src", "dst", "type"))
                ends = Ends(*(batch.column(name) for name in ("src", "dst", "type")))
                self.delete(ends.keys() if any(memtable.index for memtable in self._memtables) else (), lsn)
                for uuid, other in list(self.views.items()):
                    self._without(uuid, other.find_many(ends))
            self.views[entry.uuid] = view
        return sum(entry.rows for entry in entries)

    def replay(self, frame: wal.Frame) -> int:
        """Apply one frame of the log that writes links; return how many there were."""
        if frame.type == wal.LINK_SEGMENTS:
            return self.add_segments(entries_in(frame.payload), frame.lsn)
        schema = self.schema.storage_schema()
        if frame.type == wal.UNLINK:
            schema = pa.schema([schema.field(name) for name in (SRC, DST, TYPE)])
        batch = pa.ipc.read_record_batch(pa.py_buffer(frame.payload), schema)
        if frame.type == wal.UNLINK:
            return self.delete(Ends(*batch.columns).keys(), frame.lsn)
        return self.upsert(link_rows(batch, len(frame.payload)), frame.lsn)

    def changed(self, keys: Sequence[Key], since: int) -> bool:
        """Tell whether a link of these names was replaced or deleted after the write `since`, or may have been."""
        if self.lsn <= since:
            return False
        left = []
        for key in keys:
            held = next((memtable for memtable in self._memtables if key in memtable.index), None)
            if held is None:
                left.append(key)
            elif held.lsn_of(held.index[key]) > since:  # pyright: ignore[reportArgumentType]
                return True
        if not left:
            return False
        ends, there = Ends.of_keys(left, self._id_type), np.zeros(len(left), bool)
        for view in self.views.values():
            found = view.has(ends)
            if view.segment.entry.max_lsn > since and found.any():
                return True
            there |= found
        return not there.all()

    def _without(self, uuid: str, numbers: np.ndarray) -> int:
        if len(numbers):
            self.views[uuid] = self.views[uuid].without(numbers)
        return len(numbers)

    @property
    def _memtables(self) -> list[LinkMemtable]:
        return [self.active] if self.frozen is None else [self.active, self.frozen]

    @property
    def _id_type(self) -> pa.DataType:
        return self.schema.id.field.arrow_type

    @property
    def bytes(self) -> int:
        """Bytes of the links that are in memory and not in a segment."""
        return sum(memtable.bytes for memtable in self._memtables)


def link_rows(batch: pa.RecordBatch, size: int) -> Rows:
    """Prepare validated links in the storage schema for a memtable; size is their length in the log, in bytes."""
    names = Ends(*(batch.column(name) for name in (SRC, DST, TYPE))).keys()
    return Rows(batch, names, {}, {}, size)  # pyright: ignore[reportArgumentType]


def entries_in(payload: bytes | memoryview) -> tuple[SegmentEntry, ...]:
    """Return the segments that a frame of the log names."""
    return tuple(SegmentEntry.from_json(entry) for entry in orjson.loads(bytes(payload)))
