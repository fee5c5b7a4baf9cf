"""What a logged write does to the rows in memory: the same when it is committed and when it is replayed.

Live is the writer's changing picture: segment views, the frozen memtable while a flush runs, the active memtable.
It is touched only under the commit mutex. Every id is alive in at most one place.
"""

from collections.abc import Set
from dataclasses import replace

import google_crc32c
import numpy as np
import orjson
import pyarrow as pa
from pyroaring import BitMap

from vecdb.config import Verify
from vecdb.errors import CorruptionError
from vecdb.schema.arrays import numbers_array, python_array
from vecdb.schema.schema import Schema
from vecdb.storage import tombstones, wal
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.frames import Frame
from vecdb.storage.keys import Id, keys_of
from vecdb.storage.links.table import LinkTable
from vecdb.storage.manifest import Located, Manifest, SegmentEntry, wall_clock
from vecdb.storage.memtable import ALIVE, Memtable, Rows
from vecdb.storage.requests import Requests
from vecdb.storage.segment import Segment
from vecdb.storage.snapshot import SegmentView, State


def schema_id(schema: Schema) -> int:
    """Return the number by which the log says under which schema a write was made."""
    return google_crc32c.value(orjson.dumps(schema.to_json(), option=orjson.OPT_SORT_KEYS))


class Live:
    """The rows as the latest write left them."""

    def __init__(
        self,
        directory: LocalDirectory,
        base: str,
        located: Located,
        verify: Verify,
        known: "Live | None" = None,
        requests: Requests | None = None,
    ) -> None:
        """Open the segments of a manifest, at its floor; those that are known stay open and verified.

        requests are those up to the floor; without them no request id is remembered.
        """
        self.directory = directory
        self.base = base
        self.located = located
        self.schema: Schema = located.manifest.schema
        self.schema_id = schema_id(self.schema)
        self.lsn = located.manifest.floor
        self.active = Memtable(self.schema)
        self.frozen: Memtable | None = None
        self.requests = Requests(0, wall_clock) if requests is None else requests
        self._verify: Verify = verify
        self.views = open_views(directory, base, located.manifest, verify, None if known is None else known.views)
        self.links = _links(directory, base, located.manifest, verify, known)

    @property
    def bytes(self) -> int:
        """Bytes of the rows and links that came since the last flush began."""
        return self.active.bytes + self.links.active.bytes

    def state(self) -> State:
        """Return the immutable view of this moment."""
        memtables = (self.frozen, self.active) if self.frozen is not None else (self.active,)
        return State(
            self.lsn,
            self.schema,
            self.located,
            tuple(self.views.values()),
            tuple(memtable.view(self.lsn) for memtable in memtables if memtable.rows),
            self.links.state(),
        )

    def upsert(self, rows: Rows, lsn: int) -> None:
        """Replace or add rows."""
        self.delete(rows.ids, lsn)
        self.active.append(rows, lsn)
        self.lsn = lsn

    def delete(self, ids: list[Id], lsn: int) -> int:
        """Delete the live rows of these ids and return how many there were."""
        self.lsn = lsn
        rest = [value for value in ids if not self.active.kill(value, lsn)]
        if self.frozen is not None:
            frozen = self.frozen
            rest = [value for value in rest if not frozen.kill(value, lsn)]
        return len(ids) - len(rest) + self._delete_from_segments(rest)

    def changed(self, ids: list[Id], since: int, absent: Set[Id] = frozenset()) -> bool:
        """Tell whether a row of these ids was replaced or deleted after the write `since`, or may have been.

        Ids that were absent then have changed if they are here now.
        """
        if self.lsn == since:
            return False
        id_type = self.schema.id.field.arrow_type
        for value, key in zip(ids, keys_of(ids, id_type), strict=True):
            lsn = self._row_lsn(value, int(key))
            if lsn > since and not (lsn == ALIVE and value in absent):
                return True
        return False

    def _row_lsn(self, value: Id, key: int) -> int:
        """Return the lsn of an id's live row: exact in memtables, the segment's last elsewhere, endless if gone."""
        for memtable in (self.active, self.frozen):
            if memtable is not None and value in memtable.index:
                return memtable.lsn_of(memtable.index[value])
        for view in self.views.values():
            if view.find(value, key) >= 0:
                return view.segment.entry.max_lsn
        return ALIVE

    def _delete_from_segments(self, ids: list[Id]) -> int:
        if not ids or not self.views:
            return 0
        id_type = self.schema.id.field.arrow_type
        keys = keys_of(ids, id_type)
        if len(ids) == 1:
            for uuid, view in self.views.items():
                row = view.find(ids[0], int(keys[0]))
                if row >= 0:
                    self.views[uuid] = view.without(np.array([row]))
                    return 1
            return 0
        order = np.argsort(keys)  # sorted probes walk each index once, in order
        return self._delete_keys(python_array(ids, id_type).take(numbers_array(order)), keys[order])

    def _delete_keys(self, values: pa.Array, keys: np.ndarray) -> int:
        deleted = 0
        for uuid, view in list(self.views.items()):
            rows = view.find_many(values, keys)
            if len(rows):
                self.views[uuid] = view.without(rows)
                deleted += len(rows)
        return deleted

    def add_segments(self, entries: tuple[SegmentEntry, ...], lsn: int) -> int:
        """Add bulk-loaded segments, each replacing older rows of its ids; return how many rows are new to count."""
        rows = 0
        for built in entries:
            entry = replace(built, min_lsn=lsn, max_lsn=lsn)
            view = open_view(self.directory, self.base, entry, self._verify)
            index = view.segment.index()
            for memtable in (self.active, self.frozen):
                if memtable is not None and memtable.index:
                    for value in memtable.index.keys() & set(view.ids().to_pylist()):
                        memtable.kill(value, lsn)
            if self.views:
                self._delete_keys(view.ids().take(pa.array(index.rows)), index.keys)
            self.views[entry.uuid] = view
            rows += len(index.keys)
        self.lsn = lsn
        return rows

    def apply(self, frame: Frame) -> None:
        """Apply a frame that was just logged, and tell its writes how many rows they had."""
        if frame.kind == wal.REQUESTS:
            self.lsn = frame.lsn
            self.requests.expect(frame.payload, frame.lsn)
            return
        first = frame.writes[0]
        if frame.kind == wal.LINK:
            assert frame.upserted is not None
            first.rows = self._links(frame.lsn, self.links.upsert(frame.upserted, frame.lsn))
        elif frame.kind == wal.UNLINK:
            first.rows = self._links(frame.lsn, self.links.delete(first.links, frame.lsn))
        elif frame.kind == wal.LINK_SEGMENTS:
            first.rows = self._links(frame.lsn, self.links.add_segments(first.segments, frame.lsn))
        elif frame.kind == wal.DELETE_CASCADE:
            first.rows = self._cascade(first.ids, frame.lsn)
        elif frame.kind == wal.UPSERT:
            assert frame.upserted is not None
            self.upsert(frame.upserted, frame.lsn)
            for write in frame.writes:
                write.rows = len(write.ids)
        elif frame.kind == wal.DELETE:
            first.rows = self.delete(first.ids, frame.lsn)
        else:
            first.rows = self.add_segments(first.segments, frame.lsn)
        self.requests.settle(frame.lsn, first.rows)

    def _links(self, lsn: int, count: int) -> int:
        """Say that a write of links is applied; return how many it had."""
        self.lsn = lsn
        return count

    def _cascade(self, ids: list[Id], lsn: int) -> int:
        """Delete the live rows of these ids, and all links of the ids; return how many rows there were."""
        self.links.cut(ids, lsn)
        return self.delete(ids, lsn)

    def replay(self, frame: wal.Frame, path: str) -> None:
        """Apply one frame of the log."""
        if frame.type == wal.REQUESTS:
            self.lsn = frame.lsn
            self.requests.expect(frame.payload, frame.lsn)
        else:
            self.requests.settle(frame.lsn, self._replay(frame, path))

    def _replay(self, frame: wal.Frame, path: str) -> int:
        """Apply a write and return how many rows it had."""
        if frame.schema_id != self.schema_id:
            raise CorruptionError(f"{path}: write {frame.lsn} was made under another schema", path=path)
        if frame.type == wal.SEGMENTS:
            entries = tuple(SegmentEntry.from_json(entry) for entry in orjson.loads(bytes(frame.payload)))
            return self.add_segments(entries, frame.lsn)
        if frame.type in (wal.LINK, wal.UNLINK, wal.LINK_SEGMENTS):
            return self._links(frame.lsn, self.links.replay(frame))
        schema = self.schema.storage_schema()
        if frame.type in (wal.DELETE, wal.DELETE_CASCADE):
            schema = pa.schema([schema.field(self.schema.id.storage_name)])
        elif frame.type != wal.UPSERT:
            raise CorruptionError(f"{path}: write {frame.lsn} is of the unknown type {frame.type}", path=path)
        batch = pa.ipc.read_record_batch(pa.py_buffer(frame.payload), schema)
        if frame.type == wal.DELETE:
            return self.delete(batch.column(0).to_pylist(), frame.lsn)
        if frame.type == wal.DELETE_CASCADE:
            return self._cascade(batch.column(0).to_pylist(), frame.lsn)
        self.upsert(Rows.of(batch, self.schema, len(frame.payload)), frame.lsn)
        return batch.num_rows


def _links(directory: LocalDirectory, base: str, manifest: Manifest, verify: Verify, known: Live | None) -> LinkTable:
    if known is None:
        return LinkTable(directory, base, manifest, verify)
    return LinkTable(directory, base, manifest, verify, known.links.views, known.links.bases)


def open_view(directory: LocalDirectory, base: str, entry: SegmentEntry, verify: Verify) -> SegmentView:
    """Map one segment and read its deletions."""
    segment = Segment(directory, base, entry, verify)
    deleted = tombstones.read(directory, segment.folder, entry.deletes) if entry.deletes else BitMap()
    return SegmentView(segment, deleted)


def open_views(
    directory: LocalDirectory,
    base: str,
    manifest: Manifest,
    verify: Verify,
    known: dict[str, SegmentView] | None = None,
) -> dict[str, SegmentView]:
    """Return a view of each segment as the manifest describes it; segments that are open already are shared."""
    views = {}
    for entry in manifest.segments:
        old = (known or {}).get(entry.uuid)
        if old is None:
            views[entry.uuid] = open_view(directory, base, entry, verify)
            continue
        deleted = tombstones.read(directory, old.segment.folder, entry.deletes) if entry.deletes else BitMap()
        views[entry.uuid] = SegmentView(old.segment.with_indexes(directory, entry), deleted)
    return views
