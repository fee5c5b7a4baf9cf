"""voyager: HNSW over float32."""

import importlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.libraries.base import Library, Width
from bench.systems.base import Graph


class Voyager(Library):
    name: ClassVar[str] = "voyager"

    def __init__(self) -> None:
        self._index: Any = None
        self._width: Width = 0

    def build(self, rows: np.ndarray, metric: str, graph: Graph, folder: Path) -> None:
        voyager: Any = importlib.import_module("voyager")
        space = voyager.Space.Euclidean if metric == "l2" else voyager.Space.InnerProduct
        self._index = voyager.Index(
            space, num_dimensions=rows.shape[1], M=graph.m, ef_construction=graph.ef_construction
        )
        self._index.add_items(rows, num_threads=graph.threads)

    def save(self, folder: Path) -> None:
        self._index.save(str(folder / "index.voyager"))

    def load(self, folder: Path, rows: np.ndarray, metric: str) -> None:
        self._index = importlib.import_module("voyager").Index.load(str(folder / "index.voyager"))

    def set_width(self, width: Width) -> None:
        self._width = width

    def one(self, query: np.ndarray, k: int) -> Any:
        return self._index.query(query, k=k, query_ef=self._width)[0]

    def batch(self, queries: np.ndarray, k: int, threads: int) -> Any:
        return self._index.query(queries, k=k, num_threads=threads, query_ef=self._width)[0]
