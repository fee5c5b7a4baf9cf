"""Many questions at once: every answer is the one that the question gets alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.spread import SCHEMA, WAYS, spread
from vecdb import Collection, Query, col
from vecdb.errors import InvalidInputError, UnknownFieldError
from vecdb.filters import BoundFilter
from vecdb.planner import batch
from vecdb.results import SearchResult

FILTERS = [
    None,
    "size < 5",
    "size >= 5",
    "section = 's3'",
    col("section").isin(["s1", "s4"]),
    "size > 1000",
    "not section = 's3' and price < 6",
    "tags any of ('t4')",
]


@pytest.fixture(scope="module", params=WAYS)
def docs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    yield from spread(tmp_path_factory.mktemp("batch"), request.param)


def questions(count: int, dimension: int) -> tuple[np.ndarray, list[Any]]:
    rng = np.random.default_rng(count)
    matrix = rng.integers(-2, 3, (count, dimension)).astype(np.float32) + np.float32(0.5)
    matrix[count // 2 :: 5] = matrix[0]
    return matrix, [FILTERS[at] for at in rng.integers(0, len(FILTERS), count)]


def same(left: SearchResult, right: SearchResult) -> bool:
    return left.ids == right.ids and left.scores.tobytes() == right.scores.tobytes() and left.cursor == right.cursor


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("field", ["a", "b"])
def test_each_query_has_its_own_filter_and_gets_the_answer_that_it_gets_alone(
    docs: Collection, field: str, exact: bool
):
    asked: Any
    asked, where = questions(90, SCHEMA[field].field.dimension)

    found = docs.search_batch(**{field: asked}, where=where, k=7, exact=exact)

    alone = [
        docs.search(**{field: query}, where=one, k=7, exact=exact) for query, one in zip(asked, where, strict=True)
    ]
    for left, right in zip(found, alone, strict=True):
        assert left.ids == right.ids
        assert left.scores.tobytes() == right.scores.tobytes()
        assert left.to_list() == right.to_list()


def test_through_an_index_the_answers_are_the_same_too(tmp_path: Path):
    schema = vecdb.Schema(
        **{column.name: column.field for column in SCHEMA.columns if column.name != "a"},
        a=vecdb.Vector(16, index=vecdb.Hnsw(m=4, ef_construction=20)),
    )
    for docs in spread(tmp_path, "many segments", schema):
        docs.build_indexes()
        asked, where = questions(60, 16)

        found = docs.search_batch(a=asked, where=where, k=5, ef=6)

        for one, query, text in zip(found, asked, where, strict=True):
            alone = docs.search(a=query, where=text, k=5, ef=6)
            assert one.ids == alone.ids
            assert one.scores.tobytes() == alone.scores.tobytes()
            assert one.explain["parts"] == alone.explain["parts"]


@pytest.mark.parametrize("limit", [0, 1 << 60])
def test_large_and_small_groups_are_answered_alike(docs: Collection, monkeypatch: pytest.MonkeyPatch, limit: int):
    asked, where = questions(80, 16)
    expected = [docs.search(a=query, where=one, k=4) for query, one in zip(asked, where, strict=True)]
    monkeypatch.setattr(batch, "SLICE_WORK", limit)
    monkeypatch.setattr(batch, "QUESTION_BYTES", 1 << 30)

    found = docs.search_batch(a=asked, where=where, k=4)

    assert [one.ids for one in found] == [one.ids for one in expected]


def test_each_filter_is_evaluated_once_for_each_part_and_equal_questions_are_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    evaluated: list[str] = []
    searched: list[int] = []
    evaluate, search = BoundFilter.rows, batch.dense.search

    def counted(where: Any, source: Any) -> Any:
        evaluated.append(where.key)
        return evaluate(where, source)

    def counting(state: Any, column: Any, queries: np.ndarray, *rest: Any) -> Any:
        searched.append(len(queries))
        return search(state, column, queries, *rest)

    monkeypatch.setattr(BoundFilter, "rows", counted)
    monkeypatch.setattr(batch.dense, "search", counting)
    for docs in spread(tmp_path, "many segments"):
        asked, _ = questions(40, 16)
        where = ["size < 50", "size < 60", col("size") < 50, "size  <  50"] * 10

        docs.search_batch(a=asked, where=where)

        assert sorted(evaluated) == ["size < 50"] * 5 + ["size < 60"] * 5
        distinct = {(query.tobytes(), one == "size < 60") for query, one in zip(asked, where, strict=True)}
        assert sum(searched) == len(distinct) < 40


def test_one_filter_may_be_given_for_all_and_no_question_is_a_batch_too(docs: Collection):
    asked, _ = questions(9, 16)

    found = docs.search_batch(a=asked, where="size < 50", k=3)

    assert [one.ids for one in found] == [docs.search(a=query, where="size < 50", k=3).ids for query in asked]
    assert docs.search_batch(a=asked[:0], where=[]) == []


def test_what_is_wrong_with_a_list_of_filters_is_told(docs: Collection):
    asked, _ = questions(3, 16)

    with pytest.raises(InvalidInputError, match="there are 2 filters for 3 queries"):
        docs.search_batch(a=asked, where=[None, "size < 5"])
    with pytest.raises(InvalidInputError, match="where takes filter text"):
        docs.search_batch(a=asked, where=[None, "size < 5", 7])  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInputError, match="where takes filter text"):
        docs.search_batch(a=asked, where=7)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnknownFieldError, match="sizes"):
        docs.search_batch(a=asked, where=[None, "sizes < 5", None])


def test_queries_of_every_form_are_answered_together_as_alone(docs: Collection):
    a, where = questions(30, 16)
    b, _ = questions(30, 8)
    plain = [Query(k=5, filter=one).near("a", query) for query, one in zip(a, where, strict=True)]
    forms = [
        *plain,
        Query(k=6).near("a", a[1]).near("b", b[1], where="size < 50", fetch=40),
        Query(k=3).near("a", a[2]).group_by("section", 2),
        Query(k=30).near("a", a[2]).collapse("section"),
        Query(k=8).gather(Query(k=50).near("a", a[3]).min_score(0.0)).near("b", b[3]).exactly(),
        Query(k=8).near("b", b[4]).order_by("size desc"),
        Query(k=8).order_by("size desc").where("size < 20"),
        Query(k=4).like("a", ["r000"], strategy="best"),
        plain[0],
    ]
    first = docs.run(plain[1])
    forms.append(plain[1].after(first.cursor))

    found = docs.run_batch(forms)

    for query, one in zip(forms, found, strict=True):
        alone = docs.run(query)
        assert same(one, alone), query
        assert one.to_list() == alone.to_list()
        assert [(group.value, len(group.hits)) for group in one.groups or []] == [
            (group.value, len(group.hits)) for group in alone.groups or []
        ]
    assert found[0] is found[len(plain) + 7]


def test_an_error_in_a_batch_of_queries_tells_which(docs: Collection):
    with pytest.raises(InvalidInputError) as caught:
        docs.run_batch([Query().near("a", [1.0] * 16), Query().near("a", [1.0] * 15)])

    assert caught.value.__notes__ == ["in query 1 of the batch"]


def test_a_query_with_a_function_that_has_no_hash_is_answered_in_a_batch_too(docs: Collection):
    class ByLength:
        __hash__ = None  # pyright: ignore[reportAssignmentType]

        def __call__(self, records: list[dict[str, Any]]) -> list[float]:
            return [float(record["size"] or 0) for record in records]

    query = Query(k=5).near("a", [1.0] * 16).score_by(ByLength(), ["size"])

    first, second = docs.run_batch([query, query])

    assert first.ids == second.ids == docs.run(query).ids
