"""Searches of all codes, then exact scores: by a funnel and by signs."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from vecdb_index import factory
from vecdb_index.dense import calibrate, flat
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.funnel import default_dimensions
from vecdb_index.dense.plan import Plan
from vecdb_index.dense.shortlist import SCATTERED, ShortlistSearcher
from vecdb_index.factory import Wanted
from vecdb_index.types import Metric

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")
WANTED = {
    "funnel": Wanted("funnel", {"dimensions": 24, "rotate": False}),
    "turned funnel": Wanted("funnel", {"dimensions": None, "rotate": True}),
    "binary": Wanted("binary", {}),
}
ROWS, DIMENSION = 3000, 64
rng = np.random.default_rng(3)


def clusters(rows: int = ROWS, dtype: str = "float32") -> np.ndarray:
    """Rows around some points, the first numbers the largest; equal ones and zeros among them."""
    centres = rng.standard_normal((30, DIMENSION))
    matrix = centres[rng.integers(0, 30, rows)] + 0.5 * rng.standard_normal((rows, DIMENSION))
    matrix *= 20 * np.geomspace(1, 0.2, DIMENSION)
    matrix[: rows // 30] = matrix[0]
    matrix[-3:] = 0
    return matrix.clip(-127, 127).astype(dtype)


def searcher_of(kind: str, matrix: np.ndarray, metric: Metric, pool: Any = None) -> ShortlistSearcher:
    norms = flat.norms(matrix)
    index = factory.build(WANTED[kind], matrix, metric, norms, pool=pool)
    assert factory.problems(WANTED[kind].kind, index) == []
    found = factory.searcher(index, matrix, metric, norms)
    assert isinstance(found, ShortlistSearcher)
    return found


def pairs(found: list[Any]) -> list[tuple[list[int], list[float]]]:
    return [(one.rows.tolist(), one.scores.tolist()) for one in found]


@pytest.mark.parametrize("kind", WANTED)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_scores_are_the_exact_ones_and_nearly_all_is_found(kind: str, metric: Metric, dtype: str) -> None:
    matrix = clusters(dtype=dtype)
    searcher = searcher_of(kind, matrix, metric)
    queries = matrix[200::60]
    exact = flat.search_batch(matrix, queries, ROWS, metric, norms=searcher.norms)

    found = searcher.answers(queries, 10, Plan("codes", 600, 0.0))

    assert found.reads.tolist() == [ROWS] * len(queries)
    shares = []
    for mine, true in zip(found.top(10), exact, strict=True):
        scores = dict(zip(true.rows.tolist(), true.scores.tolist(), strict=True))
        assert mine.scores.tolist() == [scores[row] for row in mine.rows.tolist()]
        shares.append(np.isin(true.scores[:10], mine.scores).mean())
    assert np.mean(shares) >= 0.9


@pytest.mark.parametrize("kind", WANTED)
@pytest.mark.parametrize("metric", METRICS)
def test_a_batch_and_threads_give_what_single_searches_give(kind: str, metric: Metric) -> None:
    matrix = clusters()
    queries, mask = matrix[::70], Allowed(rng.random(ROWS) < 0.3)
    with ThreadPoolExecutor(2) as pool:
        searcher = searcher_of(kind, matrix, metric, pool)
        plan = Plan("codes", 50, 0.0)
        for allowed in (None, mask):
            together = searcher.answers(queries, 10, plan, allowed, pool).top(10)

            alone = [searcher.answers(query[None], 10, plan, allowed).top(10)[0] for query in queries]
            assert pairs(together) == pairs(alone)
            assert pairs(together[:1]) == pairs(searcher.answers(queries[:1], 10, plan, allowed, pool).top(10))


@pytest.fixture(scope="module")
def built() -> dict[str, ShortlistSearcher]:
    """For each kind an index of the same rows."""
    matrix = clusters()
    return {kind: searcher_of(kind, matrix, "cosine") for kind in WANTED}


@pytest.mark.parametrize("kind", WANTED)
@pytest.mark.parametrize("matching", [1, 9, 10, 11, 60, 149, 151, 1500, ROWS])
@pytest.mark.parametrize("k", [1, 10, 100, 10_000])
def test_a_filter_never_leaves_a_result_short(
    built: dict[str, ShortlistSearcher], kind: str, matching: int, k: int
) -> None:
    searcher = built[kind]
    queries = searcher.matrix[::300]
    mask = np.zeros(ROWS, bool)
    mask[rng.permutation(ROWS)[:matching]] = True
    allowed = Allowed(mask)

    for insisted in (None, "codes", "scan", "graph", "lists"):
        plan = searcher.plan(matching, k, 16, insisted)  # pyright: ignore[reportArgumentType]
        for one in searcher.answers(queries, k, plan, allowed).top(k):
            assert len(np.unique(one.rows)) == len(one.rows) == min(k, matching)
            assert mask[one.rows].all()


def test_few_rows_are_scanned_and_a_plan_that_somebody_insists_on_is_taken() -> None:
    searcher = searcher_of("binary", clusters(), "dot")

    codes, scan = searcher.considered(None, 10, 100)
    assert (codes.kind, codes.ef, codes.reads, scan.kind) == ("codes", 100, ROWS, "scan")
    assert codes.cost < scan.cost
    assert searcher.plan(None, 10, 100) == codes
    assert searcher.plan(40, 10, 1).kind == "scan"
    assert searcher.plan(int(SCATTERED * 100), 10, 100).kind == "scan"
    assert searcher.plan(int(SCATTERED * 100) + 1, 10, 100).kind == "codes"
    assert searcher.plan(None, 10, ROWS).kind == "scan"
    assert searcher.plan(30, 10, 100, "codes") == Plan("codes", 100, 0.0)
    assert searcher.plan(None, 10, 100, "scan") == Plan("scan", 0, 0.0)
    assert searcher.plan(None, 10, 100, "two_hops").kind == "codes"
    assert [searcher.wider(30, k) for k in (1, 10, 15, 100)] == [30, 30, 45, 300]


@pytest.mark.parametrize("kind", WANTED)
def test_an_index_knows_what_it_finds(kind: str) -> None:
    curve = searcher_of(kind, clusters(), "cosine").curve

    assert list(calibrate.problems(curve)) == []
    assert len(curve) > 1
    assert curve[-1, 1] >= calibrate.ENOUGH


@pytest.mark.parametrize("kind", WANTED)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [2e-38, 1.0, 3e38])
def test_whatever_passes_the_check_is_searched_without_harm(kind: str, metric: Metric, scale: float) -> None:
    matrix = clusters()
    norms = flat.norms(matrix)
    index = factory._built(WANTED[kind], matrix, metric, norms, (), None, None)
    arrays = {}
    for name, array in index.arrays().items():
        noise = rng.integers(0, 256, array.nbytes).astype(np.uint8).view(array.dtype).reshape(array.shape)
        arrays[name] = array if name == "curve" else noise
        if name in ("centre", "axes"):
            arrays[name] = np.nan_to_num(noise)
    again: Any = factory.of(WANTED[kind].kind, arrays, {**index.settings(), "scale": scale})
    assert factory.problems(WANTED[kind].kind, again) == []
    every = flat.search(matrix, matrix[5], ROWS, metric, norms=norms)
    scores = dict(zip(every.rows.tolist(), every.scores.tolist(), strict=True))

    for allowed in (None, Allowed(rng.random(ROWS) < 0.3), Allowed(rng.random(ROWS) < 0.02)):
        for plan in (Plan("codes", 20, 0.0), Plan("codes", 500, 0.0)):
            found = factory.searcher(again, matrix, metric, norms).answers(matrix[5:6], 10, plan, allowed).top(10)[0]

            assert len(set(found.rows.tolist())) == 10
            assert found.scores.tolist() == [scores[row] for row in found.rows.tolist()]
            assert allowed is None or allowed.mask[found.rows].all()


def test_a_build_may_be_stopped_while_it_measures_itself() -> None:
    matrix, told = clusters(), []

    def stop(done: int, total: int) -> None:
        told.append(done)
        if len(told) > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        factory.build(WANTED["binary"], matrix, "l2", flat.norms(matrix), progress=stop)
    assert told == [ROWS, ROWS]


@pytest.mark.parametrize("kind", WANTED)
def test_progress_is_told_and_may_stop_the_work(kind: str) -> None:
    matrix = np.tile(clusters(), (30, 1))[:70_000, :16].copy()
    told: list[tuple[int, int]] = []
    norms = flat.norms(matrix)
    factory._built(
        WANTED[kind]._replace(parameters=_few(kind)), matrix, "l2", norms, (), None, lambda *at: told.append(at)
    )

    assert told == [(1 << 16, 70_000), (70_000, 70_000)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        factory.build(WANTED[kind]._replace(parameters=_few(kind)), matrix, "l2", norms, progress=stop)


def _few(kind: str) -> dict[str, Any]:
    return {} if kind == "binary" else {"dimensions": 8, "rotate": kind == "turned funnel"}


def test_a_quarter_of_the_numbers_comes_first_in_eights() -> None:
    dimensions = {dimension: default_dimensions(dimension) for dimension in (1, 5, 8, 16, 50, 96, 100, 384, 768, 1536)}

    assert dimensions == {1: 1, 5: 5, 8: 8, 16: 8, 50: 16, 96: 24, 100: 24, 384: 96, 768: 192, 1536: 384}
