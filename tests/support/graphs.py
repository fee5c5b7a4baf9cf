"""Graphs of few rows: for tests whose segments are small."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import vecdb
from vecdb.storage import format as names
from vecdb.storage import manifest as manifests
from vecdb.storage.directory import LocalDirectory
from vecdb_index import factory

LEAST = 8
_guard = threading.Lock()
_asked: list[int] = []
"""What the blocks ask for that run now."""
_usual: list[int] = []
"""What it was before the first of them."""


def allow_small() -> None:
    """Let graphs be built from LEAST rows on, for the rest of this process, and compile what builds them."""
    factory.LEAST_ROWS = LEAST
    matrix = np.eye(LEAST, dtype=np.float32)
    what = factory.Wanted(factory.HNSW, factory.PARAMETERS[factory.HNSW])
    factory.build(what, matrix, "cosine", np.ones(LEAST, np.float32))


@contextmanager
def small_graphs(least: int = LEAST) -> Iterator[None]:
    """Let graphs be built from so few rows on while the block runs, in any thread, or another one does."""
    with _guard:
        if not _asked:
            _usual.append(factory.LEAST_ROWS)
        _asked.append(least)
        factory.LEAST_ROWS = min(_asked)
    try:
        yield
    finally:
        with _guard:
            _asked.remove(least)
            factory.LEAST_ROWS = min(_asked) if _asked else _usual.pop()


def index_files(path: Path) -> list[Path]:
    """Return the index files of a database, wherever they lie."""
    return sorted(file for file in path.glob("collections/*/*/**/index-*") if file.is_file())


def strays(path: Path) -> list[str]:
    """Return what lies in a database that was opened by a writer and is in use by nobody: tmp/, unnamed indexes."""
    directory = LocalDirectory(path)
    left = [str(file) for file in path.glob("collections/*/tmp/*")]
    named: set[str] = set()
    for base in path.glob("collections/*"):
        located = manifests.load_current(directory, f"{names.COLLECTIONS}/{base.name}")
        for past in [*located.manifest.history, located.past()]:
            held = manifests.load(directory, f"{names.COLLECTIONS}/{base.name}", past.file, past.sha256).manifest
            named |= {index.file.name for entry in held.segments for index in entry.indexes}
    return left + [str(file) for file in index_files(path) if file.name not in named and "tmp" not in file.parts]


def plans_of(result: vecdb.SearchResult) -> list[str]:
    """Return how each part of the collection was searched."""
    told = result.explain
    return [part["plan"] for step in told.get("steps", [told]) for part in step.get("parts", [])]
