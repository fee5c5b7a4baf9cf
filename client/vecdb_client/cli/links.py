"""`vecdb links` and `unlink`, and the links that `vecdb load --links` takes from files."""

import itertools
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import options
from vecdb_client.cli.errors import CommandError, Stopped, note
from vecdb_client.cli.options import Output, Plain

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.collection import Collection

LOADED = 1 << 20
"""Links that are stored in one step."""


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


# -- loading -------------------------------------------------------------------------------------------------------


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


def load_links(
    target: "Collection", file: Path, format: str | None, named: dict[str, str], directed: bool, interrupts: Any
) -> None:
    """Load the links of a file; columns that no attribute has are declared, where the file says their types.

    It can be repeated: a link that is there is replaced by itself.
    """
    import pyarrow as pa

    from vecdb_client.cli.progress import LoadProgress
    from vecdb_client.cli.readers import open_source

    begun, stored, schema = time.monotonic(), 0, None
    with open_source(file, format) as source, LoadProgress(file.name) as progress:
        waiting: list[pa.Table] = []
        for chunk in source.chunks(0):
            if chunk.rejected:
                bad = chunk.rejected[0]
                raise CommandError(f"{file}: {bad.message}; {stored:,} links are in")
            table = _renamed(_table(chunk.data), named)
            if schema is None:
                schema = _declared(target, table, source.typed)
            waiting.append(table if source.typed else _cast(table, schema, file))
            if sum(one.num_rows for one in waiting) >= LOADED:
                stored += target.link(pa.concat_tables(waiting, promote_options="permissive"), directed=directed).rows
                waiting = []
                progress.update(stored, time.monotonic() - begun, source.fraction())
            if interrupts.requested:
                break
        if waiting:
            stored += target.link(pa.concat_tables(waiting, promote_options="permissive"), directed=directed).rows
    if interrupts.requested:
        raise Stopped(f"{file}: {stored:,} links are in; the same command stores them again")
    seconds = time.monotonic() - begun
    print(f"{file}: {stored:,} links loaded into {target.name} in {seconds:.1f} s", end="")
    print(f" ({stored / max(seconds, 1e-9):,.0f} links/s)", flush=True)


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


def _declared(target: "Collection", table: "pa.Table", typed: bool) -> "pa.Schema":
    """Declare the attributes that a file has and the collection lacks; return the columns of links."""
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
    return target.link_schema().arrow_schema()


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
