"""How an index chooses to be searched: by what it measured, or as it was told."""

import numpy as np
import pytest

import vecdb
from vecdb.errors import InvalidInputError
from vecdb.schema.indexes import index_from
from vecdb_index import factory
from vecdb_index.codes.packed import PackedCoder
from vecdb_index.codes.scalar import ScalarCoder
from vecdb_index.dense import calibrate, flat
from vecdb_index.dense.hnsw import tuned
from vecdb_index.dense.hnsw.check import problems
from vecdb_index.dense.hnsw.graph import Graph
from vecdb_index.dense.hnsw.search import Searcher
from vecdb_index.types import Metric

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")


def rows(count: int, dimension: int = 200) -> np.ndarray:
    rng = np.random.default_rng(8)
    matrix = rng.standard_normal((40, dimension))[rng.integers(0, 40, count)] + rng.standard_normal((count, dimension))
    return (matrix * np.exp(0.2 * rng.standard_normal((count, 1)))).astype(np.float32)


def index_of(matrix: np.ndarray, metric: Metric, **given: object) -> Graph:
    wanted = factory.Wanted("hnsw", {"m": 16, "ef_construction": 100, **given})
    index = factory.build(wanted, matrix, metric, flat.norms(matrix))
    assert isinstance(index, Graph)
    return index


def recall_and_reads(index: Graph, matrix: np.ndarray, queries: np.ndarray, metric: Metric, width: int):
    norms = flat.norms(matrix)
    searcher = Searcher(index, matrix, metric, norms)
    answers = searcher.answers(queries, 10, searcher.plan(None, 10, width))
    exact = flat.search_batch(matrix, queries, 10, metric, norms=norms)
    shares = [np.isin(one.rows[:10], best.rows).mean() for one, best in zip(answers.top(10), exact, strict=True)]
    return float(np.mean(shares)), float(answers.reads.mean())


@pytest.mark.parametrize("metric", METRICS)
def test_an_index_takes_4_bits_where_they_find_as_much(metric: Metric) -> None:
    matrix = rows(3000)

    index = index_of(matrix, metric)

    assert isinstance(index.coder, PackedCoder)
    again = Graph.of(index.arrays(), index.settings())
    assert problems(again) == []
    assert recall_and_reads(again, matrix, rows(3200)[3000:], metric, 128)[0] > 0.98


def test_an_index_of_crowds_that_lie_far_apart_keeps_8_bits() -> None:
    rng = np.random.default_rng(1)
    crowds = 10 * rng.standard_normal((8, 128))
    matrix = (crowds[rng.integers(0, 8, 3000)] + 0.3 * rng.standard_normal((3000, 128))).astype(np.float32)

    assert isinstance(index_of(matrix, "l2").coder, ScalarCoder)
    assert isinstance(index_of(matrix, "l2", codes="4bit").coder, PackedCoder)


def test_what_the_user_says_is_done() -> None:
    matrix = rows(1000)

    assert isinstance(index_of(matrix, "cosine", codes="8bit").coder, ScalarCoder)
    assert index_of(matrix, "cosine", slack=0.5).slack == 0.5
    assert index_of(matrix, "cosine", slack=0.0).slack == 0
    assert index_of(matrix, "dot").slack == 0


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_where_questions_are_unevenly_hard_early_ends_find_as_much_by_fewer_codes(metric: Metric) -> None:
    rng = np.random.default_rng(2)

    def of_rank(rank: int) -> np.ndarray:
        made = rng.standard_normal((3050, rank)) @ rng.standard_normal((rank, 96))
        return (made / np.linalg.norm(made, axis=1).mean()).astype(np.float32)

    easy, hard = of_rank(6), of_rank(40)
    matrix, queries = np.vstack([easy[:3000], hard[:3000]]), np.vstack([easy[3000:], hard[3000:]])

    early, whole = index_of(matrix, metric), index_of(matrix, metric, slack=0.0)

    def reads(index: Graph) -> float:
        points = [recall_and_reads(index, matrix, queries, metric, width) for width in (16, 24, 32, 48, 64, 96, 128)]
        return float(np.interp(0.98, [recall for recall, _ in points], [codes for _, codes in points]))

    assert (early.slack, whole.slack) == (tuned.SLACK, 0)
    assert reads(early) < 0.9 * reads(whole)
    assert problems(Graph.of(early.arrays(), early.settings())) == []


@pytest.mark.parametrize("slack", [0.0, 0.06, 3.0])
@pytest.mark.parametrize("k", [1, 10, 200, 999])
def test_a_walk_that_ends_early_has_k_rows(k: int, slack: float) -> None:
    matrix = np.repeat(rows(50), 20, axis=0)  # twenty of each: the nearest are at no distance
    index = index_of(matrix, "l2", slack=slack)
    searcher = Searcher(index, matrix, "l2", flat.norms(matrix))

    found = searcher.answers(matrix[:40:20], k, searcher.plan(None, k, searcher.wider(16, k))).top(k)

    assert [len(one.rows) for one in found] == [k, k]
    assert (found[0].scores[: min(k, 20)] == 0).all()


def test_early_ends_are_taken_only_where_they_read_less(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = index_of(rows(300), "l2", codes="8bit", slack=0.0)
    curve = np.array([[16, 0.9], [32, 0.95]], np.float32)

    def reading(early: float):
        return lambda one: calibrate.Measured(curve, [100, early if one.slack else 200])

    assert tuned.tuned(graph, {"codes": "8bit"}, reading(199)).slack == tuned.SLACK
    assert tuned.tuned(graph, {"codes": "8bit"}, reading(201)).slack == 0
    assert tuned.tuned(graph, {"codes": "8bit", "slack": 0.3}, reading(201)).slack == 0.3


@pytest.mark.parametrize(
    ("given", "field", "told"),
    [
        ({"slack": -0.1}, "slack", "from 0.0 to 10.0"),
        ({"slack": float("nan")}, "slack", "finite"),
        ({"slack": "much"}, "slack", "finite"),
        ({"codes": "rabitq"}, "codes", "'8bit', '4bit'"),
    ],
)
def test_wrong_choices_are_refused(given: dict[str, object], field: str, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told) as refused:
        vecdb.Hnsw(**given)  # type: ignore[arg-type]
    assert refused.value.field == field


def test_what_is_left_as_it_is_does_not_change_the_number_of_a_schema_of_before() -> None:
    """The log of a database names the schema of each write by a number that comes from this JSON."""
    assert vecdb.Hnsw().to_json() == {"kind": "hnsw", "m": 16, "ef_construction": 200}
    assert "renormalise" not in vecdb.Muvera(codes="rabitq").to_json()
    for one in (vecdb.Hnsw(codes="8bit", slack=0.0), vecdb.Muvera(renormalise=False)):
        assert index_from(one.to_json()) == one


def test_slack_needs_a_distance() -> None:
    with pytest.raises(InvalidInputError, match="'dot'"):
        vecdb.Vector(8, metric="dot", index=vecdb.Hnsw(slack=0.1))
    vecdb.Vector(8, metric="dot", index=vecdb.Hnsw(slack=0))
