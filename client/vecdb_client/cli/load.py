"""`vecdb load`: the command; `loading` stores the rows."""

import contextlib
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import options
from vecdb_client.cli.errors import NOT_FOUND, CommandError, Stopped, note
from vecdb_client.cli.target import Target

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.schema import Schema
    from vecdb_client.cli.checkpoint import Checkpoints, Record
    from vecdb_client.cli.columns import Plan
    from vecdb_client.cli.readers import Source


class OnError(StrEnum):
    """What a bad row does to a load."""

    STOP = "stop"
    SKIP = "skip"


@options.example(
    'vecdb load ./library papers papers.parquet --map "abstract=text"',
    "vecdb load ./library papers papers.jsonl --embed embedding=./all-MiniLM-L6-v2:text",
    "vecdb load ./library images vectors.npy --id auto",
    "vecdb load ./library logs day*.jsonl.gz --on-error skip",
    "vecdb load ./library papers --links citations.parquet --link-map type=relation",
)
def load(
    path: options.DatabasePath,
    collection: options.CollectionName,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]", help="Data files.", show_default=False)
    ] = None,
    mapping: options.MapOption = None,
    id_column: options.IdOption = None,
    metric: options.MetricOption = "cosine",
    format: options.FormatOption = None,
    on_error: Annotated[
        OnError, typer.Option("--on-error", metavar="WHAT", help="stop at the first bad row, or skip bad rows.")
    ] = OnError.STOP,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="With skip: the bad rows as JSON Lines [FILE.rejected.jsonl]."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--restart", help="Continue an unfinished load, or begin again.")
    ] = True,
    commit_rows: Annotated[
        int | None,
        typer.Option(
            "--commit-rows", metavar="N", min=1, help="Commit every N rows or links or so; else by size and time."
        ),
    ] = None,
    embed: Annotated[
        list[str] | None,
        typer.Option(
            "--embed",
            metavar="FIELD=MODEL[:SOURCE]",
            help="Make the vectors FIELD of the texts SOURCE by a sentence-transformers model, a folder or a name.",
        ),
    ] = None,
    links: Annotated[
        list[Path] | None,
        typer.Option("--links", metavar="FILE", help="Links: columns src, dst, type, weight, attributes. Repeatable."),
    ] = None,
    link_map: Annotated[
        list[str] | None,
        typer.Option("--link-map", metavar="NAME=COLUMN", help="What a file of links calls a column: type=rel."),
    ] = None,
    undirected: Annotated[bool, typer.Option("--undirected", help="Links hold in both directions.")] = False,
    no_index: options.NoIndex = False,
) -> None:
    """Load data files into a collection.

    With --links, links between its rows.

    Formats: Parquet, Arrow IPC, JSON Lines, CSV, TSV (these three also gzipped), NumPy .npy and .npz.

    A collection that does not exist is made, with the schema that the first rows suggest. Rows with an id that
    exists replace it. Vectors are list columns, JSON arrays in CSV cells, or numbered columns (e0, e1, ...).

    --embed needs the extra 'embed'; where the model lies is remembered, later loads and queries need not say it.

    A load that was interrupted, or killed, continues where it stopped when the same command runs again. When all
    rows are in, the indexes that are missing are built; Ctrl-C leaves that to another time.
    """
    import vecdb
    from vecdb_client.cli.building import build_indexes, say_what_is_missing
    from vecdb_client.cli.checkpoint import Checkpoints
    from vecdb_client.cli.embedding import attach, parse_embed, with_encoders
    from vecdb_client.cli.interrupts import Interrupts
    from vecdb_client.cli.link_loading import LinkLoader, parse_map
    from vecdb_client.cli.readers import open_source
    from vecdb_client.cli.session import opened_database

    files, linked, named = files or [], links or [], parse_map(link_map)
    if not files and not linked:
        raise CommandError("name files of rows, or --links FILE")
    missing = next((file for file in (*files, *linked) if not file.exists()), None)
    if missing is not None:
        with open_source(missing):
            pass
    entries, embeds = mapping or [], parse_embed(embed)
    schema = existing_schema(path, collection)
    if schema is None and not files:
        raise CommandError(f"there is no collection {collection!r} to link", NOT_FOUND)
    if schema is None:
        schema = with_encoders(_inferred(files[0], format, entries, id_column, metric, collection), embeds, metric)
    request = _Request(entries, id_column, format, resume, commit_rows, path.remote)
    settings = vecdb.Settings(indexing=False)  # flushes and merges go on meanwhile; an index before them is for nothing
    with opened_database(path, write=True, create=True, settings=settings) as database:
        known = collection in database
        target = database.collection(collection) if known else database.create_collection(collection, schema)
        attach(path, target, embeds, metric)
        checkpoints = Checkpoints(path.memory)
        with Interrupts() as interrupts:
            for number, file in enumerate(files):
                reported = (report or Path(f"{file.name}.rejected.jsonl")) if on_error is OnError.SKIP else None
                _load_file(request, target, file, checkpoints, interrupts, reported, append=bool(report and number))
                if interrupts.requested and number + 1 < len(files):
                    raise Stopped(f"stopped before {files[number + 1]}; the same command goes on with it")
            loader = LinkLoader(target, checkpoints, interrupts, named, not undirected, format, commit_rows, resume)
            loader.load_all(linked)
        if path.remote:
            return  # the server builds what is missing
        if no_index or interrupts.requested:
            say_what_is_missing(target, path)
        else:
            build_indexes(target, path)


class _Request:
    """The options that are the same for every file of one load."""

    def __init__(
        self,
        entries: list[str],
        id_column: str | None,
        format: str | None,
        resume: bool,
        commit_rows: int | None,
        remote: bool,
    ) -> None:
        self.remote = remote
        self.entries = entries
        self.id_column = id_column
        self.format = format
        self.resume = resume
        self.commit_rows = commit_rows


def existing_schema(path: Target, name: str) -> "Schema | None":
    """Return the schema of a collection; None: there is no such collection."""
    from vecdb.errors import NotFoundError
    from vecdb_client.cli.session import opened_collection

    try:
        with opened_collection(path, name) as collection:
            return collection.schema
    except NotFoundError:
        return None


def _inferred(
    file: Path, format: str | None, entries: list[str], id_column: str | None, metric: str, name: str
) -> "Schema":
    schema = schema_like(file, format, entries, id_column, metric)
    from vecdb_client.cli.fields import describe

    note(f"making the collection {name!r} with the schema inferred from {file}:")
    for line in describe(schema):
        note(f"  {line}")
    return schema


def schema_like(file: Path, format: str | None, entries: list[str], id_column: str | None, metric: str) -> "Schema":
    """Infer a schema from the beginning of a data file."""
    from vecdb_client.cli.infer import infer_schema
    from vecdb_client.cli.readers import open_source

    with open_source(file, format) as source:
        plan = _plan(source, entries, id_column, None)
        return infer_schema(plan, source.sample(), typed=source.typed, metric=metric)


def _plan(source: "Source", entries: list[str], id_column: str | None, schema: "Schema | None") -> "Plan":
    from vecdb_client.cli.mapping import make_plan

    return make_plan(
        source.columns(),
        entries,
        id_column,
        schema,
        only_vectors=source.only_vectors,
        open_ended=source.unit == "line",
    )


def _load_file(
    request: _Request,
    collection: "Collection",
    file: Path,
    checkpoints: "Checkpoints",
    interrupts: Any,
    report: Path | None,
    append: bool,
) -> None:
    from dataclasses import replace

    from vecdb.errors import VecdbError
    from vecdb_client.cli.loading import Loader, open_report
    from vecdb_client.cli.progress import LoadProgress
    from vecdb_client.cli.readers import open_source

    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_source(file, request.format))
        plan = _plan(source, request.entries, request.id_column, collection.schema)
        record = _begin(request, collection, file, checkpoints, plan)
        if record.done:
            note(f"{file}: already loaded ({record.stored:,} rows); --restart loads it again")
            return
        if record.next_row:
            note(f"{file}: {record.stored:,} rows are in, going on at row {record.next_row:,} (--restart begins again)")
        output = None
        if report is not None:
            if append and not record.report_bytes and report.exists():
                # Saved first: what a crash leaves in the report behind this point is then cut off.
                record = replace(record, report_bytes=report.stat().st_size)
                checkpoints.save(record)
            output = stack.enter_context(open_report(report, record.report_bytes))
        progress = stack.enter_context(LoadProgress(file.name))
        plan = replace(plan, first_id=record.first_id)
        loader = Loader(
            collection, plan, source, checkpoints, record, progress, interrupts, output, request.commit_rows,
            request.remote,
        )  # fmt: skip
        before = collection.count()
        try:
            done = loader.run()
        except Stopped:
            stored = loader.record.stored
            raise Stopped(f"{file}: {stored:,} rows are in; run the same command again to continue") from None
        except CommandError as error:
            hint = "repair the file and load it again, or pass over bad rows with --on-error skip"
            sentence = f"{error}; {loader.record.stored:,} rows are in"
            raise CommandError(sentence, error.code, error.hint or hint) from None
        except VecdbError:
            note(f"{file}: {loader.record.stored:,} rows are in; the same command continues there")
            raise
    _summary(file, record, done, collection, before, time.monotonic() - begun, report)


def _begin(
    request: _Request, collection: "Collection", file: Path, checkpoints: "Checkpoints", plan: "Plan"
) -> "Record":
    """Return the record to start from, saved beforehand when the numbering of rows depends on it."""
    from dataclasses import replace

    from vecdb_client.cli.checkpoint import Record, restarted
    from vecdb_client.cli.loading import next_number

    choices: dict[str, Any] = {"map": sorted(request.entries), "id": request.id_column, "fields": sorted(plan.targets)}
    if collection.schema.encoded:
        choices["embed"] = sorted(vector.name for vector, _ in collection.schema.encoded)
    fresh = Record.of(file, collection.name, choices)
    found, reason = checkpoints.fitting(fresh, collection)
    if reason is not None:
        note(f"{file}: beginning again, for {reason}")
    if found is not None:
        return found if request.resume else restarted(found)
    if plan.auto_id:
        fresh = replace(fresh, first_id=next_number(collection))
        note(f"{file}: rows are numbered from {fresh.first_id}")
        checkpoints.save(fresh)
    return fresh


def _summary(
    file: Path,
    began: "Record",
    done: "Record",
    collection: "Collection",
    before: int,
    seconds: float,
    report: Path | None,
) -> None:
    stored = done.stored - began.stored
    replaced = stored - (collection.count() - before)
    rate = f"{stored / max(seconds, 1e-9):,.0f} rows/s"
    print(f"{file}: {stored:,} rows loaded into {collection.name} in {seconds:.1f} s ({rate})", end="")
    print(f", {replaced:,} of them replaced rows" if replaced > 0 else "", end="")
    print(f", {done.skipped:,} bad rows skipped, see {report}" if done.skipped else "", end="\n", flush=True)
    if report is not None and not done.skipped and report.exists() and not report.stat().st_size:
        report.unlink()
