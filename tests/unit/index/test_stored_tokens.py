"""Tokens as codes, and MaxSim over them: exact answers, whatever they are coded by and however they are cut."""

from itertools import pairwise

import numpy as np
import pytest

from vecdb_index.multivector import maxsim
from vecdb_index.multivector.maxsim import Question, best, score_rows
from vecdb_index.multivector.pooling import pool
from vecdb_index.multivector.ragged import Ragged
from vecdb_index.multivector.stored import LEVELS, Tokens, coded, ends_of, longest_of


def made(seed: int, dimension: int, bits: int | None, rows: int = 60) -> Tokens:
    rng = np.random.default_rng(seed)
    offsets = ends_of(rng.integers(0, 9, rows))
    floats = rng.standard_normal((int(offsets[-1]), dimension)).astype(np.float32)
    if bits is None:
        return Tokens(floats, offsets, dimension)
    codes, scales = coded(floats, bits)
    tokens = Tokens(codes, offsets, dimension, bits, scales)
    return Tokens(codes, offsets, dimension, bits, scales, None, longest_of(tokens))


def question(seed: int, dimension: int, count: int) -> Question:
    rng = np.random.default_rng(seed)
    tokens = rng.standard_normal((count, dimension)).astype(np.float32)
    return Question(tokens, rng.uniform(0, 2, count).astype(np.float32))


def expected(tokens: Tokens, asked: Question) -> np.ndarray:
    floats, scores = tokens.floats().tokens.astype(np.float64), []
    for begin, end in pairwise(tokens.offsets):
        products = floats[begin:end] @ asked.tokens.astype(np.float64).T
        scores.append(products.max(axis=0) @ asked.weights if end > begin else -np.inf)
    return np.array(scores)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("dimension", [1, 5, 16, 33])
def test_codes_are_the_nearest_steps_and_zeros_behind_the_last_number(bits: int, dimension: int):
    numbers = np.random.default_rng(bits).standard_normal((50, dimension)).astype(np.float32)
    numbers[7] = 0

    codes, scales = coded(numbers, bits)

    assert codes.shape[1] * 8 // bits == -(-dimension // 4) * 4
    found = Tokens(codes, np.array([0, 50]), dimension, bits, scales).floats().tokens
    assert (np.abs(found - numbers) <= scales[:, None] / 2 + 1e-6).all()
    np.testing.assert_allclose(np.abs(numbers).max(axis=1), scales * LEVELS[bits], rtol=1e-6)
    assert (found[7] == 0).all()


@pytest.mark.parametrize("bits", [None, 8, 4, 1])
@pytest.mark.parametrize("dimension", [3, 16, 33])
@pytest.mark.parametrize("count", [1, 17])
def test_the_best_rows_are_those_of_numpy_and_a_score_is_always_the_same(bits: int | None, dimension: int, count: int):
    tokens, asked = made(1, dimension, bits), question(2, dimension, count)
    true = expected(tokens, asked)
    order = np.argsort(-true, kind="stable")[: np.count_nonzero(true > -np.inf)]

    for k in (1, 7, 100):
        found, exact = best(tokens, asked, k), best(tokens, asked, k, exact=True)
        assert found.rows[:k].tolist() == order[:k].tolist()
        np.testing.assert_allclose(found.scores[:k], true[order[:k]], rtol=1e-4, atol=1e-4)
        assert np.array_equal(found.rows, exact.rows)
        assert np.array_equal(found.scores, exact.scores)
    rows = np.array([5, 59, 0, 5])
    assert np.array_equal(score_rows(tokens, asked, rows), score_rows(tokens, asked)[rows])


@pytest.mark.parametrize("bits", [8, 4])
def test_a_coded_question_is_off_by_no_more_than_its_bound(bits: int):
    for seed in range(20):
        tokens, asked = made(seed, 24, bits), question(seed + 100, 24, 5)
        rows = np.flatnonzero(tokens.lengths > 0)
        about = maxsim._about(tokens, asked, rows, len(rows), None)
        off = np.abs(about - expected(tokens, asked)[rows]).max()
        assert 0 < off <= asked.coded.off(tokens)
        assert asked.coded.off(tokens) == asked.coded.error * tokens.longest


def test_equal_rows_at_the_end_of_the_best_all_come_back():
    one = np.eye(4, dtype=np.float32)[:1]
    codes, scales = coded(np.repeat(one, 9, axis=0), 8)
    tokens = Tokens(codes, np.arange(10), 4, 8, scales)
    found = best(tokens, Question(one, np.ones(1, np.float32)), 3)
    assert found.rows.tolist() == list(range(9))


def test_parts_of_tokens_are_cut_out_whole():
    tokens = made(3, 8, 8)
    some = tokens.some(np.array([9, 2, 2, 40]))
    assert some.lengths.tolist() == tokens.lengths[[9, 2, 2, 40]].tolist()
    whole, part = tokens.floats(), some.floats()
    for at, row in enumerate([9, 2, 2, 40]):
        assert np.array_equal(part[at], whole[row])
    assert np.array_equal(tokens.slice(5, 9).floats()[1], whole[6])


@pytest.mark.parametrize("method", ["ward", "kmeans", "sequential"])
def test_long_documents_are_pooled_in_pieces_to_the_same_count(method: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vecdb_index.multivector.pooling.PIECE", 16)
    rng = np.random.default_rng(4)
    documents = Ragged.of([rng.standard_normal((count, 6)).astype(np.float32) for count in (40, 0, 16, 17, 3)], 6)
    pooled = pool(documents, 3, protected=1, method=method)  # pyright: ignore[reportArgumentType]
    assert pooled.lengths.tolist() == [1 + 13, 0, 1 + 5, 1 + 5, 2]


@pytest.mark.parametrize("most", [1, 4])
def test_a_document_keeps_at_most_so_many_clusters(most: int):
    rng = np.random.default_rng(5)
    documents = Ragged.of([rng.standard_normal((count, 6)).astype(np.float32) for count in (30, 0, 3, 4, 5)], 6)
    for protected in (0, 1, 2):
        pooled = pool(documents, 1, most=most, protected=protected, method="kmeans")
        assert pooled.lengths.tolist() == [min(count, most) for count in (30, 0, 3, 4, 5)]


def test_k_means_finds_directions_that_are_there():
    rng = np.random.default_rng(6)
    centres = np.eye(5, 20, dtype=np.float32)
    labels = rng.integers(0, 5, 60)
    labels[:5] = np.arange(5)
    tokens = centres[labels] * rng.uniform(0.5, 2, (60, 1)).astype(np.float32)
    tokens += 0.01 * rng.standard_normal((60, 20)).astype(np.float32)
    pooled = pool(Ragged.of([tokens], 20), 12, method="kmeans")
    assert sorted(pooled.tokens.argmax(axis=1).tolist()) == [0, 1, 2, 3, 4]
    assert (pooled.tokens.max(axis=1) > 0.99).all()
