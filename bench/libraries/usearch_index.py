"""usearch: HNSW over float32."""

import importlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.libraries.base import Library, Width
from bench.systems.base import Graph

_COUNTED = 200


class Usearch(Library):
    name: ClassVar[str] = "usearch"

    def __init__(self) -> None:
        self._index: Any = None

    def build(self, rows: np.ndarray, metric: str, graph: Graph, folder: Path) -> None:
        self._index = importlib.import_module("usearch.index").Index(
            ndim=rows.shape[1],
            metric="l2sq" if metric == "l2" else "ip",
            dtype="f32",
            connectivity=graph.m,
            expansion_add=graph.ef_construction,
        )
        self._index.add(np.arange(len(rows), dtype=np.uint64), rows, threads=graph.threads)

    def save(self, folder: Path) -> None:
        self._index.save(str(folder / "index.usearch"))

    def load(self, folder: Path, rows: np.ndarray, metric: str) -> None:
        self._index = importlib.import_module("usearch.index").Index.restore(str(folder / "index.usearch"))

    def set_width(self, width: Width) -> None:
        self._index.expansion_search = width

    def one(self, query: np.ndarray, k: int) -> Any:
        return self._index.search(query, k, threads=1).keys

    def batch(self, queries: np.ndarray, k: int, threads: int) -> Any:
        return self._index.search(queries, k, threads=threads).keys

    def cost(self, queries: np.ndarray, k: int) -> dict[str, float]:
        told = [self._index.search(query, k).computed_distances for query in queries[:_COUNTED]]
        return {"distances": float(np.mean(told))}
