"""The tour: store the demo's data at a path, run four searches, show how to repeat each, say what to try next.

Before the latter it answers one question four ways, and measures how much of the exact answers the index finds.

Nothing here needs a terminal: without one there is no progress bar and tables are 80 columns wide. A database that the
tour made earlier is used again; rows that are missing from it are stored again, rows that were added stay.
"""

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vecdb.demo import ways
from vecdb.demo.data import COLLECTION, LICENCE, links, load, question_vectors, schema
from vecdb.demo.searches import (
    RECALL_PYTHON,
    Search,
    ask_command,
    command,
    count_command,
    get_command,
    hybrid_command,
    recall_command,
    searches,
    shown,
    write_vectors,
)
from vecdb.errors import ConflictError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from rich.console import Console

    from vecdb.collection import Collection
    from vecdb.results import SearchResult

DEFAULT_PATH = "./vecdb-demo"

_BATCH = 512
_CODE = "cyan"
_SUGGESTED = ("honey", "guide-dog", "blue-cheese")


def run(path: str | Path = DEFAULT_PATH, console: "Console | None" = None) -> None:
    """Make or reuse the demo's database at `path` and walk through four searches on `console` (default: stdout).

    Vector files for the command line are written into the folder `<path>-queries`.

    Raises:
        InvalidInputError: `path` is ":memory:", which the printed commands could not open.
        ConflictError: `path` holds something else than the demo's database, or another process writes to it while
            rows have to be stored.

    """
    import vecdb

    out = console or stdout()
    place = place_of(path)
    table = load()
    say(out, "vecdb demo: animals, food and the verbs of eating, from WordNet, searched by meaning\n", "bold")
    store(place, table, out)
    folder = write_vectors(place)
    # Read-only, so that the tour can be repeated beside a Python session that has the database open.
    with vecdb.connect(place, read_only=True) as database:
        words = database.collection(COLLECTION)
        tour = searches(place)
        _warm(tour, words)
        for number, search in enumerate(tour, start=1):
            started = time.perf_counter()
            result = search.run(words)
            _show(number, search, result, time.perf_counter() - started, out)
        _four_ways(len(tour) + 1, words, out)
        _measure(len(tour) + 2, place, words, out)
    _next(place, folder, out)


def stdout() -> "Console":
    """Return a console on stdout."""
    from rich.console import Console

    return Console()


def place_of(path: str | Path) -> Path:
    """Return the demo's folder, which has a name of its own.

    Raises:
        InvalidInputError: it means a database in memory.

    """
    if str(path) == ":memory:":
        raise InvalidInputError("the demo needs a directory, and ':memory:' is none", value=str(path))
    place = Path(path)
    # "." and ".." have no name to put "-queries" behind.
    return place if place.name not in ("", "..") else place.resolve()


def store(place: Path, table: "pa.Table", out: "Console") -> None:
    """Leave a database at `place` that holds at least the rows of `table`."""
    import vecdb

    missing = _missing_rows(place, table)
    if missing == 0:
        say(out, f"Using the database that is already there: {shown(place)}")
        return
    if missing < len(table):
        say(out, f"{shown(place)} lacks {missing:,} of the demo's rows: storing them again")
    started = time.perf_counter()
    # In the background nothing would be finished when the database is closed.
    with vecdb.connect(place, settings=vecdb.Settings(background=False)) as database:
        words = database.create_collection(COLLECTION, schema(), exist_ok=True)
        with _progress(out, "storing", len(table)) as show, words.bulk() as bulk:
            for batch in table.to_batches(max_chunksize=_BATCH):
                bulk.add(batch)
                show(bulk.rows, len(table))
        words.link(links())
        seconds = time.perf_counter() - started
        say(out, f"Stored {len(table):,} rows in {shown(place)} in {seconds:.1f} s")
        started = time.perf_counter()
        with _progress(out, "indexing", len(table)) as show:
            words.build_indexes(show)
        say(out, f"Built an index of their vectors in {time.perf_counter() - started:.1f} s")


def _missing_rows(place: Path, table: "pa.Table") -> int:
    """Count the rows of `table` that are not yet in the demo's collection at `place`."""
    import vecdb

    try:
        database = vecdb.connect(place, read_only=True, create=False)
    except NotFoundError:
        return len(table)
    with database:
        names = database.collections()
        if not names:
            return len(table)
        if COLLECTION not in names:
            raise ConflictError(f"{place} holds other collections ({', '.join(names)}): give the demo another path")
        words = database.collection(COLLECTION)
        for column in schema():
            if column.name not in words.schema or words.schema[column.name].field != column.field:
                raise ConflictError(
                    f"the collection {COLLECTION!r} in {place} is not the demo's: its field {column.name!r} is missing "
                    "or of another type; give the demo another path"
                )
        return words.get(table.column("id").to_pylist(), fields=["pos"]).count(None)


@contextmanager
def _progress(out: "Console", doing: str, total: int) -> "Iterator[Callable[[int, int], None]]":
    """Give a function that is told how many rows are done, of how many; there is a bar only on a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    )
    with bar:
        task = bar.add_task(doing, total=total)
        yield lambda done, rows: bar.update(task, completed=done, total=rows)


def _warm(tour: list[Search], words: "Collection") -> None:
    """Search once unseen, so that the times shown are those of searching and not of loading what it needs."""
    for search in tour:
        search.run(words)


def _show(number: int, search: Search, result: "SearchResult", seconds: float, out: "Console") -> None:
    """Print one search: what it is, its answers, and how to repeat it."""
    say(out, f"\n{number}. {search.title}", "bold")
    say(out, f"{search.remark} ({1000 * seconds:.1f} ms)\n")
    say(out, table_of(result, out.width))
    say(out, "\nThe same on the command line:", "dim")
    say(out, search.command, _CODE)
    say(out, f"\nThe same in Python{', going on from above' if number > 1 else ''}:", "dim")
    say(out, search.python, _CODE)


def _four_ways(number: int, words: "Collection", out: "Console") -> None:
    """Answer one question as nearest, diverse, linked and filtered rows."""
    text = question_vectors()[ways.QUESTION][0]
    say(out, f"\n{number}. One question, four answers: {text!r}", "bold")
    for way in ways.ways():
        given = ways.answer(way, words)
        say(out, f"\n{way.name}: {way.remark} ({given.milliseconds:.1f} ms; alike {given.alike:.2f})")
        say(out, f"  {', '.join(given.ids)}")
    say(out, "\nThe same in Python, going on from above:", "dim")
    python = "\n".join(f"print(words.run({way.python}).ids)" for way in ways.ways())
    near = f"near = vecdb.Query(k={ways.K}).near('embedding', demo.question_vectors()[{ways.QUESTION!r}][1])"
    say(out, f"from vecdb.demo import data as demo\n{near}\n{python}", _CODE)


def _measure(number: int, place: Path, words: "Collection", out: "Console") -> None:
    """Ask questions through the index and exactly, and print how much of the exact answers was found."""
    report = words.recall()
    say(out, f"\n{number}. How near to exact is that?", "bold")
    if report.codes_compared == 0:
        say(out, "There is no index yet: every search compared its question with every row, which finds all.")
    else:
        say(
            out,
            f"{report.queries} questions were asked through the index, and of every row. The index found "
            f"{100 * report.recall:.1f} % of the {report.k} nearest\nand looked at {report.codes_compared:,.0f} of "
            f"{len(words):,} rows for it. More or less is a choice: recall=0.999, ef=32, exact=True.",
        )
    say(out, "\nThe same on the command line:", "dim")
    say(out, recall_command(place), _CODE)
    say(out, "\nThe same in Python, going on from above:", "dim")
    say(out, RECALL_PYTHON, _CODE)


def table_of(result: "SearchResult", width: int) -> str:
    """Return the hits as lines of at most `width` characters; only the text is shortened for it."""
    rows = [("score", "id", "lexname", "text")]
    rows += [(f"{hit.score:.3f}", str(hit.id), str(hit["lexname"]), str(hit["text"])) for hit in result]
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)]
    room = max(width - sum(widths) - 2 * len(widths), len("text"))
    lines = []
    for *cells, text in rows:
        padded = [cell.ljust(size) for cell, size in zip(cells, widths, strict=True)]
        lines.append("  ".join((*padded, text if len(text) <= room else f"{text[: room - 3]}...")))
    return "\n".join(lines)


def _next(place: Path, folder: Path, out: "Console") -> None:
    say(out, "\nWhat to try next", "bold")
    asked = question_vectors()
    for remark, line in (
        *((f"Ask: {asked[name][0]}", command(place, name)) for name in _SUGGESTED),
        ("See how a query is carried out", f"{hybrid_command(place)} --analyze"),
        ("Look at one row", get_command(place, "dog.n.01")),
        ("Count by a filter", count_command(place, "pos = 'noun' and senses > 5")),
        ("See every command", "vecdb --help"),
    ):
        say(out, f"\n{remark}", "dim")
        say(out, line, _CODE)
    say(
        out,
        f"\nMore questions: the files in {shown(folder)}. A question of your own needs the extra 'embed' and a model;\n"
        f"the command says how to get them: {ask_command(place)}",
    )
    say(out, f"\nData: WordNet 3.0, Copyright 2006 by Princeton University. Licence: {LICENCE}", "dim")


def say(out: "Console", text: str, style: str | None = None) -> None:
    """Print text as it is: never taken for markup, and never wrapped, so that lines of code can be pasted."""
    out.print(text, style=style, soft_wrap=True, markup=False, highlight=False)
