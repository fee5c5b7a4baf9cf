"""Collections and their upkeep: create, collections, drop, stats, compact, tag, versions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import options
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.options import Plain

if TYPE_CHECKING:
    from vecdb.schema import Schema


@options.example(
    'vecdb create ./library papers --field title:text --field year:int64 --field "embedding:vector(384,cosine)"',
    'vecdb create ./library images --field "embedding:vector(512,float16,hnsw(m=32))"',
    "vecdb create ./library papers --like papers.parquet",
)
def create(
    path: options.DatabasePath,
    collection: options.CollectionName,
    field: Annotated[
        list[str] | None,
        typer.Option("--field", "-f", metavar="NAME:TYPE", help="A field, e.g. 'embedding:vector(384,cosine)'."),
    ] = None,
    schema: Annotated[
        Path | None, typer.Option("--schema", metavar="FILE", help='Fields from a JSON file: {"name": "type", ...}.')
    ] = None,
    like: Annotated[
        Path | None, typer.Option("--like", metavar="FILE", help="Infer the fields from a data file.")
    ] = None,
    mapping: options.MapOption = None,
    id_column: options.IdOption = None,
    metric: options.MetricOption = "cosine",
    exist_ok: Annotated[bool, typer.Option("--exist-ok", help="Do nothing if it exists with the same schema.")] = False,
) -> None:
    """Make a collection.

    The database is made as well if there is none.

    Types: id, id(int64), text, text(search), keyword, keyword(many), bool, int64, float64, timestamp, json, geo,
    vector(DIMENSION[,float32|float16|int8][,cosine|dot|l2][,INDEX]), bits(NUMBER) for binary vectors,
    sparse(DIMENSION), and multivector(DIMENSION[,int8][,pool_factor=N]) for several vectors a row. Without an
    id field a string id called 'id' is added. INDEX is auto, flat, hnsw, ivf, funnel or binary, with parameters
    hnsw(m=16,ef_construction=200), ivf(lists=N,codes=8bit) or funnel(dimensions=N,rotate=false).
    """
    from vecdb_client.cli.fields import describe
    from vecdb_client.cli.session import opened_database

    wanted = _schema(field, schema, like, (mapping or [], id_column, metric))
    with opened_database(path, write=True, create=True) as database:
        made = database.create_collection(collection, wanted, exist_ok=exist_ok)
        print(f"{made.name}:")
        for line in describe(made.schema):
            print(f"  {line}")


def _schema(
    fields: list[str] | None, file: Path | None, like: Path | None, inference: tuple[list[str], str | None, str]
) -> "Schema":
    if sum(given is not None for given in (fields or None, file, like)) != 1:
        raise CommandError("give one of --field, --schema and --like")
    from vecdb_client.cli.fields import parse_schema, read_schema
    from vecdb_client.cli.load import schema_like

    if fields:
        return parse_schema(fields)
    if file is not None:
        return read_schema(file)
    assert like is not None
    entries, id_column, metric = inference
    return schema_like(like, None, entries, id_column, metric)


@options.example(
    "vecdb collections ./library",
)
def collections(path: options.DatabasePath, output: options.ReportFormat = Plain.TABLE) -> None:
    """List the collections: rows and fields."""
    from vecdb_client.cli.fields import describe
    from vecdb_client.cli.session import opened_database

    with opened_database(path) as database:
        rows: list[dict[str, Any]] = []
        for name in database.collections():
            opened = database.collection(name)
            fields = describe(opened.schema)
            shown = " ".join(fields) if output is Plain.TABLE else fields
            rows.append({"collection": name, "rows": opened.count(), "fields": shown})
    _write(rows, output, ["collection", "rows", "fields"])


@options.example(
    "vecdb drop ./library drafts --yes",
)
def drop(path: options.DatabasePath, collection: options.CollectionName, yes: options.Yes = False) -> None:
    """Drop a collection with all its versions.

    On a terminal it asks first.
    """
    from vecdb_client.cli.checkpoint import Checkpoints
    from vecdb_client.cli.session import opened_database

    with opened_database(path, write=True) as database:
        rows = database.collection(collection).count()
        options.confirmed(f"Drop {collection!r} with {rows:,} rows?", yes)
        database.drop_collection(collection)
        Checkpoints(path.memory).forget(collection)
    print(f"dropped {collection} ({rows:,} rows)")


@options.example(
    "vecdb stats ./library papers --output json",
)
def stats(
    path: options.DatabasePath,
    collection: Annotated[
        str | None, typer.Argument(metavar="[COLLECTION]", help="One collection; else the database.")
    ] = None,
    output: options.ReportFormat = Plain.TABLE,
) -> None:
    """Show rows, segments, indexes, versions and disk use."""
    from vecdb_client.cli.render import cell, json_bytes, write_bytes
    from vecdb_client.cli.session import opened_database

    with opened_database(path) as database:
        content = database.stats() if collection is None else database.collection(collection).stats()
    if output is Plain.JSON:
        write_bytes(json_bytes(content) + b"\n")
        return
    pairs = list(_flat(_with_index_lines(content), ""))
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        print(f"{name.ljust(width)}  {cell(value)}".rstrip())


def _with_index_lines(content: dict[str, Any]) -> dict[str, Any]:
    """Return statistics of a collection, or of all, with one line for each index and for what is being built."""
    from vecdb_client.cli.building import index_line

    if "collections" in content:
        return {**content, "collections": {k: _with_index_lines(v) for k, v in content["collections"].items()}}
    indexes = {name: index_line(entry) for name, entry in content["indexes"].items()}
    building = content["indexing"]
    now = "nothing" if building is None else f"{building['rows_done']:,} of {building['rows']:,} rows"
    return {**content, "indexes": indexes or "none", "indexing": now}


def _flat(content: Any, prefix: str) -> list[tuple[str, Any]]:
    """Return nested dictionaries as `a.b` names with values."""
    if not isinstance(content, dict) or not content:
        return [(prefix, content)]
    return [pair for name, value in content.items() for pair in _flat(value, f"{prefix}.{name}" if prefix else name)]


@options.example(
    "vecdb compact ./library papers --purge",
)
def compact(
    path: options.DatabasePath,
    collection: options.CollectionName,
    purge: Annotated[
        bool, typer.Option("--purge", help="Also drop older versions, so that deleted rows leave the disk now.")
    ] = False,
    no_index: options.NoIndex = False,
) -> None:
    """Merge segments and drop deleted rows from them.

    Then the indexes that are missing are built; Ctrl-C leaves that to another time.
    """
    from vecdb_client.cli.building import build_indexes, say_what_is_missing
    from vecdb_client.cli.render import cell
    from vecdb_client.cli.session import opened_collection

    with opened_collection(path, collection, write=True) as target:
        result = target.compact(purge=purge)
        for name, value in _flat(result, ""):
            print(f"{name}: {cell(value)}", flush=True)
        if no_index:
            say_what_is_missing(target, path)
        else:
            build_indexes(target, path)


@options.example(
    "vecdb tag ./library papers before-cleanup",
)
def tag(
    path: options.DatabasePath,
    collection: options.CollectionName,
    name: Annotated[str, typer.Argument(metavar="TAG", help="The name of the version.", show_default=False)],
    delete: Annotated[bool, typer.Option("--delete", help="Remove the tag; the version may then be dropped.")] = False,
) -> None:
    """Name the current version and keep it.

    A tagged version can be read for as long as it has the tag.
    """
    from vecdb_client.cli.session import opened_collection

    with opened_collection(path, collection, write=True) as target:
        if delete:
            target.untag(name)
            print(f"removed the tag {name}")
            return
        target.tag(name)
        print(f"{name} is version {target.tags()[name]}")


@options.example(
    "vecdb versions ./library papers",
)
def versions(
    path: options.DatabasePath, collection: options.CollectionName, output: options.ReportFormat = Plain.TABLE
) -> None:
    """List the versions that can still be read."""
    from datetime import UTC, datetime

    from vecdb_client.cli.session import opened_collection

    with opened_collection(path, collection) as target:
        rows = [{**row, "committed_at": datetime.fromtimestamp(row["committed_at"], UTC)} for row in target.versions()]
    if output is Plain.TABLE:
        rows = [{**row, "tags": ", ".join(row["tags"])} for row in rows]
    _write(rows, output, ["version", "committed_at", "rows", "tags"])


def _write(rows: list[dict[str, Any]], output: Plain, columns: list[str]) -> None:
    from vecdb_client.cli.options import Output
    from vecdb_client.cli.render import write_records

    write_records(rows, Output(output.value), columns)
