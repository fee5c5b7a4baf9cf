"""The funnel: with `exact`, what the exact scan returns, to the bit; without, nearly; bounds that never fail."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from vecdb_index.codes.bfloat16 import encode
from vecdb_index.dense import flat, funnel
from vecdb_index.dense.funnel import Funnel, build, search_batch
from vecdb_index.types import Metric, TopK

METRICS: tuple[Metric, ...] = ("dot", "cosine", "l2")


def data(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Rows of which the first numbers are the largest, around a mean; some twice."""
    rng = np.random.default_rng(seed)
    values = (rng.standard_normal((rows, dimension)) + 0.3) * np.geomspace(1, 0.05, dimension)
    values[rows // 2 :: 7] = values[: len(values[rows // 2 :: 7])]
    return values.astype(np.float32)


def same(left: TopK, right: TopK) -> bool:
    """Bit for bit."""
    return (
        left.rows.tolist() == right.rows.tolist()
        and left.scores.tobytes() == right.scores.tobytes()
        and left.cut == right.cut
    )


def recall(found: list[TopK], exact: list[TopK]) -> float:
    return float(np.mean([len(set(a.rows) & set(b.rows)) / len(b.rows) for a, b in zip(found, exact, strict=True)]))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rotate", [False, True])
@pytest.mark.parametrize(("dimension", "first"), [(1, 1), (5, 2), (70, 9), (130, 64), (96, 96)])
def test_the_exact_funnel_returns_what_the_exact_scan_does(
    metric: Metric, rotate: bool, dimension: int, first: int
) -> None:
    matrix, queries = data(900, dimension), data(8, dimension, 1)
    matrix[7] = queries[3] = 0
    norms = flat.norms(matrix)
    index = build(matrix, metric, norms, dimensions=first, rotate=rotate)

    for k in (1, 10):
        for share in (None, 0.02, 0.5):
            allowed = None if share is None else np.random.default_rng(k).random(900) < share
            given = {"norms": norms, "allowed": allowed}
            found = search_batch(index, matrix, queries, k, metric, kept=20, exact=True, **given)
            expected = flat.search_batch(matrix, queries, k, metric, **given)
            assert all(same(one, two) for one, two in zip(found, expected, strict=True))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rotate", [False, True])
@pytest.mark.parametrize("size", [0.0, 1e-45, 1e-38, 1e-20, 1e18, 1e25, 3e38])
def test_bounds_hold_for_any_numbers(metric: Metric, rotate: bool, size: float) -> None:
    matrix = (np.random.default_rng(4).standard_normal((60, 12)).clip(-1, 1) * size).astype(np.float32)
    matrix[0], matrix[1] = 0, matrix[2]
    norms = flat.norms(matrix)
    index = build(matrix, metric, norms, dimensions=5, rotate=rotate)

    found = search_batch(index, matrix, matrix[:6], 5, metric, kept=5, norms=norms, exact=True)

    expected = flat.search_batch(matrix, matrix[:6], 5, metric, norms=norms)
    assert all(same(one, two) for one, two in zip(found, expected, strict=True))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rotate", [False, True])
def test_no_score_is_above_its_bound(metric: Metric, rotate: bool) -> None:
    matrix, queries = data(500, 40), data(6, 40, 1)
    matrix += np.float32(300)  # lengths much greater than distances
    norms = flat.norms(matrix)
    index = build(matrix, metric, norms, dimensions=16, rotate=rotate)
    scan = funnel._Scan(index, queries, None, 500, 10, True, None)
    x, y = matrix.astype(np.float64), queries.astype(np.float64)
    true = -((y[:, None] - x[None]) ** 2).sum(axis=2) if metric == "l2" else y @ x.T
    if metric == "cosine":
        true /= np.linalg.norm(y, axis=1)[:, None] * np.linalg.norm(x, axis=1)

    for q in range(6):
        _, bounds = scan.one(q)
        assert (bounds >= true[q]).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "bfloat16"])
def test_a_few_numbers_find_nearly_all(metric: Metric, dtype: str) -> None:
    values = data(3000, 128) * 20
    matrix = encode(values) if dtype == "bfloat16" else np.rint(values).astype(dtype)
    queries = np.rint(data(20, 128, 1) * 20).astype("float32" if dtype == "bfloat16" else dtype)
    norms = flat.norms(matrix)
    exact = flat.search_batch(matrix, queries, 10, metric, norms=norms)
    index = build(matrix, metric, norms, dimensions=64, rotate=True)

    found = search_batch(index, matrix, queries, 10, metric, kept=100, norms=norms)

    assert recall(found, exact) >= 0.97
    wide = search_batch(index, matrix, queries, 10, metric, kept=2000, norms=norms)
    assert recall(wide, exact) >= recall(found, exact)


def test_rotation_helps_where_the_first_numbers_say_little() -> None:
    rng = np.random.default_rng(6)
    turn, _ = np.linalg.qr(rng.standard_normal((128, 128)))
    matrix, queries = (data(2000, 128, seed) @ turn.astype(np.float32) for seed in (0, 1))
    norms = flat.norms(matrix)
    exact = flat.search_batch(matrix, queries[:30], 10, "cosine", norms=norms)

    shares = []
    for rotate in (False, True):
        index = build(matrix, "cosine", norms, dimensions=40, rotate=rotate)
        shares.append(recall(search_batch(index, matrix, queries[:30], 10, "cosine", kept=40, norms=norms), exact))

    assert shares[1] >= 0.9
    assert shares[1] > shares[0] + 0.1


def test_threads_and_filters_change_nothing() -> None:
    matrix, queries = data(70_000, 24), data(4, 24, 1)
    norms, allowed = flat.norms(matrix), np.arange(70_000) % 3 == 0
    with ThreadPoolExecutor(3) as pool:
        threaded = build(matrix, "l2", norms, dimensions=12, rotate=True, pool=pool)
        given = {"norms": norms, "allowed": allowed}
        shared = search_batch(threaded, matrix, queries, 10, "l2", kept=50, pool=pool, **given)
    alone = build(matrix, "l2", norms, dimensions=12, rotate=True)

    np.testing.assert_array_equal(threaded.codes, alone.codes)
    found = search_batch(alone, matrix, queries, 10, "l2", kept=50, **given)
    assert all(same(one, two) for one, two in zip(found, shared, strict=True))
    assert all(allowed[one.rows].all() for one in found)


def test_nothing_is_found_where_nothing_is_allowed() -> None:
    matrix = data(50, 6)
    norms = flat.norms(matrix)
    index = build(matrix, "dot", norms, dimensions=3)

    (found,) = search_batch(index, matrix, matrix[:1], 3, "dot", kept=9, norms=norms, allowed=np.zeros(50, bool))

    assert len(found.rows) == 0
    assert search_batch(index, matrix, matrix[:0], 3, "dot", kept=9, norms=norms) == []
    with pytest.raises(ValueError, match="1 to 6 first ones, not 7"):
        build(matrix, "dot", norms, dimensions=7)


@pytest.mark.parametrize("rotate", [False, True])
def test_stored_arrays_make_the_same_funnel_and_damage_is_told(rotate: bool) -> None:
    matrix = data(300, 20)
    norms = flat.norms(matrix)
    index = build(matrix, "cosine", norms, dimensions=8, rotate=rotate)
    stored = index.arrays()
    for array in stored.values():
        array.flags.writeable = False
    again = Funnel.of(stored, index.settings())

    assert funnel.problems(again) == []
    found = [search_batch(one, matrix, matrix[:3], 5, "cosine", kept=20, norms=norms) for one in (index, again)]
    assert all(same(one, two) for one, two in zip(*found, strict=True))
    for name in ("centre", "codes", "factors", "curve"):
        for broken in (stored[name][..., :-1], stored[name].astype(np.float64), stored[name][None]):
            assert funnel.problems(Funnel.of({**stored, name: broken}, index.settings())) != [], name
    endless = np.full_like(index.centre, np.nan)
    assert funnel.problems(replace(again, centre=endless)) != []
    for wrong in (
        {"metric": "far"},
        {"dimensions": 0},
        {"dimensions": 21},
        {"scale": 0.0},
        {"scale": float("nan")},
        {"scale": 1e-300},
        {"scale": 1e300},
    ):
        assert funnel.problems(Funnel.of(stored, {**index.settings(), **wrong})) != [], wrong
