"""Everything in pieces: ordered scans that go on where they stopped, all pages of a query, rows like rows."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.spread import WAYS, rows, spread
from vecdb import Collection, Query
from vecdb.errors import InvalidInputError, NotFoundError
from vecdb.planner import pages

RECORDS = {row["id"]: row for row in rows()}
A = np.linspace(-1, 1, 16).astype(np.float32)
B = np.arange(8, dtype=np.float32) / 4


@pytest.fixture(scope="module", params=WAYS)
def docs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    yield from spread(tmp_path_factory.mktemp("all"), request.param)


def ordered(keys: list[tuple[str, bool]], ids: Any = RECORDS) -> list[str]:
    """Sort ids the plain way: by the last key first, nulls behind the values, then by id."""
    out = sorted(ids)
    for name, descends in reversed(keys):
        some = [one for one in out if RECORDS[one][name] is not None]
        # sorted(reverse=True) keeps equal ones in their order.
        some = sorted(some, key=lambda one: RECORDS[one][name], reverse=descends)
        out = some + [one for one in out if RECORDS[one][name] is None]
    return out


ORDERS: list[tuple[Any, list[tuple[str, bool]]]] = [
    ("size desc", [("size", True)]),
    ("added", [("added", False)]),
    (("section", "price desc"), [("section", False), ("price", True)]),
    ("free desc", [("free", True)]),
    ("id", [("id", False)]),
    ("id desc", [("id", True)]),
]


def ids_of(batches: Any) -> list[str]:
    return [one for batch in batches for one in batch.column("id").to_pylist()]


# -- ordered scans ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order_by", "keys"), ORDERS)
def test_a_scan_has_an_order(docs: Collection, order_by: Any, keys: list[tuple[str, bool]]):
    found = list(docs.scan(order_by=order_by, batch_rows=64))

    assert ids_of(found) == ordered(keys)
    assert [batch.num_rows for batch in found] == [64, 64, 64, 64, 44]
    assert found[0].schema.equals(docs.schema.arrow_schema())
    for batch in found:
        for row in batch.to_pylist():
            expected = RECORDS[row["id"]]
            assert {name: row[name] for name in row if name not in ("a", "b")} == {
                name: expected[name] for name in row if name not in ("a", "b")
            }
            assert np.array_equal(row["a"], expected["a"])
            assert (row["b"] is None) == (expected["b"] is None)


@pytest.mark.parametrize(("order_by", "keys"), ORDERS)
def test_a_scan_goes_on_behind_any_batch(docs: Collection, order_by: Any, keys: list[tuple[str, bool]]):
    passing = [one for one, row in RECORDS.items() if row["size"] is not None and row["size"] < 60]
    seen, cursor = [], None
    while True:
        scan = docs.scan("size < 60", ["size"], 37, order_by=order_by, after=cursor)
        assert scan.cursor is None
        batch = next(scan, None)
        if batch is None:
            break
        assert batch.schema.names == ["id", "size"]
        seen += batch.column("id").to_pylist()
        cursor = scan.cursor

    assert seen == ordered(keys, passing)


def test_rows_that_come_later_are_found_behind_the_cursor_and_no_row_comes_twice(tmp_path: Path):
    for docs in spread(tmp_path, "many segments"):
        scan = docs.scan(fields=[], order_by="size", batch_rows=100)
        first = next(scan).column("id").to_pylist()
        docs.upsert({"id": "new", "size": 10_000})
        docs.delete(first[-1])
        docs.compact()

        rest = ids_of(docs.scan(fields=[], order_by="size", after=scan.cursor))

        behind = ordered([("size", False)])[100:]
        nulls = [one for one in behind if RECORDS[one]["size"] is None]
        assert rest == [one for one in behind if one not in nulls] + ["new"] + nulls
        assert ids_of(scan) == behind  # the scan itself stays in the state that it began with


def test_storage_order_is_the_default_and_has_no_cursor(docs: Collection):
    scan = docs.scan(batch_rows=100)

    assert sorted(ids_of(scan)) == sorted(RECORDS)
    assert scan.cursor is None
    with pytest.raises(InvalidInputError, match="after needs order_by"):
        docs.scan(after="x")


def test_a_cursor_of_a_scan_is_that_of_the_search_in_the_same_order(docs: Collection):
    scan = docs.scan("size < 60", [], 50, order_by="size desc")
    next(scan)

    found = docs.search(where="size < 60", order_by="size desc", k=5, after=scan.cursor)

    assert found.ids == next(scan).column("id").to_pylist()[:5]


def test_scans_refuse_what_they_cannot_order_by(docs: Collection):
    scan = docs.scan(order_by="size")
    next(scan)

    for order_by, said in (("score", "no scores"), ("tags", "order_by cannot use"), ("a", "order_by cannot use")):
        with pytest.raises(InvalidInputError, match=said):
            docs.scan(order_by=order_by)
    with pytest.raises(InvalidInputError, match="belongs to another query"):
        docs.scan(order_by="price", after=scan.cursor)
    with pytest.raises(InvalidInputError, match="not one of vecdb"):
        docs.scan(order_by="size", after="nonsense")


# -- all pages -------------------------------------------------------------------------------------------------------

QUERIES = [
    Query(k=13).near("a", A, where="size < 80"),
    Query(k=13).near("b", B).exactly(),
    Query(k=11).near("a", A).near("b", B),
    Query(k=7).near("a", A, fetch=60).near("b", B, fetch=60).where("size > 10"),
    Query(k=9).order_by("size desc").where("price < 6"),
    Query(k=5).near("a", A).collapse("section"),
    Query(k=6).near("a", A).min_score(0.2),
    Query(k=40).like("a", ["r000"], strategy="sum"),
]


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_all_pages_are_those_that_the_cursors_lead_to(docs: Collection, query: Query):
    expected, cursor = [], None
    while True:
        page = docs.run(query.after(cursor))
        if len(page):
            expected.append(page)
        cursor = page.cursor
        if cursor is None:
            break

    found = list(docs.run_iter(query))

    assert [page.to_list() for page in found] == [page.to_list() for page in expected]
    assert [page.cursor is None for page in found[:-1]] == [False] * (len(found) - 1)
    for page, following in pairwise(found):
        assert docs.run(query.after(page.cursor)).ids == following.ids
    everything = [one for page in found for one in page.ids]
    assert len(set(everything)) == len(everything) > query.k


def test_pages_cost_a_few_searches_and_begin_behind_a_cursor(docs: Collection, monkeypatch: pytest.MonkeyPatch):
    query = Query(k=3).order_by("size")
    cursor = docs.run(query).cursor
    runs: list[int] = []
    run = pages.run

    def counted(state: Any, bound: Any, pool: Any) -> Any:
        runs.append(bound.query.k)
        return run(state, bound, pool)

    monkeypatch.setattr(pages, "run", counted)

    found = [one for page in docs.run_iter(query.after(cursor)) for one in page.ids]

    assert found == ordered([("size", False)])[3:]
    assert runs == [3, 6, 12, 24, 48, 96, 192]


def test_groups_are_one_page_and_nothing_is_none(docs: Collection):
    (page,) = docs.run_iter(Query(k=2).near("a", A).group_by("section"))

    assert page.groups is not None
    assert [group.value for group in page.groups] == [
        group.value for group in docs.run(Query(k=2).near("a", A).group_by("section")).groups or []
    ]
    assert list(docs.run_iter(Query().near("a", A).where("size > 1000"))) == []


def test_pages_see_one_state_and_arguments_are_checked_before_the_first(tmp_path: Path):
    for docs in spread(tmp_path, "one segment"):
        iterator = docs.run_iter(Query(k=50).near("a", A))
        first = next(iterator).ids
        docs.delete(where="size < 90")

        rest = [one for page in iterator for one in page.ids]

        assert sorted(first + rest) == sorted(RECORDS)
        with pytest.raises(InvalidInputError, match="belongs to another query"):
            docs.run_iter(Query().near("a", A).after(docs.run(Query().near("b", B)).cursor))
        with pytest.raises(InvalidInputError):
            docs.run_iter(Query().near("a", A[:3]))


def test_search_iter_takes_several_fields(docs: Collection):
    found = list(docs.search_iter(a=A, b=B, k=20, where="size < 50", fields=["size"]))

    expected = docs.search(a=A, b=B, k=20, where="size < 50", fields=["size"])
    assert found[0].to_list() == expected.to_list()
    assert len({one for page in found for one in page.ids}) > 40


# -- rows like rows --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["average", "best", "sum"])
def test_similar_rows_are_those_of_the_query_and_the_examples_are_left_out(docs: Collection, strategy: Any):
    like, unlike = sorted(RECORDS)[:2], sorted(RECORDS)[2:4]

    found = docs.similar_to(like, unlike, strategy, field="a", k=9, where="size < 70", fields=["size"], exact=True)

    asked = Query(k=9).like("a", like, unlike, strategy).where("size < 70").returning("size").exactly()
    assert found.to_list() == docs.run(asked).to_list()
    assert not set(found.ids) & {*like, *unlike}
    more = docs.similar_to(
        like, unlike, strategy, field="a", k=9, where="size < 70", fields=["size"], exact=True, after=found.cursor
    )
    assert more.ids == docs.run(asked.take(18)).ids[9:]


def test_one_id_is_enough_and_the_only_vector_field_needs_no_name(tmp_path: Path):
    with vecdb.connect(tmp_path) as db:
        docs = db.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(2)))
        docs.upsert({"id": [1, 2, 3], "v": [[1, 0], [1, 0.1], [0, 1]]})

        assert docs.similar_to(1).ids == [2, 3]
        assert docs.similar_to(np.array([1]), not_like=np.int64(2), k=1).ids == [3]
        with pytest.raises(NotFoundError):
            docs.similar_to(7)
        with pytest.raises(InvalidInputError, match="the ids of 'docs' are int64"):
            docs.similar_to("1")


def test_with_two_vector_fields_one_is_named(docs: Collection):
    with pytest.raises(InvalidInputError, match="name the vector field"):
        docs.similar_to("r000")
