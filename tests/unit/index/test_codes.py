"""8-bit codes: exact sums on every path, and codes that stand for their vectors."""

from functools import cache
from typing import Any

import numba
import numpy as np
import pytest
from numba import types

from vecdb_index.codes.scalar import LINE, ScalarCoder
from vecdb_index.dense import flat
from vecdb_index.kernels import codes as kernels
from vecdb_index.kernels import features, jit
from vecdb_index.types import Metric

rng = np.random.default_rng(5)


def all_similarities(codes: np.ndarray, queries: np.ndarray, shifts: np.ndarray, normed: bool) -> np.ndarray:
    """Run `similarity` for every pair, with the arithmetic that `features` allows now."""
    out = np.empty((len(codes), len(queries)), np.int32)
    _compiled(features.multiplies_bytes(), features.multiplies_magnitudes())(codes, queries, shifts, normed, out)
    return out


@cache
def _compiled(*path: bool) -> Any:
    similarity: Any = numba.njit(kernels.similarity.py_func)  # compiled anew, or another path's would do

    @numba.njit(
        types.void(
            jit.frozen(types.uint8, 2),
            jit.frozen(types.int8, 2),
            jit.frozen(types.int32, 1),
            types.boolean,
            jit.filled(types.int32, 2),
        )
    )
    def run(codes: np.ndarray, queries: np.ndarray, shifts: np.ndarray, normed: bool, out: np.ndarray) -> None:
        for row in range(codes.shape[0]):
            kernels.prefetch(codes, row)
            for query in range(queries.shape[0]):
                out[row, query] = similarity(codes, row, queries, query, shifts[query], normed)

    return run


@pytest.mark.parametrize("path", ["multiplies_bytes", "multiplies_magnitudes", "portable"])
@pytest.mark.parametrize("width", [64, 128, 448, 4096])
def test_sums_are_exact_on_every_path(width: int, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if path != "portable" and not getattr(features, path)():
        pytest.skip("this processor has no instruction for it")
    for each in ("multiplies_bytes", "multiplies_magnitudes"):
        monkeypatch.setattr(features, each, lambda each=each: each == path)
    codes = rng.integers(0, 256, (50, width)).astype(np.uint8)
    queries = rng.integers(-127, 128, (7, width)).astype(np.int8)
    codes[0], codes[1], queries[0], queries[1] = 255, 0, 127, -127  # the largest sums
    shifts = 128 * queries.sum(axis=1, dtype=np.int32)
    expected = (codes.astype(np.int64) - 128) @ queries.T.astype(np.int64)

    np.testing.assert_array_equal(all_similarities(codes, queries, shifts, False), expected)

    squares = rng.integers(0, 2**30, 50).astype("<i4")
    codes[:, -4:] = squares.view(np.uint8).reshape(50, 4)
    queries[:, -4:] = 0
    shifts = 128 * queries.sum(axis=1, dtype=np.int32)
    dots = (codes.astype(np.int64) - 128) @ queries.T.astype(np.int64)
    expected = (2 * dots - squares[:, None]).astype(np.int32)
    np.testing.assert_array_equal(all_similarities(codes, queries, shifts, True), expected)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("dimension", [1, 3, 60, 61, 64, 65, 384])
def test_codes_order_rows_as_the_vectors_do(metric: Metric, dtype: str, dimension: int) -> None:
    matrix = (rng.standard_normal((200, dimension)) * 20 + 3).astype(dtype)
    queries = (rng.standard_normal((5, dimension)) * 20).astype(dtype)
    norms = flat.norms(matrix)
    coder = ScalarCoder.fit(matrix, metric, norms)
    codes = np.empty((200, coder.width), np.uint8)

    coder.encode(matrix, norms, np.arange(200), codes)
    similarities = all_similarities(codes, *coder.queries(queries), coder.normed)

    assert coder.width % LINE == 0
    exact = np.stack([flat.score_rows(matrix, q, np.arange(200, dtype=np.uint32), metric, norms) for q in queries])
    for mine, true in zip(similarities.T, exact, strict=True):
        spread = true.max() - true.min()
        ours = true[mine == mine.max()].max()  # of one number, many are cut to the same code
        assert true.max() - ours <= 0.05 * spread + 1e-6
        if dimension >= 60:
            assert np.corrcoef(mine, true)[0, 1] > 0.995


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("size", [0.0, 1e-45, 1e-38, 1e-20, 1e20, 3e38])
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_extreme_numbers_have_codes(metric: Metric, size: float) -> None:
    matrix = (np.sign(rng.standard_normal((30, 10))) * size).astype(np.float32)
    matrix[0] = 0
    norms = flat.norms(matrix)
    coder = ScalarCoder.fit(matrix, metric, norms)
    codes = np.empty((30, coder.width), np.uint8)

    with np.errstate(invalid="raise"):
        coder.encode(matrix, norms, np.arange(30), codes)
        queries, _ = coder.queries(matrix)

    assert np.abs(queries.astype(int)).max() <= 127
    if size >= 1e-20:
        own = all_similarities(codes, queries[1:2], 128 * queries[1:2].sum(axis=1, dtype=np.int32), coder.normed)
        assert own[:, 0].argmax() == 1 or own[1, 0] == own[:, 0].max()


def test_a_matrix_of_equal_rows_has_codes() -> None:
    matrix = np.full((20, 8), 2.5, np.float32)
    for metric in ("cosine", "dot", "l2"):
        norms = flat.norms(matrix)
        coder = ScalarCoder.fit(matrix, metric, norms)
        codes = np.empty((20, coder.width), np.uint8)
        coder.encode(matrix, norms, np.arange(20), codes)
        assert (codes == codes[0]).all()
