"""A LlamaIndex store: every operator, mode and way of deleting. There is no published suite."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("llama_index.core", reason="needs llama-index-core")

from llama_index.core import MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

import vecdb
from vecdb.errors import InvalidInputError
from vecdb.integrations.llamaindex import VecdbVectorStore


def node(id_: str, text: str, embedding: list[float], source: str, **metadata: Any) -> TextNode:
    made = TextNode(id_=id_, text=text, embedding=embedding, metadata=metadata)
    made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=source)
    return made


NODES = [
    node("a", "A quiet chess engine", [1, 0, 0], "book", year=2018, tags=["games", "old"], title="Of Chess"),
    node("b", "A loud ship engine", [0, 1, 0], "book", year=2021, tags=["ships"], title="Of Ships"),
    node("c", "Poems of the sea", [0.1, 0.9, 0], "leaflet", tags=[], title=None),
    node("d", "A silent chess engine", [0.99, 0.01, 0], "leaflet", year=2018, rating=1.5),
]


@pytest.fixture
def store(location: Any) -> Iterator[VecdbVectorStore]:
    made = VecdbVectorStore(location, columns={"title": vecdb.Text()})
    assert made.add(NODES) == ["a", "b", "c", "d"]
    yield made
    made.close()


def ids(store: VecdbVectorStore, *filters: Any, condition: FilterCondition = FilterCondition.AND) -> str:
    asked = MetadataFilters(filters=list(filters), condition=condition)
    return "".join(sorted(one.node_id for one in store.get_nodes(filters=asked)))


def one(key: str, operator: FilterOperator, value: Any) -> MetadataFilter:
    return MetadataFilter(key=key, value=value, operator=operator)


EXPECTED = [
    (one("year", FilterOperator.EQ, 2018), "ad"),
    (one("year", FilterOperator.NE, 2018), "bc"),
    (one("year", FilterOperator.GT, 2018), "b"),
    (one("year", FilterOperator.GTE, 2018), "abd"),
    (one("year", FilterOperator.LT, 2021), "ad"),
    (one("year", FilterOperator.LTE, 2021), "abd"),
    (one("year", FilterOperator.IN, [2021, 3]), "b"),
    (one("year", FilterOperator.NIN, [2021, 3]), "acd"),
    (one("tags", FilterOperator.ANY, ["old", "ships"]), "ab"),
    (one("tags", FilterOperator.ALL, ["old", "games"]), "a"),
    (one("tags", FilterOperator.CONTAINS, "ships"), "b"),
    (one("title", FilterOperator.TEXT_MATCH, "chess"), "a"),
    (one("title", FilterOperator.TEXT_MATCH_INSENSITIVE, "CHESS"), "a"),
    (one("tags", FilterOperator.IS_EMPTY, None), "cd"),
    (one("year", FilterOperator.IS_EMPTY, None), "c"),
    (one("title", FilterOperator.IS_EMPTY, None), "cd"),
    (one("rating", FilterOperator.EQ, 1.5), "d"),
]


def test_every_operator_is_expected():
    assert {given.operator for given, _ in EXPECTED} == set(FilterOperator)


@pytest.mark.parametrize(("given", "expected"), EXPECTED, ids=str)
def test_an_operator_and_its_complement_part_all_nodes(store: VecdbVectorStore, given: MetadataFilter, expected: str):
    assert ids(store, given) == expected
    assert ids(store, given, condition=FilterCondition.NOT) == "".join(sorted(set("abcd") - set(expected)))


def test_filters_nest(store: VecdbVectorStore):
    recent, games = one("year", FilterOperator.GT, 2018), one("tags", FilterOperator.CONTAINS, "games")
    either = MetadataFilters(filters=[recent, games], condition=FilterCondition.OR)
    assert ids(store, either) == "ab"
    assert ids(store, either, one("title", FilterOperator.TEXT_MATCH, "ships")) == "b"
    assert ids(store, either, condition=FilterCondition.NOT) == "cd"


def test_words_are_sought_in_text_columns_only(store: VecdbVectorStore):
    with pytest.raises(InvalidInputError, match="'tags' has none"):
        ids(store, one("tags", FilterOperator.TEXT_MATCH, "chess"))


def asked(store: VecdbVectorStore, mode: VectorStoreQueryMode, **given: Any) -> list[str]:
    arguments: dict[str, Any] = {"similarity_top_k": 2, **given}
    query = VectorStoreQuery(mode=mode, **arguments)
    return store.query(query).ids or []


def test_modes_rank_by_embedding_by_words_and_by_both(store: VecdbVectorStore):
    near = {"query_embedding": [1.0, 0.0, 0.0], "query_str": "poem"}
    assert asked(store, VectorStoreQueryMode.DEFAULT, **near) == ["a", "d"]
    assert asked(store, VectorStoreQueryMode.TEXT_SEARCH, **near) == ["c"]
    assert asked(store, VectorStoreQueryMode.SPARSE, **near) == ["c"]
    assert asked(store, VectorStoreQueryMode.HYBRID, alpha=0.1, **near)[0] == "c"
    assert asked(store, VectorStoreQueryMode.HYBRID, alpha=1.0, **near)[0] == "a"
    assert len(asked(store, VectorStoreQueryMode.HYBRID, hybrid_top_k=3, **near)) == 3
    assert set(asked(store, VectorStoreQueryMode.MMR, mmr_threshold=0.2, **near)) != {"a", "d"}
    assert asked(store, VectorStoreQueryMode.DEFAULT, doc_ids=["leaflet"], **near) == ["d", "c"]
    assert asked(store, VectorStoreQueryMode.DEFAULT, node_ids=["b"], **near) == ["b"]


@pytest.mark.parametrize(
    ("mode", "given", "said"),
    [
        (VectorStoreQueryMode.DEFAULT, {"query_str": "x"}, "query_embedding"),
        (VectorStoreQueryMode.TEXT_SEARCH, {"query_embedding": [1.0, 0, 0]}, "query_str"),
        (VectorStoreQueryMode.HYBRID, {"query_str": "x"}, "query_embedding"),
        (VectorStoreQueryMode.SVM, {"query_embedding": [1.0, 0, 0]}, "svm"),
    ],
)
def test_a_query_without_what_its_mode_needs_is_refused(store: VecdbVectorStore, mode: Any, given: Any, said: str):
    with pytest.raises(InvalidInputError, match=said):
        asked(store, mode, **given)


def test_nodes_come_back_whole(store: VecdbVectorStore):
    (found,) = store.get_nodes(["a"])
    assert isinstance(found, TextNode)
    assert found.text == "A quiet chess engine"
    assert found.metadata == NODES[0].metadata
    assert found.embedding == [1, 0, 0]
    assert found.ref_doc_id == "book"


def test_nodes_are_deleted_by_document_by_id_and_by_filter(store: VecdbVectorStore):
    store.delete("book")
    assert ids(store, one("title", FilterOperator.NE, "x")) == "cd"
    store.delete_nodes(["c", "nobody"])
    assert [found.node_id for found in store.get_nodes()] == ["d"]
    store.delete_nodes(filters=MetadataFilters(filters=[one("year", FilterOperator.EQ, 2018)]))
    assert store.get_nodes() == []
    store.add(NODES[:1])
    store.clear()
    assert store.get_nodes() == []


def test_a_node_without_an_embedding_is_refused(store: VecdbVectorStore):
    with pytest.raises(InvalidInputError, match="node 'e' has no embedding"):
        store.add([TextNode(id_="e", text="x")])


def test_an_index_over_the_store_retrieves(location: Any):
    store = VecdbVectorStore(location)
    context = StorageContext.from_defaults(vector_store=store)
    texts = [TextNode(id_=name, text=name) for name in ("one", "two")]
    index = VectorStoreIndex(texts, storage_context=context, embed_model=MockEmbedding(embed_dim=4))
    retriever = index.as_retriever(similarity_top_k=2)
    assert {found.node_id for found in retriever.retrieve("one")} == {"one", "two"}
