"""One pair, one score: every way to compute it gives the same bits, whatever else is computed beside it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecdb_index import slices
from vecdb_index.dense import flat
from vecdb_index.types import Metric, TopK

METRICS: tuple[Metric, ...] = ("dot", "cosine", "l2")
DTYPES = ("float32", "float16", "int8")


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as threads:
        yield threads


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut small matrices too, so that threads really share them."""
    monkeypatch.setattr(slices, "SLICE_BYTES", 1 << 10)
    monkeypatch.setattr(slices, "HELPER_BYTES", 1)


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, Metric, np.ndarray | None]:
    """Matrix, queries, k, metric, mask: any shape, coarse values for many ties or fine ones for none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, count = draw(st.integers(0, 300)), draw(st.integers(1, 20))
    dimension = draw(st.one_of(st.integers(1, 70), st.sampled_from([100, 127, 128, 129, 384])))
    dtype = draw(st.sampled_from(DTYPES))
    values = rng.standard_normal((rows + count, dimension)) * 20
    if draw(st.booleans()):
        values = np.sign(values) * rng.integers(0, 2, values.shape)
    values = values.astype(dtype)
    share = draw(st.sampled_from([None, 0.0, 0.02, 0.2, 0.5, 1.0]))
    allowed = None if share is None else rng.random(rows) < share
    return values[:rows], values[rows:], draw(st.integers(1, 320)), draw(st.sampled_from(METRICS)), allowed


def same(left: TopK, right: TopK) -> bool:
    """Bit for bit."""
    return (
        left.rows.tolist() == right.rows.tolist()
        and left.scores.tobytes() == right.scores.tobytes()
        and left.cut == right.cut
    )


@settings(deadline=None, max_examples=80)
@given(problem=problems())
def test_every_path_gives_the_same_bits(
    pool: ThreadPoolExecutor, problem: tuple[np.ndarray, np.ndarray, int, Metric, np.ndarray | None]
) -> None:
    matrix, queries, k, metric, allowed = problem
    norms = flat.norms(matrix)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "SLICE_BYTES", 1 << 10)
        patch.setattr(slices, "HELPER_BYTES", 1)
        batch = flat.search_batch(matrix, queries, k, metric, allowed=allowed, norms=norms)
        threaded = flat.search_batch(matrix, queries, k, metric, allowed=allowed, pool=pool)
    for query, in_batch, in_threads in zip(queries, batch, threaded, strict=True):
        alone = flat.search(matrix, query, k, metric, allowed=allowed)
        assert same(alone, in_batch)
        assert same(alone, in_threads)
        assert same(alone, flat.search(matrix, query, k, metric, allowed=allowed, norms=norms, pool=pool))
        again = flat.score_rows(matrix, query, alone.rows[::-1], metric, norms)
        assert again[::-1].tobytes() == alone.scores.tobytes()
        if len(alone.rows):
            tied = flat.ties_at(matrix, query, metric, alone.scores[-1], allowed, norms)
            inside = alone.rows[alone.scores == alone.scores[-1]]
            assert np.isin(inside, tied).all()
            assert alone.cut == (len(tied) > len(inside))
            assert (np.diff(tied.astype(np.int64)) > 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_a_row_scores_the_same_wherever_it_lies(dtype: str, metric: Metric) -> None:
    rng = np.random.default_rng(8)
    row, query = (30 * rng.standard_normal((2, 131))).astype(dtype)
    matrix = (30 * rng.standard_normal((300, 131))).astype(dtype)
    places = [0, 1, 2, 3, 63, 64, 127, 128, 129, 255, 299]
    matrix[places] = row

    found = flat.search(matrix, query, 300, metric)
    batch = flat.search_batch(matrix, np.tile(query, (11, 1)), 300, metric)

    for one in [found, *batch]:
        scores = one.scores[np.isin(one.rows, places)]
        assert set(scores.tolist()) == {flat.score_rows(row[None], query, np.zeros(1, np.uint32), metric)[0]}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.usefixtures("small_slices")
def test_a_read_only_mapped_file_is_searched_like_an_array(
    dtype: str, tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    matrix = (30 * np.random.default_rng(4).standard_normal((501, 40))).astype(dtype)
    (tmp_path / "rows").write_bytes(b"\0" * 64 + matrix.tobytes())
    mapped = np.memmap(tmp_path / "rows", dtype, "r", 64, matrix.shape)

    found = flat.search(mapped, matrix[7], 9, "cosine", norms=flat.norms(mapped), pool=pool)
    batch = flat.search_batch(mapped, matrix[:9], 9, "cosine", pool=pool)

    assert same(found, flat.search(matrix, matrix[7], 9, "cosine"))
    assert same(found, batch[7])


def test_more_queries_than_one_pass_takes_are_all_answered() -> None:
    rng = np.random.default_rng(5)
    matrix, queries = rng.standard_normal((50, 6), np.float32), rng.standard_normal((flat.BATCH + 9, 6), np.float32)

    found = flat.search_batch(matrix, queries, 3, "l2")

    assert all(same(one, flat.search(matrix, query, 3, "l2")) for one, query in zip(found, queries, strict=True))


def test_long_vectors_and_many_slices_take_the_same_path_in_a_batch() -> None:
    rng = np.random.default_rng(6)
    matrix, queries = rng.standard_normal((700, 5000), np.float32), rng.standard_normal((5, 5000), np.float32)

    found = flat.search_batch(matrix, queries, 20, "cosine")

    assert all(same(one, flat.search(matrix, query, 20, "cosine")) for one, query in zip(found, queries, strict=True))
