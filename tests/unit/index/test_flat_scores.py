"""Flat search against NumPy in float64: scores, ranks, masks, ties, and values at the edge of float32."""

import numpy as np
import pytest

from vecdb_index.dense import flat
from vecdb_index.types import Metric, TopK

METRICS: tuple[Metric, ...] = ("dot", "cosine", "l2")
DTYPES = ("float32", "float16", "int8")
DIMENSIONS = (1, 3, 7, 16, 17, 64, 100, 384, 768, 1025)


def data(rows: int, dimension: int, dtype: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows, dimension) values and one query."""
    rng = np.random.default_rng(seed)
    values = 30 * rng.standard_normal((rows + 1, dimension))
    stored = values.astype(dtype)
    return stored[:-1], stored[-1]


def exact(matrix: np.ndarray, query: np.ndarray, metric: Metric) -> np.ndarray:
    """Scores in float64."""
    x, q = matrix.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return -((x - q) ** 2).sum(axis=1)
    if metric == "dot":
        return x @ q
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(q)
    return np.divide(x @ q, lengths, out=np.zeros(len(x)), where=lengths > 0)


def tolerance(matrix: np.ndarray, query: np.ndarray, metric: Metric) -> float:
    """What rounding each of d products and sums to float32 may cost, for the longest row."""
    if metric == "cosine":
        return 1e-6 * np.sqrt(len(query)) + 1e-6
    lengths = np.linalg.norm(matrix.astype(np.float64), axis=1).max() + np.linalg.norm(query.astype(np.float64))
    return float(1e-7 * np.sqrt(len(query)) * lengths**2)


def is_ranked(found: TopK) -> bool:
    """Best first, and equal scores in row order."""
    score, row = found.scores, found.rows.astype(np.int64)
    return bool(((score[:-1] > score[1:]) | ((score[:-1] == score[1:]) & (row[:-1] < row[1:]))).all())


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_all_rows_are_ranked_by_their_score_in_float64(metric: Metric, dtype: str, dimension: int) -> None:
    matrix, query = data(203, dimension, dtype)

    found = flat.search(matrix, query, 500, metric)

    assert sorted(found.rows.tolist()) == list(range(203))
    assert is_ranked(found)
    assert not found.cut
    limit = tolerance(matrix, query, metric)
    np.testing.assert_allclose(found.scores, exact(matrix, query, metric)[found.rows], rtol=1e-5, atol=limit)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_the_best_k_are_the_first_k_of_all(metric: Metric, dtype: str) -> None:
    matrix, query = data(5000, 24, dtype)

    everything = flat.search(matrix, query, 5000, metric)
    found = flat.search(matrix, query, 37, metric)

    np.testing.assert_array_equal(found.rows, everything.rows[:37])
    np.testing.assert_array_equal(found.scores, everything.scores[:37])
    assert found.rows.dtype == np.uint32
    assert found.scores.dtype == np.float32


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("dtype", ["bool", "uint8"])
def test_a_mask_leaves_out_every_other_row(share: float, dtype: str) -> None:
    matrix, query = data(4000, 48, "float32")
    allowed = (np.random.default_rng(3).random(4000) < share).astype(dtype)
    allowed.flags.writeable = False

    found = flat.search(matrix, query, 25, "dot", allowed=allowed)

    everything = flat.search(matrix, query, 4000, "dot")
    expected = everything.rows[allowed[everything.rows] != 0][:25]
    np.testing.assert_array_equal(found.rows, expected)


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
@pytest.mark.parametrize("k", [1, 4, 9, 10, 11, 30])
def test_a_cut_through_equal_scores_is_told_and_the_tied_rows_can_be_had(k: int, share: float) -> None:
    # Ten different rows, a hundred copies of each: the best k end inside a group of copies, or exactly at its end.
    kinds, query = data(10, 20, "float32")
    matrix = np.ascontiguousarray(np.tile(kinds, (100, 1)))
    allowed = np.random.default_rng(1).random(1000) < share

    found = flat.search(matrix, query, k, "l2", allowed=allowed)
    tied = flat.ties_at(matrix, query, "l2", found.scores[-1], allowed)

    same = (matrix == matrix[found.rows[-1]]).all(axis=1) & allowed
    np.testing.assert_array_equal(tied, np.flatnonzero(same))
    assert found.cut == bool(set(tied.tolist()) - set(found.rows.tolist()))
    assert is_ranked(found)


def test_a_cut_that_ends_with_a_group_of_equal_scores_is_no_cut() -> None:
    matrix = np.array([[3.0], [1.0], [3.0], [2.0]], np.float32)

    found = flat.search(matrix, np.ones(1, np.float32), 2, "dot")

    assert found.rows.tolist() == [0, 2]
    assert not found.cut


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_empty_matrix_has_no_best_row(metric: Metric, dtype: str) -> None:
    matrix, query = np.empty((0, 5), dtype), np.ones(5, dtype)

    found = flat.search(matrix, query, 3, metric)
    batch = flat.search_batch(matrix, np.ones((4, 5), dtype), 3, metric)

    assert [len(found.rows), len(found.scores), found.cut] == [0, 0, False]
    assert [len(one.rows) for one in batch] == [0, 0, 0, 0]
    assert len(flat.ties_at(matrix, query, metric, 1.0)) == 0
    assert len(flat.norms(matrix)) == 0


def test_no_queries_give_no_results() -> None:
    assert flat.search_batch(np.ones((3, 2), np.float32), np.empty((0, 2), np.float32), 1, "dot") == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_vectors_have_a_cosine_of_zero(dtype: str) -> None:
    matrix = np.array([[0, 0, 0], [1, 2, 2], [-1, -2, -2]], dtype)

    of_zero = flat.search(matrix, np.zeros(3, dtype), 3, "cosine")
    of_row = flat.search(matrix, matrix[1], 3, "cosine")

    assert of_zero.scores.tolist() == [0, 0, 0]
    assert of_row.rows.tolist() == [1, 0, 2]
    np.testing.assert_allclose(of_row.scores, [1, 0, -1], atol=1e-6)


@pytest.mark.parametrize("size", [1e-38, 1e-30, 1e-3, 1e30, 1e37])
def test_cosine_does_not_depend_on_the_length_of_the_vectors(size: float) -> None:
    matrix, query = data(50, 20, "float32")
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    huge = (unit * np.float64(size) * 2).astype(np.float32)

    found = flat.search(huge, (query * np.float64(size) / 100).astype(np.float32), 50, "cosine")

    np.testing.assert_allclose(found.scores, exact(unit, query, "cosine")[found.rows], atol=1e-4)


@pytest.mark.parametrize("metric", METRICS)
def test_a_sum_that_overflows_is_infinite_but_never_nan(metric: Metric) -> None:
    huge = np.float32(3e38)
    matrix = np.array([[huge, huge], [huge, -huge], [-huge, -huge], [1, 1]], np.float32)

    found = flat.search(matrix, np.array([huge, huge], np.float32), 4, metric)

    assert sorted(found.rows.tolist()) == [0, 1, 2, 3]
    assert not np.isnan(found.scores).any()
    assert is_ranked(found)


def test_a_score_of_zero_is_positive_zero() -> None:
    matrix = np.array([[-0.0, 0.0], [1.0, -1.0]], np.float32)

    scores = [flat.search(matrix, matrix[0], 2, metric).scores for metric in METRICS]

    zeros = np.concatenate(scores)
    assert not np.signbit(zeros[zeros == 0]).any()
    assert (zeros == 0).sum() == 5


def test_int8_sums_are_exact_up_to_the_largest_dimension() -> None:
    matrix = np.full((2, 32768), -128, np.int8)
    query = np.full(32768, 127, np.int8)

    dot = flat.search(matrix, query, 1, "dot")
    l2 = flat.search(matrix, query, 1, "l2")

    assert dot.scores[0] == np.float32(-128 * 127 * 32768)
    assert l2.scores[0] == np.float32(-(255**2) * 32768)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_norms_agree_with_float64(dtype: str, dimension: int) -> None:
    matrix, _ = data(101, dimension, dtype)

    expected = np.linalg.norm(matrix.astype(np.float64), axis=1)
    np.testing.assert_allclose(flat.norms(matrix), expected, rtol=1e-6)


@pytest.mark.parametrize("given", ["float16", "float32"])
def test_a_float16_matrix_takes_queries_of_both_float_types(given: str) -> None:
    matrix, query = data(100, 33, "float16")

    found = flat.search(matrix, query.astype(given), 5, "l2")

    np.testing.assert_array_equal(found.rows, np.argsort(-exact(matrix, query, "l2"), kind="stable")[:5])


@pytest.mark.parametrize(("stored", "asked"), [("float64", "float64"), ("int16", "int16"), ("int8", "float32")])
def test_other_dtypes_are_refused(stored: str, asked: str) -> None:
    with pytest.raises(TypeError):
        flat.search(np.ones((3, 2), stored), np.ones(2, asked), 1, "dot")
