"""Retrievers over a `VecdbDocumentStore`: by embedding, by words, and by both."""

from __future__ import annotations

from typing import Any, Self

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy, apply_filter_policy

from vecdb.integrations.haystack.store import VecdbDocumentStore


class _Retriever:
    """What the retrievers share: the store, filters of their own, and how they are written down."""

    def __init__(
        self,
        document_store: VecdbDocumentStore,
        *,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
    ) -> None:
        if not isinstance(document_store, VecdbDocumentStore):
            raise ValueError(f"document_store is a VecdbDocumentStore, found {document_store!r}")
        self.document_store = document_store
        self.filters = filters or {}
        self.top_k = top_k
        self.filter_policy = FilterPolicy.from_str(filter_policy) if isinstance(filter_policy, str) else filter_policy

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` makes the retriever from."""
        return default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            filter_policy=self.filter_policy.value,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the retriever that `to_dict` described."""
        given = dict(data["init_parameters"])
        given["document_store"] = VecdbDocumentStore.from_dict(given["document_store"])
        return default_from_dict(cls, {**data, "init_parameters": given})

    def _found(self, filters: dict[str, Any] | None, top_k: int | None, **sought: Any) -> dict[str, list[Document]]:
        where = apply_filter_policy(self.filter_policy, self.filters, filters)
        return {"documents": self.document_store.search(top_k or self.top_k, filters=where, **sought)}


@component
class VecdbEmbeddingRetriever(_Retriever):
    """Returns the documents whose embeddings are nearest."""

    @component.output_types(documents=list[Document])
    def run(
        self, query_embedding: list[float], filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return the best documents under "documents"."""
        return self._found(filters, top_k, embedding=query_embedding)


@component
class VecdbBM25Retriever(_Retriever):
    """Returns the documents whose words fit best."""

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return the best documents under "documents"."""
        return self._found(filters, top_k, words=query)


@component
class VecdbHybridRetriever(_Retriever):
    """Returns the documents that are best by embedding and by words, fused by rank."""

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Return the best documents under "documents"."""
        return self._found(filters, top_k, words=query, embedding=query_embedding)
