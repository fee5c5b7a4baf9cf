"""Tokens by centroids and residuals: what they stand for, and MaxSim over them beside sums in float64."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from vecdb_index.multivector import maxsim
from vecdb_index.multivector.maxsim import Question, best, estimated_rows, score_best, score_rows, scorer
from vecdb_index.multivector.residual import LEAST_TOKENS, MOST_CENTROIDS, STEPS, Centroids, many_centroids
from vecdb_index.multivector.stored import Tokens, by_centroids, ends_of, longest_of

BITS = pytest.mark.parametrize("bits", [2, 4])


def floats(seed: int, dimension: int, rows: int = 200) -> Tokens:
    """Return tokens around 12 directions, and rows without any."""
    rng = np.random.default_rng(seed)
    offsets = ends_of(rng.integers(0, 9, rows))
    around = rng.standard_normal((12, dimension))[rng.integers(0, 12, int(offsets[-1]))]
    numbers = around + 0.4 * rng.standard_normal(around.shape)
    numbers /= np.linalg.norm(numbers, axis=1, keepdims=True)
    return Tokens(numbers.astype(np.float16), offsets, dimension)


def made(seed: int, dimension: int, bits: int, rows: int = 200) -> Tokens:
    tokens = floats(seed, dimension, rows)
    centroids = Centroids.trained(tokens.values, bits)
    numbers = centroids.nearest(tokens.values).astype(np.uint16)
    return by_centroids(tokens, centroids, numbers, bits)


def question(seed: int, dimension: int, count: int) -> Question:
    rng = np.random.default_rng(seed)
    tokens = rng.standard_normal((count, dimension)).astype(np.float32)
    return Question(tokens, rng.uniform(0, 2, count).astype(np.float32))


def expected(tokens: Tokens, asked: Question) -> np.ndarray:
    """Return scores in float64, of what ColBERTv2's formula says that codes stand for."""
    assert tokens.centroids is not None
    assert tokens.numbers is not None
    assert tokens.bits is not None
    per = 8 // tokens.bits
    codes = np.stack([tokens.values >> (tokens.bits * at) & (2**tokens.bits - 1) for at in range(per)], axis=2)
    steps = STEPS[tokens.bits][codes.reshape(len(codes), -1)[:, : tokens.dimension]]
    numbers = tokens.centroids.vectors[tokens.numbers] + steps * tokens.centroids.units[tokens.numbers][:, None]
    scores = []
    for begin, end in pairwise(tokens.offsets):
        products = numbers[begin:end].astype(np.float64) @ asked.tokens.astype(np.float64).T
        scores.append(products.max(axis=0) @ asked.weights if end > begin else -np.inf)
    return np.array(scores)


@BITS
@pytest.mark.parametrize("dimension", [3, 16, 33])
@pytest.mark.parametrize("count", [1, 17])
def test_the_best_rows_are_those_of_numpy_and_a_score_is_always_the_same(bits: int, dimension: int, count: int):
    tokens, asked = made(1, dimension, bits), question(2, dimension, count)
    true = expected(tokens, asked)
    order = np.argsort(-true, kind="stable")[: np.count_nonzero(true > -np.inf)]

    whole = score_rows(tokens, asked)

    np.testing.assert_allclose(whole, true, rtol=1e-4, atol=1e-4)
    for k in (1, 7, 300):
        found, exact = best(tokens, asked, k), best(tokens, asked, k, exact=True)
        assert set(found.rows[:k].tolist()) == set(order[:k].tolist())
        assert np.array_equal(found.rows, exact.rows)
        assert np.array_equal(found.scores, exact.scores)
    rows = np.array([5, 199, 0, 5, 77])
    assert np.array_equal(score_rows(tokens, asked, rows), whole[rows])
    assert np.array_equal(scorer(tokens, asked, rows)(1, 4), whole[rows[1:4]])
    few = score_best(tokens, asked, rows, 2)
    assert np.array_equal(few[few > -np.inf], whole[rows][few > -np.inf])
    assert {float(score) for score in np.sort(whole[rows])[-2:]} <= {float(score) for score in few}


@BITS
def test_a_coded_question_is_off_by_no_more_than_its_bound(bits: int):
    for seed in range(10):
        tokens, asked = made(seed, 24, bits), question(seed + 100, 24, 5)
        rows = np.flatnonzero(tokens.lengths > 0)
        true = expected(tokens, asked)
        for some in (rows, rows[:7]):  # of few rows only the centroids of their tokens are multiplied
            off = np.abs(estimated_rows(tokens, asked, some) - true[some]).max()
            assert 0 < off <= asked.coded.off(tokens)
        assert asked.coded.off(tokens) < asked.coded.error * tokens.longest


def test_a_question_whose_table_would_be_too_large_is_scored_exactly(monkeypatch: pytest.MonkeyPatch):
    tokens, asked = made(1, 16, 2), question(2, 16, 17)
    monkeypatch.setattr(maxsim, "TABLE_BYTES", 0)

    found = best(tokens, asked, 5)

    assert np.array_equal(found.scores, best(tokens, asked, 5, exact=True).scores)
    rows = np.flatnonzero(tokens.lengths > 0)
    assert np.array_equal(estimated_rows(tokens, asked, rows), score_rows(tokens, asked, rows))


def test_more_bits_are_nearer_and_nothing_is_further_off_than_it_says():
    given = floats(3, 32).values.astype(np.float32)
    off = {}
    for bits in (2, 4):
        tokens = made(3, 32, bits)
        assert tokens.centroids is not None
        assert tokens.numbers is not None
        found = tokens.floats().tokens
        off[bits] = np.linalg.norm(found - given, axis=1).mean()
        left = found - tokens.centroids.vectors[tokens.numbers].astype(np.float32)
        assert np.linalg.norm(left, axis=1).max() <= tokens.longest_left
        assert np.linalg.norm(found, axis=1).max() <= longest_of(tokens) == tokens.longest
    none = np.linalg.norm(given - tokens.centroids.vectors[tokens.numbers], axis=1).mean()
    assert off[4] < off[2] / 2 < none / 4


def test_the_same_tokens_make_the_same_table_with_any_number_of_threads():
    tokens = floats(5, 16, rows=2000).values

    with ThreadPoolExecutor(3) as pool:
        one, other = Centroids.trained(tokens, 2), Centroids.trained(tokens, 2, pool=pool)
        numbers = other.nearest(tokens, pool)

    assert np.array_equal(one.vectors, other.vectors)
    assert np.array_equal(one.units, other.units)
    assert np.array_equal(one.nearest(tokens), numbers)


def test_tables_are_joined_without_a_change_of_what_tokens_are():
    one, other = made(6, 16, 2), made(7, 16, 2)
    assert one.centroids is not None
    assert other.centroids is not None
    assert other.numbers is not None
    table = Centroids.joined([one.centroids, other.centroids], 16)

    moved = replace(other, centroids=table, numbers=other.numbers + np.uint16(len(one.centroids)))

    assert np.array_equal(moved.floats().tokens, other.floats().tokens)


def test_equal_tokens_and_no_tokens_have_tables_too():
    same = np.tile(np.eye(8, dtype=np.float16)[0], (100, 1))
    table = Centroids.trained(same, 2)
    numbers = table.nearest(same)
    assert np.array_equal(table.numbers_of(table.coded(same, numbers, 2), numbers, 2), same.astype(np.float32))
    none = Centroids.trained(same[:0], 4)
    assert len(none) == len(none.nearest(same[:0])) == 0


def test_a_table_grows_with_the_root_of_the_tokens_within_bounds():
    assert [many_centroids(count) for count in (0, 1, 100, 122_517, 10**6)] == [1, 1, 100 // LEAST_TOKENS, 4096, 8192]
    assert many_centroids(10**12) == MOST_CENTROIDS
