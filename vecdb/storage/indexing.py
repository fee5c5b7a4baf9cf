"""Building indexes beside reads and writes: what is missing, and making it.

An index is built from a pinned segment into tmp/, synced, read back and compared, and only then moved to its segment
and named by a new version. Searches use the exact scan until then; a crash leaves a file in tmp/ that the next
opening removes. A segment that is merged away meanwhile takes its index with it.
"""

import contextlib
import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vecdb.errors import CorruptionError, ResourceExhaustedError, UnavailableError
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column, Schema
from vecdb.storage import format as names
from vecdb.storage import index_file, index_kinds
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.manifest import FileEntry, IndexEntry, SegmentEntry
from vecdb.storage.os_errors import typed_os_errors
from vecdb.storage.segment import Segment
from vecdb.storage.segment_writer import file_entry
from vecdb.storage.snapshot import SegmentView, State
from vecdb.storage.writer import Writer
from vecdb_index.factory import Wanted

if TYPE_CHECKING:
    from vecdb_index.factory import Stored

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Missing:
    """A segment without the index that one of its columns should have."""

    view: SegmentView
    column: Column
    what: Wanted

    @property
    def rows(self) -> int:
        """Rows of the segment."""
        return self.view.rows

    @property
    def place(self) -> tuple[str, int]:
        """The segment's name and the column's number."""
        return self.view.segment.uuid, self.column.id


def missing(state: State) -> list[Missing]:
    """Return the indexes to build, the largest segments first."""
    found = []
    for column in index_kinds.columns(state.schema):
        for view in state.segments:
            what = index_kinds.wanted(column, view.rows)
            if what is None or not view.segment.has(column):
                continue
            entry = view.segment.index_entry(column.id)
            made_so = entry is not None and (entry.kind, entry.parameters) == what
            if not made_so or view.segment.index_problem(column.id) is not None:
                found.append(Missing(view, column, what))
    return sorted(found, key=lambda each: -each.rows)


class Indexer:
    """Builds what is missing, one index at a time; `progress` tells how far the present one is."""

    def __init__(self, writer: Writer, pool: ThreadPoolExecutor) -> None:
        self._writer = writer
        self._pool = pool
        self._building = threading.RLock()  # whoever watches a build may close the database
        self._closing = False
        self._damaged: dict[tuple[str, int], CorruptionError] = {}
        self._done: tuple[int, int] | None = None
        self._watcher: Progress | None = None

    @property
    def progress(self) -> tuple[int, int] | None:
        """(rows done, rows) of the index that is being built; None when none is."""
        return self._done

    def missing(self) -> list[Missing]:
        """Return the indexes to build, those that failed on damaged rows left out."""
        return [todo for todo in missing(self._writer.state) if todo.place not in self._damaged]

    def build_all(self, watcher: Progress | None = None) -> int:
        """Build all that is missing; return how many that were.

        Raises:
            CorruptionError: rows of a segment are damaged; the others have their indexes by then.

        """
        count = 0
        while self.build_next(watcher):
            count += 1
        for todo in missing(self._writer.state):
            damage = self._damaged.get(todo.place)
            if damage is not None:
                raise CorruptionError(str(damage), path=damage.path) from damage
        return count

    def build_next(self, watcher: Progress | None = None) -> bool:
        """Build the index of the largest segment that misses one; False when none does.

        One whose rows turn out to be damaged is left out from then on.
        """
        with self._building:
            todo = self.missing()
            if not todo or self._closing:
                return False
            self._watcher = watcher
            try:
                build(self._writer, todo[0], self._pool, self._told)
            except CorruptionError as error:
                self._damaged[todo[0].place] = error
            finally:
                self._done = self._watcher = None
            return True

    def carry(self, schema: Schema, inputs: list[SegmentView], output: SegmentEntry) -> SegmentEntry:
        """Give a merged segment the indexes that its inputs had, mended and completed; see `compaction.merge`.

        Where the disk has no room for one, or fails, the segment does without: a merge is what makes room.
        """
        for column in index_kinds.columns(schema):
            what = index_kinds.wanted(column, output.rows)
            known = [index_kinds.known(view.segment, column) for view in inputs]
            if what is None or not any(index is not None for index in known):
                continue  # built afterwards, like that of any other segment
            segment = Segment(self._writer.directory, self._writer.base, replace(output, indexes=()), "never")
            rows = [_live(view) for view in inputs]
            parts = list(zip(known, rows, strict=True))
            index = index_kinds.made(segment, column, what, self._pool, self._checked, parts)
            name = names.index_name(column.id)
            try:
                self._writer.check_space(index.bytes)
                file = save(self._writer.directory, segment.folder, name, what.kind, index)
                self._writer.directory.sync_dir(segment.folder)
            except (ResourceExhaustedError, OSError):
                with contextlib.suppress(OSError):  # the next clean-up tries again
                    self._writer.directory.unlink(f"{segment.folder}/{name}")
                continue
            output = output.with_index(IndexEntry(column.id, what.kind, file, what.parameters))
        return output

    def _checked(self, done: int, rows: int) -> None:
        if self._closing:
            raise UnavailableError("the database is closed")

    def _told(self, done: int, rows: int) -> None:
        self._checked(done, rows)
        self._done = done, rows
        if self._watcher is not None:
            self._watcher(done, rows)

    def close(self) -> None:
        """Stop at the next batch of rows and wait for that; the rest is built when the database is open again."""
        self._closing = True
        with self._building:
            pass


@typed_os_errors()
def build(writer: Writer, todo: Missing, pool: ThreadPoolExecutor, progress: Progress) -> bool:
    """Build and publish one index; False when its segment is gone by then."""
    progress(0, todo.rows)
    index = index_kinds.made(todo.view.segment, todo.column, todo.what, pool, progress)
    name = names.index_name(todo.column.id)
    built = f"{writer.base}/{names.TMP}/{name}"
    writer.check_space(index.bytes)
    try:
        file = save(writer.directory, f"{writer.base}/{names.TMP}", name, todo.what.kind, index)
        entry = IndexEntry(todo.column.id, todo.what.kind, file, todo.what.parameters)
        return writer.publish_index(todo.view.segment.uuid, built, entry)
    finally:
        writer.directory.unlink(built)


def _live(view: SegmentView) -> np.ndarray:
    """Return the numbers of the rows that a merge copies."""
    live = view.live()
    return np.arange(view.rows) if live is None else np.flatnonzero(live)


def save(directory: LocalDirectory, folder: str, name: str, kind: str, index: "Stored") -> FileEntry:
    """Write an index, durable on return, and read it back."""
    arrays, settings = index.arrays(), index.settings()
    file = directory.create(f"{folder}/{name}")
    try:
        index_file.write(file, kind, arrays, settings)
        file.sync()
    finally:
        file.close()
    # A full disk has been seen to cut a file without an error: it is read back before anything names it.
    if not _holds(directory.map(f"{folder}/{name}"), kind, arrays, settings):
        raise OSError(errno.EIO, "the file does not hold what was written", name)
    return file_entry(directory, folder, name)


def _holds(buffer: pa.Buffer, kind: str, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> bool:
    try:
        found = index_file.read(buffer)
    except (pa.ArrowInvalid, OSError):
        return False
    same = found[0] == kind and found[2] == settings and found[1].keys() == arrays.keys()
    return same and all(np.array_equal(found[1][name], array) for name, array in arrays.items())


def described(state: State) -> dict[str, Any]:
    """Return what `stats` shows of each column: how many live rows are searched in which way, and what is missing.

    Rows that have no index yet are scanned for vectors; for words they have one in memory. Of encodings of
    multi-vectors it also shows how long they are, and the recall that was measured when they were made.
    """
    waiting = missing(state)
    told: dict[str, Any] = {}
    for column in index_kinds.columns(state.schema):
        kind, without = index_kinds.kind_of(column), index_kinds.without_index(column)
        rows: dict[str, int] = {without: state.memtable_rows}
        problems, size = [], 0
        for view in state.segments:
            entry, problem = view.segment.index_entry(column.id), view.segment.index_problem(column.id)
            meant = index_kinds.wanted(column, view.rows) is not None
            used = entry.kind if entry is not None and problem is None and meant else without
            rows[used] = rows.get(used, 0) + view.live_rows
            size += 0 if entry is None else entry.file.bytes
            problems += [problem] if problem is not None else []
        told[column.name] = {
            "index": kind,
            "rows": {kind: count for kind, count in rows.items() if count},
            "pending_rows": sum(each.view.live_rows for each in waiting if each.column is column),
            "bytes": size,
            "problems": problems,
        }
        if isinstance(column.field, MultiVector):
            held = [index_kinds.encodings(view.segment, column) for view in state.segments]
            told[column.name]["encodings"] = [one for one in held if one is not None]
    return told
