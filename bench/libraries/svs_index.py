"""Scalable Vector Search: a Vamana graph over float32. Its codes (LVQ, LeanVec) run on Intel processors only."""

import importlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.libraries.base import Library, Width
from bench.systems.base import Graph


class Svs(Library):
    """Degree 2 m, which is what HNSW's lowest layer has, and the window of the build as wide as ef_construction."""

    name: ClassVar[str] = "svs"

    def __init__(self) -> None:
        self._svs: Any = importlib.import_module("svs")
        self._index: Any = None
        self._width = 0

    def build(self, rows: np.ndarray, metric: str, graph: Graph, folder: Path) -> None:
        parameters = self._svs.VamanaBuildParameters(
            alpha=1.2 if metric == "l2" else 0.95, graph_max_degree=2 * graph.m, window_size=graph.ef_construction
        )
        self._index = self._svs.Vamana.build(parameters, rows, self._distance(metric), num_threads=graph.threads)

    def save(self, folder: Path) -> None:
        self._index.save(*(str(folder / name) for name in ("config", "graph", "data")))

    def load(self, folder: Path, rows: np.ndarray, metric: str) -> None:
        svs = self._svs
        data = svs.VectorDataLoader(str(folder / "data"), svs.DataType.float32, dims=rows.shape[1])
        graph = svs.GraphLoader(str(folder / "graph"))
        self._index = svs.Vamana(str(folder / "config"), graph, data, self._distance(metric), num_threads=1)

    def set_width(self, width: Width) -> None:
        if isinstance(width, tuple):
            raise TypeError(f"svs takes one width, got {width!r}")
        self._width = width

    def one(self, query: np.ndarray, k: int) -> Any:
        return self.batch(query[None], k, 1)[0]

    def batch(self, queries: np.ndarray, k: int, threads: int) -> Any:
        index = self._index
        if index.num_threads != threads:
            index.num_threads = threads
        if index.search_window_size != max(self._width, k):
            index.search_window_size = max(self._width, k)
        return index.search(queries, k)[0]

    def _distance(self, metric: str) -> Any:
        return self._svs.DistanceType.L2 if metric == "l2" else self._svs.DistanceType.MIP
