"""`vecdb index`: which rows of a vector field have an index, which kind is wanted, and building it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import options
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
)


def _kinds() -> list[str]:
    return list(KINDS)


@options.example(
    "vecdb index ./library papers",
    "vecdb index ./library papers --no-build --output json",
    'vecdb index ./library papers --field embedding --set "hnsw(m=32,ef_construction=400)"',
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
            help="How the field is searched from now on: auto, flat, hnsw, ivf, funnel, binary, hnsw(m=32) ...",
        ),
    ] = None,
    build: Annotated[
        bool, typer.Option("--build/--no-build", help="Build what is missing now, or only look, and leave it.")
    ] = True,
    output: options.ReportFormat = Plain.TABLE,
) -> None:
    """Build missing indexes; show or change them.

    rows: how many are searched in which way; flat ones are scanned. pending_rows: how many still wait for an index
    that they should have. With --no-build and without --set it only looks, also beside a process that writes.
    """
    from vecdb_client.cli.building import build_indexes
    from vecdb_client.cli.fields import parse_index
    from vecdb_client.cli.session import opened_collection, vector_field

    spec = None if wanted is None else parse_index(wanted)
    with opened_collection(path, collection, write=build or spec is not None) as target:
        name = None if field is None and spec is None else vector_field(target, field)
        if spec is not None:
            assert name is not None
            target.set_index(name, spec)
        if build:
            build_indexes(target, path)
        rows = [row for row in described(target) if name in (None, row["field"])]
    _write(rows, output)


def described(collection: "Collection") -> list[dict[str, Any]]:
    """Return for each field that has an index which kind is wanted, and what `Collection.stats` tells of it."""
    from vecdb_client.cli.fields import describe_index

    told = collection.stats()["indexes"]
    vectors = {column.name: describe_index(column.field.spec) for column in collection.schema.vectors}
    return [{"field": name, **row, "index": vectors.get(name, row["index"])} for name, row in told.items()]


def _write(rows: list[dict[str, Any]], output: Plain) -> None:
    from vecdb_client.cli.building import shown
    from vecdb_client.cli.options import Output
    from vecdb_client.cli.render import write_records

    if output is Plain.TABLE:
        rows = [{**row, "rows": shown(row), "problems": "; ".join(row["problems"])} for row in rows]
    write_records(rows, Output(output.value), ["field", "index", "rows", "pending_rows", "bytes", "problems"])
