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
