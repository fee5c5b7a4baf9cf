"""A Haystack document store in a vecdb collection, and retrievers by embedding, by words and by both.

from vecdb.integrations.haystack import VecdbDocumentStore, VecdbHybridRetriever

store = VecdbDocumentStore("./library", embedding_dim=384)
pipeline.add_component("retriever", VecdbHybridRetriever(store, top_k=10))

Needs the extra `haystack`.
"""

from vecdb.integrations.haystack.retrievers import VecdbBM25Retriever, VecdbEmbeddingRetriever, VecdbHybridRetriever
from vecdb.integrations.haystack.store import VecdbDocumentStore

__all__ = ["VecdbBM25Retriever", "VecdbDocumentStore", "VecdbEmbeddingRetriever", "VecdbHybridRetriever"]
