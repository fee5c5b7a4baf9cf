"""Haystack's own suite for document stores, and what it leaves out."""

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("haystack", reason="needs haystack-ai")

from haystack import Document, Pipeline
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.testing.document_store import (
    CountDocumentsByFilterTest,
    DocumentStoreBaseExtendedTests,
    create_filterable_docs,
)
from haystack.utils.filters import document_matches_filter

import vecdb
from vecdb.integrations.haystack import (
    VecdbBM25Retriever,
    VecdbDocumentStore,
    VecdbEmbeddingRetriever,
    VecdbHybridRetriever,
)


class TestStandard(DocumentStoreBaseExtendedTests, CountDocumentsByFilterTest):
    @pytest.fixture
    def document_store(self, location: Any) -> Iterator[VecdbDocumentStore]:  # pyright: ignore[reportIncompatibleMethodOverride]
        store = VecdbDocumentStore(location)
        yield store
        store.close()

    def test_write_documents(self, document_store: Any):
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document])
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([Document(content="new"), Document(content="new")])
        assert document_store.count_documents() == 1

    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]):
        """Compare embeddings as float32, as which they are stored."""
        assert [one.to_dict() | {"embedding": None} for one in received] == [
            one.to_dict() | {"embedding": None} for one in expected
        ]
        for one, other in zip(received, expected, strict=True):
            assert (one.embedding is None) == (other.embedding is None)
            if one.embedding is not None and other.embedding is not None:
                assert np.array_equal(np.asarray(one.embedding, np.float32), np.asarray(other.embedding, np.float32))


CONDITIONS = [
    {"field": "meta.number", "operator": "==", "value": 2},
    {"field": "meta.number", "operator": "!=", "value": 2},
    {"field": "meta.number", "operator": ">", "value": -5},
    {"field": "meta.number", "operator": "in", "value": [2, None]},
    {"field": "meta.number", "operator": "not in", "value": [2, None]},
    {"field": "meta.page", "operator": "!=", "value": "100"},
    {"field": "meta.no_embedding", "operator": "==", "value": True},
    {"field": "meta.name", "operator": "in", "value": ["name_1", "zeros_doc"]},
    {"field": "content", "operator": "==", "value": "A Foo Document 1"},
    {"field": "meta.date", "operator": "<=", "value": "1972-12-11T19:54:58"},
]


@pytest.mark.parametrize("first", CONDITIONS, ids=str)
def test_conditions_and_connectives_mean_what_haystack_takes_them_for(first: dict[str, Any]):
    documents = create_filterable_docs()
    store = VecdbDocumentStore()
    store.write_documents(documents)
    for second in CONDITIONS:
        for operator in ("AND", "OR", "NOT"):
            inner = {"operator": operator, "conditions": [first, second]}
            for filters in (first, inner, {"operator": "NOT", "conditions": [inner, second]}):
                expected = {one.id for one in documents if document_matches_filter(filters, one)}
                assert {one.id for one in store.filter_documents(filters)} == expected, filters
    store.close()


@pytest.fixture
def store(location: Any) -> Iterator[VecdbDocumentStore]:
    made = VecdbDocumentStore(location, embedding_dim=3)
    made.write_documents(
        [
            Document("a", "A quiet chess engine", meta={"year": 2018}, embedding=[1, 0, 0]),
            Document("b", "A loud ship engine", meta={"year": 2021}, embedding=[0, 1, 0]),
            Document("c", "Poems of the sea", embedding=[0.1, 0.9, 0]),
        ]
    )
    yield made
    made.close()


def test_retrievers_find_by_embedding_by_words_and_by_both(store: VecdbDocumentStore):
    dense = VecdbEmbeddingRetriever(store, top_k=2).run([0, 1, 0])["documents"]
    words = VecdbBM25Retriever(store).run("poem")["documents"]
    hybrid = VecdbHybridRetriever(store).run("chess", [0, 1, 0], top_k=1)["documents"]

    assert [one.id for one in dense] == ["b", "c"]
    assert dense[0].score == pytest.approx(1)
    assert dense[0].embedding == [0, 1, 0]
    assert [one.id for one in words] == ["c"]
    assert len(hybrid) == 1


def test_filters_of_a_retriever_are_replaced_or_joined(store: VecdbDocumentStore):
    recent = {"field": "meta.year", "operator": ">", "value": 2020}
    old = {"field": "meta.year", "operator": "<", "value": 2020}

    retriever = VecdbBM25Retriever(store, filters=recent)
    assert [one.id for one in retriever.run("engine")["documents"]] == ["b"]
    assert [one.id for one in retriever.run("engine", filters=old)["documents"]] == ["a"]
    joined = VecdbBM25Retriever(store, filters=recent, filter_policy="merge")
    quiet = {"field": "content", "operator": "==", "value": "A quiet chess engine"}
    assert joined.run("engine", filters=quiet)["documents"] == []


def test_a_pipeline_is_written_down_and_read_back(tmp_path: Any):
    columns = {"year": vecdb.Int64()}
    store = VecdbDocumentStore(str(tmp_path / "db"), collection="books", embedding_dim=2, columns=columns)
    store.write_documents([Document("a", "chess", meta={"year": 3}), Document("b", "chess", meta={"year": 4})])
    pipeline = Pipeline()
    pipeline.add_component("retriever", VecdbBM25Retriever(store, top_k=1))
    written = pipeline.dumps()
    store.close()

    again = Pipeline.loads(written, allowed_modules=["vecdb.integrations.*"])

    filters = {"field": "meta.year", "operator": "==", "value": 4}
    found = again.run({"retriever": {"query": "chess", "filters": filters}})["retriever"]["documents"]
    assert [one.id for one in found] == ["b"]
    retriever: Any = again.get_component("retriever")
    retriever.document_store.close()


def test_bytes_and_sparse_embeddings_come_back(store: VecdbDocumentStore):
    blob = ByteStream(b"\x00\xff", meta={"from": "disk"}, mime_type="image/png")
    whole = Document("d", blob=blob, sparse_embedding=SparseEmbedding([1, 5], [0.5, 0.25]), meta={"x": [1]})
    store.write_documents([whole])
    assert [one for one in store.filter_documents() if one.id == "d"] == [whole]


def test_documents_of_known_ids_are_skipped_or_replaced(store: VecdbDocumentStore):
    changed = [Document("a", "changed", embedding=[0, 0, 1]), Document("e", "new")]
    assert store.write_documents(changed, DuplicatePolicy.SKIP) == 1
    assert store.write_documents(changed, DuplicatePolicy.OVERWRITE) == 2
    assert {one.content for one in store.filter_documents() if one.id in "ae"} == {"changed", "new"}


def test_the_awaited_twins_do_the_same(store: VecdbDocumentStore):
    async def run() -> tuple[int, list[Document]]:
        await store.write_documents_async([Document("z", "last")])
        await store.delete_documents_async(["a", "nobody"])
        filters = {"field": "content", "operator": "==", "value": "last"}
        return await store.count_documents_async(), await store.filter_documents_async(filters)

    count, found = asyncio.run(run())
    assert count == 3
    assert [one.id for one in found] == ["z"]
