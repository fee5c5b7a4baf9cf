"""Selections through a collection: the laws of sets, limits, what hits tell, and what is refused."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support import queried
from support.queried import RECORDS, A
from support.spread import WAYS
from vecdb import Collection, Query, errors

METHODS = [
    vecdb.Coverage(),
    vecdb.Coverage(0.6, "facility_location"),
    vecdb.Coverage(0.6, "saturated"),
    vecdb.Mmr(),
    vecdb.Dpp(),
    vecdb.Dispersion(),
]
NAMES = [f"{method.kind}-{getattr(method, 'form', '')}" for method in METHODS]
NEAR = Query(k=8).near("a", A)


@pytest.fixture(scope="module", params=WAYS)
def rows(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    yield from queried.stored(tmp_path_factory.mktemp("select"), request.param)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    yield from queried.stored(tmp_path_factory.mktemp("one"), WAYS[0])


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_balance_zero_equals_plain_search(rows: Collection, method: Any) -> None:
    plain = type(method)(0.0, method.form) if isinstance(method, vecdb.Coverage) else type(method)(0.0)
    for seed in range(20):
        query = Query(k=8).near("a", np.random.default_rng(seed).standard_normal(16))

        found, expected = rows.run(query.select(plain)), rows.run(query)

        assert found.ids == expected.ids
        assert found.scores.tolist() == expected.scores.tolist()
        assert found.selection is not None
        assert (found.selection.pool, found.selection.ended) == (8, "full")


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_the_answer_does_not_depend_on_how_rows_are_spread(rows: Collection, one: Collection, method: Any) -> None:
    found, expected = rows.run(NEAR.select(method)), one.run(NEAR.select(method))

    assert found.ids == expected.ids
    assert [hit.pick.gain for hit in found if hit.pick] == pytest.approx(
        [hit.pick.gain for hit in expected if hit.pick]
    )


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_injected_copies_take_no_places(tmp_path: Path, method: Any) -> None:
    alone = method in (vecdb.Coverage(), METHODS[1], vecdb.Dpp())  # the others need to be told what is distinct
    with vecdb.connect(tmp_path / "db") as database:
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), item=vecdb.Keyword(), a=vecdb.Vector(16)))
        docs.upsert(
            [
                {"id": f"{name}-{copy}", "item": name, "a": RECORDS[name]["a"]}
                for name in list(RECORDS)[:30]
                for copy in range(5)
            ]
        )
        query = Query(k=10).near("a", A)

        plain, found = docs.run(query), docs.run(query.select(method, distinct=None if alone else 0.9999))

        assert len({hit["item"] for hit in plain}) == 2
        assert len({hit["item"] for hit in found}) == 10


@pytest.mark.parametrize("method", [vecdb.Coverage(), vecdb.Dpp()], ids=["coverage", "dpp"])
def test_more_candidates_are_looked_at_where_the_pool_holds_little_but_copies(tmp_path: Path, method: Any) -> None:
    with vecdb.connect(tmp_path / "db") as database:
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), item=vecdb.Keyword(), a=vecdb.Vector(16)))
        for name in list(RECORDS)[:30]:
            docs.upsert([{"id": f"{name}-{at}", "item": name, "a": RECORDS[name]["a"]} for at in range(60)])
        query = Query(k=10).near("a", A)

        wide, asked = docs.run(query.select(method)), docs.run(query.select(method, pool=150))

        assert len({hit["item"] for hit in wide}) == 10
        assert len({hit["item"] for hit in asked}) == 3


def test_quotas_hold_and_missing_rows_are_gathered(rows: Collection) -> None:
    found = rows.run(NEAR.select(quotas={"section": {"s3": (2, 2), "s5": (1, 3)}, "size": (0, 1)}))

    sections = Counter(hit["section"] for hit in found)
    sizes = Counter(hit["size"] for hit in found if hit["size"] is not None)
    assert len(found) == 8
    assert sections["s3"] == 2
    assert 1 <= sections["s5"] <= 3
    assert max(sizes.values()) == 1


def test_a_quota_of_each_value_limits_all_of_them(rows: Collection) -> None:
    found = rows.run(Query(k=13).near("a", A).select(quotas={"section": (0, 1)}))

    assert len(found) == 13
    assert max(Counter(hit["section"] for hit in found if hit["section"] is not None).values()) == 1


def test_quotas_that_cannot_be_met_say_which(rows: Collection) -> None:
    with pytest.raises(errors.InvalidInputError, match="at least 3 rows with section = 'nowhere', and 0 of the rows"):
        rows.run(NEAR.select(quotas={"section": {"nowhere": (3, 4)}}))


def test_a_grid_gives_one_row_of_each_cell_and_the_best_where_nothing_is_balanced(one: Collection) -> None:
    found = one.run(Query(k=40).near("a", A).select(vecdb.Coverage(0.0), grid={"section": None, "size": [30, 60]}))

    cells = [
        (hit["section"], np.searchsorted([30, 60], hit["size"], "right"))
        for hit in found
        if hit["size"] is not None and hit["section"]
    ]
    assert len(set(cells)) == len(cells)
    best: dict[Any, str] = {}
    for _, name in queried.ranking("a", A):
        record = RECORDS[name]
        if record["section"] is not None and record["size"] is not None:
            best.setdefault((record["section"], np.searchsorted([30, 60], record["size"], "right")), name)
    with_cells = [hit.id for hit in found if hit["size"] is not None and hit["section"]]
    assert set(with_cells) <= set(best.values())


def test_fixed_rows_come_first_and_forbidden_ones_never(rows: Collection) -> None:
    first = rows.run(NEAR.select()).ids
    query = NEAR.where("size >= 0").select(fixed=["r399", "r021"], forbidden=[first[0], "r000"])

    found = rows.run(query)

    assert found.ids[:2] == ["r399", "r021"]
    assert first[0] not in found.ids
    assert len(found) == 8
    assert found.scores[0] == pytest.approx(queried.score(RECORDS["r399"], "a", A), abs=1e-5)


def test_rows_alike_are_chosen_once(rows: Collection) -> None:
    found = rows.run(Query(k=60).near("a", A).select(vecdb.Coverage(0.0), distinct=0.9))

    vectors = np.array([RECORDS[name]["a"] for name in found.ids])
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (units @ units.T)[np.triu_indices(len(units), 1)].max() < 0.9
    assert len(found) == 60


def test_a_budget_is_kept(rows: Collection) -> None:
    found = rows.run(NEAR.select(budget=vecdb.Budget(100, "size")))

    assert 0 < sum(hit["size"] or 0 for hit in found) <= 100


def test_small_gains_end_the_answer(one: Collection) -> None:
    found = one.run(Query(k=30).near("a", A).select(vecdb.Coverage(0.5), min_gain=0.7))

    assert found.selection is not None
    assert found.selection.ended == "gain"
    gains = [hit.pick.gain for hit in found if hit.pick]
    assert min(gains) >= 0.7 * gains[0]
    assert len(found) < 30


def test_hits_tell_their_place_their_gain_and_whom_they_stand_for(rows: Collection) -> None:
    # Rows 50 to 59 are nearly the same as 40 to 49.
    query = Query(k=5).near("a", RECORDS["r044"]["a"]).select()

    found = rows.run(query)

    picks = [hit.pick for hit in found]
    assert [pick.order for pick in picks if pick] == [1, 2, 3, 4, 5]
    assert found.ids[0] == "r044"
    assert picks[0] is not None
    assert picks[0].members[0].id == "r054"
    assert picks[0].members[0].similarity > 0.99
    assert found.selection is not None
    assert found.selection.method == "graph_cut"
    assert 0 < found.selection.coverage < 1
    everyone = [member.id for pick in picks if pick for member in pick.members]
    assert len(set(everyone)) == len(everyone)
    assert not set(everyone) & set(found.ids)


def test_explain_tells_of_the_selection(one: Collection) -> None:
    planned, run = one.explain(NEAR.select()), one.explain(NEAR.select(), analyze=True)

    assert [step.name for step in planned.steps] == ["a", "select"]
    assert planned.steps[0].rows_out == 120
    assert planned.steps[1].rows_out == 8
    assert run.steps[1].told["pool"] == 120
    assert "graph_cut from 120" in str(run)


def test_a_selection_works_on_fused_arms_words_aside_and_binary_vectors(one: Collection) -> None:
    b = np.arange(8, dtype=np.float32) / 4
    fused = Query(k=8).near("a", A).near("b", b)

    found = one.run(fused.select(vecdb.Coverage(0.5), field="a"))

    assert len(found) == 8
    assert one.run(fused.select(vecdb.Coverage(0.0))).ids == one.run(fused).ids
    assert found.ids != one.run(fused).ids


def test_similarities_may_come_from_a_function(one: Collection) -> None:
    def same_section(records: list[dict[str, Any]]) -> np.ndarray:
        return np.array([[float(x["section"] == y["section"]) for y in records] for x in records])

    query = NEAR.select(vecdb.Coverage(1.0), similarity=same_section, fields=["section"])

    assert len({hit["section"] for hit in one.run(query)}) == 8
    with pytest.raises(errors.InvalidInputError, match="cannot be written as JSON"):
        query.to_json()
    with pytest.raises(errors.InvalidInputError, match="not 120 x 120 finite numbers"):
        one.run(NEAR.select(similarity=lambda records: [[1.0]]))
    with pytest.raises(errors.ScorerError, match="ZeroDivisionError"):
        one.run(NEAR.select(similarity=lambda records: 1 / 0))


def test_a_universe_is_what_is_represented(one: Collection) -> None:
    far = queried.ranking("a", A)[-5:]
    facility = vecdb.Coverage(1.0, "facility_location")
    query = Query(k=1).near("a", A).select(facility, pool=400, universe=[far[0][1]])

    assert one.run(query).ids == [far[0][1]]
    assert len(one.run(NEAR.select(facility, universe=200))) == 8


def test_stages_before_and_after_a_selection_are_applied(one: Collection) -> None:
    query = NEAR.min_score(0.1).select().order_by("size desc")

    found = one.run(query)

    assert [hit["size"] for hit in found if hit["size"] is not None] == sorted(
        [hit["size"] for hit in found if hit["size"] is not None], reverse=True
    )
    assert sorted(hit.pick.order for hit in found if hit.pick) == list(range(1, 9))


def test_a_nested_query_may_select(one: Collection) -> None:
    inner = NEAR.select(vecdb.Coverage(0.8))

    assert set(one.run(Query(k=8).gather(inner)).ids) == set(one.run(inner).ids)


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_queries_that_select_survive_json(one: Collection, method: Any) -> None:
    query = NEAR.select(
        method,
        quotas={"section": {"s3": (1, 2)}, "size": (0, 2)},
        grid={"added": 5},
        fixed=["r001"],
        forbidden=["r002"],
        distinct=0.95,
        budget=vecdb.Budget(500, "size"),
        pool=200,
    )

    again = Query.from_json(query.to_json())

    assert again == query
    assert one.run(again).ids == one.run(query).ids


def test_search_takes_a_selection(one: Collection) -> None:
    assert one.search(a=A, k=8, select="coverage").ids == one.run(NEAR.select()).ids
    assert one.search(a=A, k=8, select=vecdb.Dpp(0.7)).ids == one.run(NEAR.select(vecdb.Dpp(0.7))).ids
    stage = vecdb.Select(quotas={"section": (0, 1)})  # pyright: ignore[reportArgumentType]
    assert one.search(a=A, k=8, select=stage).ids == one.run(NEAR.then(stage)).ids


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"quotas": {"tags": (0, 1)}}, "a quota cannot use field 'tags', which is a list"),
        ({"quotas": {"nothing": (0, 1)}}, "nothing"),
        ({"quotas": {"section": (1, 2)}}, "name the values"),
        ({"quotas": {"section": {"s1": (3, 2)}}}, "at least 3 and at most 2"),
        ({"quotas": {"section": (0, -1)}}, "high of the quota of 'section' is -1"),
        ({"quotas": {"section": {"s1": ("x", 2)}}}, "low of the quota of 'section' is 'x'"),
        ({"quotas": {3: (0, 1)}}, "the field of a quota is 3"),
        ({"grid": {"size": 0}}, "bins of the axis 'size' is 0"),
        ({"grid": {"size": "many"}}, "the axis 'size' is 'many'"),
        ({"grid": {"size": [1, "x"]}}, "an edge of the axis 'size' is 'x'"),
        ({"budget": {"limit": 4, "field": 5}}, "the field of a budget is 5"),
        ({"budget": {"limit": [4], "field": "size"}}, r"budget is \[4\]"),
        ({"similarity": len, "fields": [None]}, "one of fields is None"),
        ({"quotas": {"section": {"s1": (5, 9), "s2": (4, 9)}}}, "ask for 9 rows at least, and the answer has 8"),
        ({"grid": {"section": 4}}, "only numbers fall into bins"),
        ({"budget": vecdb.Budget(5, "section", "value")}, "has no value"),
        ({"budget": vecdb.Budget(5, "place")}, "a budget counts"),
        ({"fixed": [1]}, "is no id"),
        ({"fixed": ["r001"], "forbidden": ["r001"]}, "both fixed and forbidden"),
        ({"distinct": 0}, "distinct is 0"),
        ({"min_gain": 2}, "min_gain is 2"),
        ({"universe": 100}, "represents a universe"),
        ({"field": "size"}, "not a vector"),
        ({"method": "best"}, "is no way to select"),
        ({"size": 3}, "has no option 'size'"),
    ],
)
def test_what_makes_no_sense_is_refused(one: Collection, options: dict[str, Any], told: str) -> None:
    method = options.pop("method", "coverage")
    with pytest.raises(errors.InvalidInputError, match=told):
        one.run(NEAR.select(method, **options))


def test_sets_have_no_pages(one: Collection) -> None:
    found = one.run(NEAR.select())

    assert found.cursor is None
    with pytest.raises(errors.InvalidInputError, match="a set has no pages"):
        one.run(NEAR.select().after(one.run(NEAR).cursor))


def test_fixed_rows_that_are_not_there_are_named(one: Collection) -> None:
    with pytest.raises(errors.NotFoundError, match="'nobody'"):
        one.run(NEAR.select(fixed=["nobody"]))


# -- the words of a question -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["one batch", "one by one"])
def talks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with vecdb.connect(tmp_path_factory.mktemp("talks") / "db") as database:
        schema = vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), a=vecdb.Vector(2))
        docs = database.create_collection("docs", schema)
        texts = {f"paris-{at}": "paris river city" for at in range(6)} | {"rome": "rome hills", "oslo": "oslo"}
        rows = [{"id": name, "text": text, "a": [1.0, at / 50]} for at, (name, text) in enumerate(texts.items())]
        for some in [rows] if request.param == "one batch" else [[row] for row in rows]:
            docs.upsert(some)
            docs.flush()
        yield docs


def test_a_set_covers_the_words_of_a_question(talks: Collection) -> None:
    query = Query(k=3).near("a", [1.0, 0.0]).match("text", "rivers of Paris and Rome -oslo")

    plain, found = talks.run(query), talks.run(query.select(vecdb.Coverage(0.6, "words")))

    assert not {"rome", "oslo"} & set(plain.ids)
    assert set(found.ids[:2]) == {plain.ids[0], "rome"}
    assert found.selection is not None
    assert found.selection.coverage == pytest.approx(1)


def test_no_known_word_leaves_the_order_as_it_is(talks: Collection) -> None:
    query = Query(k=3).near("a", [1.0, 0.0]).match("text", "unknown")

    assert talks.run(query.select(vecdb.Coverage(0.6, "words"))).ids == talks.run(query).ids


def test_words_are_covered_only_where_they_are_looked_for(talks: Collection) -> None:
    with pytest.raises(errors.InvalidInputError, match="the query looks for none"):
        talks.search(a=[1.0, 0.0], select=vecdb.Coverage(0.6, "words"))


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (
            {"quotas": {"size": {"x": (0, 1)}}},
            "'size' names 'x', which no row can have: the field is int64",
        ),
        ({"quotas": {"section": {3: (0, 1)}}}, "names 3, which no row can have: the field is keyword"),
        ({"quotas": {"size": {True: (0, 1)}}}, "names True, which no row can have"),
        ({"method": METHODS[1], "universe": {"kind": "x"}}, "expected cells"),
        ({"method": METHODS[1], "universe": []}, "universe is an empty list"),
        ({"similarity": lambda records: np.full((len(records),) * 2, np.nan)}, "some of which are no numbers"),
    ],
)
def test_what_could_only_be_a_mistake_is_refused(one: Collection, option: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.InvalidInputError, match=told):
        one.run(NEAR.select(**option))


@pytest.mark.parametrize("option", [{"fixed": ["nope"]}, {"method": METHODS[1], "universe": ["nope"]}])
def test_an_id_that_is_not_there_is_told_with_the_option_that_names_it(one: Collection, option: dict[str, Any]) -> None:
    name = "fixed" if "fixed" in option else "universe"

    with pytest.raises(errors.NotFoundError, match=f"{name} names 'nope', and there is no such row"):
        one.run(NEAR.select(**option))


def test_an_id_that_is_fixed_twice_is_chosen_once(one: Collection) -> None:
    found = one.run(NEAR.select(fixed=[next(iter(RECORDS))] * 2))

    assert len(set(found.ids)) == len(found) == 8
