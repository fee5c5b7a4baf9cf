"""What tests of recall share: questions to rows, and how much of the exact answers was found."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vecdb_index.dense import flat
from vecdb_index.dense.hnsw import search as hnsw
from vecdb_index.dense.hnsw.graph import Graph
from vecdb_index.types import Metric


def between(vectors: np.ndarray, count: int) -> np.ndarray:
    """Return queries that are no rows: sums of two unrelated rows, harder than real questions."""
    pairs = np.random.default_rng(1).integers(0, len(vectors), (2, count))
    return (vectors[pairs[0]] + 0.7 * vectors[pairs[1]]).astype(vectors.dtype)


def recall(found: Sequence[Any], exact: Sequence[Any]) -> float:
    """Return the mean share of the exact rows that were found."""
    pairs = zip(found, exact, strict=True)
    return float(np.mean([len(set(one.rows) & set(two.rows)) / len(two.rows) for one, two in pairs]))


def recall_of(graph: Graph, matrix: np.ndarray, queries: np.ndarray, metric: Metric, ef: int) -> float:
    """Return the recall of ten rows through a graph."""
    norms = flat.norms(matrix)
    exact = flat.search_batch(matrix, queries, 10, metric, norms=norms)
    return recall(hnsw.search_batch(graph, matrix, queries, 10, metric, ef=ef, norms=norms), exact)
