"""`vecdb facets`: how often the values of fields occur, among all rows or those that match."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import complete, options
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.options import Output, Plain

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.facets import Facet, Facets

BAR = 20
"""The longest bar, in characters."""


@options.example(
    "vecdb facets ./library papers section tags --k 5",
    'vecdb facets ./library papers section --where "year >= 2020" --output json',
    "vecdb facets ./library papers --ranges size=0,1000,10000, --ranges added=2024-01-01,2025-01-01",
)
def facets(
    path: options.DatabasePath,
    collection: options.CollectionName,
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIELD", help="Fields whose values are counted.", show_default=False, autocompletion=complete.fields
        ),
    ] = None,
    where: options.Where = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many values of each field.")] = 10,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--ranges",
            metavar="FIELD=EDGES",
            help="Count ranges of a number or a time instead; an empty first or last edge leaves that end open.",
        ),
    ] = None,
    output: options.ReportFormat = Plain.TABLE,
) -> None:
    """Count how often the values of fields occur.

    The values in most rows come first. Rows without a value are counted apart; a row with a list counts for each of
    its values.
    """
    from vecdb_client.cli.render import json_bytes, write_bytes
    from vecdb_client.cli.session import opened_collection

    with opened_collection(path, collection) as target:
        asked = _asked(target, fields or [], ranges or [])
        found = target.facets(asked, where=where, k=k)
    if output is Plain.JSON:
        write_bytes(json_bytes({"rows": found.rows, "facets": {name: _told(found[name]) for name in found}}) + b"\n")
        return
    _write_table(found)


def _asked(target: "Collection", names: list[str], ranges: list[str]) -> dict[str, Any]:
    asked: dict[str, Any] = dict.fromkeys(name for entry in names for name in options.field_list(entry) or [])
    for entry in ranges:
        name, sign, edges = entry.partition("=")
        name = name.strip()
        if not sign or not name:
            raise CommandError(f"--ranges {entry!r} is not of the form FIELD=EDGE,EDGE,...")
        if asked.get(name) is not None:
            raise CommandError(f"--ranges names {name!r} twice")
        number = target.schema[name].field.kind in ("int64", "float64")
        asked[name] = [_edge(entry, edge.strip(), number) for edge in edges.split(",")]
    if not asked:
        raise CommandError("name fields whose values are counted, or give --ranges")
    return asked


def _edge(entry: str, text: str, number: bool) -> Any:
    if not text:
        return None
    if not number:
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise CommandError(f"--ranges {entry!r}: {text!r} is no number")


def _told(facet: "Facet") -> dict[str, Any]:
    told: dict[str, Any] = {"counts": facet.to_list(), "nulls": facet.nulls}
    told |= {"outside": facet.outside} if facet.distinct is None else {"distinct": facet.distinct}
    if facet.least is not None:
        told |= {"least": facet.least, "greatest": facet.greatest, "mean": facet.mean}
    return told


def _write_table(found: "Facets") -> None:
    from vecdb_client.cli.render import cell, write_records

    rows: list[dict[str, Any]] = []
    for name, facet in found.items():
        most = max((count for _, count in facet), default=0)
        for value, count in facet:
            text = str(value) if facet.distinct is None else cell(value)
            rows.append({"field": name, "value": text, "count": count, "": _bar(count, most)})
        others = {"(no value)": facet.nulls, "(in no range)": facet.outside}
        rows += [{"field": name, "value": text, "count": count} for text, count in others.items() if count]
    write_records(rows, Output.TABLE, ["field", "value", "count", ""])


def _bar(count: int, most: int) -> str:
    """Return a bar as long as the count is beside the greatest of its field; none is empty but that of 0."""
    return "█" * max(round(BAR * count / most), 1) if count else ""
