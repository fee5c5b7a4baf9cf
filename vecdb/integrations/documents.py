"""A collection of documents, as all frameworks have them: an id, a text, metadata of any shape, and one embedding."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import vecdb
from vecdb.collection import Collection
from vecdb.database import Database
from vecdb.errors import InvalidInputError, NotFoundError
from vecdb.filters.expression import Expression
from vecdb.integrations.metadata import EMBEDDING, ID, METADATA, OWN_FIELDS, TEXT, Metadata
from vecdb.results import SearchResult
from vecdb.schema.fields import Field, Metric

Location = str | os.PathLike[str] | Database


class Documents:
    """A collection that is made when its first document comes, because only then the dimension is known.

    Args:
        location: what `vecdb.connect` takes, or a database that is open; that one stays open on close.
        name: of the collection.
        metric: of a new collection.
        dimension: of a new collection; None takes that of the first embedding.
        columns: metadata that get a column of their own in a new collection, for fast filters: the key and its field.
            The metadata keep them too.
        connection: further arguments of `vecdb.connect`.

    """

    def __init__(
        self,
        location: Location,
        name: str,
        *,
        metric: Metric = "cosine",
        dimension: int | None = None,
        columns: Mapping[str, Field] | None = None,
        **connection: Any,
    ) -> None:
        self._owns = not hasattr(location, "collections")
        self.database: Database = vecdb.connect(location, **connection) if self._owns else location  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
        self.name = name
        self._metric: Metric = metric
        self._dimension = dimension
        self._columns = dict(columns or {})
        for taken in self._columns.keys() & set(OWN_FIELDS):
            raise InvalidInputError(f"columns has {taken!r}, a field that every document has", field="columns")
        self._found: Collection | None = None

    @property
    def collection(self) -> Collection | None:
        """The collection, None as long as there is none."""
        if self._found is None:
            try:
                self._found = self.database.collection(self.name)
            except NotFoundError:
                return None
        return self._found

    def ready(self, dimension: int | None) -> Collection:
        """Return the collection, made for embeddings of a dimension where there is none."""
        if (found := self.collection) is not None:
            return found
        dimension = self._dimension or dimension
        if dimension is None:
            raise InvalidInputError(
                "the first documents have no embedding: name the dimension of those to come", field="dimension"
            )
        fields: dict[str, Field] = {
            ID: vecdb.Id(),
            TEXT: vecdb.Text(search=True),
            METADATA: vecdb.Json(),
            EMBEDDING: vecdb.Vector(dimension, metric=self._metric),
        }
        schema = vecdb.Schema(**fields, **self._columns)
        self._found = self.database.create_collection(self.name, schema, exist_ok=True)
        return self._found

    @property
    def metadata(self) -> Metadata:
        """The builder of filters."""
        return Metadata(self._own_columns)

    @property
    def _own_columns(self) -> list[str]:
        """The metadata that have a column."""
        if (found := self.collection) is None:
            return list(self._columns)
        return [column.name for column in found.schema.columns if column.name not in OWN_FIELDS]

    def add(
        self,
        ids: Sequence[str],
        texts: Sequence[str | None],
        metadata: Sequence[Mapping[str, Any]],
        embeddings: Sequence[Sequence[float] | None],
    ) -> None:
        """Store documents in one atomic step; those of known ids are replaced."""
        if not ids:
            return
        dimension = next((len(one) for one in embeddings if one is not None), None)
        collection = self.ready(dimension)
        names = self._own_columns
        collection.upsert(
            [
                {ID: id_, TEXT: text, METADATA: dict(meta), EMBEDDING: embedding}
                | {name: meta.get(name) for name in names}
                for id_, text, meta, embedding in zip(ids, texts, metadata, embeddings, strict=True)
            ]
        )

    def search(
        self,
        k: int,
        embedding: Sequence[float] | None = None,
        words: str | None = None,
        where: Expression | str | None = None,
        fields: Sequence[str] = (TEXT, METADATA),
        fusion: Any = None,
        diverse: tuple[float, int] | None = None,
    ) -> SearchResult | None:
        """Return the best documents by embedding, words or both; None as long as there is no collection.

        `diverse` chooses them by maximal marginal relevance: the weight of relevance, from 0 to 1, and from how many.
        """
        if (collection := self.collection) is None:
            return None
        sought = {EMBEDDING: embedding, TEXT: words}
        arms: dict[str, Any] = {name: value for name, value in sought.items() if value is not None}
        select = None if diverse is None else vecdb.Select(vecdb.Mmr(1 - diverse[0]), EMBEDDING, pool=diverse[1])
        return collection.search(k=k, where=where, fields=list(fields), fusion=fusion, select=select, **arms)

    def close(self) -> None:
        """Close the database, where this opened it."""
        if self._owns:
            self.database.close()
