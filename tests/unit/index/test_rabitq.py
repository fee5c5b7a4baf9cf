"""RaBitQ codes: estimates as float64 NumPy computes them from the codes, bounds that hold, any numbers at all."""

import itertools
from typing import Any

import numba
import numpy as np
import pytest
from numba import types

from support.lookups import PATHS, force
from vecdb_index.codes.rabitq import Codes, RaBitQ, problems
from vecdb_index.dense import flat
from vecdb_index.kernels import rabitq as kernels
from vecdb_index.kernels.fastscan import BLOCK
from vecdb_index.kernels.jit import filled, frozen
from vecdb_index.kernels.rotation import rotate
from vecdb_index.types import Metric

METRICS: tuple[Metric, ...] = ("dot", "cosine", "l2")
BYTE, FLOAT, SIZE = types.uint8, types.float32, types.intp


def data(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Vectors around a mean, of uneven spread."""
    rng = np.random.default_rng(seed)
    return ((rng.standard_normal((rows, dimension)) + 0.4) * np.geomspace(1, 0.2, dimension)).astype(np.float32)


def scanned(
    coder: RaBitQ, codes: Codes, queries: np.ndarray, centre: np.ndarray, first: int, last: int, epsilon: float = 2.8
) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and bounds from the signs: (q, last - first)."""
    ready = coder.prepare(queries)
    adds, lengths = coder.against(ready.vectors, centre[None])
    out = np.empty((2, len(queries), last - first), np.float32)
    room = np.empty(BLOCK, np.int32)
    for q in range(len(queries)):
        given = ready.tables, q, ready.units[q], ready.misses[q], adds[q, 0], lengths[q, 0], coder.deviation(epsilon)
        kernels.scan(codes.signs, codes.factors, *given, first, last, room, out[0, q], out[1, q])
    return out[0], out[1]


def refined(
    coder: RaBitQ, codes: Codes, queries: np.ndarray, centre: np.ndarray, rows: np.ndarray, epsilon: float = 2.8
) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and bounds from all bits: (q, len(rows))."""
    ready = coder.prepare(queries)
    adds, lengths = coder.against(ready.vectors, centre[None])
    out = np.empty((2, len(queries), len(rows)), np.float32)
    for q in range(len(queries)):
        given = ready.numbers, q, ready.totals[q], ready.fine_units[q], adds[q, 0], lengths[q, 0]
        last = coder.deviation(epsilon), coder.bits, rows, out[0, q], out[1, q]
        kernels.refine(codes.levels, codes.level_factors, *given, *last)
    return out[0], out[1]


def rotated(coder: RaBitQ, rows: np.ndarray) -> np.ndarray:
    """Rows less the mean, turned as the coder turns them: float64."""
    out = np.zeros((len(rows), coder.width), np.float32)
    out[:, : coder.dimension] = rows - coder.mean
    rotate(out, coder.flips)
    return out.astype(np.float64)


def signs_of(codes: Codes) -> np.ndarray:
    """The signs, 1 and -1: (n, width)."""
    lines = codes.signs.transpose(0, 2, 1).reshape(-1, codes.signs.shape[1])[: len(codes)]
    return np.unpackbits(np.ascontiguousarray(lines), axis=1, bitorder="little") * 2.0 - 1


def levels_of(codes: Codes, width: int, bits: int) -> np.ndarray:
    """The numbers on their grid around zero: (n, width)."""
    stored = codes.levels
    both = stored if stored.shape[1] == width else np.concatenate([stored & 15, stored >> 4], axis=1)
    return both - (2**bits - 1) / 2


def scores(matrix: np.ndarray, queries: np.ndarray, metric: Metric) -> np.ndarray:
    """True scores in float64."""
    x, y = matrix.astype(np.float64), queries.astype(np.float64)
    if metric == "l2":
        return -((y[:, None] - x[None]) ** 2).sum(axis=2)
    if metric == "cosine":
        x, y = (z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-300) for z in (x, y))
    return y @ x.T


def by_definition(coder: RaBitQ, grid: np.ndarray, rows: np.ndarray, query: np.ndarray, centre: np.ndarray) -> Any:
    """The published estimator in float64; rows, query and centre are prepared, not rotated."""
    r, p = (
        rotated(coder, rows) - rotated(coder, centre[None]),
        rotated(coder, query[None]) - rotated(coder, centre[None]),
    )
    dot = (r**2).sum(axis=1) / (grid * r).sum(axis=1) * (grid @ p[0])
    if coder.metric == "l2":
        return 2 * dot - (r**2).sum(axis=1) - (p**2).sum()
    c = centre.astype(np.float64)
    return dot + (rows - c) @ c + query.astype(np.float64) @ c


@pytest.mark.parametrize("width", [64, 128, 192, 320, 1088])
def test_a_rotation_keeps_products_and_spreads_a_single_number(width: int) -> None:
    rng = np.random.default_rng(1)
    flips = rng.choice(np.array([-1, 1], np.int8), (4, width))
    before = rng.standard_normal((20, width)).astype(np.float32)
    before[0] = 0
    before[0, 3] = 1
    after = before.copy()

    rotate(after, flips)

    np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-3)
    assert np.abs(after[0]).max() < 0.6


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8])
def test_estimates_are_those_of_the_definition(metric: Metric, bits: int) -> None:
    for dimension in (1, 5, 64, 100, 130):
        matrix, queries = data(70, dimension), data(4, dimension, 1)
        norms = flat.norms(matrix)
        coder = RaBitQ.fit(matrix, metric, norms, bits=bits)
        centres = np.stack([coder.mean, coder.mean + data(1, dimension, 2)[0] * 0.3])
        codes = coder.encode(matrix, norms, np.arange(70), centres, np.repeat(np.arange(2, dtype=np.int32), 35))
        rows, ready = matrix, queries
        if metric == "cosine":
            rows, ready = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (matrix, queries))

        for which, (first, last) in enumerate([(0, 35), (35, 70)]):
            centre, part = centres[which], np.arange(first, last, dtype=np.uint32)
            found, _ = scanned(coder, codes, queries, centre, first, last)
            size = np.abs(scores(matrix, queries, metric)).max()
            for q in range(4):
                expected = by_definition(coder, signs_of(codes)[first:last], rows[first:last], ready[q], centre)
                # A query's numbers are rounded to 31 steps.
                np.testing.assert_allclose(found[q], expected, atol=0.1 * size)
            if bits > 1:
                found, _ = refined(coder, codes, queries, centre, part)
                grid = levels_of(codes, coder.width, bits)[first:last]
                for q in range(4):
                    expected = by_definition(coder, grid, rows[first:last], ready[q], centre)
                    np.testing.assert_allclose(found[q], expected, atol=2e-3 * size)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_gives_the_same_bits(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, queries = data(75, 200), data(2, 200, 1)
    norms = flat.norms(matrix)
    coder = RaBitQ.fit(matrix, "l2", norms)
    codes, ready = coder.encode(matrix, norms, np.arange(75)), coder.prepare(queries)
    adds, lengths = coder.against(ready.vectors)
    expected = scanned(coder, codes, queries, coder.mean, 3, 70)
    force(path, monkeypatch)
    fresh = numba.njit(error_model="numpy")(kernels.scan_rows.py_func)
    floats = (FLOAT,) * 5
    kinds = frozen(BYTE, 3), frozen(FLOAT, 2), frozen(BYTE, 3), SIZE, *floats, SIZE, SIZE, filled(types.int32, 1)

    @numba.njit(types.void(*kinds, filled(FLOAT, 1), filled(FLOAT, 1)), error_model="numpy")
    def run(codes, factors, tables, query, unit, missed, add, length, width, first, last, room, out, bounds):
        fresh(codes, factors, tables, query, unit, missed, add, length, width, first, last, room, out, bounds)

    for q in range(2):
        out = np.empty((2, 67), np.float32)
        given = ready.tables, q, ready.units[q], ready.misses[q], adds[q, 0], lengths[q, 0], coder.deviation()
        run(codes.signs, codes.factors, *given, 3, 70, np.empty(BLOCK, np.int32), out[0], out[1])

        np.testing.assert_array_equal(out[0], expected[0][q])
        np.testing.assert_array_equal(out[1], expected[1][q])


@pytest.mark.parametrize("metric", METRICS)
def test_estimates_have_no_bias_and_bounds_hold_as_often_as_they_say(metric: Metric) -> None:
    matrix, queries = data(3000, 300), data(40, 300, 1)
    norms, true = flat.norms(matrix), scores(matrix, queries, metric)
    everything = np.arange(3000, dtype=np.uint32)
    for bits in (1, 3, 7):
        coder = RaBitQ.fit(matrix, metric, norms, bits=bits)
        codes = coder.encode(matrix, norms, np.arange(3000))
        for epsilon, least in ((1.9, 0.94), (2.8, 0.99)):
            if bits == 1:
                found, bounds = scanned(coder, codes, queries, coder.mean, 0, 3000, epsilon)
            else:
                found, bounds = refined(coder, codes, queries, coder.mean, everything, epsilon)
            errors = found - true
            assert abs(errors.mean()) < 3 * errors.std() / np.sqrt(errors.size / 40)
            assert np.mean(np.abs(errors) <= bounds - found) >= least


def test_more_bits_are_nearer() -> None:
    matrix, queries = data(500, 96), data(10, 96, 1)
    norms, true = flat.norms(matrix), scores(matrix, queries, "l2")
    spreads = []
    for bits in range(1, 9):
        coder = RaBitQ.fit(matrix, "l2", norms, bits=bits)
        codes = coder.encode(matrix, norms, np.arange(500))
        if bits == 1:
            found, _ = scanned(coder, codes, queries, coder.mean, 0, 500)
        else:
            found, _ = refined(coder, codes, queries, coder.mean, np.arange(500, dtype=np.uint32))
        spreads.append((found - true).std())

    assert all(fine < 0.65 * coarse for coarse, fine in itertools.pairwise(spreads))


def test_codes_written_in_parts_are_the_same() -> None:
    matrix = data(100, 40)
    norms = flat.norms(matrix)
    for bits in (1, 4, 5):
        coder = RaBitQ.fit(matrix, "dot", norms, bits=bits)
        order = np.random.default_rng(3).permutation(100)
        whole = coder.encode(matrix, norms, order)

        parts = coder.empty(100)
        for first, last in ((0, 33), (33, 34), (34, 100)):
            coder.encode(matrix, norms, order[first:last], out=parts, start=first)

        for name, array in whole.arrays().items():
            np.testing.assert_array_equal(parts.arrays()[name], array)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_every_stored_type_has_codes(metric: Metric, dtype: str) -> None:
    matrix = np.rint(data(200, 70) * 30).astype(dtype)
    norms = flat.norms(matrix)
    coder = RaBitQ.fit(matrix, metric, norms, bits=8)
    codes = coder.encode(matrix, norms, np.arange(200))

    found, _ = refined(coder, codes, matrix[:3], coder.mean, np.arange(200, dtype=np.uint32))

    true = scores(matrix, matrix[:3], metric)
    np.testing.assert_allclose(found, true, atol=0.01 * np.abs(true).max())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("size", [0.0, 1e-45, 1e-38, 1e-20, 1e18, 1e25, 3e38])
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_extreme_numbers_are_never_dropped_and_never_nan(metric: Metric, size: float) -> None:
    matrix = (np.sign(np.random.default_rng(2).standard_normal((40, 10))) * size).astype(np.float32)
    matrix[0] = 0
    norms = flat.norms(matrix)
    for bits in (1, 4, 8):
        coder = RaBitQ.fit(matrix, metric, norms, bits=bits)
        codes = coder.encode(matrix, norms, np.arange(40))
        results = [scanned(coder, codes, matrix[:4], coder.mean, 0, 40, 6.0)]
        if bits > 1:
            results.append(refined(coder, codes, matrix[:4], coder.mean, np.arange(40, dtype=np.uint32), 6.0))
        everything = np.arange(40, dtype=np.uint32)
        true = np.stack([flat.score_rows(matrix, query, everything, metric, norms) for query in matrix[:4]])
        for found, bounds in results:
            assert not np.isnan(found).any()
            assert not np.isnan(bounds).any()
            assert (bounds >= found).all()
            slack = 1e-5 * np.abs(true[np.isfinite(true)]).max(initial=0)
            assert (bounds + slack >= true).all()


def test_rows_that_lie_on_their_centre_are_exact() -> None:
    matrix = np.full((40, 20), 2.5, np.float32)
    queries = data(3, 20)
    norms = flat.norms(matrix)
    for metric in METRICS:
        coder = RaBitQ.fit(matrix, metric, norms)
        codes = coder.encode(matrix, norms, np.arange(40))

        found, bounds = scanned(coder, codes, queries, coder.mean, 0, 40)

        np.testing.assert_allclose(found, scores(matrix, queries, metric), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(bounds, found, atol=1e-5)


def test_stored_arrays_make_the_same_coder_and_damage_is_told() -> None:
    matrix = data(50, 30)
    norms = flat.norms(matrix)
    coder = RaBitQ.fit(matrix, "cosine", norms, bits=3)
    codes = coder.encode(matrix, norms, np.arange(50))
    stored = {**coder.arrays(), **codes.arrays()}
    for array in stored.values():
        array.flags.writeable = False
    again, read = RaBitQ.of(stored, coder.settings()), Codes.of(stored)

    assert problems(again, read) == []
    before = scanned(coder, codes, matrix[:2], coder.mean, 0, 50)
    np.testing.assert_array_equal(scanned(again, read, matrix[:2], coder.mean, 0, 50), before)
    assert codes.bytes == sum(array.nbytes for array in codes.arrays().values())
    for name in stored:
        for damage in (stored[name][..., :-1], stored[name].astype(np.float64)):
            broken = {**stored, name: damage}
            assert problems(RaBitQ.of(broken, coder.settings()), Codes.of(broken)) != []
    assert problems(RaBitQ.of(stored, {**coder.settings(), "bits": 9}), read) != []


def test_only_one_to_eight_bits() -> None:
    with pytest.raises(ValueError, match="1 to 8 bits a number, not 9"):
        RaBitQ.fit(data(3, 3), "dot", np.ones(3, np.float32), bits=9)
