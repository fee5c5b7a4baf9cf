"""What the shell offers behind a tab: collections, fields, and words that an option knows.

The database is read as any command would read it. Whatever goes wrong there is nothing to offer: a shell in the middle
of a line is no place for an error.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from vecdb.schema.schema import Column

FUSIONS = "rrf", "auto", "interleave", "weighted"
STRATEGIES = "average", "best", "sum"
CUTS = "evt", "zscore", "higher_criticism", "gap", "adapter"


def collections(context: typer.Context, incomplete: str) -> list[str]:
    """Return the collections of the database that is named before."""
    try:
        with _database(context) as database:
            return [name for name in database.collections() if name.startswith(incomplete)]
    except Exception:
        return []


def fusions(incomplete: str) -> list[str]:
    """Return the kinds of fusion."""
    return [name for name in FUSIONS if name.startswith(incomplete)]


def strategies(incomplete: str) -> list[str]:
    """Return the strategies of --like."""
    return [name for name in STRATEGIES if name.startswith(incomplete)]


def cuts(incomplete: str) -> list[str]:
    """Return the methods of --cut."""
    return [name for name in CUTS if name.startswith(incomplete)]


def fields(context: typer.Context, incomplete: str) -> list[str]:
    """Return all fields; behind a comma, for another one of a list."""
    return _fields(context, incomplete, lambda column: True)


def searched(context: typer.Context, incomplete: str) -> list[str]:
    """Return the vector fields, and the texts that are searched by words."""
    return _fields(context, incomplete, lambda column: column.field.kind == "vector" or _by_words(column))


def texts(context: typer.Context, incomplete: str) -> list[str]:
    """Return the text fields that are searched by words."""
    return _fields(context, incomplete, _by_words)


def sparse(context: typer.Context, incomplete: str) -> list[str]:
    """Return the fields of sparse vectors."""
    return _fields(context, incomplete, lambda column: column.field.kind == "sparse")


def _by_words(column: "Column") -> bool:
    return getattr(column.field, "fulltext", None) is not None


def _fields(context: typer.Context, incomplete: str, wanted: "Callable[[Column], bool]") -> list[str]:
    before, comma, begun = incomplete.rpartition(",")
    try:
        with _database(context) as database:
            columns = database.collection(_argument(context, "collection", 1)).schema
            names = [column.name for column in columns if wanted(column) and column.name.startswith(begun)]
    except Exception:
        return []
    return [f"{before}{comma}{name}" for name in names]


@contextmanager
def _database(context: typer.Context) -> Iterator[Any]:
    import vecdb
    from vecdb_client.cli.target import Target
    from vecdb_client.settings import Settings

    target = Target.parse(_argument(context, "path", 0))
    if target.remote:
        hurried = Settings(timeout=1.0, attempts=1)  # somebody waits in the middle of a line
        with vecdb.connect(target.text, read_only=True, settings=hurried) as database:
            yield database
        return
    with vecdb.connect(target.text, read_only=True, create=False) as database:
        yield database


def _argument(context: typer.Context, name: str, place: int) -> Any:
    """Return an argument; behind an option that waits for its value none has its name yet, only its place."""
    value = context.params.get(name)
    return context.args[place] if value is None else value
