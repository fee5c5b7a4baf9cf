"""Product codes: scores are sums of what the nearest learnt parts give, in float64 NumPy too."""

import sys

import numpy as np
import pytest

from vecdb_index.codes.product import ProductCoder
from vecdb_index.dense import flat
from vecdb_index.errors import MissingExtraError
from vecdb_index.types import Metric

pytest.importorskip("faiss")

METRICS: tuple[Metric, ...] = ("dot", "cosine", "l2")
NO_ROWS = np.empty(0, np.uint32)


def data(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)


def scanned(coder: ProductCoder, codes: np.ndarray, queries: np.ndarray, rows: np.ndarray = NO_ROWS) -> np.ndarray:
    from vecdb_index.kernels.product import scan

    out = np.empty((len(queries), len(rows) if len(rows) else len(codes)), np.float32)
    for table, line in zip(coder.tables(queries), out, strict=True):
        scan(codes, table, rows, 0, len(line), line)
    return out


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("dimension", "parts"), [(1, 1), (7, 3), (24, 24), (30, 7), (64, 16)])
def test_a_score_is_that_of_the_nearest_parts(metric: Metric, dimension: int, parts: int) -> None:
    matrix, queries = data(500, dimension), data(5, dimension, 1)
    norms = flat.norms(matrix)
    coder = ProductCoder.fit(matrix, metric, norms, parts=parts)
    codes = np.empty((500, coder.width), np.uint8)

    coder.encode(matrix, norms, np.arange(500), codes)
    found = scanned(coder, codes, queries)

    learnt = coder.parts.astype(np.float64)
    x, y = matrix.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    width = learnt.shape[0] * learnt.shape[2]
    x, y = (np.pad(z, ((0, 0), (0, width - dimension))) for z in (x, y))
    apart = x.reshape(500, len(learnt), 1, -1)
    distances = ((apart - learnt[None]) ** 2).sum(axis=3)
    chosen = np.take_along_axis(distances, codes[:, :, None].astype(np.int64), axis=2)[:, :, 0]
    np.testing.assert_allclose(chosen, distances.min(axis=2), atol=1e-5)
    decoded = learnt[np.arange(len(learnt)), codes].reshape(500, width)
    expected = -((y[:, None] - decoded[None]) ** 2).sum(axis=2) if metric == "l2" else y @ decoded.T
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_rows_can_be_read_in_any_order() -> None:
    matrix = data(300, 16)
    norms = flat.norms(matrix)
    coder = ProductCoder.fit(matrix, "l2", norms, parts=4)
    codes = np.empty((300, 4), np.uint8)
    coder.encode(matrix, norms, np.arange(300), codes)
    rows = np.array([7, 299, 7, 0], np.uint32)

    assert (scanned(coder, codes, matrix[:2], rows) == scanned(coder, codes, matrix[:2])[:, rows]).all()


@pytest.mark.parametrize("size", [0.0, 1e-40, 1e15])
def test_few_and_extreme_rows_have_codes(size: float) -> None:
    matrix = np.sign(data(5, 6)) * np.float32(size)
    norms = flat.norms(matrix)
    for metric in METRICS:
        coder = ProductCoder.fit(matrix, metric, norms, parts=3)
        codes = np.empty((5, 3), np.uint8)
        coder.encode(matrix, norms, np.arange(5), codes)

        assert not np.isnan(scanned(coder, codes, matrix)).any()


def test_stored_arrays_make_the_same_coder_and_damage_is_told() -> None:
    matrix = data(300, 10)
    norms = flat.norms(matrix)
    coder = ProductCoder.fit(matrix, "dot", norms, parts=5)
    codes = np.empty((300, 5), np.uint8)
    coder.encode(matrix, norms, np.arange(300), codes)

    again = ProductCoder.of(coder.arrays(), coder.settings())

    assert again.problems(codes) == []
    np.testing.assert_array_equal(again.tables(matrix[:2]), coder.tables(matrix[:2]))
    assert coder.problems(codes[:, :4]) != []
    assert ProductCoder("dot", 11, coder.parts).problems(codes) != []
    assert ProductCoder("dot", 10, coder.parts[:, :255]).problems(codes) != []
    with pytest.raises(ValueError, match="1 to 10 parts, not 11"):
        ProductCoder.fit(matrix, "dot", norms, parts=11)


def test_without_faiss_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    matrix = data(300, 10)

    with pytest.raises(MissingExtraError, match="pip install faiss-cpu"):
        ProductCoder.fit(matrix, "l2", flat.norms(matrix), parts=2)
