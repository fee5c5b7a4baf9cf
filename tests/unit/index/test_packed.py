"""4-bit codes of a graph: exact sums on every path, and errors as large as they are said to be."""

import numba
import numpy as np
import pytest
from numba import types

from vecdb_index.codes.packed import FINER, PackedCoder
from vecdb_index.codes.scalar import LINE, NORM_BYTES, ScalarCoder
from vecdb_index.dense import flat
from vecdb_index.dense.hnsw.build import build
from vecdb_index.dense.hnsw.check import problems
from vecdb_index.dense.hnsw.graph import Graph
from vecdb_index.dense.hnsw.merge import merged
from vecdb_index.kernels import features, packed
from vecdb_index.kernels.jit import filled, frozen
from vecdb_index.types import METRIC_CODES, Metric

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")


def rows(count: int, dimension: int = 200) -> np.ndarray:
    rng = np.random.default_rng(8)
    matrix = rng.standard_normal((40, dimension))[rng.integers(0, 40, count)] + rng.standard_normal((count, dimension))
    return (matrix * np.exp(0.2 * rng.standard_normal((count, 1)))).astype(np.float32)


def coded(matrix: np.ndarray, metric: Metric) -> tuple[PackedCoder, np.ndarray, np.ndarray]:
    """Return the coder, the packed codes, and the numbers (n, d) that these stand for."""
    norms = flat.norms(matrix)
    eight = ScalarCoder.fit(matrix, metric, norms)
    codes = np.empty((len(matrix), eight.width), np.uint8)
    eight.encode(matrix, norms, np.arange(len(matrix)), codes)
    coder = PackedCoder.fit(eight, codes)
    assert coder is not None
    short = coder.packed(eight, codes)
    half = (coder.dimension + 1) // 2
    levels = np.hstack([short[:, :half] & 15, short[:, : coder.dimension - half] >> 4]).astype(np.int64)
    return coder, short, 2 * levels - 15


@pytest.mark.parametrize("path", ["multiplies_bytes", "multiplies_magnitudes", "portable"])
@pytest.mark.parametrize("width", [64, 192, 448, 2048])
def test_sums_are_exact_on_every_path(width: int, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if path != "portable" and not getattr(features, path)():
        pytest.skip("this processor has no instruction for it")
    for each in ("multiplies_bytes", "multiplies_magnitudes"):
        monkeypatch.setattr(features, each, lambda each=each: each == path)

    @numba.njit(types.void(frozen(types.uint8, 2), frozen(types.int8, 2), filled(types.int32, 2)))
    def run(codes: np.ndarray, queries: np.ndarray, out: np.ndarray) -> None:
        for row in range(codes.shape[0]):
            for query in range(queries.shape[0]):
                out[row, query] = packed.dot_levels(codes, row, queries, query)

    rng = np.random.default_rng(3)
    codes = rng.integers(0, 256, (40, width)).astype(np.uint8)
    queries = rng.integers(-127, 128, (6, 2 * width)).astype(np.int8)
    codes[0], codes[1], queries[0], queries[1] = 255, 0, 127, -127  # the largest sums and the least
    out = np.empty((40, 6), np.int32)

    run(codes, queries, out)

    apart = np.concatenate([codes & 15, codes >> 4], axis=1).astype(np.int64)
    np.testing.assert_array_equal(out, apart @ queries.T.astype(np.int64))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dimension", [65, 100, 129, 384])
def test_codes_stand_for_their_vectors(metric: Metric, dimension: int) -> None:
    matrix = rows(3000, dimension)
    coder, codes, numbers = coded(matrix, metric)
    prepared = matrix - coder.centre
    if metric == "cosine":
        prepared /= np.linalg.norm(matrix, axis=1)[:, None]
    errors = prepared * coder.scale - numbers

    assert codes.shape == (3000, coder.width)
    assert coder.width % LINE == 0
    assert 0.9 < np.mean(errors**2) / coder.noise < 1.1
    assert coder.noise < 0.03 * np.mean((prepared * coder.scale) ** 2)
    if metric == "l2":
        lengths = np.ascontiguousarray(codes[:, -NORM_BYTES:]).view("<i4")[:, 0]
        np.testing.assert_array_equal(lengths, FINER * (numbers**2).sum(axis=1))


def test_rows_that_would_not_be_shorter_are_not_packed() -> None:
    shapes: tuple[tuple[Metric, int], ...] = ("cosine", 64), ("dot", 1), ("l2", 60)
    for metric, dimension in shapes:
        matrix = rows(100, dimension)
        assert build(matrix, metric, flat.norms(matrix)).packed() is None


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dimension", [101, 200])
def test_the_error_of_codes_is_as_large_as_it_is_said_to_be(metric: Metric, dimension: int) -> None:
    from vecdb_index.kernels.codes import encode_query, reach_of
    from vecdb_index.kernels.graph import key_of
    from vecdb_index.kernels.rescoring import finer, squares, unit_of, variance

    matrix, queries = rows(3000, dimension), rows(40, dimension)[20:]
    norms = flat.norms(matrix)
    coder, codes, numbers = coded(matrix, metric)
    normed, half = coder.normed, (dimension + 1) // 2
    real = matrix.astype(np.float64)
    ratios = []
    for at, query in enumerate(queries):
        line = np.full((1, 2 * coder.width), 99, np.int8)
        reach = reach_of(queries, at)
        measure = np.float32(coder.scale * finer(True, normed))
        total = encode_query(queries, at, reach, coder.centre, measure, normed, half, line, 0)
        code = np.concatenate([line[0, :half], line[0, coder.width : coder.width + dimension - half]]).astype(np.int64)
        assert total == code.sum()
        products = numbers @ code
        expected = 2 * products - FINER * (numbers**2).sum(axis=1) if normed else products
        sims = np.array([packed.similarity(codes, row, line, 0, packed.MIDDLE * total, normed) for row in range(3000)])
        np.testing.assert_array_equal(sims, expected)
        own = squares(line[0])
        exact = {
            "dot": real @ query,
            "cosine": real @ query / norms / np.linalg.norm(query),
            "l2": -((real - query) ** 2).sum(axis=1),
        }[metric]
        unit = unit_of(queries, at, reach, np.float32(coder.scale), True, normed, METRIC_CODES[metric])
        errors = sims - unit * exact - (own / FINER if normed else 0)
        errors -= errors.mean()  # the squares of the roundings add up to about the same for all rows
        told = [variance(codes, key_of(sim, row), own, coder.noise, True, normed) for row, sim in enumerate(sims)]
        ratios.append(np.quantile(np.abs(errors) / np.sqrt(told), 0.683))

    assert 0.8 < np.mean(ratios) < 1.15


def test_a_merge_chooses_links_by_8_bits_again() -> None:
    matrix = rows(2000)
    norms = flat.norms(matrix)
    graph = build(matrix, "cosine", norms)
    short, kept = graph.packed(), np.arange(1500)
    assert short is not None

    whole = merged([(graph, kept)], matrix[:1500], "cosine", norms[:1500])
    after = merged([(short, kept)], matrix[:1500], "cosine", norms[:1500])

    assert isinstance(after.coder, ScalarCoder)
    assert (after.links == whole.links).mean() > 0.9  # the scale is chosen anew from other rows


def test_damaged_packed_codes_are_told() -> None:
    matrix = rows(300)
    graph = build(matrix, "l2", flat.norms(matrix)).packed()
    assert graph is not None

    for damage in (
        {"slack": -1.0},
        {"slack": float("nan")},
        {"metric": "dot", "slack": 0.1},
        {"noise": float("nan")},
        {"noise": -1.0},
        {"dimension": 400},
        {"scale": float("inf")},
    ):
        assert problems(Graph.of(graph.arrays(), {**graph.settings(), **damage}))
    eight = {name: value for name, value in graph.settings().items() if name != "noise"}
    assert problems(Graph.of(graph.arrays(), eight))
