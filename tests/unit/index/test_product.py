"""Product codes: scores are sums of what the nearest learnt parts give, in float64 NumPy too."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vecdb_index.dense import flat
from vecdb_index.dense.heaps import Heaps
from vecdb_index.dense.ivf import search as ivf
from vecdb_index.dense.ivf.build import build
from vecdb_index.dense.ivf.check import problems
from vecdb_index.dense.ivf.codings.coding import Listed
from vecdb_index.dense.ivf.codings.product import SIZE, ProductLists
from vecdb_index.types import Metric

METRICS: tuple[Metric, ...] = ("dot", "cosine", "l2")
ROWS, LISTS = 500, 3
LAST = np.uint32(0xFFFFFFFF)


def data(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)


def listed(matrix: np.ndarray, metric: Metric) -> Listed:
    """Return rows in lists of about the same length, each list somewhere else."""
    order = np.random.default_rng(2).permutation(len(matrix)).astype(np.uint32)
    of_place = np.sort(np.arange(len(matrix)) % LISTS).astype(np.int32)
    return Listed(matrix, metric, flat.norms(matrix), order, of_place, data(LISTS, matrix.shape[1], 3))


def scanned(rows: Listed, lists: ProductLists, queries: np.ndarray) -> np.ndarray:
    """Return the score of each query and row that the kernel gives, by reading all lists."""
    heaps, seen = Heaps.empty(len(queries), len(rows.order)), np.zeros(len(queries), np.int64)
    visited, members = np.arange(LISTS, dtype=np.uint32), np.tile(np.arange(len(queries), dtype=np.uint32), LISTS)
    starts, offsets = np.arange(LISTS + 1) * len(queries), np.searchsorted(rows.of_place, np.arange(LISTS + 1))
    room = np.empty(len(rows.order) + 1, np.int64)
    given = visited, starts, members, rows.order, offsets, np.empty(0, np.uint8), 0, LISTS, room
    lists.scan(queries)(*given, seen, heaps.keys, heaps.states)
    found = np.full((len(queries), len(rows.order)), np.nan, np.float32)
    high = (heaps.keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(high >> 31, high & np.uint32(0x7FFFFFFF), ~high)
    np.put_along_axis(found, (LAST - heaps.keys.astype(np.uint32)).astype(np.int64), bits.view(np.float32), axis=1)
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dimension", [1, 7, 24, 30, 64])
def test_a_score_is_that_of_the_nearest_parts(metric: Metric, dimension: int) -> None:
    matrix, queries = data(ROWS, dimension), data(5, dimension, 1)
    rows = listed(matrix, metric)

    lists = ProductLists.make(rows, None)
    found = scanned(rows, lists, queries)

    learnt = lists.parts.astype(np.float64).transpose(0, 2, 1)
    width = len(learnt) * SIZE
    x, y = matrix.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    centres = rows.centres[rows.of_place]
    left = np.pad(x[rows.order] - centres, ((0, 0), (0, width - dimension)))
    distances = ((left.reshape(ROWS, len(learnt), 1, SIZE) - learnt) ** 2).sum(axis=3)
    chosen = np.take_along_axis(distances, lists.codes[:, :, None].astype(np.int64), axis=2)[:, :, 0]
    np.testing.assert_allclose(chosen, distances.min(axis=2), atol=1e-5)
    stands_for = learnt[np.arange(len(learnt)), lists.codes].reshape(ROWS, width)[:, :dimension] + centres
    expected = np.empty((5, ROWS))
    expected[:, rows.order] = -((y[:, None] - stands_for) ** 2).sum(axis=2) if metric == "l2" else y @ stands_for.T
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_rows_far_from_the_origin_are_told_apart() -> None:
    near = data(ROWS, 16)
    matrix = near + np.float32(1000)
    norms = flat.norms(matrix)
    exact = flat.search_batch(matrix, matrix[:20], 10, "l2")

    found = ivf.search_batch(build(matrix, "l2", norms, codes="product"), matrix, matrix[:20], 10, "l2", probes=22)

    assert np.mean([np.isin(one.rows, two.rows).mean() for one, two in zip(found, exact, strict=True)]) > 0.98


@pytest.mark.parametrize("size", [0.0, 1e-40, 1e15])
@pytest.mark.parametrize("metric", METRICS)
def test_few_and_extreme_rows_have_codes(metric: Metric, size: float) -> None:
    matrix = np.sign(data(5, 6)) * np.float32(size)
    rows = listed(matrix, metric)

    lists = ProductLists.make(rows, None)

    assert not np.isnan(scanned(rows, lists, matrix)).any()


@pytest.mark.parametrize("metric", METRICS)
def test_any_number_of_threads_learns_the_same_parts(metric: Metric) -> None:
    rows = listed(data(9000, 23), metric)
    alone = ProductLists.make(rows, None)

    with ThreadPoolExecutor(3) as pool:
        other = ProductLists.make(rows, pool)

    assert all(other.arrays()[name].tobytes() == array.tobytes() for name, array in alone.arrays().items())


def test_damage_is_told() -> None:
    matrix = data(300, 10)
    index = build(matrix, "l2", flat.norms(matrix), codes="product")
    arrays, settings = index.arrays(), index.settings()
    damaged = [
        {"parts": arrays["parts"][:, :, :255]},
        {"parts": arrays["parts"][:-1]},
        {"codes": arrays["codes"][:, :-1]},
        {"codes": arrays["codes"].astype(np.uint16)},
        {"squares": arrays["squares"][:0]},
        {"centres": arrays["centres"][:-1]},
    ]

    assert problems(index) == []
    assert all(problems(type(index).of({**arrays, **change}, settings)) for change in damaged)
