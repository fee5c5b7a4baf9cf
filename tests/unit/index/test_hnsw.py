"""The graph: the same for any number of threads, whole, and never read where it is damaged."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from vecdb_index.dense import flat
from vecdb_index.dense import plan as plans
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.hnsw import search as hnsw
from vecdb_index.dense.hnsw.build import build
from vecdb_index.dense.hnsw.check import problems
from vecdb_index.dense.hnsw.graph import Graph
from vecdb_index.dense.hnsw.reach import connect, reachable
from vecdb_index.types import Metric

rng = np.random.default_rng(3)


def uneven(rows: int, dimension: int = 24) -> np.ndarray:
    """Return clusters of rows of very different lengths, with duplicates and zeros among them."""
    centres = rng.standard_normal((12, dimension))
    matrix = centres[rng.integers(0, 12, rows)] + 0.3 * rng.standard_normal((rows, dimension))
    matrix *= np.exp(0.4 * rng.standard_normal((rows, 1)))
    matrix[: rows // 20] = matrix[0]
    matrix[-3:] = 0
    return matrix.astype(np.float32)


def graph_of(matrix: np.ndarray, metric: Metric) -> Graph:
    return build(matrix, metric, flat.norms(matrix))


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_any_number_of_threads_builds_the_same_graph(metric: Metric) -> None:
    matrix = uneven(3000)
    alone = graph_of(matrix, metric)

    for threads in (2, 3):
        with ThreadPoolExecutor(threads) as pool:
            other = build(matrix, metric, flat.norms(matrix), pool=pool)
        assert other.links.tobytes() == alone.links.tobytes()
        assert other.codes.tobytes() == alone.codes.tobytes()
        assert other.entries.tobytes() == alone.entries.tobytes()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("rows", [1, 2, 5, 64, 65, 2500])
def test_a_graph_is_sound_and_every_row_can_be_reached(metric: Metric, rows: int) -> None:
    graph = graph_of(uneven(rows), metric)

    assert problems(graph) == []
    assert reachable(graph.links, graph.entries).all()
    own = graph.links == np.arange(rows)[:, None]
    assert not own.any()
    for links in graph.links:
        kept = links[links < rows]
        assert len(np.unique(kept)) == len(kept)
        assert (links[len(kept) :] == rows).all()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_a_wide_search_is_the_exact_one(metric: Metric, dtype: str) -> None:
    matrix = (10 * uneven(400)).clip(-127, 127).astype(dtype)
    norms = flat.norms(matrix)
    graph = build(matrix, metric, norms)

    for query in matrix[::40]:
        exact = flat.search(matrix, query, 200, metric, norms=norms)
        found = hnsw.search(graph, matrix, query, 200, metric, ef=400, norms=norms)
        assert found.scores.tobytes() == exact.scores.tobytes()
        assert found.cut == exact.cut


def test_a_batch_gives_what_single_searches_give() -> None:
    matrix = uneven(2000)
    graph, norms = graph_of(matrix, "cosine"), flat.norms(matrix)
    queries = rng.standard_normal((40, matrix.shape[1])).astype(np.float32)

    batch = hnsw.search_batch(graph, matrix, queries, 10, "cosine", ef=50, norms=norms)

    for query, result in zip(queries, batch, strict=True):
        alone = hnsw.search(graph, matrix, query, 10, "cosine", ef=50, norms=norms)
        assert (alone.rows.tolist(), alone.scores.tolist()) == (result.rows.tolist(), result.scores.tolist())


@pytest.mark.parametrize("share", [0.9, 0.5, 0.3, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_a_filter_never_leaves_a_result_short(metric: Metric, share: float) -> None:
    matrix = uneven(4000)
    norms, graph = flat.norms(matrix), graph_of(matrix, metric)
    queries = rng.standard_normal((30, matrix.shape[1])).astype(np.float32)
    # Far from the queries as well as by chance: the graph leads away from such rows.
    for allowed in (rng.random(4000) < share, matrix[:, 0] <= np.quantile(matrix[:, 0], share)):
        exact = flat.search_batch(matrix, queries, 10, metric, allowed=allowed, norms=norms)

        found = hnsw.search_batch(graph, matrix, queries, 10, metric, ef=100, norms=norms, allowed=allowed)

        assert [len(each.rows) for each in found] == [len(each.rows) for each in exact]
        assert all(allowed[each.rows].all() for each in found)
        assert all(len(np.unique(each.rows)) == len(each.rows) for each in found)
        pairs = zip(found, exact, strict=True)
        assert np.mean([len(set(one.rows) & set(two.rows)) / max(1, len(two.rows)) for one, two in pairs]) > 0.9


def test_a_filter_that_allows_nothing() -> None:
    matrix = uneven(100)
    nothing = np.zeros(100, bool)

    found = hnsw.search(graph_of(matrix, "l2"), matrix, matrix[0], 5, "l2", allowed=nothing)

    assert (len(found.rows), len(found.scores), found.cut) == (0, 0, False)


def test_more_searches_than_the_marks_can_count() -> None:
    matrix = uneven(100)
    graph, norms = graph_of(matrix, "l2"), flat.norms(matrix)
    queries = np.repeat(matrix[:1], 70_000, axis=0)

    found = hnsw.Searcher(graph, matrix, "l2", norms).answers(queries, 10, plans.choose(100, None, 10, 20))

    assert (found.rows == found.rows[0]).all()
    assert (found.met == 20).all()
    assert found.scores[0, 0] == 0


@pytest.mark.parametrize("share", [0.5, 0.1, 0.02])
@pytest.mark.parametrize("kind", plans.KINDS)
def test_every_plan_finds_what_is_allowed(kind: plans.Kind, share: float) -> None:
    matrix = uneven(3000)
    norms, graph = flat.norms(matrix), graph_of(matrix, "cosine")
    queries = matrix[::150]
    for mask in (rng.random(3000) < share, matrix[:, 0] <= np.quantile(matrix[:, 0], share)):
        allowed = Allowed(mask)
        exact = flat.search_batch(matrix, queries, 10, "cosine", allowed=mask, norms=norms)

        plan = plans.forced(kind, 3000, allowed.count, 10, 100)
        found = hnsw.Searcher(graph, matrix, "cosine", norms).answers(queries, 10, plan, allowed).top(10)

        assert all(len(one.rows) == min(10, allowed.count) and mask[one.rows].all() for one in found)
        pairs = list(zip(found, exact, strict=True))
        # Equal rows may change places, so scores are compared.
        same = [np.isin(two.scores, one.scores).mean() for one, two in pairs]
        assert np.mean(same) > (0.85 if kind == "two_hops" else 0.95)


def test_the_plan_follows_what_it_costs() -> None:
    assert plans.choose(100_000, None, 10, 100).kind == "graph"
    assert plans.choose(100_000, 30, 10, 100).kind == "codes"
    assert plans.choose(100_000, 1000, 10, 100).kind == "codes"
    assert plans.choose(10_000_000, 1_500_000, 10, 100).kind == "wide"
    assert plans.choose(100_000, 90_000, 10, 100).kind == "wide"
    assert plans.choose(100_000, 90_000, 10, 100).ef > 110


@pytest.mark.parametrize("allowed", [None, 50_000])
def test_where_thousands_are_asked_for_all_rows_are_scored(allowed: int | None) -> None:
    ways = [plans.considered(60_000, allowed, k, 128 + int(1.5 * k), row=4.0) for k in (10, 200, 1000, 3000, 10_000)]

    assert [found[0].kind for found in ways[-2:]] == ["scan", "scan"]
    assert all("scan" not in {plan.kind for plan in found} for found in ways[:2])


@pytest.mark.parametrize("step", [1.5, plans.STEP, 6.0])
def test_all_that_was_considered_is_told_cheapest_first_and_the_first_is_taken(step: float) -> None:
    costs = plans.Costs(step)
    for rows in (100, 5000, 300_000, 10_000_000):
        for share in (0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 0.9, 1.0):
            for ef in (16, 128, 512):
                considered = plans.considered(rows, max(1, int(share * rows)), 10, ef, costs)

                assert plans.choose(rows, max(1, int(share * rows)), 10, ef, costs) == considered[0]
                assert [plan.cost for plan in considered] == sorted(plan.cost for plan in considered)
                # Two hops lose their way where the allowed rows are far, and nothing of them tells.
                assert {plan.kind for plan in considered} == {"codes", "wide"}
                # A walk that was chosen asks first, so it cannot cost many times what the codes do.
                assert considered[0].kind == "codes" or considered[0].fewest > 0


def test_a_dearer_step_makes_walks_shorter() -> None:
    cheap, dear = (plans.choose(60_000, 12_000, 10, 96, plans.Costs(step)) for step in (1.5, 6.0))

    assert (cheap.kind, dear.kind) == ("wide", "codes")


def test_rows_that_all_lie_far_away_are_found_among_their_codes() -> None:
    matrix = rng.standard_normal((20_000, 16)).astype(np.float32)
    norms, query = flat.norms(matrix), rng.standard_normal(16).astype(np.float32)
    graph = build(matrix, "cosine", norms, m=8, ef_construction=40)
    searcher = hnsw.Searcher(graph, matrix, "cosine", norms)
    (every,) = flat.search_batch(matrix, query[None], len(matrix), "cosine", norms=norms)
    for first in (4000, 10_000, 16_000):
        mask = np.zeros(len(matrix), bool)
        mask[every.rows[first : first + 4000]] = True
        exact = flat.search(matrix, query, 10, "cosine", allowed=mask, norms=norms)

        allowed = Allowed(mask)
        found = searcher.answers(query[None], 10, searcher.plan(4000, 10, 64), allowed)

        assert np.isin(exact.scores, found.scores[0]).mean() >= 0.9
        assert found.scored[0] >= 20


def test_a_walk_asks_first_whether_it_leads_to_what_is_allowed() -> None:
    matrix = uneven(6000)
    norms, graph = flat.norms(matrix), graph_of(matrix, "l2")
    searcher = hnsw.Searcher(graph, matrix, "l2", norms)
    query = matrix[1000]
    (every,) = flat.search_batch(matrix, query[None], 6000, "l2", norms=norms)
    near, far = np.zeros(6000, bool), np.zeros(6000, bool)
    near[every.rows[:3000]] = far[every.rows[3000:]] = True
    plan = plans.choose(6000, 3000, 10, 64, plans.Costs(step=0.5))
    assert plan.kind == "wide"
    assert 0 < plan.fewest < plans.PROBE

    for mask in near, far:
        found = searcher.answers(query[None], 10, plan, Allowed(mask))
        exact = flat.search(matrix, query, 10, "l2", allowed=mask, norms=norms)
        assert np.isin(exact.scores, found.scores[0]).mean() >= 0.9
        assert (found.reads[0] < 3000) == (mask is near)


def test_few_rows_are_looked_at_without_a_walk_and_many_are_not() -> None:
    few, more, most = (plans.choose(1_000_000, allowed, 10, 128) for allowed in (5000, 18_000, 900_000))

    assert (few.kind, few.fewest) == ("codes", 0)
    assert (more.kind, more.enough) == ("wide", 128)
    assert most.fewest <= 1
    assert more.ef < plans.widened(1_000_000, 18_000, 128)


def test_progress_is_told_and_may_stop_the_work() -> None:
    told: list[tuple[int, int]] = []
    matrix = uneven(5000)
    build(matrix, "l2", flat.norms(matrix), progress=lambda *args: told.append(args))

    assert told[-1] == (5000, 5000)
    assert told == sorted(told)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(matrix, "l2", flat.norms(matrix), progress=stop)


def test_an_empty_graph_is_refused() -> None:
    with pytest.raises(ValueError, match="not 0"):
        graph_of(np.empty((0, 8), np.float32), "l2")


def test_every_kind_of_damage_is_found() -> None:
    graph = graph_of(uneven(300), "l2")
    links, entries = graph.links.copy(), graph.entries.copy()
    links[17, 3] = 301
    below = graph.links.copy()
    below[17, 3] = -1
    entries[5] = -1
    beyond = graph.entries.copy()
    beyond[9] = 300
    damaged = [
        replace(graph, links=links),
        replace(graph, links=below),
        replace(graph, links=graph.links[:-1]),
        replace(graph, links=graph.links.astype(np.int64)),
        replace(graph, entries=entries),
        replace(graph, entries=beyond),
        replace(graph, entries=graph.entries[:0]),
        replace(graph, codes=graph.codes[:, :-64]),
        replace(graph, codes=graph.codes[:-1]),
    ]

    assert all(problems(each) for each in damaged)


def test_lost_rows_are_hung_on_rows_they_link_to() -> None:
    # 0 and 1 are full and know only each other and 2; all others link to 0 and are linked from nowhere.
    count = 40
    links = np.full((count, 2), count, np.int32)
    links[:, 0] = 0
    links[0], links[1], links[2] = (1, 2), (0, 2), (1, count)

    entries = np.zeros(1, np.int32)

    assert reachable(links, entries).sum() == 3
    assert connect(links, entries) == 37
    assert reachable(links, entries).all()
