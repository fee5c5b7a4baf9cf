"""Answers of a collection arrive as they were given."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support import queried
from vecdb import Collection, Query, formula
from vecdb.results import SearchResult
from vecdb.wire import queries, reports, results
from vecdb.wire.rows import from_message, kinds_from_message, to_message
from vecdb_proto.v1 import result_pb2, values_pb2


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    yield from queried.stored(tmp_path_factory.mktemp("wire"), "many segments")


def arrived(result: SearchResult, docs: Collection) -> SearchResult:
    """Return a result as the other end has it."""
    content = results.to_message(result, docs.schema, explain=True).SerializeToString()
    return results.from_message(result_pb2.SearchResult.FromString(content))


def same(found: Any, expected: Any) -> bool:
    """Tell whether fields are equal, vectors too."""
    if isinstance(expected, np.ndarray):
        return isinstance(found, np.ndarray) and found.dtype == expected.dtype and np.array_equal(found, expected)
    return type(found) is type(expected) and found == expected


def groups_of(result: SearchResult) -> Any:
    groups = result.groups
    return None if groups is None else [(group.value, [hit.id for hit in group.hits]) for group in groups]


def assert_same(found: SearchResult, expected: SearchResult) -> None:
    assert found.ids == expected.ids
    assert found.scores.dtype == expected.scores.dtype
    assert found.scores.tobytes() == expected.scores.tobytes()
    assert (found.distances is None) == (expected.distances is None)
    assert found.to_arrow().equals(expected.to_arrow(), check_metadata=True)
    assert found.cursor == expected.cursor
    assert found.missing == expected.missing
    assert found.explain == expected.explain
    assert repr(found) == repr(expected)
    assert groups_of(found) == groups_of(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.id, one.score, one.distance, one.arms) == (other.id, other.score, other.distance, other.arms)
        assert one.fields.keys() == other.fields.keys()
        assert all(same(one.fields[name], other.fields[name]) for name in other.fields)


PLAIN = Query(k=7).near("a", queried.A)
TWO = Query(k=7).near("a", queried.A).near("b", queried.B, name="other").fuse(vecdb.AutoFusion())
QUERIES = {
    "plain": PLAIN,
    "no fields": PLAIN.returning(),
    "vectors too": PLAIN.returning("a", "b", "place", "added"),
    "filtered": PLAIN.where("section = 's3' and size < 50"),
    "filtered to nothing": PLAIN.where("size < 0"),
    "two arms": TWO,
    "groups": TWO.group_by("section", 2),
    "groups of numbers": PLAIN.group_by("size"),
    "groups of moments": PLAIN.group_by("added", 3),
    "groups of lists": PLAIN.group_by("tags", 3),
    "in order": Query(k=9).order_by("size desc", "id"),
    "ranked": PLAIN.rank(formula.score + formula.value("size") * 0.01, 20),
    "nested": Query(k=5).gather(TWO).rescore("b", queried.B),
    "many": PLAIN.take(200),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_a_result_arrives_as_it_was(docs: Collection, query: Query) -> None:
    expected = docs.run(query)

    assert_same(arrived(expected, docs), expected)


def test_a_search_arrives_as_it_was_with_its_cursor(docs: Collection) -> None:
    expected = docs.search(5, "section = 's3'", a=queried.A)

    found = arrived(expected, docs)

    assert_same(found, expected)
    second = docs.search(5, "section = 's3'", a=queried.A, after=found.cursor)
    assert set(second.ids).isdisjoint(expected.ids)


@pytest.mark.parametrize("fields", [None, [], ["size", "b"]])
def test_results_of_many_queries_arrive_as_one_message(docs: Collection, fields: list[str] | None) -> None:
    matrix = np.stack([queried.RECORDS[f"r{at:03}"]["a"] for at in range(9)])
    where = ["size < 0" if at == 4 else None for at in range(9)]
    expected = docs.search_batch(6, where, fields, a=matrix)

    content = results.alike_to_message(expected, docs.schema, explain=True).SerializeToString()
    found = results.alike_from_message(result_pb2.SearchResults.FromString(content))

    assert [len(one) for one in found] == [6, 6, 6, 6, 0, 6, 6, 6, 6]
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


def test_no_queries_have_no_results(docs: Collection) -> None:
    assert results.alike_from_message(results.alike_to_message([], docs.schema)) == []


def test_ids_that_are_numbers_arrive_as_numbers(tmp_path: Path) -> None:
    with vecdb.connect(tmp_path / "db", settings=vecdb.Settings(background=False)) as db:
        docs = db.create_collection("docs", vecdb.Schema(number=vecdb.Id("int64"), a=vecdb.Vector(2)))
        docs.upsert([{"number": -(2**63), "a": [1, 0]}, {"number": 2**63 - 1, "a": [0, 1]}])

        expected = docs.search(a=[1.0, 0.5])

        assert_same(arrived(expected, docs), expected)
        assert arrived(expected, docs).ids == [-(2**63), 2**63 - 1]


@pytest.mark.parametrize("count", [10, 100])  # few rows are read one by one, many at once
def test_fields_of_every_kind_arrive_as_they_were(tmp_path: Path, count: int) -> None:
    schema = vecdb.Schema(
        id=vecdb.Id(),
        title=vecdb.Text(search=True),
        tags=vecdb.Keyword(many=True),
        known=vecdb.Bool(),
        price=vecdb.Float64(),
        added=vecdb.Timestamp(),
        extra=vecdb.Json(),
        place=vecdb.Geo(),
        bits=vecdb.Vector(16, dtype="binary"),
        half=vecdb.Vector(3, dtype="float16"),
        small=vecdb.Vector(2, dtype="int8"),
        terms=vecdb.Sparse(),
    )
    full = {"tags": ["x", "y"], "known": True, "price": 0.1, "added": "2024-05-01T12:00:00.000001Z"}
    full |= {"extra": {"a": [1, None, "é"]}, "place": (52.5, 13.4), "bits": [1, 0] * 8, "half": [1, 2, 0.5]}
    full |= {"small": [-128, 127], "terms": {7: 0.5, 4_000_000_000: 2.0}}
    rows = [{"id": f"r{at:03}", "title": "word " * at, **(full if at % 2 else {})} for at in range(1, count)]
    with vecdb.connect(tmp_path / "db", settings=vecdb.Settings(background=False)) as db:
        docs = db.create_collection("docs", schema)
        for written in (rows[: count // 2], rows[count // 2 :]):
            docs.upsert(written)
            docs.flush()
            names = [column.name for column in schema]

            expected = docs.search(count, fields=names, title="word")

            assert len(expected) == docs.count()
            assert_same(arrived(expected, docs), expected)


def test_facets_arrive_as_they_were(docs: Collection) -> None:
    asked = {"section": None, "tags": None, "added": None, "size": [None, 10, 50.5, None]}
    expected = docs.facets(asked, k=5)

    sent = reports.facet_fields_to_message(asked)
    assert reports.facet_fields_from_message(sent) == asked
    content = reports.facets_to_message(expected).SerializeToString()
    assert reports.facets_from_message(result_pb2.Facets.FromString(content)) == expected


def test_facets_have_the_edges_as_they_were_asked_for(docs: Collection) -> None:
    asked = {"added": ["2023-11-14", "2023-11-15", None]}
    told = reports.facets_to_message(
        docs.facets(reports.facet_fields_from_message(reports.facet_fields_to_message(asked)))
    )

    assert reports.facets_from_message(told, asked) == docs.facets(asked)


@pytest.mark.parametrize("analyze", [False, True])
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_an_explanation_arrives_as_it_was(docs: Collection, query: Query, analyze: bool) -> None:
    expected = docs.explain(query, analyze)

    content = reports.explanation_to_message(expected).SerializeToString()
    found = reports.explanation_from_message(result_pb2.Explanation.FromString(content), query)

    assert str(found) == str(expected)
    assert found.to_json() == expected.to_json()


def test_reports_arrive_as_they_were(docs: Collection) -> None:
    report = docs.recall(field="a", sample=5, k=3)
    curve = vecdb.results.TuneReport(10, 100, ((16, 0.5), (32, 0.99)))

    assert reports.recall_from_message(reports.recall_to_message(report)) == report
    assert reports.tune_from_message(reports.tune_to_message(curve)) == curve


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_rows_arrive_as_they_were(docs: Collection, compression: str | None) -> None:
    batch = next(docs.scan(batch_rows=100))

    content = to_message(batch, docs.schema.columns, compression=compression).SerializeToString()
    message = values_pb2.Rows.FromString(content)
    found = from_message(message)

    assert found.equals(batch, check_metadata=True)
    assert kinds_from_message(message, found.num_columns)[-2:] == ["vector", "vector"]
    records = dict(results.python_columns(found, kinds_from_message(message, found.num_columns)))
    for at, record in enumerate(docs.get(records["id"])):
        assert record is not None
        assert all(same(records[name][at], record[name]) for name in record)


def test_rows_behind_the_first_take_its_schema(docs: Collection) -> None:
    first, second, *_ = docs.scan(batch_rows=50)
    head = to_message(first)

    assert from_message(to_message(second, with_schema=False), from_message(head).schema).equals(second)


def test_what_is_found_for_a_query_is_found_for_the_query_that_arrives(docs: Collection) -> None:
    for query in QUERIES.values():
        assert docs.run(queries.from_message(queries.to_message(query))).ids == docs.run(query).ids
