"""The links that `vecdb load --links` takes from a file: read a piece, gather, commit, record the progress, again.

As with rows, a record never speaks of links that are not stored, and a crash repeats one commit at most, which changes
nothing: a link that is there is replaced by itself.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecdb.schema.links import DEFAULT_TYPE, DST, SRC, TYPE
from vecdb_client.cli.checkpoint import LINKS, Checkpoints, Record
from vecdb_client.cli.errors import CommandError, Stopped, note
from vecdb_client.cli.progress import LoadProgress
from vecdb_client.cli.readers import Source, open_source, place

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.collection import Collection

COMMIT_LINKS = 1 << 20
"""Links that are stored in one step, unless --commit-rows says otherwise."""


def parse_map(entries: list[str] | None) -> dict[str, str]:
    """Return the column of a file for each column of links that was named: "type=rel".

    Raises:
        CommandError: an entry has no "=".

    """
    named = {}
    for entry in entries or []:
        name, sign, column = entry.partition("=")
        if not sign or not name or not column:
            raise CommandError(f"cannot read {entry!r}", hint="--link-map NAME=COLUMN, for example type=rel")
        named[name] = column
    return named


@dataclass
class LinkLoader:
    """Loads files of links into one collection, each from where an earlier run stopped."""

    target: "Collection"
    checkpoints: Checkpoints
    interrupts: Any
    named: dict[str, str]
    directed: bool
    format: str | None = None
    commit_links: int | None = None
    resume: bool = True

    def load_all(self, files: list[Path]) -> None:
        """Load the links of files, one after the other.

        Raises:
            CommandError: a link cannot be read.
            Stopped: the user interrupted.

        """
        for number, file in enumerate(files):
            self.load(file)
            if self.interrupts.requested and number + 1 < len(files):
                raise Stopped(f"stopped before {files[number + 1]}; the same command goes on with it")

    def load(self, file: Path) -> None:
        """Load the links of a file; columns that no attribute has are declared, where the file says their types.

        Raises:
            CommandError: a link cannot be read; all links before it are stored.
            Stopped: the user interrupted; everything read so far is stored.

        """
        begun, record = time.monotonic(), self._begin(file)
        if record.done:
            note(f"{file}: already loaded ({record.stored:,} links); --restart loads it again")
            return
        if record.next_row:
            note(
                f"{file}: {record.stored:,} links are in, going on at row {record.next_row:,} (--restart begins again)"
            )
        with open_source(file, self.format) as source, LoadProgress(file.name) as progress:
            done = self._all(source, record, progress)
        stored, seconds = done.stored - record.stored, time.monotonic() - begun
        print(f"{file}: {stored:,} links loaded into {self.target.name} in {seconds:.1f} s", end="")
        print(f" ({stored / max(seconds, 1e-9):,.0f} links/s)", flush=True)

    def _begin(self, file: Path) -> Record:
        options = {"map": dict(sorted(self.named.items())), "directed": self.directed}
        fresh = replace(Record.of(file, self.target.name, options), what=LINKS)
        found, reason = self.checkpoints.fitting(fresh, self.target)
        if reason is not None:
            note(f"{file}: beginning again, for {reason}")
        return found if found is not None and self.resume else fresh

    def _all(self, source: Source, record: Record, progress: LoadProgress) -> Record:
        begun, before, reached = time.monotonic(), record.stored, record.next_row
        waiting: list[pa.Table] = []
        for chunk in source.chunks(record.next_row):
            bad = chunk.rejected[0] if chunk.rejected else None
            reached = chunk.next_row if bad is None else bad.row
            good = len(chunk.numbers) if bad is None else int((chunk.numbers < bad.row).sum())
            if good:
                waiting.append(self._links(source, _table(chunk.data).slice(0, good)))
            full = sum(one.num_rows for one in waiting) >= (self.commit_links or COMMIT_LINKS)
            if full or bad is not None or self.interrupts.requested:
                record = self._commit(record, waiting, reached)
                progress.update(record.stored - before, time.monotonic() - begun, source.fraction())
                waiting = []
            if bad is not None:
                where = f"{source.path}, {place(source, bad.row)}"
                raise CommandError(f"{where}: {bad.message}; {record.stored:,} links are in")
            if self.interrupts.requested:
                told = f"{source.path}: {record.stored:,} links are in; run the same command again to continue"
                raise Stopped(told)
        return self._commit(record, waiting, reached, done=True)

    def _links(self, source: Source, table: "pa.Table") -> "pa.Table":
        """Return links with the columns and, where the file knows none, the types that links have."""
        table = _renamed(table, self.named)
        known = {column.name for column in self.target.link_schema()}
        if not known.issuperset(table.column_names):
            _declare(self.target, table, source.typed)
        return table if source.typed else _cast(table, self.target.link_schema().arrow_schema(), source.path)

    def _commit(self, record: Record, waiting: "list[pa.Table]", reached: int, *, done: bool = False) -> Record:
        """Store the gathered links in one step, then record how far the file is stored."""
        import pyarrow as pa

        record = replace(record, next_row=reached, done=done)
        if waiting:
            links = pa.concat_tables(waiting, promote_options="permissive")
            written = self.target.link(links, directed=self.directed)
            last = links.slice(links.num_rows - 1).to_pylist()[0]
            record = replace(
                record,
                stored=record.stored + links.num_rows,
                lsn=written.lsn,
                last_link=[last[SRC], last[DST], last.get(TYPE) or DEFAULT_TYPE],
            )
        self.checkpoints.save(record)
        return record


def _table(data: Any) -> "pa.Table":
    import pyarrow as pa

    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    return pa.Table.from_pylist(data) if isinstance(data, list) else pa.table(data)


def _renamed(table: "pa.Table", named: dict[str, str]) -> "pa.Table":
    for name, column in named.items():
        if column not in table.column_names:
            known = ", ".join(table.column_names)
            raise CommandError(f"the file has no column {column!r} (it has: {known})")
        table = table.rename_columns([name if one == column else one for one in table.column_names])
    return table


def _cast(table: "pa.Table", schema: "pa.Schema", file: Path) -> "pa.Table":
    """Return a table of texts with the types that links have."""
    import pyarrow as pa

    try:
        return table.cast(pa.schema([schema.field(name) for name in table.column_names]))
    except pa.ArrowInvalid as error:
        raise CommandError(f"{file}: {error}") from None


def _declare(target: "Collection", table: "pa.Table", typed: bool) -> None:
    """Declare the attributes that a file has and the collection lacks."""
    known = {column.name for column in target.link_schema()}
    for field in table.schema:
        if field.name in known:
            continue
        found = _field(field.type) if typed else None
        if found is None:
            raise CommandError(
                f"links have no attribute {field.name!r}, and a column of {field.type} cannot be declared as one",
                hint="declare it with add_link_attribute, or leave the column out",
            )
        target.add_link_attribute(field.name, found)
        note(f"declared the attribute {field.name!r} of links: {found!r}")


def _field(kind: "pa.DataType") -> Any:
    import pyarrow as pa

    import vecdb

    is_ = pa.types
    for test, field in (
        (is_.is_integer, vecdb.Int64), (is_.is_floating, vecdb.Float64), (is_.is_boolean, vecdb.Bool),
        (is_.is_timestamp, vecdb.Timestamp), (is_.is_string, vecdb.Keyword), (is_.is_large_string, vecdb.Keyword),
    ):  # fmt: skip
        if test(kind):
            return field()
    return None
