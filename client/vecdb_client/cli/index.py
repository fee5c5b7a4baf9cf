"""`vecdb index`: which rows of a field have an index, which kind is wanted, and building it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import options
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.options import Plain

if TYPE_CHECKING:
    from vecdb.collection import Collection

KINDS = (
    "auto",
    "flat",
    "hnsw",
    "hnsw(m=32)",
    "ivf",
    "ivf(codes=4bit)",
    "ivf(codes=product)",
    "ivf(codes=rabitq)",
    "funnel",
    "funnel(dimensions=128)",
    "binary",
    "search",
    "search(language=german)",
    "off",
)


def _kinds() -> list[str]:
    return list(KINDS)


@options.example(
    "vecdb index ./library papers",
    "vecdb index ./library papers --no-build --output json",
    'vecdb index ./library papers --field embedding --set "hnsw(m=32,ef_construction=400)"',
    'vecdb index ./library papers --field abstract --set "search(language=english)"',
)
def index(
    path: options.DatabasePath,
    collection: options.CollectionName,
    field: options.VectorField = None,
    wanted: Annotated[
        str | None,
        typer.Option(
            "--set",
            metavar="KIND",
            autocompletion=_kinds,
            help="How the field is searched from now on: auto, flat, hnsw, ivf, funnel, binary, hnsw(m=32) ...; "
            "a text: search, search(language=german) or off.",
        ),
    ] = None,
    build: Annotated[
        bool, typer.Option("--build/--no-build", help="Build what is missing now, or only look, and leave it.")
    ] = True,
    output: options.ReportFormat = Plain.TABLE,
) -> None:
    """Build missing indexes; show or change them.

    rows: how many are searched in which way; flat ones are scanned, those in memory have an index there only.
    pending_rows: how many still wait for an index that they should have. With --no-build and without --set it only
    looks, also beside a process that writes.
    """
    from vecdb_client.cli.building import build_indexes
    from vecdb_client.cli.fields import parse_index, parse_search
    from vecdb_client.cli.session import opened_collection

    if wanted is not None:
        _check(wanted)
    with opened_collection(path, collection, write=build or wanted is not None) as target:
        name = _named(target, field, wanted)
        if wanted is not None:
            assert name is not None
            text = target.schema[name].field.kind == "text"
            target.set_index(name, (parse_search(wanted) or False) if text else parse_index(wanted))
        if build:
            build_indexes(target, path)
        rows = [row for row in described(target) if name in (None, row["field"])]
    _write(rows, output)


def _check(wanted: str) -> None:
    """Refuse what no field could be searched by, before anything is opened."""
    from vecdb_client.cli.fields import parse_index, parse_search

    try:
        parse_search(wanted)
    except CommandError:
        parse_index(wanted)


def _named(target: "Collection", field: str | None, wanted: str | None) -> str | None:
    """Return the field that the command is about; None: all that may have an index."""
    from vecdb_client.cli.session import vector_field

    if field is None:
        return None if wanted is None and (target.schema.vectors or target.schema.texts) else vector_field(target, None)
    return field if target.schema[field].field.kind == "text" else vector_field(target, field)


def described(collection: "Collection") -> list[dict[str, Any]]:
    """Return for each field that may have an index which kind is wanted, and what `Collection.stats` tells of it."""
    from vecdb_client.cli.fields import describe_index, describe_search

    told = collection.stats()["indexes"]
    kinds = {column.name: describe_index(column.field.spec) for column in collection.schema.vectors}
    kinds |= {column.name: describe_search(column.field.fulltext) for column in collection.schema.texts}
    return [{"field": name, **told[name], "index": kind} for name, kind in kinds.items()]


def _write(rows: list[dict[str, Any]], output: Plain) -> None:
    from vecdb_client.cli.building import shown
    from vecdb_client.cli.options import Output
    from vecdb_client.cli.render import write_records

    if output is Plain.TABLE:
        rows = [{**row, "rows": shown(row), "problems": "; ".join(row["problems"])} for row in rows]
    write_records(rows, Output(output.value), ["field", "index", "rows", "pending_rows", "bytes", "problems"])
