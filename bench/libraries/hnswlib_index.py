"""hnswlib: HNSW over float32."""

import importlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.libraries.base import Library, Width
from bench.systems.base import Graph


class Hnswlib(Library):
    name: ClassVar[str] = "hnswlib"

    def __init__(self) -> None:
        self._index: Any = None

    def _new(self, dimension: int, metric: str) -> Any:
        return importlib.import_module("hnswlib").Index(space="l2" if metric == "l2" else "ip", dim=dimension)

    def build(self, rows: np.ndarray, metric: str, graph: Graph, folder: Path) -> None:
        self._index = self._new(rows.shape[1], metric)
        self._index.init_index(max_elements=len(rows), M=graph.m, ef_construction=graph.ef_construction)
        self._index.set_num_threads(graph.threads)
        self._index.add_items(rows)

    def save(self, folder: Path) -> None:
        self._index.save_index(str(folder / "index.hnswlib"))

    def load(self, folder: Path, rows: np.ndarray, metric: str) -> None:
        self._index = self._new(rows.shape[1], metric)
        self._index.load_index(str(folder / "index.hnswlib"))

    def set_width(self, width: Width) -> None:
        self._index.set_ef(width)

    def one(self, query: np.ndarray, k: int) -> Any:
        return self._index.knn_query(query, k=k, num_threads=1)[0][0]

    def batch(self, queries: np.ndarray, k: int, threads: int) -> Any:
        return self._index.knn_query(queries, k=k, num_threads=threads)[0]
