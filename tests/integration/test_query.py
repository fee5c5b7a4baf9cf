"""Queries with several arms and stages, compared with what NumPy and dicts say, however the rows are spread."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import vecdb
from support.queried import RECORDS, ROWS, SCHEMA, A, B, ranking, rows, score, stored
from support.spread import WAYS
from vecdb import Collection, Query
from vecdb import formula as f
from vecdb.errors import InvalidInputError, NotFoundError, UnknownFieldError


@pytest.fixture(scope="module", params=WAYS)
def docs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    yield from stored(tmp_path_factory.mktemp("query"), request.param)


def test_two_fields_are_fused_by_the_sum_of_reciprocal_ranks(docs: Collection):
    found = docs.search(a=A, b=B, k=20, fetch=150, where="size < 60")

    passing = [name for name, record in RECORDS.items() if record["size"] is not None and record["size"] < 60]
    total: dict[str, float] = {}
    for field, query in (("a", A), ("b", B)):
        for rank, (_, name) in enumerate(ranking(field, query, passing)[:150], 1):
            total[name] = total.get(name, 0) + 1 / (60 + rank)
    expected = sorted(total, key=lambda name: (-np.float32(total[name]), name))[:20]
    assert found.ids == expected
    assert found.scores == pytest.approx([total[name] for name in expected], abs=1e-7)
    assert all(hit.distance is None for hit in found)
    ranks = {name: rank for rank, (_, name) in enumerate(ranking("a", A, passing)[:150], 1)}
    assert [hit.arms["a"].rank if "a" in hit.arms else None for hit in found] == [ranks.get(name) for name in expected]


def test_a_query_of_one_arm_is_what_search_answers(docs: Collection):
    asked = Query(k=7).near("a", A).where("section = 's3'")

    assert docs.run(asked).to_list() == docs.search(a=A, k=7, where="section = 's3'").to_list()


def test_each_arm_has_its_own_filter_beside_that_of_the_query(docs: Collection):
    found = docs.run(Query(k=400).near("a", A, where="size < 20").near("b", B, where="size >= 20").where("size != 50"))

    for hit in found:
        assert ("a" in hit.arms) == (hit["size"] < 20)
        assert ("b" in hit.arms) == (hit["size"] >= 20)
        assert hit["size"] != 50


def test_groups_hold_the_best_rows_of_each_value(docs: Collection):
    groups = docs.search(a=A, k=5, group_by="section", per_group=3).groups

    best: dict[str, list[str]] = {}
    for _, name in ranking("a", A):
        if RECORDS[name]["section"] is not None:
            best.setdefault(RECORDS[name]["section"], []).append(name)
    assert groups is not None
    assert [(group.value, [hit.id for hit in group.hits]) for group in groups] == [
        (value, names[:3]) for value, names in list(best.items())[:5]
    ]


def test_there_are_as_many_groups_as_the_rows_have_values_though_the_best_are_all_alike(docs: Collection):
    assert len(docs.search(a=A, k=13, group_by="section").groups or ()) == 13
    assert len(docs.search(a=A, k=99, group_by="section", per_group=99)) == sum(
        record["section"] is not None for record in RECORDS.values()
    )


def test_a_row_is_in_the_group_of_each_value_of_its_list(docs: Collection):
    groups = docs.search(a=A, k=5, group_by="tags", per_group=400).groups

    assert groups is not None
    for group in groups:
        expected = [name for _, name in ranking("a", A) if group.value in RECORDS[name]["tags"]]
        assert [hit.id for hit in group.hits] == expected


def test_nearly_equal_rows_are_collapsed_into_the_best(docs: Collection):
    found = docs.run(Query(k=395).near("a", A).collapse("a", 0.999)).ids

    expected: list[str] = []
    for _, name in ranking("a", A):
        if all((score(RECORDS[other], "a", RECORDS[name]["a"]) or 0) < 0.999 for other in expected):
            expected.append(name)
    assert found == expected[:395]
    assert len(expected) == 390


def test_rows_with_equal_values_are_collapsed_and_rows_without_stay(docs: Collection):
    found = docs.run(Query(k=400).near("a", A).collapse("section")).ids

    seen: set[Any] = set()
    expected = []
    for _, name in ranking("a", A):
        section = RECORDS[name]["section"]
        if section is None or section not in seen:
            expected.append(name)
            seen.add(section)
    assert found == expected


def test_rows_are_ordered_by_fields_with_nulls_last(docs: Collection):
    found = docs.search(order_by=["size desc", "section"], where="added < '2023-11-14T22:13:50Z'", k=500)

    passing = [name for name, r in RECORDS.items() if r["added"].second - 20 < 30 and r["added"].minute == 13]
    expected = sorted(
        passing,
        key=lambda name: (
            RECORDS[name]["size"] is None,
            -(RECORDS[name]["size"] or 0),
            RECORDS[name]["section"] is None,
            RECORDS[name]["section"] or "",
            name,
        ),
    )
    assert found.ids == expected


PAGED: list[dict[str, Any]] = [
    {"a": A},
    {"b": B},
    {"a": A, "where": "size < 50"},
    {"a": A, "b": B, "fetch": 400},
    {"order_by": "size desc"},
    {"order_by": ["section", "added desc"]},
    {"a": A, "order_by": "added", "fetch": 400},
]


@pytest.mark.parametrize("asked", PAGED, ids=lambda asked: "+".join(asked))
def test_pages_behind_cursors_are_one_long_answer(docs: Collection, asked: dict[str, Any]):
    whole = docs.search(k=1000, **asked)
    assert whole.cursor is None

    pages, cursor = [], None
    for k in (1, 10, 37, 200, 400):
        page = docs.search(k=k, after=cursor, **asked)
        pages += page.ids
        cursor = page.cursor
        if cursor is None:
            break

    assert cursor is None
    assert pages == whole.ids


def test_a_cursor_is_refused_by_another_query(docs: Collection):
    cursor = docs.search(a=A, k=3).cursor

    others: list[dict[str, Any]] = [{"a": B.repeat(2)}, {"a": A, "where": "size < 3"}, {"a": A, "min_score": 0}]
    for wrong in others:
        with pytest.raises(InvalidInputError, match="another query"):
            docs.search(after=cursor, **wrong)
    for nonsense in ("", "x", "AAAA", "bnVsbA", "é", "W10", "WzEsMSwyLDMsNF0"):
        with pytest.raises(InvalidInputError, match="cursor"):
            docs.search(a=A, after=nonsense)
    with pytest.raises(InvalidInputError, match="no pages"):
        docs.search(a=A, group_by="section", after=cursor)


def test_rows_that_score_too_low_are_left_out(docs: Collection):
    found = docs.search(a=A, k=400, min_score=0.25)

    assert found.ids == [name for one, name in ranking("a", A) if one >= 0.25]


def test_candidates_are_scored_anew_by_another_field(docs: Collection):
    found = docs.run(Query(k=8).near("a", A).rescore("b", B, top=40))

    best = [name for _, name in ranking("a", A)[:40]]
    assert found.ids == [name for _, name in ranking("b", B, best)[:8]]
    assert found[0].distance == pytest.approx(-found[0].score)


def test_a_nested_query_is_an_arm(docs: Collection):
    inner = Query(k=30).near("a", A).near("b", B).group_by("section", 2)

    found = docs.run(Query(k=10).gather(inner, name="both").near("a", A, where="size < 10").where("size < 90"))

    alone = docs.run(inner.where("size < 90"))
    assert all(hit["size"] < 90 for hit in found)
    assert {hit.id: hit.arms["both"].rank for hit in found if "both" in hit.arms}.items() <= {
        name: rank for rank, name in enumerate(alone.ids, 1)
    }.items()


@pytest.mark.parametrize("strategy", ["best", "sum"])
@pytest.mark.parametrize("field", ["a", "b"])
def test_rows_like_some_and_unlike_others(docs: Collection, strategy: Any, field: str):
    near, far = ["r010", "r123"], ["r200"]

    found = docs.run(Query(k=10).like(field, near, far, strategy).exactly())

    total: dict[str, float] = {}
    for name, record in RECORDS.items():
        if record[field] is None or name in near + far:
            continue
        liked = [score(record, field, RECORDS[other][field]) or 0 for other in near]
        unliked = [score(record, field, RECORDS[other][field]) or 0 for other in far]
        if strategy == "best":
            total[name] = max(liked) - max(0, max(unliked) - max(liked))
        else:
            total[name] = float(np.mean(liked) - np.mean(unliked))
    best = sorted(total.values(), reverse=True)[:10]
    assert found.scores == pytest.approx(best, abs=1e-4)
    assert [total[name] for name in found.ids] == pytest.approx(best, abs=1e-4)


def test_rows_like_one_row_are_its_neighbours_without_it(docs: Collection):
    found = docs.run(Query(k=10).like("a", "r010"))

    assert found.ids == [name for _, name in ranking("a", RECORDS["r010"]["a"])[1:11]]


WRONG: list[tuple[Query, type[Exception], str]] = [
    (Query().near("c", [1]), UnknownFieldError, "'c'"),
    (Query().near("size", [1]), InvalidInputError, "int64"),
    (Query().near("a", [1]), InvalidInputError, "1 values"),
    (Query().near("a", "words"), InvalidInputError, "encoder"),
    (Query().match("section", "x"), InvalidInputError, "keyword"),
    (Query().near("a", A).group_by("a"), InvalidInputError, "vector"),
    (Query().near("a", A).order_by("tags"), InvalidInputError, "list"),
    (Query().near("a", A).where("sizes < 3"), UnknownFieldError, "sizes"),
    (Query().near("a", A, where="size = 'x'"), InvalidInputError, "size"),
    (Query().like("a", "nobody"), NotFoundError, "nobody"),
    (Query().like("b", "r003"), InvalidInputError, "no vector"),
    (Query().near("a", A).returning("nothing"), UnknownFieldError, "nothing"),
]


@pytest.mark.parametrize(("query", "error", "told"), WRONG)
def test_a_query_that_does_not_fit_the_fields_is_refused(
    docs: Collection, query: Query, error: type[Exception], told: str
):
    with pytest.raises(error, match=told):
        docs.run(query)


def test_nothing_to_search_is_told(docs: Collection):
    with pytest.raises(InvalidInputError, match="'a', 'b'"):
        docs.search()
    with pytest.raises(InvalidInputError, match="filtered by where"):
        docs.search(section="s1")


def test_a_read_only_array_is_a_query_too(docs: Collection):
    frozen = A.copy()
    frozen.setflags(write=False)

    assert docs.search(a=frozen).ids == docs.search(a=A).ids


def test_steps_tell_what_happened(docs: Collection):
    told = docs.run(Query(k=3).near("a", A).near("b", B).min_score(0.001).group_by("section")).explain["steps"]

    assert [step["step"] for step in told] == ["a", "b", "fuse", "min_score", "group_by"]
    assert told[2]["rows_in"] == told[0]["rows_out"] + told[1]["rows_out"]
    assert all(step["ms"] >= 0 for step in told)


EXPLAINED = (
    Query(k=5).near("a", A, where="size < 30").near("b", B).min_score(0).rank(f.score * 2, top=50).group_by("tags")
)


def test_a_plan_tells_the_steps_that_are_carried_out(docs: Collection):
    told, done = docs.explain(EXPLAINED), docs.explain(EXPLAINED, analyze=True)

    assert [step.name for step in told.steps] == [step.name for step in done.steps]
    assert [step.rows_out for step in told.steps[:2]] == [step.rows_out for step in done.steps[:2]]
    assert not told.analyzed
    assert told.ms is None
    assert done.analyzed
    assert done.ms is not None
    assert done.ms >= sum(step.ms for step in done.steps)
    assert told.rows == done.rows == ROWS


def test_an_explanation_is_drawn_as_a_tree():
    with vecdb.connect(":memory:", settings=vecdb.Settings(background=False, free_bytes=0)) as db:
        docs = db.create_collection("docs", SCHEMA)
        docs.upsert(rows())
        inner = Query(k=30).near("a", A).near("b", B)

        drawn = str(
            docs.explain(Query(k=3).gather(inner, name="both").near("a", A, where="size = 4").group_by("section"))
        )

    assert drawn.split("\n", 1)[1] == (
        "400 rows; estimated, not run\n"
        "├─ both nested: 30 rows\n"
        "│  ├─ a near, the best 200: 200 rows\n"
        "│  │     in memory: 400 rows, 400 may be found: scan (it has no index)\n"
        "│  ├─ b near, the best 200: 200 rows\n"
        "│  │     in memory: 400 rows, 376 may be found: scan (it has no index)\n"
        "│  └─ fuse rrf: 400 -> 400 rows\n"
        "├─ a near, the best 200: 4 rows\n"
        "│     in memory: 400 rows, 4 may be found: scan (it has no index)\n"
        "├─ fuse rrf: 34 -> 34 rows\n"
        "└─ group_by: 34 -> 34 rows"
    )


ORDERED: list[Query] = [
    Query().near("a", A).order_by("added desc"),
    Query().near("a", A, fetch=90).rank(f.value("size", 3)),
    Query().near("a", A).rescore("b", B, top=120),
    Query().near("a", A).collapse("section").order_by("size"),
    Query().near("a", A).near("b", B, fetch=50).rank(f.score + f.value("size")),
]


@pytest.mark.parametrize("query", ORDERED, ids=range(len(ORDERED)))
def test_pages_in_an_order_of_their_own_are_cut_from_what_the_first_gathered(docs: Collection, query: Query):
    pages, cursor, ks = [], None, iter((7, 30, 100, 9, 1000))
    while cursor is not None or not pages:
        page = docs.run(query.take(next(ks)).after(cursor))
        pages.append(page)
        cursor = page.cursor

    ids = [name for page in pages for name in page.ids]
    gathered = docs.run(query.take(7)).explain["steps"][-1]["rows_out"]
    assert len(ids) == len(set(ids)) == gathered
    whole = docs.run(replace(query, arms=tuple(replace(arm, fetch=arm.fetch or 200) for arm in query.arms)).take(7))
    assert ids[:7] == whole.ids
    keys = [(hit.score if query.stages[-1].kind != "order_by" else 0) for page in pages for hit in page]
    assert keys == sorted(keys, reverse=True)


def test_a_row_in_several_groups_of_a_nested_query_counts_once(docs: Collection):
    inner = Query(k=5).near("a", A).group_by("tags", 50)

    found = docs.run(Query(k=400).gather(inner, name="inner").near("b", B))

    assert len(found.ids) == len(set(found.ids))
    assert max(hit.arms["inner"].rank for hit in found if "inner" in hit.arms) == len(set(docs.run(inner).ids))


@pytest.mark.parametrize("k", [1, 7, 150])
@pytest.mark.parametrize("query", [Query(), Query().min_score(-1), Query().collapse("section")], ids=range(3))
def test_pages_without_an_arm_go_by_id_to_the_last_row(docs: Collection, query: Query, k: int):
    whole = docs.run(query.take(1000)).ids

    pages, cursor = docs.run(query.take(k)).ids, docs.run(query.take(k)).cursor
    while cursor is not None:
        page = docs.run(query.take(k).after(cursor))
        pages, cursor = pages + page.ids, page.cursor

    assert pages == whole == sorted(whole)


def test_groups_of_nothing_are_none(docs: Collection):
    for query in (
        Query().near("a", A).where("size = 1000"),
        Query().where("section is null and size = 0 and id = 'x'"),
    ):
        assert docs.run(query.group_by("section")).groups == []
        assert docs.run_batch([query.group_by("section")])[0].ids == []


@pytest.mark.parametrize("field", ["a", "b"])
def test_sums_over_examples_are_the_exact_ones_without_looking_at_all_rows_twice(docs: Collection, field: str):
    query = Query(k=10).like(field, ["r010", "r123", "r250"], ["r200"], "sum")

    assert docs.run(query).ids == docs.run(query.exactly()).ids


NO_QUERIES: list[Any] = [None, {"k": 3}, "near", 7]


@pytest.mark.parametrize("wrong", NO_QUERIES)
def test_what_is_no_query_is_told(docs: Collection, wrong: Any):
    for ask in (docs.run, docs.explain, docs.run_iter, lambda one: docs.run_batch([one])):
        with pytest.raises(InvalidInputError, match=r"expected a vecdb\.Query"):
            ask(wrong)


def test_ids_that_no_row_can_have_are_told(docs: Collection):
    for wrong in (0, "\ud800"):
        with pytest.raises(InvalidInputError, match="is no id"):
            docs.run(Query().like("a", wrong))


def test_a_zero_has_no_sign_in_groups():
    with vecdb.connect(":memory:", settings=vecdb.Settings(background=False, free_bytes=0)) as db:
        schema = vecdb.Schema(id=vecdb.Id("int64"), x=vecdb.Float64(), v=vecdb.Vector(1, metric="l2"))
        docs = db.create_collection("zeros", schema)
        docs.upsert([{"id": at, "x": (0.0, -0.0)[at % 2], "v": [at]} for at in range(6)])

        assert len(docs.search(v=[0], group_by="x").groups or ()) == 1
        assert docs.run(Query().near("v", [0]).collapse("x")).ids == [0]
