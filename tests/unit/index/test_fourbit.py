"""4-bit codes: exact sums on every path, estimates of scores, bounds that hold, any numbers at all."""

import numba
import numpy as np
import pytest
from numba import types

from vecdb_index.codes.fourbit import Codes, FourBit, problems
from vecdb_index.codes.rabitq import RaBitQ
from vecdb_index.dense import flat
from vecdb_index.kernels import features
from vecdb_index.kernels import fourbit as kernels
from vecdb_index.kernels.jit import filled, frozen
from vecdb_index.types import Metric

METRICS: tuple[Metric, ...] = ("dot", "cosine", "l2")
NO_ROWS = np.empty(0, np.uint32)


def data(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Vectors around a mean, of uneven spread."""
    rng = np.random.default_rng(seed)
    return ((rng.standard_normal((rows, dimension)) + 0.4) * np.geomspace(1, 0.2, dimension)).astype(np.float32)


def scanned(
    coder: FourBit,
    codes: Codes,
    queries: np.ndarray,
    rows: np.ndarray = NO_ROWS,
    centre: np.ndarray | None = None,
    epsilon: float = 2.8,
) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and bounds: (q, rows)."""
    ready = coder.prepare(queries)
    adds, lengths = coder.against(ready, None if centre is None else centre[None])
    size = len(rows) if len(rows) else len(codes)
    out = np.empty((2, len(queries), size), np.float32)
    for q in range(len(queries)):
        given = ready.numbers, q, ready.totals[q], ready.units[q], ready.misses[q], adds[q, 0], lengths[q, 0]
        kernels.scan(codes.levels, codes.factors, *given, coder.deviation(epsilon), rows, 0, size, out[0, q], out[1, q])
    return out[0], out[1]


def true_scores(matrix: np.ndarray, queries: np.ndarray, metric: Metric, norms: np.ndarray) -> np.ndarray:
    rows = np.arange(len(matrix), dtype=np.uint32)
    return np.stack([flat.score_rows(matrix, query, rows, metric, norms) for query in queries])


@pytest.mark.parametrize("path", ["vnni", "avx2", ""])
def test_sums_are_exact_on_every_path(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if {"vnni": "avx512vnni", "avx2": "avx2", "": "fpu"}[path] not in {*features.features(), "fpu"}:
        pytest.skip("this processor has no instruction for it")
    monkeypatch.setattr(features, "multiplies_nibbles", lambda: path)

    @numba.njit(types.void(frozen(types.uint8, 2), frozen(types.int8, 2), filled(types.int32, 2)))
    def run(levels: np.ndarray, queries: np.ndarray, out: np.ndarray) -> None:
        for row in range(levels.shape[0]):
            for query in range(queries.shape[0]):
                out[row, query] = kernels.dot_levels(levels, row, queries, query)

    rng = np.random.default_rng(3)
    for width in (64, 128, 448, 4096):
        levels = rng.integers(0, 256, (40, width // 2)).astype(np.uint8)
        queries = rng.integers(-127, 128, (6, width)).astype(np.int8)
        levels[0], levels[1], queries[0], queries[1] = 255, 0, 127, -127  # the largest sums and the least
        out = np.empty((40, 6), np.int32)

        run(levels, queries, out)

        apart = np.concatenate([levels & 15, levels >> 4], axis=1).astype(np.int64)
        np.testing.assert_array_equal(out, apart @ queries.T.astype(np.int64))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("dimension", [1, 7, 64, 100, 130, 384])
def test_estimates_are_near_and_bounds_hold(metric: Metric, dtype: str, dimension: int) -> None:
    matrix, queries = ((data(400, dimension, seed) * 30).astype(dtype) for seed in (0, 1))
    norms = flat.norms(matrix)
    coder = FourBit.fit(matrix, metric, norms)
    codes = coder.encode(matrix, norms, np.arange(400))

    found, bounds = scanned(coder, codes, queries[:20])

    true = true_scores(matrix, queries[:20], metric, norms)
    errors = found - true
    assert np.abs(errors).max() <= 0.2 * (true.max() - true.min())
    # Rows of one or two numbers lie on few directions, so their errors are not many independent ones.
    assert np.mean(true <= bounds + 1e-5 * np.abs(true)) >= (0.9 if dimension < 64 else 0.99)


def test_estimates_have_no_bias_and_bounds_hold_as_often_as_they_say() -> None:
    matrix, queries = data(3000, 300), data(40, 300, 1)
    norms = flat.norms(matrix)
    coder = FourBit.fit(matrix, "l2", norms)
    codes, true = coder.encode(matrix, norms, np.arange(3000)), true_scores(matrix, queries, "l2", norms)

    for epsilon, least in ((1.9, 0.94), (2.8, 0.99)):
        found, bounds = scanned(coder, codes, queries, epsilon=epsilon)
        errors = found - true
        assert abs(errors.mean()) < 3 * errors.std() / np.sqrt(3000)
        assert np.mean(np.abs(errors) <= bounds - found) >= least


def test_rows_can_be_read_in_any_order_and_have_centres_of_their_own() -> None:
    matrix = data(90, 50)
    norms = flat.norms(matrix)
    coder = FourBit.fit(matrix, "dot", norms)
    centres = np.stack([coder.coder.mean, matrix[5]])
    of_row = (np.arange(90) % 2).astype(np.int32)
    codes = coder.encode(matrix, norms, np.arange(90), centres, of_row)
    true = true_scores(matrix, matrix[:3], "dot", norms)

    for which in (0, 1):
        rows = np.flatnonzero(of_row == which)[::-1].astype(np.uint32)
        found, _ = scanned(coder, codes, matrix[:3], np.ascontiguousarray(rows), centres[which])
        np.testing.assert_allclose(found, true[:, rows], atol=0.1 * np.abs(true).max())


def test_codes_written_in_parts_are_the_same() -> None:
    matrix = data(100, 40)
    norms = flat.norms(matrix)
    coder = FourBit.fit(matrix, "cosine", norms)
    order = np.random.default_rng(3).permutation(100)
    whole, parts = coder.encode(matrix, norms, order), coder.empty(100)

    for first, last in ((33, 100), (0, 33)):
        coder.encode(matrix, norms, order[first:last], out=parts, start=first)

    np.testing.assert_array_equal(parts.levels, whole.levels)
    np.testing.assert_array_equal(parts.factors, whole.factors)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("size", [0.0, 1e-45, 1e-38, 1e-20, 1e18, 1e25, 3e38])
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_extreme_numbers_are_never_dropped_and_never_nan(metric: Metric, size: float) -> None:
    matrix = (np.sign(np.random.default_rng(2).standard_normal((40, 10))) * size).astype(np.float32)
    matrix[0] = 0
    norms = flat.norms(matrix)
    coder = FourBit.fit(matrix, metric, norms)

    found, bounds = scanned(coder, coder.encode(matrix, norms, np.arange(40)), matrix[:4], epsilon=6.0)

    true = true_scores(matrix, matrix[:4], metric, norms)
    assert not np.isnan(found).any()
    assert (bounds >= found).all()
    assert (bounds + 1e-5 * np.abs(true[np.isfinite(true)]).max(initial=0) >= true).all()


def test_stored_arrays_make_the_same_coder_and_damage_is_told() -> None:
    matrix = data(50, 30)
    norms = flat.norms(matrix)
    coder = FourBit.fit(matrix, "cosine", norms)
    codes = coder.encode(matrix, norms, np.arange(50))
    stored = {**coder.arrays(), **codes.arrays()}
    for array in stored.values():
        array.flags.writeable = False
    again, read = FourBit.of(stored, coder.settings()), Codes.of(stored)

    assert problems(again, read) == []
    np.testing.assert_array_equal(scanned(again, read, matrix[:2]), scanned(coder, codes, matrix[:2]))
    assert codes.bytes == 50 * (32 + 12)
    for name in stored:
        for damage in (stored[name][..., :-1], stored[name].astype(np.float64)):
            broken = {**stored, name: damage}
            assert problems(FourBit.of(broken, coder.settings()), Codes.of(broken)) != []
    assert problems(FourBit(RaBitQ.of(stored, {**coder.settings(), "bits": 3})), read) != []
