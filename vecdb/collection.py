"""A collection: rows of one schema, written by one process and read by any number.

Every write is one atomic, logged step. Every read sees one committed state; a write is visible to each read that
starts after it returned. All methods may be called from any thread.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from vecdb.arguments import vector_column
from vecdb.encoders.attached import Attached, space_for
from vecdb.errors import ConflictError, NotFoundError, UnavailableError, VecdbError
from vecdb.latest import LatestReads
from vecdb.limited import limited
from vecdb.linked import Linked
from vecdb.reads import Snapshot
from vecdb.results import Refreshed, TuneReport, WriteResult
from vecdb.row_writes import RequestId, RowWrites, request_key
from vecdb.schema.fields import Field
from vecdb.schema.given import flag
from vecdb.schema.schema import Schema
from vecdb.storage.background import Worker
from vecdb.versions import Versions
from vecdb.view import View

if TYPE_CHECKING:
    from vecdb.bulk import BulkLoad
    from vecdb.config import Limits
    from vecdb.encoders.base import TextEncoder
    from vecdb.encoders.lookup_sparse import LookupSparse
    from vecdb.encoders.progress import Progress
    from vecdb.encoders.tokens import TokenEncoder
    from vecdb.filters import Expression
    from vecdb.link_writes import LinkWrites
    from vecdb.query.query import Query
    from vecdb.relevance import CalibrationReport
    from vecdb.schema.fulltext import FullText
    from vecdb.schema.indexes import IndexSpec
    from vecdb.storage.indexing import Indexer
    from vecdb.storage.reader import Reader
    from vecdb.storage.snapshot import State
    from vecdb.storage.writer import Writer
    from vecdb_index.budget import Budget


class Collection(LatestReads, Versions, Linked):
    """Made by `Database.create_collection` and `Database.collection`."""

    def __init__(self, name: str, store: Writer | Reader, pool: ThreadPoolExecutor) -> None:
        from vecdb.storage.writer import Writer

        self.name = name
        self._store = store
        self._pool = pool
        self._closed = False
        self._dropped = False
        self.encoders = Attached(name, lambda: self.schema)
        self._writer = store if isinstance(store, Writer) else None
        self._flusher: Worker | None = None
        self._merger: Worker | None = None
        self._index_worker: Worker | None = None
        self._indexer: Indexer | None = None
        self._on_damaged_index: Callable[[], None] | None = None
        if self._writer is not None:
            from vecdb.storage.indexing import Indexer

            self._writer.pool = pool
            self._indexer = Indexer(self._writer, pool)
            if self._writer.settings.background:
                self._start_workers(self._writer, self._indexer)

    def _start_workers(self, writer: Writer, indexer: Indexer) -> None:
        from vecdb.storage.compaction import compact_once

        limit = writer.settings.memtable_bytes
        index_worker = Worker(f"vecdb-index-{self.name}", indexer.build_all) if writer.settings.indexing else None

        def merge() -> int:
            merged = compact_once(writer, indexer.carry)
            if not merged and index_worker is not None:
                index_worker.wake()  # when all is merged that will be: an index of an input would be for nothing
            return merged

        merger = Worker(f"vecdb-merge-{self.name}", merge)

        def on_full() -> None:
            # Writes go on while a flush runs, until a second memtable is full too: memory stays bounded.
            if writer.memtable_bytes > 2 * limit:
                flusher.wait(lambda: writer.memtable_bytes <= 2 * limit)
            else:
                flusher.wake()

        flusher = Worker(f"vecdb-flush-{self.name}", writer.flush_if_full)
        self._flusher, self._merger, self._index_worker = flusher, merger, index_worker
        writer.on_full = on_full
        writer.on_flushed = merger.wake
        if index_worker is not None:
            self._on_damaged_index = index_worker.wake
            if indexer.missing():
                merger.wake()

    # -- the state -----------------------------------------------------------------------------------------------

    def _state(self) -> State:
        self._check_open()
        return self._store.state if self._writer is not None else self._followed(self._reader.current)

    def _followed(self, look: Callable[[], State]) -> State:
        try:
            return look()
        except NotFoundError:
            raise NotFoundError(f"collection {self.name!r} was dropped by its writer") from None

    @property
    def _reader(self) -> Reader:
        assert self._writer is None
        return cast("Reader", self._store)

    def _check_open(self) -> None:
        if self._dropped:
            raise NotFoundError(f"collection {self.name!r} was dropped")
        if self._closed:
            raise UnavailableError(f"collection {self.name!r} is closed: the database was closed, or repaired")

    def _writable(self) -> Writer:
        self._check_open()
        if self._writer is None:
            raise ConflictError(f"collection {self.name!r} is open read-only: connect without read_only=True to write")
        return self._writer

    @property
    def schema(self) -> Schema:
        """The fields."""
        return self._state().schema

    def snapshot(self) -> Snapshot:
        """Return the present state, frozen: later writes do not show in it."""
        return Snapshot(self.name, self._state(), self._pool, self.encoders, self._on_damaged_index)

    def _frozen(self, state: State) -> Snapshot:
        return Snapshot(self.name, state, self._pool, self.encoders)

    def refresh(self) -> None:
        """Look for new data now. Only a read-only collection can be behind; it looks by itself now and then."""
        self._check_open()
        if self._writer is None:
            self._followed(self._reader.refresh)

    # -- writes ----------------------------------------------------------------------------------------------------

    def restricted(self, where: str | Expression) -> View:
        """Return a view of the rows that pass a filter, which no read or write through it can go around."""
        return View(self, (where,))

    def within(self, limits: Limits | Budget) -> View:
        """Return a view whose calls may take so much time and memory.

        With `Limits` each call has its own; with a `Budget` that has begun all calls share it, and it can be cancelled.
        """
        return View(self, (), limited(limits))

    def upsert(
        self, data: Any, progress: Progress = None, *, request_id: RequestId | None = None, chunk: int | None = None
    ) -> WriteResult:
        """Store records: new ids are added, the rows of known ids replaced as a whole.

        Where a vector has an encoder and a source, rows that have a text and no vector get its vector.

        One atomic step; only an Arrow RecordBatchReader, which may not fit in memory, is stored chunk by chunk,
        each an atomic step.

        Args:
            data: a dict (one record, or one array per field), a list of dicts, an Arrow table, batch or reader,
                a pandas or polars frame.
            progress: called with (texts encoded, texts); True draws a bar on a terminal when they are many.
            request_id: names this write, so that it may be made again where its outcome is unknown: for 24 hours
                the same id with the same data changes nothing and returns the first result. The chunks of a reader
                are numbered by themselves. How many ids are remembered is `Settings.request_ids`.
            chunk: the number of this part of an upload of many, which all have the same id; see `stored_chunks`.

        Raises:
            InvalidInputError: a value does not fit the schema: it names field, row and value. Nothing is stored.
            RequestMismatchError: the request id was used for something else. Nothing is stored.
            EncoderError: an encoder failed. Nothing is stored.
            ResourceExhaustedError: the disk is full. Nothing is stored.
            UnavailableError: the writer stopped after a failure of the disk; the outcome is unknown.

        """
        return RowWrites(self).upsert(data, progress, request_id, chunk)

    def stored_chunks(self, request_id: RequestId) -> list[int]:
        """Return which chunks of an upload are stored, ascending, so that it can go on behind them."""
        key = request_key(request_id)
        return [] if key is None else self._writable().requests.chunks(key.id)

    def delete(
        self,
        ids: Any = None,
        where: str | Expression | None = None,
        *,
        cascade: bool = False,
        request_id: RequestId | None = None,
    ) -> WriteResult:
        """Delete rows by id (one or a list), or all that pass a filter; `rows` says how many there were.

        With `where`, rows that change while the delete is under way are looked at again. With `cascade` the links from
        and to these ids go in the same step; else they stay, and dangle. `request_id` as in `upsert`.
        """
        return RowWrites(self).delete(ids, where, request_id, flag("cascade", cascade))

    def _link_writes(self) -> LinkWrites:
        from vecdb.link_writes import LinkWrites

        return LinkWrites(self)

    def patch(self, data: Any, progress: Progress = None, *, request_id: RequestId | None = None) -> WriteResult:
        """Change some fields of existing rows: data holds the id and the fields to change; null clears a field.

        Atomic, also against writes of other threads to the same rows. A text that is the source of a vector takes it
        along: it is encoded again unless the vector is given too, and without text there is no vector. `request_id` as
        in `upsert`.

        Raises:
            NotFoundError: an id does not exist. Nothing is changed.

        """
        return RowWrites(self).patch(data, progress, request_id)

    def _segments_came(self) -> None:
        """Have segments merged and indexed that came past the log: no flush is due for them."""
        if self._merger is not None:
            self._merger.wake()

    def bulk(
        self, rows_per_segment: int | None = None, progress: Progress = None, *, request_id: RequestId | None = None
    ) -> BulkLoad:
        """Return a bulk load: rows go straight to segments, not through the log. Use it in a `with` block.

        Each segment that fills up is committed on its own; leaving the block commits the rest. With a request id the
        load can be broken off and made again: each `add` then gives the number of its chunk.
        """
        from vecdb.bulk import BulkLoad

        completed = partial(self.encoders.completed, progress=progress)
        return BulkLoad(self._writable(), rows_per_segment, completed, request_id)

    # -- fields ----------------------------------------------------------------------------------------------------

    def add_column(self, name: str, field: Field) -> None:
        """Add a field; the rows that exist have no value in it. No file is rewritten."""
        self._writable().change_schema(lambda schema: schema.with_column(name, field).described())
        self.encoders.adopt(self.schema, {name: field})

    def set_encoder(
        self, name: str, encoder: TextEncoder | TokenEncoder | LookupSparse, source: str | None = None
    ) -> None:
        """Say which model made the vectors of a field, and use it for queries from now on.

        A field of sparse vectors takes a `vecdb.LookupSparse`, for questions alone, and no source; one of multi-vectors
        a `vecdb.SentenceTokens`, `vecdb.PyLate` or `vecdb.TokenFunction`.

        With `source`, a text field, it also makes the vectors of rows that are written with a text and no vector.

        Raises:
            SpaceMismatchError: the field holds vectors of another space.
            InvalidInputError: name is no vector, source no text, or the encoder makes another number of values.

        """
        space = space_for(self.schema[name], encoder)
        self._writable().change_schema(lambda schema: schema.with_space(name, space, source))
        self.encoders.attach(self.schema, {name: encoder})

    def drop_column(self, name: str) -> None:
        """Drop a field. Its bytes go with the next merge of each segment, or when older versions expire."""
        self._writable().change_schema(lambda schema: schema.without_column(name))

    def rename_column(self, old: str, new: str) -> None:
        """Rename a field. No file is rewritten."""
        self._writable().change_schema(lambda schema: schema.renamed(old, new))

    def add_link_attribute(self, name: str, field: Field) -> None:
        """Declare an attribute of links: a Keyword, Int64, Float64, Bool or Timestamp. Links so far have no value."""
        from vecdb.schema.links import with_attribute
        from vecdb.storage.catalog import require
        from vecdb.storage.links.maintenance import change_attributes

        writer = self._writable()
        require(writer.directory, "links")
        change_attributes(writer, lambda schema: with_attribute(schema, name, field))

    # -- upkeep ----------------------------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Move rows from the log to a segment and publish a version; False when there was nothing to move."""
        return self._writable().flush()

    def compact(self, purge: bool = False) -> dict[str, Any]:
        """Merge segments and drop deleted rows; with purge also forget older versions that no tag keeps.

        Returns the counts before and after: segments_before, segments_after, bytes_before, bytes_after, seconds.
        """
        from vecdb.storage import history
        from vecdb.storage.compaction import compact_all

        writer = self._writable()
        started = time.monotonic()
        before = self.stats()
        assert self._indexer is not None
        compact_all(writer, self._indexer.carry)
        if flag("purge", purge):
            history.forget(writer)
        if self._index_worker is not None:
            self._index_worker.wake()
        after = self.stats()
        return {
            "segments_before": before["segments"],
            "segments_after": after["segments"],
            "bytes_before": before["disk_bytes"],
            "bytes_after": after["disk_bytes"],
            "seconds": time.monotonic() - started,
        }

    def repool(self, name: str, pool_factor: float) -> int:
        """Store a field of multi-vectors with fewer vectors: those of all rows, and of rows that come.

        Segments are rewritten one after the other, and searched meanwhile. Older versions keep what they have. Where it
        was interrupted, it goes on when it is called again.

        Args:
            name: of the field.
            pool_factor: as in `MultiVector`; not less than it was.

        Returns:
            How many segments were rewritten.

        Raises:
            InvalidInputError: name is no field of multi-vectors, or the factor is less than it was.

        """
        from vecdb.storage.compaction import repool

        writer = self._writable()
        if self.schema.with_pool_factor(name, pool_factor) != self.schema:
            writer.change_schema(lambda schema: schema.with_pool_factor(name, pool_factor))
        assert self._indexer is not None
        done = repool(writer, self.schema[name].id, self._indexer.carry)
        if self._index_worker is not None:
            self._index_worker.wake()
        return done

    def build_indexes(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Build what indexes are missing, now and in this thread; return how many were built.

        Segments that are due to be merged are merged before. All this happens in the background by itself; call it to
        wait for it, or where `Settings.background` or `Settings.indexing` is off.

        Args:
            progress: called with (rows done, rows) of the index that is being built; it may raise to stop.

        """
        from vecdb.storage.compaction import compact_once

        writer = self._writable()
        assert self._indexer is not None
        writer.flush()
        while compact_once(writer, self._indexer.carry):
            pass  # an index of a segment that is merged away next would be for nothing
        return self._indexer.build_all(progress)

    def refresh_similar(
        self,
        field: str,
        k: int = 10,
        *,
        least: float = 0.0,
        exact: bool = False,
        type: str = "similar",
        progress: Callable[[int, int], None] | None = None,
    ) -> Refreshed:
        """Bring the links between rows that are alike up to date; see `vecdb.overlays.refresh_similar`."""
        from vecdb.overlays import refresh_similar

        return refresh_similar(self, field, k, least=least, exact=exact, type=type, progress=progress)

    def set_index(self, name: str, index: IndexSpec | FullText | str | bool) -> None:
        """Search a vector field in another way from now on: "auto", "flat", or for example `vecdb.Hnsw(m=32)`.

        A text field is searched by words with True or for example `vecdb.FullText(language="german")`, and no longer
        with False.

        Indexes are built in the background, or by `build_indexes`; no row is rewritten. What `tune` found is forgotten.
        """
        writer, before = self._writable(), self.schema[name].field
        writer.change_schema(lambda schema: schema.with_index(name, index))
        column = self.schema[name]
        if column.field != before and str(column.id) in writer.state.located.manifest.tuning:
            from vecdb.storage.history import keep_tuning

            keep_tuning(writer, column.id, None)  # widths of one kind of index mean nothing to another
        if self._merger is not None:
            self._merger.wake()

    def tune(
        self, queries: Any = None, *, field: str | None = None, sample: int = 200, k: int = 10, reset: bool = False
    ) -> TuneReport | None:
        """Measure what recall searches reach at which width, and keep it for `search(..., recall=...)`.

        Indexes measure themselves when they are built, with questions made from rows. Real queries are better: a
        hundred of them, or more, as (queries, dimension).

        Args:
            queries: as in `recall`.
            field: the vector field; not needed when there is only one.
            sample: how many rows to make questions of, without queries.
            k: rows asked for.
            reset: forget what was measured, and go back to what the indexes say; returns None.

        """
        from vecdb import tuning
        from vecdb.storage.history import keep_tuning

        writer = self._writable()
        if flag("reset", reset):
            keep_tuning(writer, vector_column(self.schema, field).id, None)
            return None
        trial = self.snapshot().trial(queries, field, sample, k)
        report = tuning.curve(trial)
        keep_tuning(writer, trial.column.id, report.curve)
        return report

    def calibrate(
        self, judged: Sequence[tuple[Query, Sequence[Any]]] = (), name: str = "default", *, reset: bool = False
    ) -> CalibrationReport | None:
        """Learn from judged answers which hits are relevant, and keep it for `Relevance("adapter", calibrator=name)`.

        Some hundred queries like those that will be asked are enough; queries that nothing answers belong to them.
        What is learned holds for queries with the same arms, over vectors of the same space; it is kept with the
        collection until it is made anew or forgotten.

        Args:
            judged: queries, all with the same arms, one of them a vector; and with each the ids of all rows that
                answer it, none where nothing does.
            name: what it is called.
            reset: forget what was learned under this name; returns None.

        Raises:
            InvalidInputError: there is too little to learn from, or the queries have different arms.

        """
        from vecdb.relevance import calibrated
        from vecdb.storage.history import keep_calibrator

        writer = self._writable()
        if flag("reset", reset):
            keep_calibrator(writer, name, None)
            return None
        kept, report = calibrated(self.snapshot(), judged)
        keep_calibrator(writer, name, kept)
        return report

    def stats(self) -> dict[str, Any]:
        """Return counts, sizes, what opening found, and what background work is doing."""
        from vecdb.storage.statistics import statistics

        workers = {"flush": self._flusher, "compaction": self._merger, "index": self._index_worker}
        progress = None if self._indexer is None else self._indexer.progress
        return {"name": self.name, **statistics(self._store, self._state(), workers, progress)}

    def _close(self, dropped: bool = False) -> None:
        self._dropped = dropped  # first: whoever finds it closed asks why
        self._closed = True
        if self._indexer is not None:
            self._indexer.close()
        # Whatever fails or interrupts the rest, the writer stops: another one may have the lock of the folder next.
        with contextlib.ExitStack() as last:
            last.callback(self._store.close)
            for worker in (self._flusher, self._merger, self._index_worker):
                if worker is not None:
                    worker.close()

    def __repr__(self) -> str:
        try:
            told = f"{self.count()} rows"
        except VecdbError:
            told = "dropped" if self._dropped else "closed" if self._closed else "unreadable"
        return f"Collection({self.name!r}, {told})"
