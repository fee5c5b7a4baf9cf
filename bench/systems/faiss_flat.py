"""faiss flat indexes (exact), with an ID bitmap for filters; one thread per core, or one."""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from bench import machine
from bench.datasets import row_id
from bench.systems.base import Filter, Shape, System, embeddings
from bench.systems.numpy_exact import FILTERED, column_values, prepared


class FaissFlat(System):
    """IndexFlatIP (cosine over unit rows, or dot) or IndexFlatL2; the columns beside it in .npy files."""

    name: ClassVar[str] = "faiss"
    threads: int | None = None

    def __init__(self) -> None:
        # By name: the package is optional, and its Python names are made at run time.
        self._faiss: Any = importlib.import_module("faiss")
        self._faiss.omp_set_num_threads(self.threads or machine.cores())

    def create(self, path: Path, shape: Shape) -> None:
        path.mkdir(parents=True)
        self._path, self._shape = path, shape

    def ingest_batches(self, batches: Iterable[pa.RecordBatch]) -> None:
        kind = self._faiss.IndexFlatL2 if self._shape.metric == "l2" else self._faiss.IndexFlatIP
        index, columns = kind(self._shape.dimension), []
        for batch in batches:
            index.add(prepared(embeddings(batch), self._shape.metric))
            columns.append(batch.select(list(FILTERED)))
        self._faiss.write_index(index, str(self._path / "index.faiss"))
        table = pa.Table.from_batches(columns)
        for name in FILTERED:
            np.save(self._path / f"{name}.npy", column_values(table.column(name)))
        self.open(self._path, self._shape)

    def open(self, path: Path, shape: Shape) -> None:
        self._path, self._shape = path, shape
        self._index = self._faiss.read_index(str(path / "index.faiss"))
        self._columns = {name: np.load(path / f"{name}.npy") for name in FILTERED}

    def search(self, query: np.ndarray, k: int, where: Filter | None = None) -> list[str]:
        if where is None:
            _, rows = self._index.search(query[None], k)
        else:
            bitmap = np.packbits(where.mask(self._columns), bitorder="little")
            selector = self._faiss.IDSelectorBitmap(bitmap)
            _, rows = self._index.search(query[None], k, params=self._faiss.SearchParameters(sel=selector))
        return [row_id(row) for row in rows[0].tolist() if row >= 0]

    def search_batch(self, queries: np.ndarray, k: int) -> list[list[str]]:
        _, rows = self._index.search(queries, k)
        return [[row_id(row) for row in found if row >= 0] for found in rows.tolist()]

    def count(self) -> int:
        return self._index.ntotal


class FaissFlatOneThread(FaissFlat):
    """A single query is often answered sooner without the hand-over between threads."""

    name: ClassVar[str] = "faiss-1t"
    threads: int | None = 1
