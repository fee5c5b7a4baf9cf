"""Facets through the public API: which rows are counted, what comes back, what is refused."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vecdb
from support.spread import WAYS, rows, spread
from vecdb import Collection, Query
from vecdb.errors import InvalidInputError, UnknownFieldError

RECORDS = rows()
A = np.linspace(-1, 1, 16).astype(np.float32)


@pytest.fixture(scope="module", params=WAYS)
def docs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    yield from spread(tmp_path_factory.mktemp("facets"), request.param)


def test_rows_that_pass_a_filter_are_counted_in_one_call(docs: Collection):
    found = docs.facets(["section", "tags"], where="size < 50", k=100)

    passing = [row for row in RECORDS if row["size"] is not None and row["size"] < 50]
    assert found.rows == len(passing)
    assert found["section"].to_dict() == Counter(row["section"] for row in passing if row["section"] is not None)
    assert found["section"].nulls == sum(row["section"] is None for row in passing)
    assert found["tags"].to_dict() == Counter(tag for row in passing for tag in set(row["tags"] or []))
    assert found["tags"].nulls == sum(row["tags"] is None for row in passing)
    assert found["section"].least is None


def test_the_candidates_of_a_query_are_counted_and_not_only_its_best(docs: Collection):
    query = Query(k=3).near("a", A, fetch=40).where("free = true")

    found = docs.facets("section", where="size >= 10", query=query, k=100)

    hits = docs.run(query.take(40).where("size >= 10").returning("section"))
    assert found.rows == len(hits) == 40
    assert found["section"].to_dict() == Counter(hit["section"] for hit in hits if hit["section"] is not None)


def test_a_row_in_several_groups_counts_once(docs: Collection):
    found = docs.facets("section", query=Query(k=100).order_by("id").group_by("tags", 100))

    tagged = sum(bool(row["tags"]) for row in RECORDS)
    assert found.rows == tagged


def test_ranges_of_numbers_and_moments_have_open_ends_or_tell_what_is_outside(docs: Collection):
    found = docs.facets({"size": [0, 50, None], "price": (2.5, 5), "added": ["2024-05-01T00:00:00.000010Z", None]})

    sizes = [row["size"] for row in RECORDS if row["size"] is not None]
    prices = [row["price"] for row in RECORDS if row["price"] is not None]
    moment = datetime(2024, 5, 1, microsecond=10, tzinfo=UTC)
    assert [count for _, count in found["size"]] == [
        sum(size < 50 for size in sizes),
        sum(size >= 50 for size in sizes),
    ]
    assert found["size"].outside == 0
    assert found["price"][0].count == sum(2.5 <= price < 5 for price in prices)
    assert found["price"].outside == len(prices) - found["price"][0].count
    assert found["added"][0].count == sum(row["added"] is not None and row["added"] >= moment for row in RECORDS)
    assert found["price"].mean == pytest.approx(np.mean(prices))


def test_what_comes_back_is_a_value_that_tables_and_people_can_read(docs: Collection):
    found = docs.facets({"section": None, "size": [0, 50, None], "free": None}, k=2)

    assert list(found) == ["section", "size", "free"]
    assert found == docs.facets({"section": None, "size": [0, 50, None], "free": None}, k=2)
    first = found["section"][0]
    assert found.to_list()[0] == {"field": "section", "value": first.value, "count": first.count}
    assert found.to_arrow().schema.names == ["field", "value", "count"]
    assert found.to_pandas()["value"].tolist()[2:4] == ["0 to 50", "50 and more"]
    assert found["size"].to_arrow().to_pylist() == found["size"].to_list()
    assert found["free"].to_arrow().schema.field("value").type == pa.bool_()
    told = repr(found)
    assert told.startswith(f"Facets({len(RECORDS)} rows)\n  section: {first.value} {first.count} · ")
    assert "… 11 more values · null" in told
    assert "0 to 50" in told
    with pytest.raises(KeyError):
        found["price"]
    with pytest.raises(AttributeError):
        found.rows = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_no_rows_have_facets_too(docs: Collection):
    found = docs.facets({"section": None, "size": [0, 1]}, where="size > 1000")

    assert found.rows == 0
    assert list(found["section"]) == []
    assert [count for _, count in found["size"]] == [0]
    assert found["section"].to_arrow().num_rows == 0
    assert "no rows" in repr(found["section"])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([], "at least one"),
        (7, "expected a list of fields, or a dict with edges"),
        ("a", "cannot count field 'a', which is vector"),
        ("id", "which is id"),
        ({"section": [1, 2]}, "ranges are of numbers"),
        ({"size": [1]}, "has 1 edges"),
        ({"size": "1,2"}, "expected a list"),
        ({"size": [2, 2]}, "do not ascend"),
        ({"size": [0, None, 2]}, "only the first and the last"),
        ({"size": [0, float("nan")]}, "no finite number"),
        ({"size": [0, 10**400]}, "no finite number"),
        ({"size": [False, 2]}, "no finite number"),
        ({"added": [1, "2024-05-01"]}, "edge 1 of 'added'"),
        ({"added": ["soon", None]}, "ISO-8601"),
    ],
)
def test_what_cannot_be_counted_is_refused(docs: Collection, fields: Any, said: str):
    with pytest.raises(InvalidInputError, match=said):
        docs.facets(fields)


def test_names_and_queries_are_checked(docs: Collection):
    with pytest.raises(UnknownFieldError, match="sections"):
        docs.facets("sections")
    with pytest.raises(InvalidInputError, match="leave after"):
        docs.facets("section", query=vecdb.Query().order_by("size").after("x"))
