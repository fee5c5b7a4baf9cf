"""bfloat16 rows: rounding, and the exact scan against float64 NumPy."""

import numpy as np
import pytest

from vecdb_index.codes.bfloat16 import decode, encode
from vecdb_index.dense import flat
from vecdb_index.types import Metric

METRICS: tuple[Metric, ...] = ("dot", "cosine", "l2")


def test_every_bfloat16_number_comes_back_and_others_go_to_the_nearest() -> None:
    patterns = np.arange(65536, dtype=np.uint32).astype(np.uint16)
    numbers = decode(patterns)
    kept = ~np.isnan(numbers)

    np.testing.assert_array_equal(encode(numbers[kept]), patterns[kept])
    assert np.isnan(decode(encode(numbers[~kept]))).all()
    finite = np.sort(numbers[np.isfinite(numbers)])
    between = np.random.default_rng(0).standard_normal(2000).astype(np.float32) * 100
    errors = np.abs(decode(encode(between)).astype(np.float64) - between)
    places = np.searchsorted(finite, between)
    least = np.minimum(np.abs(finite[places] - between), np.abs(finite[places - 1] - between))
    np.testing.assert_array_equal(errors, least)
    assert encode(np.array([1.00390625, 1.01171875], np.float32)).tolist() == [0x3F80, 0x3F82]  # ties go to even
    assert decode(encode(np.array([3.4e38], np.float32)))[0] == np.inf


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dimension", [1, 3, 16, 17, 100, 384, 1025])
def test_scores_are_those_of_float64(metric: Metric, dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    matrix = encode((30 * rng.standard_normal((203, dimension))).astype(np.float32))
    matrix[5] = 0
    queries = (30 * rng.standard_normal((9, dimension))).astype(np.float32)
    x, y = decode(matrix).astype(np.float64), queries.astype(np.float64)
    expected = -((y[:, None] - x[None]) ** 2).sum(axis=2) if metric == "l2" else y @ x.T
    if metric == "cosine":
        lengths = np.linalg.norm(y, axis=1)[:, None] * np.linalg.norm(x, axis=1)
        expected = np.divide(expected, lengths, out=np.zeros_like(expected), where=lengths > 0)

    found = flat.search_batch(matrix, queries, 300, metric)

    for one, query, true in zip(found, queries, expected, strict=True):
        scale = np.abs(true).max()
        np.testing.assert_allclose(one.scores, true[one.rows], rtol=1e-5, atol=1e-5 * scale)
        alone = flat.search(matrix, query, 300, metric)
        assert alone.scores.tobytes() == one.scores.tobytes()
        assert alone.rows.tolist() == one.rows.tolist()
    rows = np.tile(np.arange(50, dtype=np.uint32), (9, 1))
    ranked = flat.rank_lists(matrix, queries, rows, np.full(9, 50, np.int32), metric, flat.norms(matrix))
    for one, row, score in zip(found, rows, ranked, strict=True):
        kept = one.rows < 50
        assert row.tolist() == one.rows[kept].tolist()
        assert score.tobytes() == one.scores[kept].tobytes()


@pytest.mark.parametrize("size", [0.0, 1e-40, 1e-30, 1e18, 3e38])
def test_a_score_is_never_nan(size: float) -> None:
    matrix = encode(np.sign(np.random.default_rng(1).standard_normal((20, 9))).astype(np.float32) * np.float32(size))

    for metric in METRICS:
        scores = flat.search(matrix, decode(matrix)[2], 20, metric).scores
        assert len(scores) == 20
        assert not np.isnan(scores).any()


def test_lengths_of_rows() -> None:
    matrix = encode(np.random.default_rng(2).standard_normal((40, 77)).astype(np.float32))

    np.testing.assert_allclose(flat.norms(matrix), np.linalg.norm(decode(matrix).astype(np.float64), axis=1), rtol=1e-6)
