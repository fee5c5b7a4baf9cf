"""The inverted file against the exact scan, on the demo's real texts: floors of recall."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from support.recalled import between, recall
from vecdb_index.dense import flat
from vecdb_index.dense.ivf import search as ivf
from vecdb_index.dense.ivf.build import build
from vecdb_index.dense.ivf.index import Ivf
from vecdb_index.types import Metric

K, QUERIES = 10, 200
CODES = ["8bit", "4bit", "product", "rabitq"]
METRICS, TYPES = ("cosine", "dot", "l2"), ("float32", "float16", "int8")
# Books of product codes take nine seconds to train: each type and each metric once will do.
KINDS = [
    pytest.param(codes, dtype, metric, marks=pytest.mark.slow if codes == "product" and dtype != "float32" else ())
    for codes in CODES
    for dtype in TYPES
    for metric in METRICS
    if codes != "product" or TYPES.index(dtype) == METRICS.index(metric)
]


@pytest.fixture(scope="module")
def built(vectors: np.ndarray) -> Callable[[str, str, Metric], tuple[np.ndarray, Ivf]]:
    """Return the vectors in a type, and an index over them: one for all tests that want the same."""

    @cache
    def made(codes: str, dtype: str, metric: Metric) -> tuple[np.ndarray, Ivf]:
        scaled = np.clip(np.rint(vectors * 600), -127, 127) if dtype == "int8" else vectors
        matrix = scaled.astype(dtype)
        return matrix, build(matrix, metric, flat.norms(matrix), codes=codes)

    return made


@pytest.fixture(params=CODES)
def index(built: Callable[[str, str, Metric], tuple[np.ndarray, Ivf]], request: pytest.FixtureRequest) -> Ivf:
    return built(request.param, "float32", "cosine")[1]


@pytest.mark.parametrize(("probes", "floor"), [(1, 0.43), (4, 0.77), (16, 0.95), (48, 0.99)])
def test_recall_grows_with_probes(vectors: np.ndarray, index: Ivf, probes: int, floor: float) -> None:
    queries, norms = between(vectors, QUERIES), flat.norms(vectors)
    exact = flat.search_batch(vectors, queries, K, "cosine", norms=norms)

    found = ivf.search_batch(index, vectors, queries, K, "cosine", probes=probes, norms=norms)

    assert recall(found, exact) >= floor


@pytest.mark.parametrize(("codes", "dtype", "metric"), KINDS)
def test_recall_for_every_metric_and_type(
    built: Callable[[str, str, Metric], tuple[np.ndarray, Ivf]], codes: str, dtype: str, metric: Metric
) -> None:
    matrix, index = built(codes, dtype, metric)
    queries, norms = matrix[:: len(matrix) // QUERIES], flat.norms(matrix)
    exact = flat.search_batch(matrix, queries, K, metric, norms=norms)

    found = ivf.search_batch(index, matrix, queries, K, metric, probes=24, norms=norms)

    assert recall(found, exact) >= 0.97


@pytest.mark.parametrize("spread", [0.1, 0.4, 0.8])
def test_recall_of_inner_products_of_rows_of_uneven_length(vectors: np.ndarray, spread: float) -> None:
    rng = np.random.default_rng(2)
    matrix = vectors * np.exp(spread * rng.standard_normal((len(vectors), 1))).astype(np.float32)
    queries, norms = between(vectors, QUERIES), flat.norms(matrix)
    exact = flat.search_batch(matrix, queries, K, "dot")

    found = ivf.search_batch(build(matrix, "dot", norms), matrix, queries, K, "dot", probes=24)

    assert recall(found, exact) >= 0.9


FILTERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "half": lambda numbers, near: numbers % 2 == 0,
    "a tenth": lambda numbers, near: numbers % 10 == 0,
    "one in a hundred": lambda numbers, near: numbers % 100 == 0,
    "the nearest fifth": lambda numbers, near: near >= np.quantile(near, 0.8),
    "the farthest fifth": lambda numbers, near: near <= np.quantile(near, 0.2),
    "all but the nearest": lambda numbers, near: near <= np.quantile(near, 0.99),
}


@pytest.mark.parametrize("name", FILTERS)
def test_recall_under_filters(vectors: np.ndarray, index: Ivf, name: str) -> None:
    norms = flat.norms(vectors)
    found, exact = [], []
    for query in between(vectors, QUERIES)[:50]:
        allowed = FILTERS[name](np.arange(len(vectors)), vectors @ query)
        exact.append(flat.search(vectors, query, K, "cosine", allowed=allowed, norms=norms))
        found.append(ivf.search(index, vectors, query, K, "cosine", probes=48, norms=norms, allowed=allowed))

    assert all(len(result.rows) == K for result in found)
    assert recall(found, exact) >= 0.97
