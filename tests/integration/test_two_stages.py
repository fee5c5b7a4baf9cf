"""A first stage, then MaxSim of fewer candidates: pruned, and until none is better."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import vecdb
from support.unsynced import unsynced
from vecdb import Query
from vecdb.errors import InvalidInputError

ROWS, DIMENSION = 120, 8


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    rng = np.random.default_rng(1)
    schema = vecdb.Schema(
        id=vecdb.Id("int64"), mean=vecdb.Vector(DIMENSION, metric="dot"), tokens=vecdb.MultiVector(DIMENSION)
    )
    rows = []
    for number in range(ROWS):
        tokens = rng.standard_normal((int(rng.integers(1, 6)), DIMENSION)).astype(np.float32)
        tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
        rows.append({"id": number, "mean": tokens.mean(axis=0), "tokens": tokens if number % 7 else None})
    settings = vecdb.Settings(background=False, free_bytes=0)
    with unsynced(), vecdb.connect(tmp_path_factory.mktemp("two") / "db", settings=settings) as database:
        made = database.create_collection("docs", schema)
        made.upsert(rows[:70])
        made.flush()
        made.upsert(rows[70:])
        yield made


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 6, ROWS)
    rows = [
        {
            "id": at,
            "kind": at % 3,
            "mean": rng.standard_normal(DIMENSION),
            "tokens": rng.standard_normal((n, DIMENSION)),
        }
        for at, n in enumerate(counts)
    ]
    with vecdb.connect(tmp_path_factory.mktemp("coded") / "db", settings=vecdb.Settings(background=False)) as database:
        made = {}
        for dtype in ("int8", "int4", "sign", "residual2"):
            schema = vecdb.Schema(
                id=vecdb.Id("int64"),
                kind=vecdb.Int64(),
                mean=vecdb.Vector(DIMENSION, metric="dot"),
                tokens=vecdb.MultiVector(DIMENSION, dtype=dtype, index="flat"),
            )
            made[dtype] = database.create_collection(dtype, schema)
            made[dtype].upsert(rows[:80])
            made[dtype].flush()
            made[dtype].upsert(rows[80:])
        yield made


def question(seed: int) -> Any:
    tokens = np.random.default_rng(seed).standard_normal((3, DIMENSION)).astype(np.float32)
    return tokens / np.linalg.norm(tokens, axis=1, keepdims=True)


def asked(seed: int, k: int = 5, **stage: Any) -> Query:
    tokens = question(seed)
    return Query(k=k).near("mean", tokens.sum(axis=0), fetch=60).rescore(vecdb.MaxSim("tokens", tokens, **stage))


def scored(docs: Any, query: Query) -> int:
    (step,) = [one for one in docs.explain(query, analyze=True).to_json()["steps"] if one["step"] == "max_sim"]
    return step["rows_out"]


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_threshold_and_much_patience_leave_nothing_out(docs: Any, seed: int) -> None:
    whole = docs.run(asked(seed))
    found = docs.run(asked(seed, prune=1e9, patience=1000))
    assert found.ids == whole.ids
    assert [hit.score for hit in found] == [hit.score for hit in whole]


@pytest.mark.parametrize("stage", [{"prune": 0.1}, {"patience": 2}, {"prune": 0.3, "patience": 4}])
def test_fewer_are_scored_and_the_answers_are_full_with_exact_scores(docs: Any, stage: dict[str, Any]) -> None:
    fewer = 0
    for seed in range(10):
        whole, found = docs.run(asked(seed, k=50)), docs.run(asked(seed, **stage))
        true = dict(zip(whole.ids, [hit.score for hit in whole], strict=True))
        assert len(found.ids) == 5
        assert all(hit.score == true[hit.id] for hit in found)
        fewer += scored(docs, asked(seed, **stage)) < scored(docs, asked(seed))
    assert fewer >= 8


@pytest.mark.parametrize("dtype", ["int8", "int4", "sign", "residual2"])
@pytest.mark.parametrize("seed", range(4))
def test_answers_of_codes_first_are_those_of_floats_page_after_page(
    coded: dict[str, Any], dtype: str, seed: int
) -> None:
    docs, query = coded[dtype], asked(seed, k=4)
    whole = docs.run(asked(seed, k=60))
    for page in range(4):
        found = docs.run(query)
        assert found.ids == whole.ids[4 * page : 4 * page + 4]
        assert [hit.score for hit in found] == [hit.score for hit in whole][4 * page : 4 * page + 4]
        query = query.after(found.cursor)
    assert docs.run(asked(seed)).ids == docs.run(asked(seed).exactly()).ids
    assert scored(docs, asked(seed)) < scored(docs, asked(seed).exactly())


@pytest.mark.parametrize(
    "then", [lambda query: query.group_by("kind", per_group=2), lambda query: query.order_by("kind")]
)
def test_a_stage_behind_it_gets_all_candidates(coded: dict[str, Any], then: Any) -> None:
    docs = coded["int8"]
    assert docs.run(then(asked(2, k=3))).ids == docs.run(then(asked(2, k=3)).exactly()).ids
    assert scored(docs, then(asked(2, k=3))) == scored(docs, asked(2).exactly())


def test_facets_count_all_candidates(coded: dict[str, Any]) -> None:
    quick, exact = (coded["int8"].facets("kind", query=query) for query in (asked(2, k=3), asked(2, k=3).exactly()))
    assert repr(quick["kind"]) == repr(exact["kind"])


def test_an_exact_query_scores_all(docs: Any) -> None:
    query = asked(3, prune=0.0, patience=1)
    assert docs.run(query.exactly()).ids == docs.run(asked(3).exactly()).ids
    assert scored(docs, query.exactly()) == scored(docs, asked(3))


def test_pages_go_on_among_the_candidates_that_are_left(docs: Any) -> None:
    query = asked(4, prune=0.5, patience=3)
    first = docs.run(query)
    assert first.cursor is not None
    second = docs.run(query.after(first.cursor))
    assert not set(first.ids) & set(second.ids)
    assert set(first.ids) | set(second.ids) <= set(docs.run(asked(4, k=60)).ids)


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ({"prune": -0.1}, "prune"),
        ({"prune": "much"}, "prune"),
        ({"patience": 0}, "patience"),
        ({"prune": np.nan}, "prune"),
    ],
)
def test_what_is_no_share_or_no_number_of_candidates_is_refused(stage: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        vecdb.MaxSim("tokens", question(1), **stage)
