"""`vecdb links` and `unlink`: the commands."""

import itertools
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import options
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.options import Output, Plain

if TYPE_CHECKING:
    import pyarrow as pa


class Way(StrEnum):
    """Which links of an id."""

    OUT = "out"
    IN = "in"
    BOTH = "both"


LinkTypes = Annotated[
    list[str] | None, typer.Option("--type", "-t", metavar="TYPE", help="Only links of this type; may be repeated.")
]
LinkWhere = Annotated[
    str | None,
    typer.Option("--where", "-w", metavar="FILTER", help='Only links that match, e.g. "weight > 0.5".'),
]


@options.example(
    "vecdb links ./library papers W2741809807 --type cites --direction out",
    'vecdb links ./library papers --where "weight > 0.5" --output jsonl',
    "vecdb links ./library papers --stats",
)
def links(
    path: options.DatabasePath,
    collection: options.CollectionName,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]", help="Ids; without any, all links.", show_default=False)
    ] = None,
    type: LinkTypes = None,
    direction: Annotated[Way, typer.Option("--direction", metavar="WAY", help="out, in or both.")] = Way.BOTH,
    where: LinkWhere = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="The most links of each id.")] = None,
    stats: Annotated[bool, typer.Option("--stats", help="Count links and ends instead.")] = False,
    output: options.OutputFormat = Output.TABLE,
) -> None:
    """Show the links of ids, heaviest first, or all.

    Without ids, all links of the collection.
    """
    from vecdb_client.cli.session import opened_collection, parse_ids

    with opened_collection(path, collection) as target:
        if stats:
            if ids or type or where or limit:
                raise CommandError("--stats counts all links: leave the other options out")
            _report(target.link_stats(), Plain.TABLE if output is Output.TABLE else Plain.JSON)
        elif ids:
            found = target.neighbours(parse_ids(target, ids), type, direction.value, where, limit)
            _show(iter(found.to_batches()), found.schema, output)
        else:
            if limit is not None or direction is not Way.BOTH:
                raise CommandError("--limit and --direction are about the links of ids: name some")
            _show(target.links(type=type, where=where), target.link_schema().arrow_schema(), output)


@options.example(
    "vecdb unlink ./library papers --src W2741809807 --type cites",
    'vecdb unlink ./library papers --where "weight < 0.1" --yes',
)
def unlink(
    path: options.DatabasePath,
    collection: options.CollectionName,
    src: Annotated[list[str] | None, typer.Option("--src", metavar="ID", help="Only links from this id.")] = None,
    dst: Annotated[list[str] | None, typer.Option("--dst", metavar="ID", help="Only links to this id.")] = None,
    type: LinkTypes = None,
    where: LinkWhere = None,
    yes: options.Yes = False,
) -> None:
    """Delete the links that match all that is given.

    On a terminal it asks first.
    """
    from vecdb_client.cli.session import opened_collection, parse_ids

    if not (src or dst or type or where is not None):
        raise CommandError("say which links: --src, --dst, --type or --where")
    with opened_collection(path, collection, write=True) as target:
        ends = [parse_ids(target, given) if given else None for given in (src, dst)]
        count = sum(batch.num_rows for batch in target.links(ends[0], ends[1], type or None, where))
        options.confirmed(f"Delete {count:,} links?", yes)
        done = target.unlink(src=ends[0], dst=ends[1], type=type or None, where=where)
        print(f"deleted {done.rows:,} links")


def _show(batches: "Iterator[pa.RecordBatch]", schema: "pa.Schema", output: Output) -> None:
    import pyarrow as pa

    from vecdb_client.cli.render import write_arrow, write_records

    if output is Output.ARROW:
        write_arrow(pa.Table.from_batches(list(batches), schema))
        return
    records = itertools.chain.from_iterable(batch.to_pylist() for batch in batches)
    write_records(records, output, schema.names)


def _report(told: dict[str, Any], output: Plain) -> None:
    from vecdb_client.cli.render import cell, json_bytes, write_bytes

    if output is Plain.JSON:
        write_bytes(json_bytes(told) + b"\n")
        return
    flat = {}
    for name, value in told.items():
        flat |= {f"{name}.{part}": one for part, one in value.items()} if isinstance(value, dict) else {name: value}
    width = max(map(len, flat))
    for name, value in flat.items():
        print(f"{name.ljust(width)}  {cell(value)}")
