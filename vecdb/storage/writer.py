"""The one writer of a collection: commits writes, flushes the memtable, publishes versions.

Locks, always taken in this order:
  merging        one merge at a time, from the choice of its inputs on; held while the merged segment is written
  _maintenance   one of flush, merge commit, schema change, tag, backup at a time; held while files are written
  mutex          the rows in memory and the log; held for one group of writes, never while a segment is written

Reads take neither: they use `state`, which is replaced in one step after each group.

A failed write or sync of the log stops the writer for good (outcome unknown): pages may have been marked clean
although they never reached the disk, so syncing again proves nothing. Reads go on; reopening recovers.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from pyroaring import BitMap

from vecdb.config import Settings
from vecdb.errors import CorruptionError, ResourceExhaustedError, UnavailableError
from vecdb.schema.schema import Schema
from vecdb.storage import format as names
from vecdb.storage import manifest as manifests
from vecdb.storage import requests, tombstones, wal
from vecdb.storage.accept import accept
from vecdb.storage.apply import open_view, open_views, schema_id
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.frames import frames_of
from vecdb.storage.group_commit import GroupCommit, Write
from vecdb.storage.links.maintenance import Flushed
from vecdb.storage.links.segment import LinkView
from vecdb.storage.manifest import Clock, FileEntry, IndexEntry, Located, SegmentEntry, wall_clock
from vecdb.storage.memtable import Memtable
from vecdb.storage.os_errors import typed_os_errors
from vecdb.storage.recovery import LogFile, empty_tmp, list_files, open_collection, referenced, remove
from vecdb.storage.requests import Requests
from vecdb.storage.segment_writer import SegmentWriter
from vecdb.storage.shown import Shows, Word
from vecdb.storage.snapshot import SegmentView, State

LOG_FILES = 16
"""A writer that opens and closes often leaves a log file each time; more than this many are flushed."""

Builder = TypeVar("Builder", bound=SegmentWriter)


class Writer(Shows):
    """Owns a collection's files. `state` is what reads see."""

    def __init__(
        self,
        directory: LocalDirectory,
        base: str,
        settings: Settings,
        clock: Clock = wall_clock,
        word: Word | None = None,
    ) -> None:
        """Recover the collection and remove what a crash left; `word` is for readers that follow."""
        self._word = word
        self.requests = Requests(settings.request_ids, clock)
        opened = open_collection(directory, base, settings.verify, writer=True, remembered=self.requests)
        self.directory = directory
        self.base = base
        self.settings = settings
        self.report = opened.report
        self.mutex = threading.RLock()
        self.on_full: Callable[[], None] = self.flush_if_full
        self.on_flushed: Callable[[], None] = lambda: None
        self.pool: ThreadPoolExecutor | None = None  # the threads of who opened it, which help with what is slow
        self.merging = threading.RLock()
        self._maintenance = threading.RLock()
        self._clock = clock
        self._live = opened.live
        self._logs = opened.logs
        self._epoch = opened.epoch + 1
        self._log: wal.LogWriter | None = None
        self._stopped: str | None = None
        self._pinned: State | None = None  # frozen and not yet flushed
        self._unpublished: set[str] = set()
        self._references: dict[str, set[str]] = {}
        self._commits = GroupCommit(self.mutex, self._commit)
        self.state = self._live.state()
        self._persisted = {entry.uuid: entry for entry in opened.live.located.manifest.all_segments}
        empty_tmp(directory, base)
        self.report.removed = self._collect()

    # -- writes --------------------------------------------------------------------------------------------------

    def submit(self, write: Write) -> Write:
        """Commit one write; durable on return under the default settings.

        Raises:
            Stale: the schema, or rows named by unchanged_since, changed meanwhile.
            ResourceExhaustedError: the disk is full; nothing was stored.
            UnavailableError: the writer has stopped.

        """
        if self.is_full():
            self.on_full()
        return self._commits.submit(write)

    def is_full(self) -> bool:
        """Tell whether a flush is due: a full memtable, a long log, or a log of many files."""
        limit = self.settings.memtable_bytes
        log = self._log
        return self._live.bytes > limit or (log is not None and log.size() > limit) or len(self._logs) > LOG_FILES

    @typed_os_errors()
    def _commit(self, group: list[Write]) -> None:
        self.check_running()
        no_space = self._no_space() if self.directory.free() < self.settings.free_bytes else None
        accepted = accept(group, self._live, no_space)
        if not accepted:
            return
        frames = frames_of(accepted, self._live.schema, self._live.lsn, self._clock())
        log = self._log or self._start_log()
        number = self._live.schema_id
        encoded = [
            wal.encode(frame.lsn, frame.kind, number, frame.payload, log.unsynced + before)
            for before, frame in enumerate(frames)
        ]
        try:
            log.append(b"".join(encoded))
            log.unsynced += len(frames)
            if self.settings.durability == "sync":
                log.sync()
            for frame in frames:
                self._live.apply(frame)
        except BaseException as error:
            self._stop(f"writing the log failed: {error!r}")
            if not isinstance(error, Exception):
                raise
            raise UnavailableError(
                f"writing the log failed ({error}); whether this write is kept is unknown: reopen the database"
            ) from error
        for write in accepted:
            self.forget(write)  # what it has prepared is named by the log now
        for write in group:
            if write.same_as is not None:
                write.lsn, write.rows = write.same_as.lsn, write.same_as.rows
        self.state = self._live.state()

    def forget(self, write: Write) -> None:
        """Drop what a write that was not committed has prepared on disk."""
        for entry in write.segments:
            self.release(entry.uuid)

    @property
    def memtable_bytes(self) -> int:
        """Bytes of the rows that are in memory and not in a segment, those of a flush in progress included."""
        frozen, links = self._live.frozen, self._live.links
        return self._live.active.bytes + (frozen.bytes if frozen is not None else 0) + links.bytes

    def segment_writer(self, schema: Schema, kind: type[Builder] = SegmentWriter) -> Builder:
        """Return a builder of one segment, of rows or links.

        Its folder is safe from clean-up until release() or abandon().
        """
        builder = kind(self.directory, self.base, schema, self.pool)
        self._unpublished.add(builder.uuid)
        return builder

    def release(self, uuid: str) -> None:
        """Say that a built segment is named by the log or a manifest now, or that nobody wants it."""
        self._unpublished.discard(uuid)

    def abandon(self, builder: SegmentWriter) -> None:
        """Drop a segment that is being built or was built and not committed."""
        builder.abandon()
        self.release(builder.uuid)

    @typed_os_errors()
    def _start_log(self) -> wal.LogWriter:
        """Begin a new log file: never append behind the tail of another process."""
        clean = f"{self.base}/{names.CLEAN}"
        if self.directory.exists(clean):
            self.directory.unlink(clean)
            self.directory.sync_dir(self.base)
        self._log = self._new_log()
        return self._log

    def _new_log(self) -> wal.LogWriter:
        first = self._live.lsn + 1
        name = f"{self.base}/{names.WAL}/{names.wal_name(self._epoch, first)}"
        log = wal.LogWriter(self.directory, name, self._live.located.manifest.collection, self._epoch, first)
        self._logs.append(LogFile(name, first, first - 1, 0))
        return log

    # -- versions ------------------------------------------------------------------------------------------------

    @typed_os_errors()
    def flush(self) -> bool:
        """Write everything that only the log holds into segments, and publish a version; False when nothing was."""
        with self._maintenance:
            self.check_running()
            retried = self._pinned is not None
            if self._pinned is not None:
                self._publish_flush(self._pinned)
            with self.mutex:
                live = self._live
                if live.lsn == live.located.manifest.floor:
                    return retried
                self._rotate()
                live.frozen, live.active = live.active, Memtable(live.schema)
                live.links.freeze()
                self._pinned = self.state = live.state()
            self._publish_flush(self._pinned)
            return True

    def flush_if_full(self) -> None:
        """Flush when the memtable has reached its limit, or when a flush failed and is still to be done."""
        with self._maintenance:
            if self._pinned is not None or self.is_full():
                self.flush()

    def _rotate(self) -> None:
        old = self._log
        self._logs[-1].last_lsn = self._live.lsn
        if old is not None:
            self._logs[-1].end = old.size()
            # The next file says that everything before it exists. Synced group by group, unless durability is "none".
            if old.unsynced:
                old.sync()
            old.close(trim=False)
            self._log = None
        self._start_log()

    @typed_os_errors()
    def _publish_flush(self, pinned: State) -> None:
        """Write the frozen memtable and the deletions as of the freeze; then swap the rows in memory.

        When this fails the frozen rows stay where they are, searchable and in the log, and the next flush tries again.
        """
        lsn = pinned.lsn
        frozen = pinned.memtables[0] if pinned.memtables else None
        added: SegmentEntry | None = None
        rows = None
        if frozen is not None:
            rows = frozen.live_rows()
            if len(rows):
                builder = self.segment_writer(pinned.schema)
                try:
                    frozen.copy_to(builder, rows)
                    added, _ = builder.finish(frozen.memtable.first_lsn, lsn)
                except BaseException:
                    self.abandon(builder)
                    raise
        entries = [self._persist_deletes(view, lsn) for view in pinned.segments]
        entries += [] if added is None else [added]
        links = Flushed(self, pinned)
        changes = {"segments": tuple(entries), "links": links.entry, "requests": self._persist_requests(lsn)}
        located = self._commit_manifest(floor=lsn, **changes)
        with self.mutex:
            live = self._live
            if added is not None and frozen is not None and rows is not None:
                view = open_view(self.directory, self.base, added, self.settings.verify)
                view.segment.words.update(frozen.copied_words)
                died = frozen.died_since(rows)
                live.views[added.uuid] = view.without(died) if len(died) else view
            links.take_over()
            live.frozen = self._pinned = None
            live.located = located
            self.state = live.state()
            if added is not None:
                self.release(added.uuid)
        self._collect(lsn)
        self.on_flushed()

    def _persist_requests(self, lsn: int) -> FileEntry | None:
        """Return the file with the request ids of all writes up to one: as it is, where no write with an id came."""
        with self.mutex:
            kept = self.requests.until(lsn)
        held = self._live.located.manifest.requests
        if not kept:
            return None
        if held is not None and kept[-1][1].lsn <= requests.floor_of(held):
            return held
        return requests.publish(self.directory, self.base, kept, lsn)

    def _persist_deletes(self, view: SegmentView | LinkView, lsn: int) -> SegmentEntry:
        """Return the segment's entry with its deletions on disk."""
        entry = self._persisted.get(view.segment.uuid, view.segment.entry)
        if len(view.deleted) == (entry.deletes.count if entry.deletes else 0):
            return entry
        deletes = tombstones.publish(self.directory, view.segment.folder, view.deleted, lsn)
        return replace(entry, deletes=deletes)

    def _commit_manifest(self, retain_versions: int | None = None, **changes: Any) -> Located:
        """Publish the next version; _maintenance is held."""
        settings = self.settings
        retain = retain_versions or settings.retain_versions
        manifest = manifests.successor(
            self._live.located, self._clock(), retain, settings.retain_days, epoch=self._epoch, **changes
        )
        try:
            located = manifests.commit(self.directory, self.base, manifest)
        except OSError as error:
            # Before the rename of CURRENT a failure changes nothing. After it the disk may hold either: build on none.
            if self._current_version() != self._live.located.manifest.version:
                self._stop(f"publishing version {manifest.version} failed: {error}")
                raise UnavailableError(
                    f"publishing version {manifest.version} failed ({error}); whether it is in force is unknown: "
                    "reopen the database"
                ) from error
            raise
        self._persisted = {entry.uuid: entry for entry in located.manifest.all_segments}
        return located

    def _current_version(self) -> int | None:
        try:
            return manifests.read_current(self.directory, self.base)["version"]
        except (OSError, CorruptionError):
            return None

    @contextlib.contextmanager
    def quiet(self) -> Iterator[State]:
        """Flush, and keep versions from changing while the block runs; writes go on. Yields the state flushed."""
        with self._maintenance:
            self.flush()
            yield self.state

    @typed_os_errors()
    def publish(self, **changes: Any) -> Located:
        """Publish a version that differs only in tags or in what it remembers. Call it inside quiet()."""
        located = self._commit_manifest(**changes)
        with self.mutex:
            self._live.located = located
            self.state = self._live.state()
        self._collect()
        return located

    @typed_os_errors()
    def change_schema(self, change: Callable[[Schema], Schema]) -> None:
        """Publish a version under another schema. Writes wait meanwhile: the log must not mix two schemas."""
        with self._maintenance:
            self.flush()
            with self.mutex:
                self.flush()
                live = self._live
                schema = change(live.schema)
                live.located = self._commit_manifest(schema=schema)
                live.schema = schema
                live.schema_id = schema_id(schema)
                live.active = Memtable(schema)
                self.state = live.state()

    @typed_os_errors()
    def replace_segments(self, inputs: dict[str, BitMap], output: SegmentEntry | None, moved: "Moved") -> bool:
        """Put a merged segment in the place of its inputs; False when an input is gone. See compaction.py."""
        with self._maintenance:
            self.check_running()
            if self._pinned is not None:
                self.flush()
            current = self._live.located.manifest.segments
            if not inputs.keys() <= {entry.uuid for entry in current}:
                return False
            self._replace(inputs, output, moved)
            return True

    def _replace(self, inputs: dict[str, BitMap], output: SegmentEntry | None, moved: "Moved") -> None:
        lsn = self._live.located.manifest.floor
        kept = [entry for entry in self._live.located.manifest.segments if entry.uuid not in inputs]
        if output is not None:
            folder = f"{self.base}/{names.SEGMENTS}/{output.uuid}"
            persisted = BitMap()
            for uuid, pinned in inputs.items():
                entry = self._persisted[uuid]
                old = f"{self.base}/{names.SEGMENTS}/{uuid}"
                now = tombstones.read(self.directory, old, entry.deletes) if entry.deletes else BitMap()
                persisted |= moved(uuid, now - pinned)
            if persisted:
                deletes = tombstones.publish(self.directory, folder, persisted, lsn)
                output = replace(output, deletes=deletes)
            kept.append(output)
        located = self._commit_manifest(segments=tuple(kept))
        with self.mutex:
            live = self._live
            deleted = BitMap()
            for uuid, pinned in inputs.items():
                deleted |= moved(uuid, live.views.pop(uuid).deleted - pinned)
            if output is not None:
                view = open_view(self.directory, self.base, output, self.settings.verify)
                live.views[output.uuid] = SegmentView(view.segment, deleted)
                self.release(output.uuid)
            live.located = located
            self.state = live.state()
        self._collect()

    @typed_os_errors()
    def publish_index(self, uuid: str, built: str, index: IndexEntry) -> bool:
        """Move an index that was built under tmp/ to its segment and publish it; False when the segment is gone."""
        with self._maintenance:
            self.check_running()
            if self._pinned is not None or uuid not in self._persisted:
                self.flush()  # a bulk-loaded segment may be named by the log only
            entry = self._persisted.get(uuid)
            if entry is None:
                return False
            folder = f"{self.base}/{names.SEGMENTS}/{uuid}"
            self.directory.rename(built, f"{folder}/{index.file.name}")
            segments = tuple(
                entry.with_index(index) if entry.uuid == uuid else entry
                for entry in self._live.located.manifest.segments
            )
            located = self._commit_manifest(segments=segments)
            with self.mutex:
                live = self._live
                view = live.views[uuid]
                segment = view.segment.with_indexes(self.directory, self._persisted[uuid])
                live.views[uuid] = SegmentView(segment, view.deleted)
                live.located = located
                self.state = live.state()
            self._collect()
            return True

    # -- upkeep --------------------------------------------------------------------------------------------------

    def _collect(self, floor: int = 0) -> list[str]:
        """Remove log files up to the floor, and files that no version needs.

        A version is in force by now, so a failure here is none of the caller's: the next call tries again.
        """
        try:
            for log in [log for log in self._logs[:-1] if log.last_lsn <= floor]:
                self.directory.unlink(log.name)
                self._logs.remove(log)
            # Listed before it is asked what is needed: a segment that appears in between is not on the list.
            listed = list_files(self.directory, self.base)
            with self.mutex:
                keep = referenced(self.directory, self.base, self._live, self._references)
                unpublished = self._unpublished.copy()
            removed = remove(self.directory, self.base, listed, keep, unpublished)
        except (OSError, CorruptionError) as error:
            self.report.clean_up = f"failed: {error}"
            return []
        self.report.clean_up = "done"
        return removed

    def log_bytes(self) -> int:
        """Bytes of the log that opening would read now."""
        log = self._log
        return sum(entry.end for entry in self._logs[: -1 if log else None]) + (log.size() if log else 0)

    def pin(self, uuids: Sequence[str]) -> list[SegmentView] | None:
        """Return segments of the version in force with its deletions; None when one of them is gone."""
        with self._maintenance:
            located = self._live.located.manifest
            chosen = tuple(entry for entry in located.segments if entry.uuid in uuids)
            if len(chosen) < len(uuids):
                return None
            views = open_views(
                self.directory, self.base, replace(located, segments=chosen), self.settings.verify, self._live.views
            )
            return list(views.values())

    def check_space(self, size: int) -> None:
        """Raise ResourceExhaustedError when writing so many bytes would leave less than the settings reserve."""
        if self.directory.free() - size < self.settings.free_bytes:
            raise self._no_space()

    def _no_space(self) -> ResourceExhaustedError:
        return ResourceExhaustedError(
            f"the disk has {self.directory.free()} bytes free and {self.settings.free_bytes} are kept in reserve; "
            "nothing was stored, reads and deletes go on"
        )

    def check_running(self) -> None:
        """Raise UnavailableError when the writer has stopped."""
        if self._stopped is not None:
            raise UnavailableError(f"the writer has stopped: {self._stopped}; reopen the database")

    @property
    def stopped(self) -> str | None:
        """Why the writer has stopped, or None."""
        return self._stopped

    def _stop(self, reason: str) -> None:
        self._stopped = self._stopped or reason

    @typed_os_errors()
    def close(self) -> None:
        """Close the log, and say where it ended. Nothing is flushed: opening replays the log."""
        with self._maintenance, self.mutex:
            log, self._log = self._log, None
            sound = self._stopped is None
            self._stop("the database is closed")
            if log is not None:
                log.close(trim=sound)
                if sound:
                    # Without it the next open cannot tell a torn tail from damage to it, but loses nothing.
                    with contextlib.suppress(OSError):
                        self.directory.publish(f"{self.base}/{names.CLEAN}", names.seal({"lsn": self._live.lsn}))


Moved = Callable[[str, BitMap], BitMap]
"""Rows of an input segment -> their rows in the merged one."""
