"""The graph against the exact scan, on the demo's real texts: floors of recall."""

from collections.abc import Callable

import numpy as np
import pytest

from support.recalled import between, recall
from vecdb_index.dense import flat
from vecdb_index.dense.hnsw import search as hnsw
from vecdb_index.dense.hnsw.build import build
from vecdb_index.dense.hnsw.graph import Graph
from vecdb_index.types import Metric

K, QUERIES = 10, 200


@pytest.fixture(scope="module")
def graph(vectors: np.ndarray) -> Graph:
    return build(vectors, "cosine", flat.norms(vectors))


@pytest.mark.parametrize(("ef", "floor"), [(20, 0.88), (40, 0.93), (100, 0.97), (300, 0.99)])
def test_recall_grows_with_ef(vectors: np.ndarray, graph: Graph, ef: int, floor: float) -> None:
    queries, norms = between(vectors, QUERIES), flat.norms(vectors)
    exact = flat.search_batch(vectors, queries, K, "cosine", norms=norms)

    found = hnsw.search_batch(graph, vectors, queries, K, "cosine", ef=ef, norms=norms)

    assert recall(found, exact) >= floor


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_recall_for_every_metric_and_type(vectors: np.ndarray, metric: Metric, dtype: str) -> None:
    scaled = np.clip(np.rint(vectors * 600), -127, 127) if dtype == "int8" else vectors
    matrix = scaled.astype(dtype)
    queries, norms = matrix[:: len(matrix) // QUERIES], flat.norms(matrix)
    exact = flat.search_batch(matrix, queries, K, metric, norms=norms)

    found = hnsw.search_batch(build(matrix, metric, norms), matrix, queries, K, metric, ef=64, norms=norms)

    assert recall(found, exact) >= 0.97


FILTERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "half": lambda numbers, near: numbers % 2 == 0,
    "a third": lambda numbers, near: numbers % 3 == 0,
    "a tenth": lambda numbers, near: numbers % 10 == 0,
    "one in a hundred": lambda numbers, near: numbers % 100 == 0,
    "the nearest fifth": lambda numbers, near: near >= np.quantile(near, 0.8),
    "the farthest fifth": lambda numbers, near: near <= np.quantile(near, 0.2),
    "the farthest half": lambda numbers, near: near <= np.quantile(near, 0.5),
    "all but the nearest": lambda numbers, near: near <= np.quantile(near, 0.99),
}


@pytest.mark.parametrize("name", FILTERS)
def test_recall_under_filters(vectors: np.ndarray, graph: Graph, name: str) -> None:
    norms = flat.norms(vectors)
    found, exact = [], []
    for query in between(vectors, QUERIES)[:50]:
        allowed = FILTERS[name](np.arange(len(vectors)), vectors @ query)
        exact.append(flat.search(vectors, query, K, "cosine", allowed=allowed, norms=norms))
        found.append(hnsw.search(graph, vectors, query, K, "cosine", ef=128, norms=norms, allowed=allowed))

    assert all(len(result.rows) == K for result in found)
    # Of rows far from the query the codes are looked at, and what they confuse is scored.
    assert recall(found, exact) >= (0.99 if "farthest" in name else 0.95)


@pytest.mark.parametrize("metric", ["dot", "l2"])
@pytest.mark.parametrize("dimension", [1, 2, 16])
def test_recall_of_hundreds_and_thousands_of_rows(dimension: int, metric: Metric) -> None:
    rng = np.random.default_rng(3)
    matrix, queries = (
        rng.standard_normal((8000, dimension), np.float32),
        rng.standard_normal((20, dimension), np.float32),
    )
    searcher = hnsw.Searcher(build(matrix, metric, flat.norms(matrix)), matrix, metric)

    for k in (300, 1000, 8000):
        found = searcher.answers(queries, k, searcher.plan(None, k, searcher.wider(16, k)))
        exact = flat.search_batch(matrix, queries, k, metric)

        assert recall(found.top(k), exact) >= 0.99
