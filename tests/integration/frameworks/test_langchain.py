"""LangChain's own suite for vector stores, and what it leaves out."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("langchain_tests", reason="needs langchain-tests")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_tests.integration_tests.vectorstores import VectorStoreIntegrationTests

import vecdb
from vecdb.errors import InvalidInputError
from vecdb.integrations.langchain import VecdbVectorStore

DOCUMENTS = [
    ("a", "A quiet chess engine", {"year": 2018, "tags": ["games", "old"], "free": True}),
    ("b", "A loud ship engine", {"year": 2021, "tags": ["ships"], "by": {"name": "Ada"}}),
    ("c", "Poems of the sea", {"year": "long ago", "tags": []}),
    ("d", "Nothing is known of this one", {}),
]


class Letters(Embeddings):
    """Counts of letters: texts that share them are near."""

    def embed_query(self, text: str) -> list[float]:
        return [1.0 + text.lower().count(letter) for letter in "aeghinoqrstu"]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


class TestStandard(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, location: Any) -> Iterator[VecdbVectorStore]:  # pyright: ignore[reportIncompatibleMethodOverride]
        store = VecdbVectorStore(self.get_embeddings(), location=location)
        yield store
        store.close()


@pytest.fixture
def store(location: Any) -> Iterator[VecdbVectorStore]:
    made = VecdbVectorStore(Letters(), location=location)
    ids, texts, metadata = zip(*DOCUMENTS, strict=True)
    made.add_texts(texts, list(metadata), ids=list(ids))
    yield made
    made.close()


def found(store: VecdbVectorStore, filter: Any) -> set[str]:
    return {str(one.id) for one in store.similarity_search("engine", k=10, filter=filter)}


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (None, "abcd"),
        ({}, "abcd"),
        ({"year": 2018}, "a"),
        ({"year": {"$ne": 2018}}, "bcd"),
        ({"year": {"$gte": 2018, "$lt": 2021}}, "a"),
        ({"year": {"$in": [2021, "long ago"]}}, "bc"),
        ({"year": {"$nin": [2021, "long ago"]}}, "ad"),
        ({"$not": {"year": {"$gt": 2018}}}, "acd"),
        ({"$or": [{"year": 2018}, {"tags": {"$contains": "ships"}}]}, "ab"),
        ({"$and": [{"year": {"$exists": True}}, {"free": {"$ne": True}}]}, "bc"),
        ({"$not": {"$and": [{"year": 2018}, {"free": True}]}}, "bcd"),
        ({"tags": {"$any": ["old", "ships"]}}, "ab"),
        ({"tags": {"$all": ["old", "games"]}}, "a"),
        ({"year": {"$exists": False}}, "d"),
        ("text matches 'engine'", "ab"),
        (vecdb.col("metadata.by.name") == "Ada", "b"),
    ],
)
def test_a_filter_and_its_complement_part_all_documents(store: VecdbVectorStore, filter: Any, expected: str):
    assert found(store, filter) == set(expected)
    if isinstance(filter, dict) and filter:
        assert found(store, {"$not": filter}) == set("abcd") - set(expected)


@pytest.mark.parametrize(
    "filter", [{"year": {"$near": 3}}, {"$xor": []}, {"$and": []}, {"year": {}}, {"$not": 3}, {"$or": "year"}]
)
def test_a_malformed_filter_is_refused(store: VecdbVectorStore, filter: Any):
    with pytest.raises(InvalidInputError):
        store.similarity_search("engine", filter=filter)


def test_words_and_both_find_what_letters_do_not(store: VecdbVectorStore):
    assert [one.id for one in store.similarity_search("poem", k=2, mode="words")] == ["c"]
    assert "c" in [one.id for one in store.similarity_search("poem", k=2, mode="hybrid", fusion="interleave")]
    with pytest.raises(InvalidInputError, match="mode is 'sparse'"):
        store.similarity_search("poem", mode="sparse")  # pyright: ignore[reportArgumentType]


def test_relevance_is_between_none_and_one_and_falls(store: VecdbVectorStore):
    for metric in ("cosine", "dot", "l2"):
        other = VecdbVectorStore(Letters(), metric=metric)
        other.add_texts([text for _, text, _ in DOCUMENTS])
        scored = other.similarity_search_with_relevance_scores("A quiet chess engine", k=4)
        other.close()
        scores = [score for _, score in scored]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        assert scored[0][0].page_content == "A quiet chess engine" or metric == "dot"


def test_mmr_leaves_out_what_says_the_same(store: VecdbVectorStore):
    store.add_texts(["A quiet chess engine!"], ids=["e"])
    plain = [one.id for one in store.similarity_search("A quiet chess engine", k=2)]
    diverse = [one.id for one in store.max_marginal_relevance_search("A quiet chess engine", k=2, lambda_mult=0.3)]
    assert set(plain) == {"a", "e"}
    assert len({"a", "e"} & set(diverse)) == 1


@pytest.mark.parametrize("weight", [0.2, 0.5, 0.9])
def test_mmr_chooses_as_langchain_itself_would(weight: float):
    import numpy as np
    from langchain_core.vectorstores.utils import maximal_marginal_relevance

    texts = [
        f"{first} {second}" for first in ("ships", "chess", "poems", "a quiet") for second in ("engine", "sea", "x")
    ]
    store = VecdbVectorStore(Letters())
    store.add_texts(texts)
    asked = Letters().embed_query("A quiet chess engine")
    near = [one.page_content for one in store.similarity_search_by_vector(asked, k=9)]

    found = store.max_marginal_relevance_search_by_vector(asked, k=5, fetch_k=9, lambda_mult=weight)

    expected = maximal_marginal_relevance(np.asarray(asked, np.float32), Letters().embed_documents(near), weight, 5)
    assert [one.page_content for one in found] == [near[at] for at in expected]
    store.close()


def test_a_column_takes_its_metadata_along():
    columns = {"year": vecdb.Int64()}
    store = VecdbVectorStore(Letters(), columns=columns, location=":memory:")
    store.add_documents([Document(page_content="x", metadata={"year": 3}), Document(page_content="y")])
    assert [one.page_content for one in store.similarity_search("x", filter={"year": {"$gt": 2}})] == ["x"]
    assert [one.page_content for one in store.similarity_search("x", filter={"year": {"$ne": 3}})] == ["y"]
    assert [one.page_content for one in store.similarity_search("x", filter="year = 3")] == ["x"]
    store.close()


def test_a_store_is_there_again_and_can_be_emptied(tmp_path: Any):
    embeddings = DeterministicFakeEmbedding(size=6)
    first = VecdbVectorStore.from_texts(["one", "two"], embeddings, location=tmp_path / "db")
    first.close()
    again = VecdbVectorStore(embeddings, location=tmp_path / "db")
    assert {one.page_content for one in again.similarity_search("one", k=9)} == {"one", "two"}
    assert [one.page_content for one in again.as_retriever(search_kwargs={"k": 1}).invoke("two")] == ["two"]
    again.delete(filter="text matches 'one'")
    assert [one.page_content for one in again.similarity_search("one", k=9)] == ["two"]
    again.delete()
    assert again.similarity_search("one") == []
    again.close()


def test_unequal_lengths_and_unknown_arguments_are_refused(store: VecdbVectorStore):
    with pytest.raises(InvalidInputError, match="2 texts and 1 metadatas"):
        store.add_texts(["a", "b"], [{}])
    with pytest.raises(InvalidInputError, match="no argument 'namespace'"):
        store.similarity_search("engine", namespace="x")
