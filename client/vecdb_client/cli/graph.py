"""`vecdb graph`: a picture of what is linked to a row."""

from pathlib import Path
from typing import Annotated

import typer

from vecdb_client.cli import options
from vecdb_client.cli.errors import CONFLICT, NOT_FOUND, CommandError, note


@options.example(
    "vecdb graph ./library papers --around W2741809807 --out graph.html",
    "vecdb graph ./library packages --around python3 --links depends --hops 1 --label synopsis --out graph.html",
)
def graph(
    path: options.DatabasePath,
    collection: options.CollectionName,
    around: Annotated[str, typer.Option("--around", metavar="ID", help="The row in the middle.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the picture goes, an HTML file.")],
    hops: Annotated[int, typer.Option("--hops", metavar="N", min=1, max=8, help="How many links away.")] = 2,
    links: Annotated[
        str | None, typer.Option("--links", metavar="TYPES", help="Only links of these types, commas between them.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="FIELD", help="A field to show of each row under the mouse.")
    ] = None,
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, max=5000, help="The most rows.")] = 200,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Draw the rows around one, as an HTML file.

    It is looked at in a browser, with names under the mouse, and needs no network. Rows are coloured by how many links
    they are away, lines by the type of link. Needs the extra `picture`.
    """
    from vecdb_client.cli.session import opened_collection, parse_ids
    from vecdb_client.drawing import around as surroundings
    from vecdb_client.drawing import write_picture

    if out.exists() and not force:
        raise CommandError(f"{out} exists already", CONFLICT, hint="--force writes over it")
    types = [name.strip() for name in links.split(",") if name.strip()] if links else None
    with opened_collection(path, collection) as target:
        (start,) = parse_ids(target, [around])
        seen = surroundings(target, start, hops, types, most)
        if not seen.links and target.get(start, fields=[]) is None:
            raise CommandError(f"no row with the id {start!r} in {collection!r}, and no links", NOT_FOUND)
        labels: dict[object, str] = {}
        if label is not None:
            rows = target.get(list(seen.away), fields=[label])
            labels = {
                row[target.schema.id.name]: str(row[label])
                for row in rows
                if row is not None and row[label] is not None
            }
    write_picture(out, seen, labels)
    note(f"{len(seen.away)} rows and {len(seen.links)} links in {out}" + (": there are more rows" if seen.cut else ""))
