"""`vecdb get`, `delete` and `count`: rows by id or by filter."""

from typing import Annotated, Any

import typer

from vecdb_client.cli import options
from vecdb_client.cli.errors import NOT_FOUND, CommandError
from vecdb_client.cli.options import Output


@options.example(
    "vecdb get ./library papers W2741809807",
    "vecdb get ./library papers a b c --show title,year --output jsonl",
)
def get(
    path: options.DatabasePath,
    collection: options.CollectionName,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids.", show_default=False)],
    show: options.Show = None,
    output: options.OutputFormat = Output.TABLE,
) -> None:
    """Show rows by id.

    They come in the order asked for. Ids that do not exist are named on stderr, and the exit code is 3.
    """
    from vecdb_client.cli.session import opened_collection, parse_ids

    with opened_collection(path, collection) as target:
        wanted = parse_ids(target, ids)
        found = target.get(wanted, fields=options.field_list(show))
        rows: list[dict[str, Any]] = [row for row in found if row is not None]
        if output is Output.ARROW:
            _write_arrow(rows, target.schema, options.field_list(show))
        elif rows:
            _write(rows, target.schema, output)
    missing = [given for given, row in zip(ids, found, strict=True) if row is None]
    if missing:
        raise CommandError(f"no row with the id {', '.join(missing)} in {collection!r}", NOT_FOUND)


def _write(rows: list[dict[str, Any]], schema: Any, output: Output) -> None:
    from vecdb_client.cli.render import embedded, write_records

    write_records(embedded(rows, schema, output), output)


def _write_arrow(rows: list[dict[str, Any]], schema: Any, show: list[str] | None) -> None:
    import pyarrow as pa

    from vecdb.schema.records import validated_batch
    from vecdb_client.cli.render import write_arrow

    table = pa.Table.from_batches([validated_batch(rows, schema)], schema.arrow_schema())
    write_arrow(table if show is None else table.select([schema.id.name, *(n for n in show if n != schema.id.name)]))


@options.example(
    "vecdb delete ./library papers W2741809807",
    'vecdb delete ./library papers --where "year < 1990" --yes',
)
def delete(
    path: options.DatabasePath,
    collection: options.CollectionName,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids.", show_default=False)] = None,
    where: options.Where = None,
    cascade: Annotated[bool, typer.Option("--cascade", help="Delete the links of the rows too.")] = False,
    yes: options.Yes = False,
) -> None:
    """Delete rows by id or by filter.

    On a terminal it asks first.
    """
    from vecdb_client.cli.session import opened_collection, parse_ids

    if bool(ids) == (where is not None):
        raise CommandError("give either ids or --where")
    with opened_collection(path, collection, write=True) as target:
        if where is not None:
            options.confirmed(f"Delete {target.count(where=where):,} of {target.count():,} rows?", yes)
            result = target.delete(where=where, cascade=cascade)
        else:
            wanted = parse_ids(target, ids or [])
            options.confirmed(f"Delete {len(wanted):,} rows?", yes)
            result = target.delete(ids=wanted, cascade=cascade)
        absent = len(set(ids or [])) - result.rows if ids else 0
        print(f"deleted {result.rows:,} rows" + (f", {absent:,} ids were not there" if absent else ""))


@options.example(
    "vecdb count ./library papers --where \"year >= 2020 and section = 'games'\"",
)
def count(path: options.DatabasePath, collection: options.CollectionName, where: options.Where = None) -> None:
    """Count rows, all or those that match a filter."""
    from vecdb_client.cli.session import opened_collection

    with opened_collection(path, collection) as target:
        print(target.count(where=where))
