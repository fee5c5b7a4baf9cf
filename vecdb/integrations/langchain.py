"""A LangChain vector store in a vecdb collection, embedded or on a server.

from vecdb.integrations.langchain import VecdbVectorStore

store = VecdbVectorStore(embeddings, location="./library")
store.add_texts(["A quiet chess engine"], [{"year": 2020}])
store.similarity_search("chess", k=4, filter={"year": {"$gte": 2018}})

Needs the extra `langchain`.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from vecdb.errors import InvalidInputError
from vecdb.filters.expression import Expression
from vecdb.integrations.documents import Documents, Location
from vecdb.integrations.metadata import EMBEDDING, METADATA, TEXT, Metadata, Operator, both, either, everything
from vecdb.results import Hit
from vecdb.schema.fields import Field, Metric

Filter = str | Expression | Mapping[str, Any]
"""Text or an expression over the collection's fields, or a dict over metadata: `{"year": {"$gte": 2018}}`."""
Mode = Literal["dense", "words", "hybrid"]

_OPERATORS: dict[str, Operator] = {
    "$eq": "==",
    "$ne": "!=",
    "$lt": "<",
    "$lte": "<=",
    "$gt": ">",
    "$gte": ">=",
    "$in": "in",
    "$nin": "not in",
    "$contains": "contains",
    "$any": "any",
    "$all": "all",
}


class VecdbVectorStore(VectorStore):
    """Texts with metadata and embeddings, searched by meaning, by words, or both.

    Args:
        embedding: makes vectors of texts.
        location: a folder, ":memory:", "grpc://host:port", or a database that is open.
        collection: the collection's name; it is made with the first text.
        metric: "cosine", "dot" or "l2", of a new collection.
        columns: metadata that get a typed column in a new collection, for fast filters: `{"year": vecdb.Int64()}`.
        mode: what searches look at unless they say otherwise: "dense", "words" or "hybrid".
        connection: further arguments of `vecdb.connect`.

    """

    def __init__(
        self,
        embedding: Embeddings,
        location: Location = ":memory:",
        collection: str = "langchain",
        *,
        metric: Metric = "cosine",
        columns: Mapping[str, Field] | None = None,
        mode: Mode = "dense",
        **connection: Any,
    ) -> None:
        self._embedding = embedding
        self._documents = Documents(location, collection, metric=metric, columns=columns, **connection)
        self._mode: Mode = mode

    @classmethod
    def from_texts(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> VecdbVectorStore:
        """Return a store that holds the texts; kwargs are those of the class."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @property
    def embeddings(self) -> Embeddings:
        """What makes vectors of texts."""
        return self._embedding

    def close(self) -> None:
        """Close the database, unless it was given open."""
        self._documents.close()

    # -- writes ----------------------------------------------------------------------------------------------------

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Store texts, replacing those of known ids, and return their ids; an id that is None is made up."""
        _refuse(kwargs)
        listed = list(texts)
        metadata: list[Mapping[str, Any]] = [{} for _ in listed] if metadatas is None else list(metadatas)
        named = [None] * len(listed) if ids is None else list(ids)
        for name, given in (("metadatas", metadata), ("ids", named)):
            if len(given) != len(listed):
                raise InvalidInputError(f"there are {len(listed)} texts and {len(given)} {name}", field=name)
        complete = [uuid.uuid4().hex if one is None else one for one in named]
        self._documents.add(complete, listed, metadata, self._embedding.embed_documents(listed) if listed else [])
        return complete

    def delete(self, ids: list[str] | None = None, *, filter: Filter | None = None, **kwargs: Any) -> bool | None:
        """Delete by ids or by a filter; without either, everything. Ids that there are not are passed over."""
        _refuse(kwargs)
        if (collection := self._documents.collection) is None:
            return True
        if ids is not None and filter is not None:
            raise InvalidInputError("name either ids or filter", field="ids")
        if ids is not None:
            collection.delete(ids) if ids else None
        else:
            where = self._where(filter)
            collection.delete(where=everything() if where is None else where)
        return True

    # -- reads -----------------------------------------------------------------------------------------------------

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents there are of these ids, in their order."""
        if (collection := self._documents.collection) is None:
            return []
        found = collection.get(list(ids), fields=[TEXT, METADATA])
        return [_document(one["id"], one) for one in found if one is not None]

    def similarity_search(
        self, query: str, k: int = 4, *, filter: Filter | None = None, mode: Mode | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the k best documents."""
        found = self.similarity_search_with_score(query, k, filter=filter, mode=mode, **kwargs)
        return [document for document, _ in found]

    def similarity_search_with_score(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, query: str, k: int = 4, *, filter: Filter | None = None, mode: Mode | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the k best documents and their scores; a higher score is always better.

        Args:
            query: the text that is sought.
            k: how many.
            filter: see `Filter`.
            mode: "dense" compares embeddings, "words" ranks by BM25, "hybrid" does both and fuses by rank.
            kwargs: `fusion` for "hybrid", see `vecdb.Query.fuse`.

        """
        fusion = kwargs.pop("fusion", None)
        _refuse(kwargs)
        mode = mode or self._mode
        if mode not in ("dense", "words", "hybrid"):
            raise InvalidInputError(f"mode is {mode!r}, not 'dense', 'words' or 'hybrid'", field="mode", value=mode)
        found = self._documents.search(
            k,
            None if mode == "words" else self._embedding.embed_query(query),
            None if mode == "dense" else query,
            self._where(filter),
            fusion=fusion if mode == "hybrid" else None,
        )
        return [] if found is None else [(_document_of(hit), hit.score) for hit in found]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the k documents with the nearest embeddings."""
        _refuse(kwargs)
        return [document for document, _ in self.similarity_search_with_score_by_vector(embedding, k, filter=filter)]

    def similarity_search_with_score_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: Filter | None = None
    ) -> list[tuple[Document, float]]:
        """Return the k documents with the nearest embeddings, and their scores."""
        found = self._documents.search(k, embedding, where=self._where(filter))
        return [] if found is None else [(_document_of(hit), hit.score) for hit in found]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Return k documents of the fetch_k nearest, each far from those before it; lambda_mult 1 is the nearest."""
        _refuse(kwargs)
        embedding = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(embedding, k, fetch_k, lambda_mult, filter=filter)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Return what `max_marginal_relevance_search` does, for an embedding."""
        _refuse(kwargs)
        diverse = lambda_mult, max(k, fetch_k)
        found = self._documents.search(k, embedding, where=self._where(filter), diverse=diverse)
        return [] if found is None else [_document_of(hit) for hit in found]

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Compare embeddings whatever the mode: other scores have no scale from 0 to 1."""
        if (mode := kwargs.pop("mode", "dense")) != "dense":
            raise InvalidInputError(
                f"mode is {mode!r}: only scores of 'dense' tell relevance", field="mode", value=mode
            )
        return super()._similarity_search_with_relevance_scores(query, k, mode="dense", **kwargs)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """Return what maps scores to 0 (unlike) to 1 (equal), by the metric."""
        collection = self._documents.collection
        metric = "cosine" if collection is None else collection.schema[EMBEDDING].field.metric  # pyright: ignore[reportAttributeAccessIssue]
        if metric == "cosine":
            return lambda score: min(max((1 + score) / 2, 0.0), 1.0)
        if metric == "l2":
            return lambda score: 1 / (1 + math.sqrt(max(-score, 0.0)))
        return lambda score: (1 + math.tanh(score / 2)) / 2

    def _where(self, given: Filter | None) -> str | Expression | None:
        if given is None or isinstance(given, str | Expression):
            return given
        return _expression(self._documents.metadata, given) if given else None


def _expression(metadata: Metadata, given: Any, negated: bool = False) -> Expression:
    """Return the filter that a dict means, or its complement."""
    if not isinstance(given, Mapping) or not given:
        raise InvalidInputError(f"a filter is a dict with a condition, found {given!r}", field="filter", value=given)
    parts = [_part(metadata, key, value, negated) for key, value in given.items()]
    return either(parts) if negated else both(parts)


def _part(metadata: Metadata, key: str, value: Any, negated: bool) -> Expression:
    if key == "$not":
        return _expression(metadata, value, not negated)
    if key in ("$and", "$or"):
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise InvalidInputError(f"{key} takes a list of filters, found {value!r}", field="filter", value=value)
        parts = [_expression(metadata, one, negated) for one in value]
        return both(parts) if (key == "$and") != negated else either(parts)
    if key.startswith("$"):
        raise InvalidInputError(f"{key!r} joins no filters: there are $and, $or and $not", field="filter", value=key)
    conditions = value if isinstance(value, Mapping) else {"$eq": value}
    if not conditions:
        raise InvalidInputError(f"the filter of {key!r} is an empty dict", field="filter", value=value)
    parts = [_condition(metadata, key, operator, one, negated) for operator, one in conditions.items()]
    return either(parts) if negated else both(parts)


def _condition(metadata: Metadata, key: str, operator: str, value: Any, negated: bool) -> Expression:
    if operator == "$exists":
        return metadata.condition([key], "exists", None, negated == bool(value))
    if operator not in _OPERATORS:
        known = ", ".join([*_OPERATORS, "$exists"])
        raise InvalidInputError(f"{operator!r} compares nothing: there are {known}", field="filter", value=operator)
    return metadata.condition([key], _OPERATORS[operator], value, negated)


def _document_of(hit: Hit) -> Document:
    return _document(str(hit.id), hit.fields)


def _document(id_: str, fields: Mapping[str, Any]) -> Document:
    return Document(id=id_, page_content=fields[TEXT] or "", metadata=fields[METADATA] or {})


def _refuse(kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments that would be passed over."""
    if kwargs:
        raise InvalidInputError(f"there is no argument {', '.join(map(repr, kwargs))}", field=next(iter(kwargs)))
