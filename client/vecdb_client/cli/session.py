"""Opening a database for the time of one command: one in a folder, or one that a server has.

Commands that only read open a folder read-only, so they work beside a process that writes. Those that write start
nothing in the background that the end of the command would throw away. A server does what it does anyway.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.target import Target

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.config import Settings
    from vecdb.database import Database


@contextlib.contextmanager
def opened_database(
    target: Target, *, write: bool = False, create: bool = False, settings: "Settings | None" = None
) -> Iterator["Database"]:
    """Open a database and close it afterwards; without settings nothing goes on in the background.

    Raises:
        NotFoundError: there is none and create is False.
        ConflictError: write is asked for and another process writes.
        UnavailableError: the server cannot be reached.

    """
    import vecdb

    if target.remote:
        with vecdb.connect(target.text, read_only=not write) as database:
            yield database
        return
    settings = settings or vecdb.Settings(background=False)
    with vecdb.connect(target.text, read_only=not write, create=create, settings=settings) as database:
        yield database


@contextlib.contextmanager
def opened_collection(target: Target, name: str, *, write: bool = False) -> Iterator["Collection"]:
    """Open one collection of a database."""
    with opened_database(target, write=write) as database:
        yield database.collection(name)


def vector_field(collection: "Collection", field: str | None) -> str:
    """Return the vector field that the user named, or the only one.

    Raises:
        CommandError: it is no vector, or there is none, or there are several and none is named.

    """
    names = [column.name for column in collection.schema.vectors]
    if field is not None:
        if field not in names:
            collection.schema[field]
            raise CommandError(f"{field!r} is not a vector; the vectors of {collection.name!r} are {', '.join(names)}")
        return field
    if len(names) == 1:
        return names[0]
    if not names:
        raise CommandError(f"the collection {collection.name!r} has no vector field")
    raise CommandError(f"{collection.name!r} has several vectors: {', '.join(names)}", hint="--field NAME chooses one")


def multivector_field(collection: "Collection", field: str | None) -> str:
    """Return the field of multi-vectors that the user named, or the only one.

    Raises:
        CommandError: it is none, or there is none, or there are several and none is named.

    """
    names = [column.name for column in collection.schema.multivectors]
    if field is not None:
        if field not in names:
            kind = collection.schema[field].field.kind
            raise CommandError(f"{field!r} is {kind}: several vectors are sought in multi-vectors")
        return field
    if len(names) == 1:
        return names[0]
    told = f"has several fields of them: {', '.join(names)}" if names else "has none"
    hint = "--field NAME chooses one" if names else None
    raise CommandError(f"several vectors are sought in multi-vectors, and {collection.name!r} {told}", hint=hint)


def text_field(collection: "Collection", field: str | None, option: str = "--field") -> str:
    """Return the searchable text field that the user named, or the only one.

    Raises:
        CommandError: it is not searched by words, or there is none, or there are several and none is named.

    """
    names = [column.name for column in collection.schema.texts]
    hint = f"vecdb index PATH {collection.name} --field NAME --set search"
    if field is not None:
        if field not in names:
            collection.schema[field]
            raise CommandError(f"{field!r} is not searched by words", hint=hint)
        return field
    if len(names) == 1:
        return names[0]
    if not names:
        raise CommandError(f"no field of {collection.name!r} is searched by words", hint=hint)
    raise CommandError(f"{collection.name!r} has several texts: {', '.join(names)}", hint=f"{option} NAME chooses one")


def sparse_field(collection: "Collection", field: str | None) -> str:
    """Return the field of sparse vectors that the user named, or the only one.

    Raises:
        CommandError: it is none, or there is none, or there are several and none is named.

    """
    names = [column.name for column in collection.schema.sparse]
    if field is not None:
        if field not in names:
            raise CommandError(f"{field!r} is {collection.schema[field].field.kind}, not sparse")
        return field
    if len(names) == 1:
        return names[0]
    if not names:
        raise CommandError(f"{collection.name!r} has no field of sparse vectors")
    told = f"{collection.name!r} has several fields of sparse vectors: {', '.join(names)}"
    raise CommandError(told, hint="--terms-field NAME chooses one")


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
