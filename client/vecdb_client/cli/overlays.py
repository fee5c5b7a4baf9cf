"""`vecdb link-similar` and `link-entities`: links that are made of the rows themselves."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import complete, options
from vecdb_client.cli.errors import CommandError, Stopped
from vecdb_client.cli.interrupts import Interrupts
from vecdb_client.cli.progress import LoadProgress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecdb.collection import Collection

ROWS = 1000
"""Rows that are looked up, and stored, at once."""


@options.example(
    "vecdb link-similar ./library papers",
    "vecdb link-similar ./library papers --field embedding --k 20 --least 0.6 --type near",
)
def link_similar(
    path: options.DatabasePath,
    collection: options.CollectionName,
    field: options.VectorField = None,
    k: Annotated[int, typer.Option("--k", metavar="N", min=1, max=1000, help="How many of the nearest count.")] = 10,
    least: Annotated[float, typer.Option("--least", metavar="S", min=0, help="The least similarity of a link.")] = 0.0,
    type: Annotated[str, typer.Option("--type", "-t", metavar="TYPE", help="The type of the links.")] = "similar",
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every row.")] = False,
) -> None:
    """Link rows of which each is among the nearest of the other.

    Another call brings these links up to date: it searches only for rows whose nearest ones changed. Links of this type
    that somebody else wrote are deleted.
    """
    from vecdb_client.cli.session import opened_collection, vector_field

    begun = time.monotonic()
    with opened_collection(path, collection, write=True) as target:
        name = vector_field(target, field)
        with Interrupts("stopping at the next rows") as interrupts, LoadProgress(f"{collection}: {type}") as bar:

            def watch(done: int, total: int) -> None:
                if interrupts.requested:
                    raise Stopped("stopped: no link was written or deleted")
                bar.update(done, time.monotonic() - begun, done / max(total, 1))

            told = target.refresh_similar(name, k, least=least, exact=exact, type=type, progress=watch)
    print(f"searched for {told.searched:,} rows, wrote {told.written:,} links and deleted {told.deleted:,}")


@options.example("vecdb link-entities ./library papers --field abstract")
def link_entities(
    path: options.DatabasePath,
    collection: options.CollectionName,
    field: Annotated[
        str,
        typer.Option(
            "--field", metavar="NAME", help="The text that is read.", show_default=False, autocompletion=complete.fields
        ),
    ],
    where: options.Where = None,
) -> None:
    """Link texts to what they name, and names by facts.

    Facts are found by nine patterns of plain English, such as "X was directed by Y": few of what a text says, mostly
    right. Each name becomes a row, whose id begins with "entity:" and whose text is the name; rows that are there stay
    as they are. In Python, vecdb.entities takes the facts of a language model instead.
    """
    from vecdb import entities
    from vecdb_client.cli.session import opened_collection

    with opened_collection(path, collection, write=True) as target:
        if target.schema[field].field.kind != "text":
            raise CommandError(f"{field!r} is {target.schema[field].field.kind}, names are found in a text")
        if target.schema.id.field.type != "string":
            raise CommandError("the ids of this collection are numbers: names become rows, whose ids are texts")
        ids: list[str] = []
        facts: list[list[entities.Fact]] = []
        extractor, begun = entities.PatternExtractor(), time.monotonic()
        with LoadProgress(f"{collection}: {field}") as bar:
            total = max(target.count(where), 1)
            for some, texts in _texts(target, field, where):
                ids += some
                facts += extractor.extract(texts)
                bar.update(len(ids), time.monotonic() - begun, min(len(ids) / total, 1.0))
        names = entities.link_entities(entities.mentions(facts))
        fresh = _missing(target, dict(entities.entity_rows(names)))
        for at in range(0, len(fresh), ROWS):
            some = fresh[at : at + ROWS]
            target.upsert({target.schema.id.name: [key for key, _ in some], field: [name for _, name in some]})
        links = entities.knowledge_links(ids, facts, names)
        if links.num_rows:
            target.link(links)
    read = f"read {len(ids):,} texts and found {sum(map(len, facts)):,} facts"
    print(f"{read}: wrote {links.num_rows:,} links, and rows for {len(fresh):,} names")


def _texts(target: "Collection", field: str, where: str | None) -> "Iterator[tuple[list[str], list[str]]]":
    """Yield ids and texts, without the rows of names."""
    from vecdb.entities import PREFIX

    key = target.schema.id.name
    for batch in target.scan(where, fields=[key, field]):
        pairs = zip(batch.column(key).to_pylist(), batch.column(field).to_pylist(), strict=True)
        told = [(one, text) for one, text in pairs if text and not one.startswith(PREFIX)]
        yield [one for one, _ in told], [text for _, text in told]


def _missing(target: "Collection", wanted: dict[str, str]) -> list[tuple[str, Any]]:
    """Return which of these ids have no row, and their names."""
    keys, found = list(wanted), []
    for at in range(0, len(keys), ROWS):
        some = keys[at : at + ROWS]
        there = target.get(some, fields=[])
        found += [(key, wanted[key]) for key, row in zip(some, there, strict=True) if row is None]
    return found
