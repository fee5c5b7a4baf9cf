"""The database behind the services: collections by name, as each caller may see them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from vecdb.database import Database
from vecdb.errors import ConflictError, NotFoundError, VecdbError
from vecdb.schema.fields import Text
from vecdb_index.warmup import compiled, load
from vecdb_server.admission import missing
from vecdb_server.call import Call
from vecdb_server.log import logger

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.reads import Snapshot
    from vecdb.schema.schema import Column, Schema
    from vecdb.schema.space import Space
    from vecdb.view import View
    from vecdb_server.encoders import Encoder


def _tell_compiling(schema: Schema) -> None:
    """Say so in the log where searches of some fields need kernels that this machine has not compiled yet."""
    if not all(compiled(column.field.dtype) for column in schema.vectors):
        logger.info("compiling kernels, once on this machine: this takes up to a minute")


def _load_for(schema: Schema) -> None:
    _tell_compiling(schema)
    texts = schema.sparse or any(
        isinstance(column.field, Text) and column.field.fulltext is not None for column in schema.columns
    )
    load([column.field.dtype for column in schema.vectors], bool(texts))


class Served:
    """An open database and the encoders that its operator configured, by name."""

    def __init__(self, database: Database, encoders: Mapping[str, Encoder], warmup: bool = True) -> None:
        """Take the database; with `warmup` what a new collection's searches need is loaded while it gets its rows."""
        self._warmup = warmup
        self.database = database
        self.encoders = dict(encoders)
        self._open: dict[str, Collection] = {}
        self._guard = Lock()

    def names(self) -> list[str]:
        """Return the names of all collections, sorted."""
        return self.database.collections()

    def collection(self, name: str, call: Call) -> Collection:
        """Return a collection.

        Raises:
            NotFoundError: there is none; the message names those that the caller may know of.

        """
        found = self._open.get(name)
        if found is not None:
            return found
        try:
            return self.open(name)
        except NotFoundError:
            raise missing(name, call.principal, self.names()) from None

    def open(self, name: str) -> Collection:
        """Open a collection; see `Database.collection`."""
        with self._guard:
            found = self._open[name] = self.database.collection(name)
            return found

    def view(self, name: str, call: Call) -> View:
        """Return a collection as the caller sees it, for one call."""
        collection = self.collection(name, call)
        view = collection.within(call.budget)
        return view if call.rows is None else view.restricted(call.rows)

    def seen(self, snapshot: Snapshot, call: Call) -> Snapshot:
        """Return a state as the caller sees it, for one call."""
        snapshot = snapshot.within(call.budget)
        return snapshot if call.rows is None else snapshot.restricted(call.rows)

    def encoder_name(self, collection: Collection, column: Column) -> str | None:
        """Return the operator's name of the encoder that a field has, if it has one of the operator's."""
        held = collection.encoders.of(column)
        return next((name for name, encoder in self.encoders.items() if encoder is held), None)

    def encoder_space(self, name: str) -> Space | None:
        """Return the space of an encoder, as the fields that have it tell; None while no field has it."""
        for collection in list(self._open.values()):
            schema = collection.schema
            for column in (*schema.vectors, *schema.multivectors, *schema.sparse):
                if self.encoder_name(collection, column) == name:
                    return column.field.space
        return None

    def create(self, name: str, schema: Any, exist_ok: bool) -> Collection:
        """Create a collection; see `Database.create_collection`."""
        with self._guard:
            made = self._open[name] = self.database.create_collection(name, schema, exist_ok)
        if self._warmup:
            Thread(target=_load_for, args=(made.schema,), name="vecdb-warmup", daemon=True).start()
        return made

    def drop(self, name: str, call: Call) -> None:
        """Remove a collection and its files for good."""
        with self._guard:
            self._open.pop(name, None)
            try:
                self.database.drop_collection(name)
            except NotFoundError:
                raise missing(name, call.principal, self.names()) from None

    def warm_up(self) -> None:
        """Search each field once, so that no client waits for what the first search loads."""
        for collection in list(self._open.values()):
            self._warm_up(collection)

    def _warm_up(self, collection: Collection) -> None:
        from vecdb.query.query import Query

        schema = collection.schema
        _tell_compiling(schema)
        queries = [Query(1).near(column.name, [1] * column.field.dimension) for column in schema.vectors]
        queries += [Query(1).near(column.name, [[1.0] * column.field.dimension]) for column in schema.multivectors]
        queries += [Query(1).terms(column.name, {0: 1.0}) for column in schema.sparse]
        queries += [
            Query(1).match(column.name, "a")
            for column in schema.columns
            if isinstance(column.field, Text) and column.field.fulltext is not None
        ]
        for query in queries:
            with contextlib.suppress(VecdbError):  # whoever asks is told what is wrong
                collection.run(query)

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return the statistics of the collections that are in use."""
        found: dict[str, dict[str, Any]] = {}
        for name, collection in list(self._open.items()):
            with contextlib.suppress(NotFoundError, ConflictError):
                found[name] = collection.stats()
        return found

    def close(self) -> None:
        """Close the database."""
        self.database.close()
