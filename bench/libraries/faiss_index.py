"""faiss: HNSW over float32 and over 8-bit codes, and 4-bit product quantization in 256 lists, rescored."""

import importlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.libraries.base import Library, Width
from bench.systems.base import Graph


class _Faiss(Library):
    def __init__(self) -> None:
        self._faiss: Any = importlib.import_module("faiss")
        self._index: Any = None
        self._parameters: Any = None

    def _factory(self, dimension: int, graph: Graph) -> str:
        raise NotImplementedError

    def _search_parameters(self, width: Width) -> Any:
        raise NotImplementedError

    def build(self, rows: np.ndarray, metric: str, graph: Graph, folder: Path) -> None:
        faiss = self._faiss
        faiss.omp_set_num_threads(graph.threads)
        kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self._index = faiss.index_factory(rows.shape[1], self._factory(rows.shape[1], graph), kind)
        if hasattr(self._index, "hnsw"):
            self._index.hnsw.efConstruction = graph.ef_construction
        self._index.train(rows)
        self._index.add(rows)

    def save(self, folder: Path) -> None:
        self._faiss.write_index(self._index, str(folder / "index.faiss"))

    def load(self, folder: Path, rows: np.ndarray, metric: str) -> None:
        self._faiss.omp_set_num_threads(1)
        self._index = self._faiss.read_index(str(folder / "index.faiss"))

    def set_width(self, width: Width) -> None:
        self._parameters = self._search_parameters(width)

    def one(self, query: np.ndarray, k: int) -> Any:
        return self._index.search(query[None], k, params=self._parameters)[1][0]

    def batch(self, queries: np.ndarray, k: int, threads: int) -> Any:
        self._faiss.omp_set_num_threads(threads)
        found = self._index.search(queries, k, params=self._parameters)[1]
        self._faiss.omp_set_num_threads(1)
        return found


class FaissHnsw(_Faiss):
    name: ClassVar[str] = "faiss-hnsw"

    def _factory(self, dimension: int, graph: Graph) -> str:
        return f"HNSW{graph.m},Flat"

    def _search_parameters(self, width: Width) -> Any:
        return self._faiss.SearchParametersHNSW(efSearch=width)

    def cost(self, queries: np.ndarray, k: int) -> dict[str, float]:
        stats = self._faiss.cvar.hnsw_stats
        stats.reset()
        self._index.search(queries, k, params=self._parameters)
        return {"distances": stats.ndis / len(queries)}


class FaissHnswSq8(FaissHnsw):
    """Answers by the codes alone: nothing is rescored, so some recalls are out of reach."""

    name: ClassVar[str] = "faiss-hnsw-sq8"
    stores_raw = False

    def _factory(self, dimension: int, graph: Graph) -> str:
        return f"HNSW{graph.m},SQ8"


class FaissIvfPqFs(_Faiss):
    """Lists probed, and candidates rescored as a multiple of k."""

    name: ClassVar[str] = "faiss-ivfpqfs"
    widths = tuple((probes, factor) for probes in (4, 8, 16, 32, 64) for factor in (2, 4, 10))

    def _factory(self, dimension: int, graph: Graph) -> str:
        return f"IVF256,PQ{dimension // 2}x4fs,RFlat"

    def _search_parameters(self, width: Width) -> Any:
        if not isinstance(width, tuple):
            raise TypeError(f"faiss-ivfpqfs takes (lists, factor), got {width!r}")
        lists = self._faiss.SearchParametersIVF(nprobe=width[0])
        return self._faiss.IndexRefineSearchParameters(k_factor=width[1], base_index_params=lists)
