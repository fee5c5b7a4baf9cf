"""Laws of facets: what they count is what pandas counts, whatever the values and however the rows are spread."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vecdb
from vecdb import Collection
from vecdb.facets import Range

SCHEMA = vecdb.Schema(
    id=vecdb.Id("int64"),
    section=vecdb.Keyword(),
    tags=vecdb.Keyword(many=True),
    size=vecdb.Int64(),
    price=vecdb.Float64(),
    free=vecdb.Bool(),
    added=vecdb.Timestamp(),
)
BEGIN = datetime(1, 1, 1, tzinfo=UTC)
texts = st.sampled_from(["", "a", "b", "B", "é", "日"])
integers = st.sampled_from([-(2**63), -7, -1, 0, 1, 2**53, 2**53 + 1, 2**63 - 1]) | st.integers(-3, 3)
floats = st.sampled_from([-0.0, 0.0, 0.1, -1.5, 2.0**53, 1e300]) | st.integers(-3, 3).map(float)
moments = st.integers(0, 5).map(lambda micros: datetime(2024, 5, 1, tzinfo=UTC) + timedelta(microseconds=micros)) | (
    st.sampled_from([BEGIN, datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)])
)
records = st.fixed_dictionaries(
    {
        "section": st.none() | texts,
        "tags": st.none() | st.lists(texts, max_size=4),
        "size": st.none() | integers,
        "price": st.none() | floats,
        "free": st.none() | st.booleans(),
        "added": st.none() | moments,
    }
)
numbers = integers | floats | st.sampled_from([10**30, -(10**30), 0.5])


@pytest.fixture(scope="module")
def docs() -> Iterator[Collection]:
    """One collection for all examples: the rows of those before are deleted, and their segments remain."""
    with vecdb.connect(":memory:", settings=vecdb.Settings(background=False, durability="none")) as db:
        yield db.create_collection("docs", SCHEMA)


def fill(docs: Collection, rows: list[dict[str, Any]], flushes: list[int]) -> None:
    docs.delete(where="id is not null")
    cuts = sorted({0, len(rows), *(at for at in flushes if at < len(rows))})
    for first, last in pairwise(cuts):
        docs.upsert([{"id": at} | rows[at] for at in range(first, last)])
        if last in flushes:
            docs.flush()


def edges_of(drawn: list[Any], open_ends: tuple[bool, bool]) -> list[Any]:
    distinct: list[Any] = []
    for edge in sorted(drawn):
        if not distinct or edge > distinct[-1]:
            distinct.append(edge)
    return [None] * open_ends[0] + distinct + [None] * open_ends[1]


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(records, max_size=12),
    flushes=st.lists(st.integers(0, 11), max_size=2),
    k=st.integers(1, 4),
)
def test_values_are_counted_as_pandas_counts_them(
    docs: Collection, rows: list[dict[str, Any]], flushes: list[int], k: int
):
    fill(docs, rows, flushes)

    found = docs.facets(["section", "tags", "size", "price", "free", "added"], k=k)

    assert found.rows == len(rows)
    for name, facet in found.items():
        values = pd.Series([row[name] for row in rows], dtype=object)
        given_ = values.dropna()
        if name == "tags":
            given_ = given_.map(lambda tags: sorted(set(tags))).explode().dropna()
        expected = given_.value_counts().to_dict()
        assert facet.distinct == len(expected)
        assert facet.nulls == int(values.isna().sum())
        ranked = sorted(
            expected.items(), key=lambda pair: (-pair[1], pair[0].encode() if name in ("section", "tags") else pair[0])
        )
        assert list(facet) == ranked[:k]


@settings(deadline=None, max_examples=80)
@given(
    rows=st.lists(records, max_size=12),
    flushes=st.lists(st.integers(0, 11), max_size=2),
    field=st.sampled_from(["size", "price"]),
    drawn=st.lists(numbers, min_size=2, max_size=5).filter(lambda edges: max(edges) > min(edges)),
    open_ends=st.tuples(st.booleans(), st.booleans()),
)
def test_ranges_and_measures_are_exact(
    docs: Collection,
    rows: list[dict[str, Any]],
    flushes: list[int],
    field: str,
    drawn: list[Any],
    open_ends: tuple[bool, bool],
):
    edges = edges_of(drawn, open_ends)
    fill(docs, rows, flushes)

    facet = docs.facets({field: edges})[field]

    values = [row[field] for row in rows if row[field] is not None]
    expected = [
        (Range(low, high), sum((low is None or low <= value) and (high is None or value < high) for value in values))
        for low, high in pairwise(edges)
    ]
    assert list(facet) == expected
    assert facet.outside == len(values) - sum(count for _, count in expected)
    assert facet.nulls == len(rows) - len(values)
    if values:
        assert (facet.least, facet.greatest) == (min(values), max(values))
        exact = sum(map(Fraction, values)) / len(values)
        assert facet.mean == pytest.approx(float(exact), rel=1e-12, abs=1e-3 if field == "price" else 0)
    else:
        assert (facet.least, facet.greatest, facet.mean) == (None, None, None)


@settings(deadline=None, max_examples=30)
@given(rows=st.lists(records, min_size=1, max_size=12), low=moments, high=moments)
def test_moments_keep_their_microseconds(docs: Collection, rows: list[dict[str, Any]], low: datetime, high: datetime):
    edges: list[Any] = [low, high] if low < high else [None, low, None]
    fill(docs, rows, [3])

    facet = docs.facets({"added": edges})["added"]

    values = [row["added"] for row in rows if row["added"] is not None]
    counts = [
        sum((start is None or start <= value) and (end is None or value < end) for value in values)
        for start, end in pairwise(edges)
    ]
    assert [count for _, count in facet] == counts
    if values:
        assert (facet.least, facet.greatest) == (min(values), max(values))
        # Exact where the moments are near each other; the whole of time has more microseconds than float64.
        exact = BEGIN + sum((value - BEGIN for value in values), timedelta()) / len(values)
        slack = timedelta(microseconds=1) if max(values) - min(values) < timedelta(1) else timedelta(milliseconds=1)
        assert abs(facet.mean - exact) <= slack
