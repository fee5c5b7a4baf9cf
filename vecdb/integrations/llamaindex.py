"""A LlamaIndex vector store in a vecdb collection, embedded or on a server.

from vecdb.integrations.llamaindex import VecdbVectorStore

store = VecdbVectorStore(location="./library")
index = VectorStoreIndex.from_documents(documents, storage_context=StorageContext.from_defaults(vector_store=store))

Needs the extra `llamaindex`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from vecdb.errors import InvalidInputError
from vecdb.filters import col
from vecdb.filters.expression import Expression
from vecdb.integrations.documents import Documents, Location
from vecdb.integrations.metadata import (
    EMBEDDING,
    ID,
    METADATA,
    TEXT,
    Metadata,
    Operator,
    both,
    condition,
    either,
    everything,
)
from vecdb.query.fusion import Rrf
from vecdb.schema.fields import Field, Keyword, Metric

REFERENCE = "ref_doc_id"
"""The metadata that names the document of which a node is a part; it has a column of its own."""
_OPERATORS: dict[FilterOperator, Operator] = {
    FilterOperator.EQ: "==",
    FilterOperator.NE: "!=",
    FilterOperator.GT: ">",
    FilterOperator.GTE: ">=",
    FilterOperator.LT: "<",
    FilterOperator.LTE: "<=",
    FilterOperator.IN: "in",
    FilterOperator.NIN: "not in",
    FilterOperator.ANY: "any",
    FilterOperator.ALL: "all",
    FilterOperator.CONTAINS: "contains",
}
_BY_WORDS = (VectorStoreQueryMode.TEXT_SEARCH, VectorStoreQueryMode.SPARSE)
_BY_BOTH = (VectorStoreQueryMode.HYBRID, VectorStoreQueryMode.SEMANTIC_HYBRID)


class VecdbVectorStore(BasePydanticVectorStore):
    """Nodes with their metadata and embeddings.

    Queries by embedding, by words (`text_search` and `sparse`: BM25), by both (`hybrid`: fused by rank, `alpha` is the
    weight of the embedding) and with diversity (`mmr`).

    Args:
        location: a folder, ":memory:", "grpc://host:port", or a database that is open.
        collection: the collection's name; it is made with the first node.
        metric: "cosine", "dot" or "l2", of a new collection.
        columns: metadata that get a typed column in a new collection, for fast filters: `{"year": vecdb.Int64()}`.
            A `vecdb.Text` there takes the operator TEXT_MATCH.
        connection: further arguments of `vecdb.connect`.

    """

    stores_text: bool = True
    is_embedding_query: bool = True
    _documents: Documents = PrivateAttr()

    def __init__(
        self,
        location: Location = ":memory:",
        collection: str = "llamaindex",
        *,
        metric: Metric = "cosine",
        columns: Mapping[str, Field] | None = None,
        **connection: Any,
    ) -> None:
        super().__init__(stores_text=True)
        own = {REFERENCE: Keyword(), **(columns or {})}
        self._documents = Documents(location, collection, metric=metric, columns=own, **connection)

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which the store is written down."""
        return "VecdbVectorStore"

    @property
    def client(self) -> Any:
        """The database."""
        return self._documents.database

    def close(self) -> None:
        """Close the database, unless it was given open."""
        self._documents.close()

    # -- writes ----------------------------------------------------------------------------------------------------

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Store nodes in one atomic step, replacing those of known ids, and return their ids."""
        for node in nodes:
            if node.embedding is None:
                raise InvalidInputError(f"node {node.node_id!r} has no embedding", field="nodes")
        ids = [node.node_id for node in nodes]
        self._documents.add(
            ids,
            [node.get_content(MetadataMode.NONE) for node in nodes],
            [node_to_metadata_dict(node, remove_text=True) for node in nodes],
            [node.get_embedding() for node in nodes],
        )
        return ids

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document."""
        if (collection := self._documents.collection) is not None:
            collection.delete(where=col(REFERENCE) == ref_doc_id)

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete nodes by ids, by filters, or those that have one of the ids and pass the filters."""
        collection, where = self._documents.collection, self._where(filters, node_ids)
        if collection is not None and where is not None:
            collection.delete(where=where)

    def clear(self) -> None:
        """Delete all nodes."""
        if (collection := self._documents.collection) is not None:
            collection.delete(where=everything())

    # -- reads -----------------------------------------------------------------------------------------------------

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Return the nodes with one of the ids, or that pass the filters; all without either."""
        import orjson

        if (collection := self._documents.collection) is None:
            return []
        found = []
        for batch in collection.scan(self._where(filters, node_ids), fields=[TEXT, METADATA, EMBEDDING]):
            for row in batch.to_pylist():
                node = metadata_dict_to_node(orjson.loads(row[METADATA]), text=row[TEXT])
                node.embedding = row[EMBEDDING]
                found.append(node)
        return found

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the best nodes, their scores (higher is better) and ids.

        Raises:
            InvalidInputError: the query lacks what its mode needs, or the mode is not one of these.

        """
        mode, k = query.mode, query.similarity_top_k
        where = self._where(query.filters, query.node_ids or None, query.doc_ids or None)  # empty: not asked for
        embedding, words, fusion = query.query_embedding, query.query_str, None
        if mode in _BY_WORDS:
            embedding = None
        elif mode in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.MMR):
            words = None
        elif mode in _BY_BOTH:
            k = query.hybrid_top_k or k
            if query.alpha is not None:
                fusion = Rrf(weights=(query.alpha, 1 - query.alpha))
        else:
            raise InvalidInputError(f"mode is {mode.value!r}, which a query by embedding or words is not", field="mode")
        for name, missing in (("query_str", words is None), ("query_embedding", embedding is None)):
            if missing and (mode in _BY_BOTH or (mode in _BY_WORDS) == (name == "query_str")):
                raise InvalidInputError(f"a query of mode {mode.value!r} needs {name}", field=name)
        if mode == VectorStoreQueryMode.MMR:
            assert embedding is not None
            return self._diverse(embedding, k, where, query.mmr_threshold, **kwargs)
        found = self._documents.search(k, embedding, words, where, fusion=fusion)
        return _result([] if found is None else [(hit.fields, hit.score) for hit in found])

    def _diverse(
        self,
        embedding: Sequence[float],
        k: int,
        where: Expression | None,
        threshold: float | None,
        mmr_prefetch_factor: float = 4.0,
        mmr_prefetch_k: int | None = None,
        **kwargs: Any,
    ) -> VectorStoreQueryResult:
        """Return k of the nearest nodes, each far from those before it; a threshold of 1 is the nearest."""
        diverse = 0.5 if threshold is None else threshold, max(k, mmr_prefetch_k or int(k * mmr_prefetch_factor))
        found = self._documents.search(k, embedding, where=where, diverse=diverse)
        return _result([] if found is None else [(hit.fields, hit.pick.gain) for hit in found if hit.pick is not None])

    def _where(
        self,
        filters: MetadataFilters | None,
        node_ids: Sequence[str] | None = None,
        doc_ids: Sequence[str] | None = None,
    ) -> Expression | None:
        """Return the filter of what passes all that is given; None where nothing is."""
        parts = []
        if filters is not None and filters.filters:
            parts.append(_expression(self._documents.metadata, filters))
        if node_ids is not None:
            parts.append(col(ID).isin(node_ids))
        if doc_ids is not None:
            parts.append(col(REFERENCE).isin(doc_ids))
        return both(parts) if parts else None


def _expression(metadata: Metadata, filters: MetadataFilters, negated: bool = False) -> Expression:
    """Return the filter that LlamaIndex's means, or its complement; NOT means that none of the parts holds."""
    joined = filters.condition or FilterCondition.AND
    if joined == FilterCondition.NOT:
        joined, negated = FilterCondition.OR, not negated
    parts = [
        _expression(metadata, one, negated) if isinstance(one, MetadataFilters) else _condition(metadata, one, negated)
        for one in filters.filters
    ]
    return both(parts) if (joined == FilterCondition.AND) != negated else either(parts)


def _condition(metadata: Metadata, given: MetadataFilter, negated: bool) -> Expression:
    key, operator, value = given.key, given.operator, given.value
    if operator == FilterOperator.IS_EMPTY:
        return metadata.empty(key, negated)
    if operator in (FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE):
        if key not in metadata.columns:
            raise InvalidInputError(
                f"{operator.value} looks for words in a text column, and {key!r} has none: make the store with"
                f" columns={{{key!r}: vecdb.Text()}}",
                field=key,
            )
        return condition(col(key), "matches", value, negated)
    return metadata.condition([key], _OPERATORS[operator], value, negated)


def _result(found: list[tuple[Mapping[str, Any], float]]) -> VectorStoreQueryResult:
    nodes = [metadata_dict_to_node(fields[METADATA], text=fields[TEXT]) for fields, _ in found]
    return VectorStoreQueryResult(
        nodes=nodes, similarities=[score for _, score in found], ids=[node.node_id for node in nodes]
    )
