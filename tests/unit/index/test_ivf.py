"""The inverted file: the same for any number of threads, whole, and never read where it is damaged."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vecdb_index
from vecdb_index.dense import flat
from vecdb_index.dense.ivf import search as ivf
from vecdb_index.dense.ivf.build import build, default_lists
from vecdb_index.dense.ivf.check import problems
from vecdb_index.dense.ivf.codings import KINDS, ScalarLists
from vecdb_index.dense.ivf.codings.coding import Listed
from vecdb_index.dense.ivf.index import Ivf
from vecdb_index.dense.ivf.searcher import IvfSearcher
from vecdb_index.types import Metric, TopK

rng = np.random.default_rng(7)
METRICS = ["cosine", "dot", "l2"]
CODES = ["8bit", "4bit", "product", "rabitq"]


def uneven(rows: int, dimension: int = 24) -> np.ndarray:
    """Return clusters of rows of very different lengths, with duplicates and zeros among them."""
    centres = rng.standard_normal((12, dimension))
    matrix = centres[rng.integers(0, 12, rows)] + 0.3 * rng.standard_normal((rows, dimension))
    matrix *= np.exp(0.4 * rng.standard_normal((rows, 1)))
    matrix[: rows // 20] = matrix[0]
    matrix[-3:] = 0
    return matrix.astype(np.float32)


def index_of(matrix: np.ndarray, metric: Metric, lists: int | None = None, codes: str = "8bit") -> Ivf:
    return build(matrix, metric, flat.norms(matrix), lists=lists, codes=codes)


def share_found(found: list[TopK], exact: list[TopK]) -> float:
    """Return how much of the exact result was found, by score: duplicates may stand for each other."""
    pairs = zip(found, exact, strict=True)
    return float(np.mean([np.isin(two.scores, one.scores).mean() if len(two.scores) else 1.0 for one, two in pairs]))


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("metric", METRICS)
def test_any_number_of_threads_builds_the_same_index(metric: Metric, codes: str) -> None:
    matrix = uneven(9000)
    alone = index_of(matrix, metric, codes=codes)

    for threads in (2, 3):
        with ThreadPoolExecutor(threads) as pool:
            other = build(matrix, metric, flat.norms(matrix), codes=codes, pool=pool)
        assert other.settings() == alone.settings()
        for name, array in alone.arrays().items():
            assert other.arrays()[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("rows", "lists"), [(1, None), (2, 9), (5, 5), (64, None), (65, 100), (2500, 7)])
def test_an_index_is_sound_and_holds_every_row(metric: Metric, codes: str, rows: int, lists: int | None) -> None:
    matrix = uneven(rows)
    index = index_of(matrix, metric, lists, codes)

    assert problems(index) == []
    assert index.lists == min(rows, lists or default_lists(rows))
    assert sorted(index.order.tolist()) == list(range(rows))
    found = ivf.search(index, matrix, matrix[0], rows, metric, probes=index.lists, norms=flat.norms(matrix))
    assert sorted(found.rows.tolist()) == list(range(rows))


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_reading_every_list_gives_the_exact_result(metric: Metric, dtype: str, codes: str) -> None:
    matrix = (10 * uneven(900)).clip(-127, 127).astype(dtype)
    norms = flat.norms(matrix)
    index = build(matrix, metric, norms, lists=30, codes=codes)
    queries = matrix[20::40]

    exact = flat.search_batch(matrix, queries, 100, metric, norms=norms)
    found = ivf.search_batch(index, matrix, queries, 100, metric, probes=30, norms=norms)

    assert share_found(found, exact) > 0.98
    for mine, true in zip(found, exact, strict=True):
        both = np.intersect1d(mine.rows, true.rows)
        scores = [dict(zip(each.rows.tolist(), each.scores.tolist(), strict=True)) for each in (mine, true)]
        assert [scores[0][row] for row in both.tolist()] == [scores[1][row] for row in both.tolist()]


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("metric", METRICS)
def test_a_batch_gives_what_single_searches_give(metric: Metric, codes: str) -> None:
    matrix = uneven(2000)
    index, norms = index_of(matrix, metric, codes=codes), flat.norms(matrix)
    queries = rng.standard_normal((300, matrix.shape[1])).astype(np.float32)
    allowed = rng.random(2000) < 0.1

    for mask in (None, allowed):
        with ThreadPoolExecutor(2) as pool:
            batch = ivf.search_batch(index, matrix, queries, 10, metric, probes=5, norms=norms, allowed=mask, pool=pool)

        for query, result in zip(queries, batch, strict=True):
            alone = ivf.search(index, matrix, query, 10, metric, probes=5, norms=norms, allowed=mask)
            assert (alone.rows.tolist(), alone.scores.tolist()) == (result.rows.tolist(), result.scores.tolist())


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.02, 0.003])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("codes", CODES)
def test_a_filter_never_leaves_a_result_short(metric: Metric, share: float, codes: str) -> None:
    matrix = uneven(4000)
    norms, index = flat.norms(matrix), index_of(matrix, metric, codes=codes)
    queries = rng.standard_normal((30, matrix.shape[1])).astype(np.float32)
    queries[:10] = matrix[:10]
    # Far from the queries as well as by chance: the nearest lists hold no such rows.
    for allowed in (rng.random(4000) < share, matrix[:, 0] <= np.quantile(matrix[:, 0], share)):
        exact = flat.search_batch(matrix, queries, 10, metric, allowed=allowed, norms=norms)

        found = ivf.search_batch(index, matrix, queries, 10, metric, norms=norms, allowed=allowed.view(np.uint8))

        assert [len(each.rows) for each in found] == [len(each.rows) for each in exact]
        assert all(allowed[each.rows].all() for each in found)
        assert all(len(np.unique(each.rows)) == len(each.rows) for each in found)
        assert share_found(found, exact) > 0.8


def test_where_the_lists_hold_too_little_the_exact_scan_takes_over() -> None:
    near = rng.standard_normal((3000, 16)).astype(np.float32) + 20
    matrix = np.concatenate([near, -near[:200]])
    index, norms = index_of(matrix, "cosine", lists=100), flat.norms(matrix)
    allowed = np.arange(len(matrix)) >= 3000
    queries = near[:5]

    found = ivf.search_batch(index, matrix, queries, 10, "cosine", probes=1, norms=norms, allowed=allowed)

    exact = flat.search_batch(matrix, queries, 10, "cosine", norms=norms, allowed=allowed)
    assert [each.rows.tolist() for each in found] == [each.rows.tolist() for each in exact]


@pytest.mark.parametrize("matching", [0, 1, 7])
def test_fewer_rows_are_allowed_than_wanted(matching: int) -> None:
    matrix = uneven(500)
    allowed = np.zeros(500, bool)
    allowed[100 : 100 + matching] = True

    found = ivf.search(index_of(matrix, "l2"), matrix, matrix[0], 9, "l2", allowed=allowed)

    exact = flat.search(matrix, matrix[0], 9, "l2", allowed=allowed)
    assert (found.rows.tolist(), found.scores.tolist(), found.cut) == (
        exact.rows.tolist(),
        exact.scores.tolist(),
        False,
    )


def test_more_rows_are_wanted_than_the_lists_hold() -> None:
    matrix = uneven(1000)
    index, norms = index_of(matrix, "l2", lists=100), flat.norms(matrix)

    found = ivf.search(index, matrix, matrix[0], 700, "l2", probes=2, norms=norms)

    assert len(found.rows) == 700
    assert len(ivf.search(index, matrix, matrix[0], 5000, "l2", probes=2, norms=norms).rows) == 1000


@pytest.mark.parametrize("codes", CODES)
def test_rows_that_are_all_the_same(codes: str) -> None:
    matrix = np.ones((300, 8), np.float32)
    index = index_of(matrix, "l2", lists=20, codes=codes)

    found = ivf.search(index, matrix, matrix[0], 10, "l2", probes=1)

    assert problems(index) == []
    assert (np.diff(index.offsets) == 0).any()
    assert len(np.unique(found.rows)) == 10
    assert found.cut


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("metric", METRICS)
def test_an_index_survives_being_stored_as_arrays(metric: Metric, codes: str) -> None:
    matrix = uneven(600)
    index, norms = index_of(matrix, metric, codes=codes), flat.norms(matrix)
    arrays = {
        name: np.frombuffer(each.tobytes(), each.dtype).reshape(each.shape) for name, each in index.arrays().items()
    }
    assert not any(array.flags.writeable for array in arrays.values())

    again = Ivf.of(arrays, index.settings())

    assert problems(again) == []
    for query in matrix[:5]:
        one, two = (ivf.search(each, matrix, query, 10, metric, probes=3, norms=norms) for each in (index, again))
        assert (one.rows.tolist(), one.scores.tolist()) == (two.rows.tolist(), two.scores.tolist())


def test_codes_of_another_kind_are_refused() -> None:
    index = index_of(uneven(50), "l2")

    with pytest.raises(ValueError, match="2bit codes"):
        Ivf.of(index.arrays(), {**index.settings(), "codes": "2bit"})


def test_progress_is_told_and_may_stop_the_work() -> None:
    told: list[tuple[int, int]] = []
    matrix = uneven(9000)
    build(matrix, "l2", flat.norms(matrix), progress=lambda *args: told.append(args))

    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(matrix, "l2", flat.norms(matrix), progress=stop)


@pytest.mark.parametrize("codes", CODES)
def test_the_making_of_codes_can_be_stopped(codes: str) -> None:
    matrix, told = uneven(9000), 0
    order, of_place = np.arange(9000, dtype=np.uint32), np.zeros(9000, np.int32)
    rows = Listed(matrix, "l2", flat.norms(matrix), order, of_place, matrix[:1])

    def stop() -> None:
        nonlocal told
        told += 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        KINDS[codes].make(rows, None, stop)

    assert told == 1


def test_an_empty_index_is_refused() -> None:
    with pytest.raises(ValueError, match="not 0"):
        index_of(np.empty((0, 8), np.float32), "l2")


@pytest.mark.parametrize("codes", CODES)
def test_every_kind_of_damage_is_found(codes: str) -> None:
    index = index_of(uneven(300), "l2", codes=codes)
    beyond, twice = index.order.copy(), index.order.copy()
    beyond[5] = 300
    twice[5] = twice[6]
    shrinking, early, late = index.offsets.copy(), index.offsets.copy(), index.offsets.copy()
    shrinking[3] = index.offsets[-1] + 5
    early[0] = -1
    late[-1] += 1
    endless = index.centroids.copy()
    endless[2, 2] = np.nan
    damaged = [
        replace(index, order=beyond),
        replace(index, order=twice),
        replace(index, order=index.order[:-1]),
        replace(index, order=index.order.astype(np.int64)),
        replace(index, offsets=shrinking),
        replace(index, offsets=early),
        replace(index, offsets=late),
        replace(index, offsets=index.offsets[:-1]),
        replace(index, offsets=index.offsets.astype(np.int32)),
        replace(index, centroids=endless),
        replace(index, centroids=index.centroids[:, :-1]),
        replace(index, centroids=index.centroids[:-1]),
        replace(index, metric="dot"),
    ]
    arrays, settings = index.arrays(), index.settings()
    own = [name for name in index.coding.arrays() if arrays[name].size]
    damaged += [Ivf.of({**arrays, name: arrays[name][..., :-1]}, settings) for name in own]
    damaged += [Ivf.of({**arrays, name: arrays[name].astype(np.float64)}, settings) for name in own]

    assert all(problems(each) for each in damaged)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan])
def test_a_scale_that_cannot_be_is_found(scale: float) -> None:
    index = index_of(uneven(300), "l2")
    assert isinstance(index.coding, ScalarLists)

    assert problems(replace(index, coding=replace(index.coding, coder=replace(index.coding.coder, scale=scale))))


SEARCH_ALL = """
import numpy as np
from vecdb_index.dense import flat
from vecdb_index.dense.ivf import search as ivf
from vecdb_index.dense.ivf.build import build
matrix = np.random.default_rng(0).standard_normal((500, 70)).astype(np.float32)
norms = flat.norms(matrix)
for codes in ("8bit", "4bit", "product", "rabitq"):
    for metric in ("cosine", "dot", "l2"):
        index = build(matrix, metric, norms, codes=codes)
        exact = flat.search_batch(matrix, matrix[:9], 10, metric, norms=norms)
        found = ivf.search_batch(index, matrix, matrix[:9], 10, metric, probes=index.lists, norms=norms)
        alone = [ivf.search(index, matrix, x, 10, metric, probes=index.lists, norms=norms) for x in matrix[:9]]
        assert [each.rows.tolist() for each in found] == [each.rows.tolist() for each in alone]
        shared = np.mean([np.isin(one.rows, two.rows).mean() for one, two in zip(found, exact)])
        assert shared > (0.8 if codes == "rabitq" else 0.98), (codes, metric, shared)
"""


@pytest.mark.slow
def test_a_processor_without_vectors_searches_too(tmp_path: Path) -> None:
    home = Path(vecdb_index.__file__).parent.parent
    settings = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}

    subprocess.run(
        [sys.executable, "-c", SEARCH_ALL], env={**os.environ, "PYTHONPATH": str(home), **settings}, check=True
    )


def test_a_plan_that_somebody_insists_on_is_taken() -> None:
    matrix = np.random.default_rng(8).standard_normal((400, 16)).astype(np.float32)
    searcher = IvfSearcher(build(matrix, "l2", flat.norms(matrix)), matrix, "l2")

    assert searcher.plan(20, 10, 4).kind == "scan"
    assert searcher.plan(20, 10, 4, "lists").kind == "lists"
    assert searcher.plan(None, 10, 4).kind == "lists"
    assert searcher.plan(None, 10, 4, "scan").kind == "scan"


def test_more_rows_are_looked_for_in_more_lists_and_thousands_by_a_scan() -> None:
    matrix = uneven(3000)
    searcher = IvfSearcher(index_of(matrix, "l2", lists=50), matrix, "l2", flat.norms(matrix))

    assert [searcher.wider(8, k) for k in (1, 10, 100, 1000)] == [8, 8, 20, 140]
    assert [searcher.considered(None, k, searcher.wider(8, k))[0].kind for k in (10, 100, 3000)] == [
        "lists",
        "lists",
        "scan",
    ]
