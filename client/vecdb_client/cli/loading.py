"""Storing one file: read a piece, check it, gather, commit, record the progress, again.

Invariants: a record never speaks of rows that are not committed; memory holds at most one commit's rows and one
piece; without --on-error skip every row before the first bad one is stored and none after it.
"""

import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vecdb.errors import InvalidInputError
from vecdb_client.cli.badrows import Placed, first_bad, good_rows
from vecdb_client.cli.checkpoint import Checkpoints, Record
from vecdb_client.cli.columns import Plan
from vecdb_client.cli.errors import CommandError, Stopped
from vecdb_client.cli.interrupts import Interrupts
from vecdb_client.cli.progress import LoadProgress
from vecdb_client.cli.readers import Chunk, Rejected, Source, place

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.collection import Collection

COMMIT_BYTES = 64 << 20
COMMIT_SECONDS = 2.0
EMBED_ROWS = 128
"""Rows whose texts are encoded at once: so many are encoded again after a crash, and Ctrl-C waits for them."""

_CULPRIT = re.compile(r"^field '[^']*'(, row \d+)?: ")


class BadRowError(CommandError):
    """The first bad row of a file."""


@dataclass
class Loader:
    """Loads one source; `run` does it."""

    collection: "Collection"
    plan: Plan
    source: Source
    checkpoints: Checkpoints
    record: Record
    progress: LoadProgress
    interrupts: Interrupts
    report: IO[bytes] | None = None
    commit_rows: int | None = None
    remote: bool = False

    def run(self) -> Record:
        """Load from the record's next row to the end of the file and return the final record.

        Raises:
            BadRowError: a row cannot be stored; everything before it is.
            Stopped: the user interrupted; everything read so far is stored.

        """
        self._begun = self._committed = time.monotonic()
        self._before = self.record.stored
        self._pending: list[pa.RecordBatch] = []
        self._reached = self.record
        chunks = self.source.chunks(self.record.next_row)
        for chunk in pieces(chunks, EMBED_ROWS) if self.collection.schema.encoded else chunks:
            try:
                self._take(chunk)
            except BadRowError:
                self._commit()
                raise
            if self._due():
                self._commit()
            rows = self.source.total_rows
            share = self._reached.next_row / rows if rows else self.source.fraction()
            self.progress.update(self._reached.stored - self._before, time.monotonic() - self._begun, share)
            if self.interrupts.requested:
                self._commit()
                raise Stopped
        self._commit(done=True)
        if not self.remote:
            self.collection.flush()  # a server does it when it is due
        return self.record

    def _check(self, rows: Placed) -> "pa.RecordBatch":
        from vecdb.schema.records import validated_batch

        schema = self.collection.schema
        return validated_batch(self.plan.shape(rows.data, rows.places, schema), schema)

    def _take(self, chunk: Chunk) -> None:
        """Check a chunk and add its good rows to those to be committed."""
        rows = Placed(chunk.data, chunk.numbers)
        if self.report is not None:
            batch, rejected = self._good(rows, chunk.rejected)
            self._add(batch, chunk.next_row, skipped=len(rejected))
            return
        bad = chunk.rejected[0] if chunk.rejected else None
        if bad is not None:
            rows = rows.slice(0, int((rows.places < bad.row).sum()))
        try:
            batch = self._check(rows) if rows.num_rows else None
        except InvalidInputError as error:
            number, error = first_bad(self._check, rows) or (0, error)
            bad = _rejected(rows, number, error)
            batch = self._check(rows.slice(0, number)) if number else None
        self._add(batch, chunk.next_row if bad is None else bad.row)
        if bad is not None:
            unknown = bad.field is not None and bad.field not in self.collection.schema
            hint = f"--map '{bad.field}=' leaves it out" if unknown else None
            raise BadRowError(described(self.source, bad), hint=hint)

    def _good(self, rows: Placed, unreadable: list[Rejected]) -> "tuple[pa.RecordBatch | None, list[Rejected]]":
        """Return the good rows, having reported the others."""
        try:
            batch, bad = (self._check(rows), []) if rows.num_rows else (None, [])
        except InvalidInputError:
            batch, bad = good_rows(self._check, rows, self.plan.id_name)
        rejected = [*unreadable, *(_rejected(rows, number, error) for number, error in bad)]
        rejected.sort(key=lambda item: item.row)
        for item in rejected:
            assert self.report is not None
            self.report.write(_report_line(self.source, item))
        return batch, rejected

    def _add(self, batch: "pa.RecordBatch | None", next_row: int, skipped: int = 0) -> None:
        if batch is not None and batch.num_rows:
            # Here and not in the commit, so that what it costs counts as time since the last one.
            # What has no vector here gets it from the server, if that has an encoder.
            encoders, schema = self.collection.encoders, self.collection.schema
            self._pending.append(batch if self.remote else encoders.completed(batch, schema))
        self._reached = replace(
            self._reached,
            next_row=next_row,
            stored=self._reached.stored + (batch.num_rows if batch is not None else 0),
            skipped=self._reached.skipped + skipped,
        )

    def _due(self) -> bool:
        if self.commit_rows is not None:
            return sum(batch.num_rows for batch in self._pending) >= self.commit_rows
        waited = time.monotonic() - self._committed
        return waited >= COMMIT_SECONDS or sum(batch.nbytes for batch in self._pending) >= COMMIT_BYTES

    def _commit(self, *, done: bool = False) -> None:
        """Make the gathered rows durable, then record how far the file is stored."""
        lsn, last_id = self.record.lsn, self.record.last_id
        if self._pending:
            lsn = self._store()
            last_id = self._pending[-1].column(self.plan.id_name)[-1].as_py()
        self._pending.clear()
        report_bytes = self.record.report_bytes
        if self.report is not None:
            self.report.flush()
            os.fsync(self.report.fileno())
            report_bytes = self.report.tell()
        self.record = replace(self._reached, lsn=lsn, last_id=last_id, report_bytes=report_bytes, done=done)
        self._reached = self.record
        self.checkpoints.save(self.record)
        self._committed = time.monotonic()

    def _store(self) -> int:
        """Store the gathered rows in one atomic step, or if an id repeats in one for each piece: the last row wins."""
        import pyarrow as pa

        from vecdb.errors import DuplicateIdError

        try:
            return self.collection.upsert(pa.Table.from_batches(self._pending)).lsn
        except DuplicateIdError:
            return [self.collection.upsert(batch).lsn for batch in self._pending][-1]


def pieces(chunks: Iterable[Chunk], rows: int) -> Iterator[Chunk]:
    """Cut chunks into pieces of at most so many rows."""
    for chunk in chunks:
        total = len(chunk.numbers)
        for start in range(0, max(total, 1), rows):
            stop = min(start + rows, total)
            begin = int(chunk.numbers[start]) if start else 0
            next_row = int(chunk.numbers[stop]) if stop < total else chunk.next_row
            part = Placed(chunk.data, chunk.numbers).slice(start, stop - start)
            rejected = [bad for bad in chunk.rejected if begin <= bad.row < next_row]
            yield Chunk(part.data, part.places, next_row, rejected)


def _rejected(rows: Placed, number: int, error: InvalidInputError) -> Rejected:
    return Rejected(int(rows.places[number]), _CULPRIT.sub("", str(error)), error.field, error.value)


def described(source: Source, bad: Rejected) -> str:
    """Say which file, row and field is bad and why; the reason contains the value."""
    field = f", field {bad.field!r}" if bad.field else ""
    return f"{source.path}, {place(source, bad.row)}{field}: {bad.message}"


def _report_line(source: Source, bad: Rejected) -> bytes:
    entry: dict[str, Any] = {"file": str(source.path), "row": bad.row}
    if source.unit == "line":
        entry["line"] = bad.row + 1
    entry |= {"field": bad.field, "error": bad.message, "value": bad.value}
    return json.dumps(entry, ensure_ascii=False, default=lambda value: repr(value)[:200]).encode() + b"\n"


def next_number(collection: "Collection") -> int:
    """Return the first whole number above all ids of a collection: where the numbering of new rows begins."""
    highest = -1
    for text in _ids(collection):
        if isinstance(text, int) or (text.isdecimal() and len(text) < 19):
            highest = max(highest, int(text))
    return highest + 1


def _ids(collection: "Collection") -> Iterator[Any]:
    name = collection.schema.id.name
    if collection.count():
        for batch in collection.scan(fields=[name]):
            yield from batch.column(name).to_pylist()


def open_report(path: Path, kept: int) -> IO[bytes]:
    """Open the report of bad rows for appending after its first `kept` bytes; what a crash left behind is cut off."""
    file = path.open("r+b" if kept and path.exists() else "wb")
    file.truncate(kept)
    file.seek(kept)
    return file
