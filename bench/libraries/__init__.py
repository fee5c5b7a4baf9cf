"""The indexes that `ann` and `growth` compare as libraries, by name; a module is imported only when a job uses it.

To add one: a subclass of Library in its own file, and a line here.
"""

import importlib

from bench.libraries.base import Library

# name -> (module, class, package that must be importable)
_LIBRARIES = {
    "vecdb": ("bench.libraries.database", "Vecdb", "vecdb"),
    "faiss-hnsw": ("bench.libraries.faiss_index", "FaissHnsw", "faiss"),
    "faiss-hnsw-sq8": ("bench.libraries.faiss_index", "FaissHnswSq8", "faiss"),
    "faiss-ivfpqfs": ("bench.libraries.faiss_index", "FaissIvfPqFs", "faiss"),
    "hnswlib": ("bench.libraries.hnswlib_index", "Hnswlib", "hnswlib"),
    "usearch": ("bench.libraries.usearch_index", "Usearch", "usearch"),
    "voyager": ("bench.libraries.voyager_index", "Voyager", "voyager"),
    "svs": ("bench.libraries.svs_index", "Svs", "svs"),
    "zvec": ("bench.libraries.database", "ZvecDatabase", "zvec"),
    "zvec-int8": ("bench.libraries.database", "ZvecInt8Database", "zvec"),
    "qdrant-edge": ("bench.libraries.database", "QdrantEdgeDatabase", "qdrant_edge"),
}


def names() -> list[str]:
    """Return every known name."""
    return list(_LIBRARIES)


def package(name: str) -> str | None:
    """Return the package that a library needs; None for a name that is no library."""
    return _LIBRARIES[name][2] if name in _LIBRARIES else None


def make(name: str) -> Library:
    """Return a new library, with nothing built or loaded."""
    module, cls, _ = _LIBRARIES[name]
    return getattr(importlib.import_module(module), cls)()


__all__ = ["Library", "make", "names", "package"]
