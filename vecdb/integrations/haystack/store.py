"""The document store."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Mapping
from typing import Any

from haystack import Document, default_from_dict, default_to_dict
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils import Secret

from vecdb.collection import Collection
from vecdb.filters.expression import Expression
from vecdb.integrations.documents import Documents
from vecdb.integrations.haystack.filters import expression
from vecdb.integrations.metadata import EMBEDDING, ID, METADATA, TEXT, everything
from vecdb.results import SearchResult
from vecdb.schema.fields import Field, Metric
from vecdb.schema.known import field_from_json

BLOB, SPARSE = "$blob", "$sparse"
"""The keys of the metadata under which a document's bytes and its sparse embedding are kept."""


class VecdbDocumentStore:
    """Documents with their metadata and embeddings; metadata keep their JSON types.

    Args:
        location: a folder, ":memory:" or "grpc://host:port".
        collection: the collection's name; it is made with the first document.
        embedding_dim: the dimension of embeddings of a new collection.
        metric: "cosine", "dot" or "l2", of a new collection.
        columns: metadata that get a typed column in a new collection, for fast filters: `{"year": vecdb.Int64()}`.
        api_key: the key of a server.

    """

    def __init__(
        self,
        location: str = ":memory:",
        *,
        collection: str = "haystack",
        embedding_dim: int = 768,
        metric: Metric = "cosine",
        columns: Mapping[str, Field] | None = None,
        api_key: Secret | None = None,
    ) -> None:
        self._arguments: dict[str, Any] = {
            "location": location,
            "collection": collection,
            "embedding_dim": embedding_dim,
            "metric": metric,
        }
        self._columns = dict(columns or {})
        self._api_key = api_key
        key = None if api_key is None else api_key.resolve_value()
        self._documents = Documents(
            location,
            collection,
            metric=metric,
            dimension=embedding_dim,
            columns=self._columns,
            **({} if key is None else {"api_key": key}),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` makes the store from."""
        columns = {name: field.to_json() for name, field in self._columns.items()}
        key = None if self._api_key is None else self._api_key.to_dict()
        return default_to_dict(self, **self._arguments, columns=columns, api_key=key)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VecdbDocumentStore:
        """Return the store that `to_dict` described."""
        given = dict(data["init_parameters"])
        given["columns"] = {name: field_from_json(one) for name, one in (given.get("columns") or {}).items()}
        if given.get("api_key") is not None:
            given["api_key"] = Secret.from_dict(given["api_key"])
        return default_from_dict(cls, {**data, "init_parameters": given})

    def close(self) -> None:
        """Close the database."""
        self._documents.close()

    # -- what every store has --------------------------------------------------------------------------------------

    def count_documents(self) -> int:
        """Return how many documents there are."""
        collection = self._documents.collection
        return 0 if collection is None else len(collection)

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Return all documents that pass a filter, in the order in which they are stored."""
        collection = self._documents.collection
        return [] if collection is None else list(self._scanned(collection, self._where(filters)))

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Store documents and return how many were written.

        Args:
            documents: those of one call are stored in one atomic step.
            policy: what is done with known ids; NONE is FAIL.

        Raises:
            DuplicateDocumentError: the policy is FAIL, and an id is known or given twice. Nothing is stored.

        """
        if not isinstance(documents, list) or not all(isinstance(one, Document) for one in documents):
            raise ValueError(f"documents is a list of Document, found {documents!r}")
        by_id = {one.id: one for one in documents}
        known = self._known(list(by_id)) if policy != DuplicatePolicy.OVERWRITE else set()
        if policy in (DuplicatePolicy.NONE, DuplicatePolicy.FAIL):
            twice = sorted(known) or sorted(one for one in by_id if sum(one == other.id for other in documents) > 1)
            if twice and (known or len(by_id) < len(documents)):
                raise DuplicateDocumentError(f"there is a document of id {twice[0]!r} already, {len(twice)} in all")
        written = [one for one in by_id.values() if one.id not in known]
        self._documents.add(
            [one.id for one in written],
            [one.content for one in written],
            [_metadata_of(one) for one in written],
            [one.embedding for one in written],
        )
        return len(written)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete documents; ids that there are not are passed over."""
        collection = self._documents.collection
        if collection is not None and document_ids:
            collection.delete(document_ids)

    # -- by filter -------------------------------------------------------------------------------------------------

    def delete_all_documents(self) -> None:
        """Delete all documents."""
        if (collection := self._documents.collection) is not None:
            collection.delete(where=everything())

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """Delete the documents that pass a filter, and return how many they were."""
        collection, where = self._documents.collection, self._where(filters)
        return 0 if collection is None else collection.delete(where=everything() if where is None else where).rows

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """Set metadata of all documents that pass a filter, keeping their others, and return how many they are."""
        if (collection := self._documents.collection) is None:
            return 0
        rows = [
            (id_, {**one, **meta})
            for batch in collection.scan(self._where(filters), fields=[METADATA])
            for id_, one in _parsed(batch)
        ]
        own = [name for name in meta if name in collection.schema and name not in (ID, TEXT, METADATA, EMBEDDING)]
        if rows:
            collection.patch([{ID: id_, METADATA: one} | {name: meta[name] for name in own} for id_, one in rows])
        return len(rows)

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """Return how many documents pass a filter."""
        collection = self._documents.collection
        return 0 if collection is None else collection.count(self._where(filters))

    # -- the same, awaited -----------------------------------------------------------------------------------------

    async def count_documents_async(self) -> int:
        """See `count_documents`."""
        return await asyncio.to_thread(self.count_documents)

    async def filter_documents_async(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """See `filter_documents`."""
        return await asyncio.to_thread(self.filter_documents, filters)

    async def write_documents_async(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """See `write_documents`."""
        return await asyncio.to_thread(self.write_documents, documents, policy)

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        """See `delete_documents`."""
        await asyncio.to_thread(self.delete_documents, document_ids)

    # -- for the retrievers ----------------------------------------------------------------------------------------

    def search(
        self,
        top_k: int,
        *,
        embedding: list[float] | None = None,
        words: str | None = None,
        filters: dict[str, Any] | None = None,
        fusion: Any = None,
    ) -> list[Document]:
        """Return the best documents by embedding, words or both, with their scores."""
        fields = (TEXT, METADATA, EMBEDDING)
        found = self._documents.search(top_k, embedding, words, self._where(filters), fields, fusion)
        return [] if found is None else list(_scored(found))

    def _where(self, filters: Mapping[str, Any] | None) -> Expression | None:
        return expression(self._documents.metadata, filters) if filters else None

    def _known(self, ids: list[str]) -> set[str]:
        if (collection := self._documents.collection) is None:
            return set()
        return {one[ID] for one in collection.get(ids, fields=[]) if one is not None}

    def _scanned(self, collection: Collection, where: Expression | None) -> Iterable[Document]:
        for batch in collection.scan(where, fields=[TEXT, METADATA, EMBEDDING]):
            texts, embeddings = batch.column(TEXT).to_pylist(), batch.column(EMBEDDING).to_pylist()
            for (id_, metadata), text, embedding in zip(_parsed(batch), texts, embeddings, strict=True):
                yield _document(id_, text, metadata, embedding)


def _parsed(batch: Any) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield the id and the metadata of each row."""
    import orjson

    for id_, text in zip(batch.column(ID).to_pylist(), batch.column(METADATA).to_pylist(), strict=True):
        yield id_, {} if text is None else orjson.loads(text)


def _scored(found: SearchResult) -> Iterable[Document]:
    for hit in found:
        embedding = hit[EMBEDDING]
        yield _document(
            str(hit.id), hit[TEXT], hit[METADATA] or {}, None if embedding is None else embedding.tolist(), hit.score
        )


def _metadata_of(document: Document) -> dict[str, Any]:
    kept: dict[str, Any] = dict(document.meta)
    if (blob := document.blob) is not None:
        kept[BLOB] = {"data": base64.b64encode(blob.data).decode(), "meta": blob.meta, "mime_type": blob.mime_type}
    if document.sparse_embedding is not None:
        kept[SPARSE] = document.sparse_embedding.to_dict()
    return kept


def _document(
    id_: str, text: str | None, metadata: dict[str, Any], embedding: list[float] | None, score: float | None = None
) -> Document:
    blob, sparse = metadata.pop(BLOB, None), metadata.pop(SPARSE, None)
    return Document(
        id=id_,
        content=text,
        meta=metadata,
        embedding=embedding,
        score=score,
        blob=None if blob is None else ByteStream(base64.b64decode(blob["data"]), blob["meta"], blob["mime_type"]),
        sparse_embedding=None if sparse is None else SparseEmbedding.from_dict(sparse),
    )
