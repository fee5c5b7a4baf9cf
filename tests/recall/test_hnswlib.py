"""hnswlib as the referee: our links must not be worse than its."""

import importlib.util
import sys

import numpy as np
import pytest

from support.recalled import recall_of
from vecdb_index.dense import flat
from vecdb_index.dense.hnsw import from_hnswlib
from vecdb_index.dense.hnsw.build import build
from vecdb_index.dense.hnsw.check import problems
from vecdb_index.dense.hnsw.reach import reachable
from vecdb_index.errors import MissingExtraError
from vecdb_index.types import Metric

installed = pytest.mark.skipif(
    importlib.util.find_spec("hnswlib") is None, reason="hnswlib is not installed: pip install 'vecdb-engine[hnswlib]'"
)
METRICS: list[Metric] = ["cosine", "dot", "l2"]


@installed
@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
def test_our_links_are_as_good(vectors: np.ndarray, metric: Metric) -> None:
    matrix = vectors * np.exp(0.2 * np.random.default_rng(1).standard_normal((len(vectors), 1))).astype(np.float32)
    pairs = np.random.default_rng(2).integers(0, len(matrix), (2, 300))
    queries, norms = matrix[pairs[0]] + np.float32(0.7) * matrix[pairs[1]], flat.norms(matrix)
    ours, theirs = build(matrix, metric, norms), from_hnswlib.build(matrix, metric, norms)

    for ef in (32, 64, 128):
        assert recall_of(ours, matrix, queries, metric, ef) >= recall_of(theirs, matrix, queries, metric, ef) - 0.01


@installed
@pytest.mark.parametrize("metric", METRICS)
def test_its_graph_is_sound(vectors: np.ndarray, metric: Metric) -> None:
    matrix = vectors[:1500].copy()
    matrix[:3] = 0
    told: list[tuple[int, int]] = []
    graph = from_hnswlib.build(matrix, metric, flat.norms(matrix), progress=lambda *args: told.append(args))

    assert problems(graph) == []
    assert reachable(graph.links, graph.entries).all()
    assert (graph.links != np.arange(len(matrix))[:, None]).all()
    assert recall_of(graph, matrix, vectors[1500:1700], metric, 100) > 0.95
    assert told[-1] == (1500, 1500)


@installed
def test_several_threads_give_labels_in_any_order(vectors: np.ndarray) -> None:
    matrix = vectors[:3000]
    graph = from_hnswlib.build(matrix, "cosine", flat.norms(matrix), threads=2)

    assert problems(graph) == []
    assert recall_of(graph, matrix, vectors[3000:3200], "cosine", 100) > 0.95


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)

    with pytest.raises(MissingExtraError, match=r"vecdb-engine\[hnswlib\]"):
        from_hnswlib.build(np.ones((2, 4), np.float32), "l2", np.ones(2, np.float32))
