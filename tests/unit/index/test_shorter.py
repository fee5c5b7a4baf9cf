"""Questions of fewer vectors: what becomes one, and what it counts."""

from typing import Any

import numpy as np
import pytest

import vecdb
from vecdb.errors import InvalidInputError


def units(seed: int, count: int, dimension: int = 16) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_a_ball_takes_what_is_near_its_first_token_and_counts_as_their_sum():
    a, b = np.eye(4, dtype=np.float32)[:2]
    beside = np.array([0.8, 0, 0.6, 0], np.float32)
    found, weights = vecdb.pool_query(np.stack([a, b, beside]), near=0.7)
    assert np.allclose(found * np.array(weights)[:, None], [a + beside, b], atol=1e-6)


@pytest.mark.parametrize("given", [{"near": 1.0}, {"count": 9}, {"count": 100}])
def test_where_nothing_is_joined_the_question_stays_what_it_is(given: dict[str, Any]):
    tokens = units(1, 9)
    found, weights = vecdb.pool_query(5 * tokens, **given)
    order = [int(np.argmax(found @ token)) for token in tokens]
    assert np.allclose(found[order], tokens, atol=1e-6)
    assert np.allclose(weights, 1, atol=1e-6)


def test_everything_is_one_ball_and_one_cluster():
    tokens = units(2, 7)
    ways: list[dict[str, Any]] = [{"near": -1.0}, {"count": 1}]
    for given in ways:
        found, weights = vecdb.pool_query(tokens, **given)
        assert np.allclose(found[0] * weights[0], tokens.sum(axis=0), atol=1e-5)
        assert len(found) == 1


def test_so_many_clusters_as_asked_for_which_count_by_size_or_all_the_same():
    tokens = np.concatenate([np.repeat(units(3, 1), 5, axis=0), np.repeat(units(4, 1), 2, axis=0)])
    found, weights = vecdb.pool_query(tokens, 2)
    assert sorted(weights) == pytest.approx([2, 5], rel=1e-5)
    assert len(found) == 2
    assert vecdb.pool_query(tokens, 2, weights="same")[1] == (1.0, 1.0)


@pytest.mark.parametrize(
    ("tokens", "given", "told"),
    [
        ([1, 2], {"count": 1}, "no matrix"),
        ([[np.nan, 1]], {"count": 1}, "no matrix"),
        ([["a"]], {"count": 1}, "no matrix"),
        ([[1, 0], [0, 0]], {"count": 1}, "vector 1 of tokens is zero"),
        ([[1, 0]], {}, "either count or near"),
        ([[1, 0]], {"count": 1, "near": 0.5}, "either count or near"),
        ([[1, 0]], {"count": 0}, "count"),
        ([[1, 0]], {"near": 2}, "cosine"),
        ([[1, 0]], {"count": 1, "weights": "none"}, "weights"),
    ],
)
def test_what_cannot_be_joined_is_refused(tokens: Any, given: dict[str, Any], told: str):
    with pytest.raises(InvalidInputError, match=told):
        vecdb.pool_query(tokens, **given)
