"""Token pooling: clusters as SciPy finds them, whatever documents lie beside, and the corners."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from vecdb_index.multivector.pooling import pool
from vecdb_index.multivector.ragged import Ragged


def unit(seed: int, count: int, dimension: int = 24) -> np.ndarray:
    tokens = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return tokens / np.linalg.norm(tokens, axis=1, keepdims=True)


def by_scipy(tokens: np.ndarray, clusters: int, pylate: bool) -> np.ndarray:
    wide = tokens.astype(np.float64)
    condensed = (1 - wide @ wide.T)[np.triu_indices(len(tokens), 1)] if pylate else pdist(wide)
    labels = fcluster(linkage(condensed, method="ward"), clusters, criterion="maxclust")
    return in_order(np.array([wide[labels == label].mean(axis=0) for label in set(labels)]))


def in_order(rows: np.ndarray) -> np.ndarray:
    return rows[np.argsort(rows[:, 0])]


@pytest.mark.parametrize("pylate", [False, True])
@pytest.mark.parametrize(("count", "factor"), [(60, 2), (41, 3), (200, 4), (7, 2)])
def test_ward_joins_what_scipy_joins(count: int, factor: int, pylate: bool):
    tokens = unit(count, count)

    pooled = pool(Ragged.of([tokens], 24), factor, renormalise=False, pylate=pylate)

    assert len(pooled.tokens) == count // factor
    np.testing.assert_allclose(in_order(pooled.tokens), by_scipy(tokens, count // factor, pylate), atol=1e-6)


@pytest.mark.parametrize("method", ["ward", "sequential"])
def test_documents_do_not_change_each_other(method: str):
    rows = [unit(seed, count) for seed, count in enumerate([1, 0, 5, 33, 2])]

    together = pool(Ragged.of(rows, 24), 2, protected=1, method=method)  # pyright: ignore[reportArgumentType]

    assert together.lengths.tolist() == [1, 0, 3, 17, 2]
    for at, row in enumerate(rows):
        alone = pool(Ragged.of([row], 24), 2, protected=1, method=method)  # pyright: ignore[reportArgumentType]
        assert np.array_equal(alone.tokens, together[at])
        if len(row):
            assert np.array_equal(together[at][0], row[0])


def test_means_are_stretched_unless_asked_otherwise():
    tokens = Ragged.of([unit(3, 30)], 24)
    plain, stretched = pool(tokens, 2, renormalise=False).tokens, pool(tokens, 2).tokens
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    assert lengths.min() < 0.9
    np.testing.assert_allclose(stretched, plain / np.maximum(lengths, 0.5) ** 1.5, rtol=1e-5)


def test_stretched_means_are_in_proportion_to_their_vectors():
    tokens = unit(4, 30)
    small, large = (pool(Ragged.of([size * tokens], 24), 3).tokens for size in (np.float32(1), np.float32(8)))
    np.testing.assert_allclose(large, 8 * small, rtol=1e-5)


def test_sequential_clusters_are_runs_of_the_text():
    tokens = np.repeat(np.eye(4, dtype=np.float32), [3, 2, 4, 1], axis=0)
    pooled = pool(Ragged.of([tokens], 4), 2.5, method="sequential")
    assert np.array_equal(pooled.tokens, np.eye(4))


def test_equal_tokens_and_opposite_ones_have_a_mean():
    same = np.tile(unit(1, 1), (8, 1))
    np.testing.assert_allclose(pool(Ragged.of([same], 24), 8).tokens, same[:1], rtol=1e-6)
    opposite = np.array([[1, 0], [-1, 0]], np.float32)
    assert np.array_equal(pool(Ragged.of([opposite], 2), 2).tokens, [[0, 0]])


def test_a_factor_of_one_changes_nothing():
    tokens = Ragged.of([unit(1, 9)], 24)
    assert pool(tokens, 1) is tokens
