"""An embedded database used as a library: a collection of an id and a vector, searched through its public API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from bench import systems
from bench.datasets import BLOCK_ROWS, row_id
from bench.libraries.base import Library, Width
from bench.systems.base import Graph, Shape


class _Database(Library):
    """The store is built where it stays: `build` loads it, settles and closes it."""

    def __init__(self) -> None:
        self._system: Any = systems.make(self.name)

    def build(self, rows: np.ndarray, metric: str, graph: Graph, folder: Path) -> None:
        # Every store wants to make its folder itself.
        folder.rmdir()
        self._system.create(folder, self._shape(rows, metric, graph))
        self._system.ingest_batches(_batches(rows, whole_ids=self.name == "vecdb"))
        self._system.settle()

    def save(self, folder: Path) -> None:
        self._system.sync()
        self._system.close()

    def load(self, folder: Path, rows: np.ndarray, metric: str) -> None:
        self._system.threads = self.threads
        self._system.open(folder, self._shape(rows, metric, None))

    def set_width(self, width: Width) -> None:
        if isinstance(width, tuple):
            raise TypeError(f"{self.name} takes one width, got {width!r}")
        self._system.ef = width

    def one(self, query: np.ndarray, k: int) -> Any:
        return self._system.search(query, k)

    def batch(self, queries: np.ndarray, k: int, threads: int) -> Any:
        return self._system.search_batch(queries, k)

    def close(self) -> None:
        self._system.close()

    def _shape(self, rows: np.ndarray, metric: str, graph: Graph | None) -> Shape:
        return Shape(rows.shape[1], metric, columns=(), whole_ids=True, graph=graph)


class Vecdb(_Database):
    """A batch takes the threads of the database's settings, which it is opened with."""

    name: ClassVar[str] = "vecdb"

    def cost(self, queries: np.ndarray, k: int) -> dict[str, float]:
        told = [self._system.cost(query, k) for query in queries[:200]]
        return {name: float(np.mean([one[name] for one in told])) for name in (told[0] if told else {})}


class ZvecDatabase(_Database):
    """It has no call for several queries, so a batch is a loop of single ones."""

    name: ClassVar[str] = "zvec"


class ZvecInt8Database(_Database):
    """The same over 8-bit codes."""

    name: ClassVar[str] = "zvec-int8"


class QdrantEdgeDatabase(_Database):
    """A batch is one call; how many threads it takes is the library's own choice."""

    name: ClassVar[str] = "qdrant-edge"


def _batches(rows: np.ndarray, whole_ids: bool) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), BLOCK_ROWS):
        part = np.ascontiguousarray(rows[start : start + BLOCK_ROWS])
        numbers = range(start, start + len(part))
        names = pa.array(numbers, pa.int64()) if whole_ids else pa.array([row_id(row) for row in numbers])
        column = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), part.shape[1])
        yield pa.RecordBatch.from_pydict({"id": names, "embedding": column})
