"""Opening a database for the time of one command.

Commands that only read open read-only, so they work beside a process that writes.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vecdb_client.cli.errors import CommandError

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.database import Database


@contextlib.contextmanager
def opened_database(path: Path, *, write: bool = False, create: bool = False) -> Iterator["Database"]:
    """Open the database at path and close it afterwards.

    Raises:
        CommandError: the path means a database in memory.
        NotFoundError: there is none and create is False.
        ConflictError: write is asked for and another process writes.

    """
    import vecdb

    if str(path) == ":memory:":
        raise CommandError("a database in memory ends with its process; give a directory")
    with vecdb.connect(path, read_only=not write, create=create) as database:
        yield database


@contextlib.contextmanager
def opened_collection(path: Path, name: str, *, write: bool = False) -> Iterator["Collection"]:
    """Open one collection of the database at path."""
    with opened_database(path, write=write) as database:
        yield database.collection(name)


def parse_ids(collection: "Collection", texts: Sequence[str]) -> list[str] | list[int]:
    """Give ids from the command line the type of the collection's ids."""
    if collection.schema.id.field.type != "int64":
        return list(texts)
    numbers: list[int] = []
    for text in texts:
        try:
            numbers.append(int(text))
        except ValueError:
            raise CommandError(f"{text!r} is not an id of {collection.name!r}: its ids are integers") from None
    return numbers
