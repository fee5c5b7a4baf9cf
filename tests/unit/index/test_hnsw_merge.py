"""A graph that lived through deletions and merges: as good as a new one, whole, the same for any number of threads."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vecdb_index.codes.scalar import ScalarCoder
from vecdb_index.dense import flat
from vecdb_index.dense.hnsw import merge
from vecdb_index.dense.hnsw import search as hnsw
from vecdb_index.dense.hnsw.build import build
from vecdb_index.dense.hnsw.check import problems
from vecdb_index.dense.hnsw.graph import ENTRIES, Graph
from vecdb_index.dense.hnsw.merge import Part, merged
from vecdb_index.dense.hnsw.reach import reachable
from vecdb_index.types import Metric, TopK

METRICS: list[Metric] = ["cosine", "dot", "l2"]
DIMENSION = 24
rng = np.random.default_rng(7)
CENTRES = rng.standard_normal((12, DIMENSION))


def uneven(rows: int, seed: int) -> np.ndarray:
    """Return clusters of rows of different lengths, with duplicates and zeros among them."""
    rng = np.random.default_rng(seed)
    matrix = CENTRES[rng.integers(0, 12, rows)] + 0.3 * rng.standard_normal((rows, DIMENSION))
    matrix *= np.exp(0.3 * rng.standard_normal((rows, 1)))
    matrix[: rows // 50] = matrix[0]
    matrix[-3:] = 0
    return matrix.astype(np.float32)


def graph_of(matrix: np.ndarray, metric: Metric) -> Graph:
    return build(matrix, metric, flat.norms(matrix))


def merge_of(
    sources: Sequence[tuple[np.ndarray, Graph | None, np.ndarray]], metric: Metric
) -> tuple[np.ndarray, Graph]:
    """Return the merged matrix and its graph of (matrix, graph, live rows) each."""
    matrix = np.concatenate([rows[live] for rows, _, live in sources])
    parts: list[Part] = [(graph, live) for _, graph, live in sources]
    return matrix, merged(parts, matrix, metric, flat.norms(matrix))


def assert_sound(graph: Graph, rows: int) -> None:
    assert problems(graph) == []
    assert len(graph) == rows
    assert reachable(graph.links, graph.entries).all()
    assert len(np.unique(graph.entries)) == len(graph.entries) == min(rows, ENTRIES)
    used = graph.links < rows
    assert (used[:, 1:] <= used[:, :-1]).all()
    assert not (graph.links == np.arange(rows)[:, None]).any()
    for links, length in zip(graph.links, used.sum(axis=1), strict=True):
        assert len(np.unique(links[:length])) == length


def assert_as_good_as_new(graph: Graph, matrix: np.ndarray, metric: Metric) -> None:
    """Compare the recall with that of a new graph: on queries near rows, and on ones that lie between all clusters.

    For the latter, graphs of the same rows in other orders differ by as much as the bound.
    """
    rng, norms = np.random.default_rng(9), flat.norms(matrix)
    anywhere = rng.standard_normal((300, DIMENSION)).astype(np.float32)
    near = matrix[rng.integers(0, len(matrix), 300)] + np.float32(0.1) * anywhere
    new = graph_of(matrix, metric)
    for queries, loss in ((near, 0.01), (anywhere, 0.04)):
        exact = flat.search_batch(matrix, queries, 10, metric, norms=norms)
        found, expected = (
            hnsw.search_batch(each, matrix, queries, 10, metric, ef=40, norms=norms) for each in (graph, new)
        )
        assert recall(found, exact) >= recall(expected, exact) - loss


def recall(found: list[TopK], exact: list[TopK]) -> float:
    """Compare scores, since equal rows stand for each other."""
    return float(np.mean([np.isin(two.scores, one.scores).mean() for one, two in zip(found, exact, strict=True)]))


def live_of(rows: int, share: float, seed: int = 1) -> np.ndarray:
    return np.flatnonzero(np.random.default_rng(seed).random(rows) < share)


@pytest.mark.parametrize("metric", METRICS)
def test_any_number_of_threads_gives_the_same_graph(metric: Metric) -> None:
    one, two = uneven(2500, 1), uneven(1200, 2)
    parts: list[Part] = [(graph_of(two, metric), live_of(1200, 0.8)), (graph_of(one, metric), live_of(2500, 0.7))]
    matrix = np.concatenate([two[parts[0][1]], one[parts[1][1]]])
    norms = flat.norms(matrix)
    alone = merged(parts, matrix, metric, norms)

    for threads in (2, 3):
        with ThreadPoolExecutor(threads) as pool:
            other = merged(parts, matrix, metric, norms, pool=pool)
        assert other.links.tobytes() == alone.links.tobytes()
        assert other.codes.tobytes() == alone.codes.tobytes()
        assert other.entries.tobytes() == alone.entries.tobytes()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.8, 0.95, 1.0])
def test_deletions_leave_a_graph_as_good_as_a_new_one(metric: Metric, share: float) -> None:
    matrix = uneven(4000, 3)
    graph = graph_of(matrix, metric)
    live = live_of(4000, share)

    left, after = merge_of([(matrix, graph, live)], metric)

    assert_sound(after, len(live))
    assert (after.coder is graph.coder) == (share > 0.02)  # of fewer rows nothing is worth keeping
    assert after.coder is not graph.coder or (after.codes == graph.codes[live]).all()
    assert_as_good_as_new(after, left, metric)


@pytest.mark.parametrize("metric", METRICS)
def test_a_merge_is_as_good_as_a_new_graph(metric: Metric) -> None:
    sources = [uneven(700, 4), uneven(3000, 5), uneven(900, 6)]
    graphs = [None, graph_of(sources[1], metric), graph_of(sources[2], metric)]
    live = [live_of(700, 1), live_of(3000, 0.8), live_of(900, 0.5)]

    matrix, graph = merge_of(list(zip(sources, graphs, live, strict=True)), metric)

    assert_sound(graph, len(matrix))
    assert_as_good_as_new(graph, matrix, metric)
    first, last = 700, 700 + len(live[1])
    kept = graphs[1]
    assert kept is not None
    assert (graph.codes[first:last] == kept.codes[live[1]]).all()
    expected = np.empty_like(graph.codes)
    assert isinstance(graph.coder, ScalarCoder)
    graph.coder.encode(matrix, flat.norms(matrix), np.arange(len(matrix)), expected)
    assert (graph.codes == expected).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("which", ["a cluster", "all but a cluster", "the entries", "the hubs", "the near half"])
def test_adversarial_deletions(metric: Metric, which: str) -> None:
    matrix = uneven(4000, 8)
    graph = graph_of(matrix, metric)
    towards = matrix @ CENTRES[3].astype(np.float32)
    live = np.ones(4000, bool)
    if which == "a cluster":
        live = towards < np.quantile(towards, 0.9)
    elif which == "all but a cluster":
        live = towards > np.quantile(towards, 0.9)
    elif which == "the entries":
        live[graph.entries] = False
    elif which == "the hubs":
        live[np.argsort(np.bincount(graph.links[graph.links < 4000], minlength=4000))[-1000:]] = False
    elif which == "the near half":
        live = towards < np.median(towards)

    left, after = merge_of([(matrix, graph, np.flatnonzero(live))], metric)

    assert_sound(after, live.sum())
    assert_as_good_as_new(after, left, metric)


@pytest.mark.parametrize("metric", METRICS)
def test_rows_from_elsewhere_are_found(metric: Metric) -> None:
    matrix = uneven(4000, 10)
    towards = matrix @ CENTRES[5].astype(np.float32)
    here, there = matrix[towards > np.quantile(towards, 0.7)], matrix[towards <= np.quantile(towards, 0.7)]

    both, graph = merge_of(
        [(there, None, np.arange(len(there))), (here, graph_of(here, metric), np.arange(len(here)))], metric
    )

    assert_sound(graph, len(both))
    assert_as_good_as_new(graph, both, metric)


@pytest.mark.parametrize("rows", [1, 2, 3, 64, 65])
@pytest.mark.parametrize("metric", METRICS)
def test_few_rows_and_equal_rows(metric: Metric, rows: int) -> None:
    matrix = np.ones((3 * rows, 8), np.float32)
    graph = graph_of(matrix, metric)
    few = np.arange(0, 3 * rows, 3)

    alone = merged([(graph, few)], matrix[few], metric, flat.norms(matrix[few]))
    both = merged([(graph, few), (graph, few)], matrix[: 2 * rows], metric, flat.norms(matrix[: 2 * rows]))

    assert_sound(alone, rows)
    assert_sound(both, 2 * rows)


def test_without_deletions_nothing_changes() -> None:
    matrix = uneven(2000, 11)
    graph = graph_of(matrix, "cosine")

    after = merged([(graph, np.arange(2000))], matrix, "cosine", flat.norms(matrix))

    for name in ("links", "codes", "entries"):
        assert getattr(after, name).tobytes() == getattr(graph, name).tobytes()


def test_parts_without_a_usable_graph_are_built_anew() -> None:
    matrix = uneven(1000, 12)
    norms, new = flat.norms(matrix), graph_of(matrix, "l2")
    rows, nothing = np.arange(1000), np.empty(0, np.int64)
    other_links = build(matrix, "l2", norms, m=8)
    small = graph_of(matrix[: int(merge.KEPT_LEAST * 1000) - 1], "l2")
    cases: list[list[Part]] = [
        [(None, rows)],
        [(None, rows[:400]), (None, rows[400:])],
        [(graph_of(matrix, "dot"), rows)],
        [(graph_of(matrix[:, :16].copy(), "l2"), rows)],
        [(other_links, rows)],
        [(new, nothing), (None, rows)],
        [(small, rows[: len(small)]), (None, rows[len(small) :])],
    ]

    for parts in cases:
        after = merged(parts, matrix, "l2", norms)
        assert after.links.tobytes() == new.links.tobytes()
        assert after.codes.tobytes() == new.codes.tobytes()


def test_a_part_without_rows_changes_nothing() -> None:
    matrix = uneven(1000, 13)
    graph, norms, nothing = graph_of(matrix, "cosine"), flat.norms(matrix), np.empty(0, np.int64)
    live = live_of(1000, 0.8)
    alone = merged([(graph, live)], matrix[live], "cosine", norms[live])

    beside = merged([(graph, nothing), (graph, live), (None, nothing)], matrix[live], "cosine", norms[live])

    assert beside.links.tobytes() == alone.links.tobytes()


def test_a_merge_of_no_rows_is_refused() -> None:
    matrix = uneven(100, 14)
    graph, nothing = graph_of(matrix, "cosine"), np.empty(0, np.int64)

    with pytest.raises(ValueError, match="not 0"):
        merged([(graph, nothing), (None, nothing)], matrix[:0], "cosine", np.empty(0, np.float32))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("longer", [0.05, 1, 20])
def test_codes_are_made_anew_where_their_scale_no_longer_fits(metric: Metric, longer: float) -> None:
    old, other = uneven(1500, 15), uneven(1500, 16) * np.float32(longer)
    # So few of the old rows are left that the others change the scale, whether they are longer or shorter.
    live = live_of(1500, 0.4)
    matrix, graph = merge_of([(old, kept := graph_of(old, metric), live), (other, None, np.arange(1500))], metric)

    # Lengths do not matter to the cosine.
    assert (graph.coder.scale == kept.coder.scale) == (longer == 1 or metric == "cosine")
    assert_sound(graph, len(matrix))
    assert_as_good_as_new(graph, matrix, metric)


def test_when_a_scale_fits() -> None:
    matrix = uneven(3000, 17)
    norms = flat.norms(matrix)
    coder = ScalarCoder.fit(matrix, "dot", norms)
    some_long = matrix.copy()
    some_long[:60] *= 100

    assert coder.fits(matrix, norms)
    assert coder.fits(1.05 * matrix, norms * 1.05)
    assert coder.fits(0.9 * matrix, norms * 0.9)
    assert not coder.fits(2 * matrix, norms * 2)
    assert not coder.fits(0.7 * matrix, norms * 0.7)
    assert not coder.fits(some_long, flat.norms(some_long))


def test_lists_keep_what_is_left_and_get_neighbours_of_the_lost() -> None:
    from vecdb_index.kernels.consolidate import take_over

    matrix = rng.standard_normal((2000, DIMENSION)).astype(np.float32)
    graph = graph_of(matrix, "l2")
    place = np.full(2000, -1, np.int32)
    rows = live_of(2000, 0.9).astype(np.int32)
    place[rows] = np.arange(len(rows))
    links, degrees = np.full((len(rows), 32), len(rows), np.int32), np.zeros(len(rows), np.int32)
    visited = np.zeros(2001, np.uint16)

    take_over(graph.codes[rows], graph.links, True, rows, place, 0, len(rows), visited, links, degrees)

    for new, row in enumerate(rows):
        before = graph.links[row][graph.links[row] < 2000]
        after = links[new, : degrees[new]]
        assert (links[new, degrees[new] :] == len(rows)).all()
        lost = before[place[before] < 0]
        if len(lost) == 0:
            assert after.tolist() == place[before].tolist()
            continue
        pool = np.setdiff1d(graph.links[lost], np.r_[before, row, 2000])
        pool = place[pool][place[pool] >= 0]
        left = place[before][place[before] >= 0]
        assert after[: len(left)].tolist() == left.tolist()
        assert len(after) == min(len(before), len(left) + len(pool))
        assert np.isin(after[len(left) :], pool).all()


def test_a_row_that_lost_its_whole_neighbourhood_looks_further() -> None:
    from vecdb_index.kernels.consolidate import take_over

    # A chain 0 .. 9, each row knows the next; all between the ends are lost.
    matrix = np.arange(10, dtype=np.float32)[:, None] + np.zeros((10, 4), np.float32)
    coder = ScalarCoder.fit(matrix, "l2", flat.norms(matrix))
    rows, place = np.array([0, 9], np.int32), np.full(10, -1, np.int32)
    codes = np.empty((2, coder.width), np.uint8)
    coder.encode(matrix, flat.norms(matrix), rows, codes)
    place[rows] = 0, 1
    old = np.full((10, 2), 10, np.int32)
    old[:-1, 0] = np.arange(1, 10)
    links, degrees = np.full((2, 2), 2, np.int32), np.zeros(2, np.int32)

    take_over(codes, old, True, rows, place, 0, 2, np.zeros(11, np.uint16), links, degrees)

    assert links.tolist() == [[1, 2], [2, 2]]
    assert degrees.tolist() == [1, 0]


def test_arrays_of_a_mapped_file_are_only_read() -> None:
    matrix = uneven(800, 19)
    graph = graph_of(matrix, "cosine")
    for array in (graph.links, graph.codes, graph.entries):
        array.setflags(write=False)

    _, after = merge_of([(matrix, graph, np.flatnonzero(np.arange(800) % 5))], "cosine")

    assert_sound(after, 640)
    assert after.links.flags.writeable


def test_progress_is_told_and_may_stop_the_work() -> None:
    matrix = uneven(3000, 20)
    graph, norms = graph_of(matrix[:2000], "l2"), flat.norms(matrix)
    parts: list[Part] = [(graph, np.arange(2000)), (None, np.arange(1000))]
    told: list[tuple[int, int]] = []

    merged(parts, matrix, "l2", norms, progress=lambda *args: told.append(args))

    assert told == sorted(told)
    assert told[0][0] > 2000
    assert told[-1] == (3000, 3000)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merged(parts, matrix, "l2", norms, progress=stop)
