"""Scores of a query's own: by formulas over fields and by functions, however the rows are spread."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

import vecdb
from support.queried import RECORDS, A, B, ranking, stored
from support.spread import WAYS
from vecdb import Collection, Query
from vecdb import formula as f
from vecdb.errors import InvalidInputError, NotFoundError, ScorerError


@pytest.fixture(scope="module", params=WAYS)
def docs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    yield from stored(tmp_path_factory.mktemp("scores"), request.param)


def test_a_formula_scores_candidates_by_fields(docs: Collection):
    moment = datetime.fromtimestamp(1_700_000_000, UTC)
    formula = (
        f.score * 0.5
        + f.decay("added", moment, "20s", offset="5s", shape="gauss", missing=0.1) * 2
        + f.when("section = 's3' or size is null", f.log1p(f.value("size", 7)), -1)
        + f.arm("a", -5) / 10
    )

    found = docs.run(Query(k=25).near("a", A, fetch=350).near("b", B, fetch=350).rank(formula, top=350).returning())

    fused = docs.run(Query(k=350).near("a", A).near("b", B))
    total = {}
    for hit in fused:
        away = max((hit["added"] - moment).total_seconds() - 5, 0) / 20
        special = hit["section"] == "s3" or hit["size"] is None
        extra = np.log1p(7 if hit["size"] is None else hit["size"]) if special else -1
        near = hit.arms["a"].score if "a" in hit.arms else -5
        total[hit.id] = hit.score * 0.5 + 2 * 0.5 ** (away**2) + extra + near / 10
    best = sorted(total, key=lambda name: (-np.float32(total[name]), name))[:25]
    assert found.scores == pytest.approx([total[name] for name in best], abs=1e-5)
    assert [total[name] for name in found.ids] == pytest.approx([total[name] for name in best], abs=1e-5)


def test_a_formula_knows_how_far_away_places_are(docs: Collection):
    berlin = (52.5, 13.4)

    near = docs.run(Query(k=400).near("a", A).rank(-f.away("place", *berlin, missing=1e5)))
    fallen = docs.run(Query(k=400).near("a", A).rank(f.decay("place", berlin, "1000km", offset="50km", missing=-1)))

    distances = {hit.id: 1e5 if hit["place"] is None else -hit.score for hit in near}
    assert near.scores == pytest.approx(sorted(-one for one in distances.values())[::-1])
    closest = min(name for name in near.ids if distances[name] == min(distances.values()))
    assert near.ids[0] == closest
    for hit in fallen:
        expected = -1 if hit["place"] is None else 0.5 ** (max(distances[hit.id] - 50, 0) / 1000)
        assert hit.score == pytest.approx(expected, abs=1e-5)
    within = docs.run(Query(k=400).near("a", A).where("place within 3000 km of (52.5, 13.4)")).ids
    assert set(within) == {name for name, away in distances.items() if away <= 3000}


def test_rows_without_a_finite_number_are_left_out(docs: Collection):
    found = docs.run(Query(k=400).near("a", A).rank(1 / f.value("size", 0.5)))

    assert set(found.ids) == {name for name, record in RECORDS.items() if record["size"] != 0}


def test_a_function_scores_the_best_candidates_in_batches(docs: Collection):
    asked: list[int] = []

    def by_size(records: list[dict[str, Any]]) -> list[float]:
        asked.append(len(records))
        assert set(records[0]) == {"id", "size"}
        return [float("nan") if record["size"] is None else record["size"] for record in records]

    found = docs.run(Query(k=10).near("a", A).score_by(by_size, ("size",), top=70, batch=32))

    best = [name for _, name in ranking("a", A)[:70] if RECORDS[name]["size"] is not None]
    assert asked == [32, 32, 6]
    assert found.ids == sorted(best, key=lambda name: (-RECORDS[name]["size"], name))[:10]
    assert found.cursor is None


def test_a_function_is_not_asked_again_when_its_time_is_over(docs: Collection):
    asked: list[int] = []

    def slow(records: list[dict[str, Any]]) -> list[float]:
        asked.append(len(records))
        time.sleep(0.02)
        return [1.0] * len(records)

    found = docs.run(Query(k=100).near("a", A).score_by(slow, top=100, batch=10, deadline=0.01))

    assert asked == [10]
    assert sorted(found.ids) == sorted(name for _, name in ranking("a", A)[:10])
    assert found.explain["steps"][-1] | {"ms": 0} == {"step": "scorer", "rows_in": 200, "rows_out": 10, "ms": 0}


def test_a_function_that_returns_nonsense_is_told(docs: Collection):
    for answer in ([1.0], None, "abc", [["x"]] * 100, [["x"], ["y", "z"]]):
        with pytest.raises(InvalidInputError, match="score_by: the function '<lambda>' returned"):
            docs.run(Query().near("a", A).score_by(lambda _, answer=answer: answer))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInputError, match="JSON"):
        Query().near("a", A).score_by(len).to_json()  # pyright: ignore[reportArgumentType]


def test_an_error_of_a_function_is_told_with_its_name_and_is_the_cause(docs: Collection):
    def broken(records: list[dict[str, Any]]) -> list[float]:
        return [1 / record["size"] for record in records]

    class Model:
        def __call__(self, records: Any) -> Any:
            raise NotFoundError("no model here")

    with pytest.raises(
        ScorerError, match="score_by: the function 'broken' failed on 32 records: KeyError: 'size'"
    ) as told:
        docs.run(Query().near("a", A).score_by(broken))
    with pytest.raises(NotFoundError, match="no model here"):
        docs.run(Query().near("a", A).score_by(Model()))

    assert isinstance(told.value.__cause__, KeyError)
    assert not told.value.retryable


def test_an_interrupt_in_a_function_is_not_wrapped(docs: Collection):
    def stopped(_: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        docs.run(Query().near("a", A).score_by(stopped))


# -- scores are as precise as the numbers that they are made of -------------------------------------------------------

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def moments() -> Iterator[Collection]:
    """Rows whose moments and numbers differ by less than a float32 can tell."""
    with vecdb.connect(":memory:", settings=vecdb.Settings(background=False)) as db:
        docs = db.create_collection(
            "moments", vecdb.Schema(id=vecdb.Id(), added=vecdb.Timestamp(), n=vecdb.Int64(), v=vecdb.Vector(2))
        )
        docs.upsert(
            [
                {"id": f"m{at}", "added": NOON + timedelta(seconds=at * 7 % 10), "n": 2**40 + at * 3 % 10, "v": [1, at]}
                for at in range(10)
            ]
        )
        yield docs


def test_a_formula_orders_moments_a_second_apart(moments: Collection):
    found = moments.run(Query(k=10).near("v", [1, 0]).rank(f.value("added")))

    assert [hit["added"] for hit in found] == [NOON + timedelta(seconds=9 - at) for at in range(10)]
    assert found.scores.dtype == np.float64
    assert found.scores.tolist() == [hit["added"].timestamp() for hit in found]
    assert found.to_arrow()["score"].to_pylist() == found.scores.tolist()


def test_pages_and_least_scores_tell_moments_a_second_apart_from_each_other(moments: Collection):
    asked = Query(k=3).near("v", [1, 0]).rank(f.value("added"))
    whole = moments.run(asked.take(10))

    paged = [page.ids for page in moments.run_iter(asked)]
    behind, cursor = [], None
    while True:
        page = moments.run(asked.after(cursor))
        behind += page.ids
        cursor = page.cursor
        if cursor is None:
            break

    assert [one for page in paged for one in page] == whole.ids == behind
    assert moments.run(asked.take(10).min_score(whole[4].score)).ids == whole.ids[:5]
    assert moments.run(asked.take(10).order_by("score asc")).ids == whole.ids[::-1]


def test_a_function_orders_whole_numbers_beyond_those_of_float32(moments: Collection):
    found = moments.run(Query(k=10).near("v", [1, 0]).score_by(lambda records: [r["n"] for r in records], ["n"]))

    assert [hit["n"] for hit in found] == [2**40 + 9 - at for at in range(10)]
    assert [hit.score for hit in found] == [hit["n"] for hit in found]


def test_the_score_of_a_nested_formula_is_kept_in_each_hit(moments: Collection):
    newest = Query(k=10).near("v", [1, 0]).rank(f.value("added"))

    fused = moments.run(Query(k=10).gather(newest, name="new").near("v", [1, 0]))
    again = moments.run(Query(k=10).gather(newest, name="new").near("v", [1, 0]).rank(f.arm("new")))

    assert {hit.id: hit.arms["new"].score for hit in fused} == {
        hit.id: hit["added"].timestamp() for hit in moments.run(newest)
    }
    assert again.ids == moments.run(newest).ids


def test_a_formula_beyond_float32_leaves_nothing_out(moments: Collection):
    found = moments.run(Query(k=10).near("v", [1, 0]).rank(f.exp(100 + f.score)))

    assert len(found) == 10
    assert found.scores == pytest.approx(np.exp(100 + moments.search(v=[1, 0]).scores.astype(float)))
