"""Binding to a schema, and masks over typed columns."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from vecdb.errors import InvalidInputError, UnknownFieldError
from vecdb.filters import Expression, bind, col, parse
from vecdb.schema import Bool, Float64, Id, Int64, Json, Keyword, Schema, Text, Timestamp, Vector

SCHEMA = Schema(
    id=Id(),
    section=Keyword(),
    tags=Keyword(many=True),
    title=Text(),
    size=Int64(),
    price=Float64(),
    archived=Bool(),
    added=Timestamp(),
    extra=Json(),
    embedding=Vector(2),
)

MAY = datetime(2024, 5, 1, tzinfo=UTC)
JUNE = datetime(2024, 6, 1, tzinfo=UTC)

ROWS: dict[str, list[Any]] = {
    "id": ["r0", "r1", "r2", "x3", "x4"],
    "section": ["games", "libs", None, "Games", "games"],
    "tags": [["new", "big"], [], None, ["big", None], ["new"]],
    "title": ["lib one", "", "libtwo", None, "été"],
    "size": [1, 2, None, -3, 2**63 - 1],
    "price": [1.0, 2.5, -0.0, None, 1e300],
    "archived": [True, False, None, False, True],
    "added": [MAY, JUNE, None, datetime(2024, 5, 1, 0, 0, 0, 1, tzinfo=UTC), MAY],
    "extra": ['{"a":1}', '{"a":"1"}', None, "[1]", '{"a":null}'],
}


def columns(rows: dict[str, list[Any]] = ROWS) -> dict[str, pa.Array]:
    """Return rows as Arrow; every second row has a vector."""
    arrays = {name: pa.array(values, SCHEMA[name].field.arrow_type) for name, values in rows.items()}
    return arrays | {"embedding": pa.array([number % 2 == 0 for number in range(len(rows["id"]))])}


def matching(expression: Expression, arrays: dict[str, pa.Array] | None = None) -> list[int]:
    """Return the numbers of the rows that match; the filter sees only the columns that it asked for."""
    bound = bind(expression, SCHEMA)
    arrays = columns() if arrays is None else arrays
    mask = bound.mask({name: arrays[name] for name in bound.columns}, len(arrays["id"]))
    assert mask.dtype == np.bool_
    assert mask.shape == (len(arrays["id"]),)
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("section = 'games'", [0, 4]),
        ("section != 'games'", [1, 3]),
        ("not section = 'games'", [1, 3]),
        ("section < 'a'", [3]),
        ("section in ('libs', 'Games', 'none')", [1, 3]),
        ("section not in ('libs')", [0, 3, 4]),
        ("section in ()", []),
        ("section not in ()", [0, 1, 3, 4]),
        ("section is null", [2]),
        ("section is not null", [0, 1, 3, 4]),
        ("section startswith 'g'", [0, 4]),
        ("section = 'games' or section is null", [0, 2, 4]),
        ("id between 'r1' and 'x3'", [1, 2, 3]),
        ("id startswith 'x'", [3, 4]),
        ("tags contains 'new'", [0, 4]),
        ("not tags contains 'new'", [1, 3]),
        ("tags any of ('new', 'big')", [0, 3, 4]),
        ("tags any of ()", []),
        ("tags all of ('new', 'big', 'new')", [0]),
        ("tags all of ()", [0, 1, 3, 4]),
        ("tags is null", [2]),
        ("title startswith ''", [0, 1, 2, 4]),
        ("title = ''", [1]),
        ("title like 'lib%'", [0, 2]),
        ("title >= 'm'", [4]),
        ("size = 2", [1]),
        ("size = 2.0", [1]),
        ("size between -3 and 1", [0, 3]),
        ("size between 2 and 1", []),
        ("size < 1.5", [0, 3]),
        ("size > -3.5", [0, 1, 3, 4]),
        ("size != 1.5", [0, 1, 3, 4]),
        ("size = 1.5", []),
        ("size = 9223372036854775807", [4]),
        ("size < 9223372036854775807.0", [0, 1, 3, 4]),
        ("size >= 9223372036854775808", []),
        ("size < 18446744073709551615", [0, 1, 3, 4]),
        ("not size > 1e300", [0, 1, 3, 4]),
        ("size in (1.0, 2.5, 18446744073709551615, 9223372036854775807)", [0, 4]),
        ("price = 1", [0]),
        ("price = 0", [2]),
        ("price in (0, 1)", [0, 2]),
        ("price in (-0.0)", [2]),
        ("price > 9007199254740993", [4]),
        ("archived = true", [0, 4]),
        ("archived != true", [1, 3]),
        ("archived in (true, false)", [0, 1, 3, 4]),
        ("added = '2024-05-01'", [0, 4]),
        ("added > timestamp '2024-05-01'", [1, 3]),
        ("added between '2024-05-01' and '2024-05-31T23:59:59Z'", [0, 3, 4]),
        ("added in ('2024-06-01T02:00:00+02:00')", [1]),
        ("embedding is null", [1, 3]),
        ("embedding is not null and archived = true", [0, 4]),
        ("extra.a = 1 or section = 'libs'", [0, 1]),
        ("section = 'games' and extra.a is null", [4]),
        ("(section = 'games' or size = 2) and extra.a is not null and extra.a != 2", [0]),
        ("section = 'none' and extra.a = 1", []),
    ],
)
def test_a_filter_matches_the_rows_for_which_it_is_true(text: str, rows: list[int]) -> None:
    assert matching(parse(text)) == rows


@pytest.mark.parametrize(
    "text", ["tags contains 'new'", "section = 'games'", "size in (1)", "size < 1e300", "extra.a = 1"]
)
def test_slices_of_columns_and_empty_columns_work(text: str) -> None:
    expression = parse(text)
    whole = matching(expression)

    for start in range(6):
        sliced = {name: array.slice(start, 3) for name, array in columns().items()}
        assert matching(expression, sliced) == [row - start for row in whole if start <= row < start + 3]


def test_a_column_of_nothing_but_nulls_matches_nothing() -> None:
    arrays = columns({name: [None] * 3 if name != "id" else ["a", "b", "c"] for name in ROWS})

    for text in ["tags contains 'x'", "size < 1e300", "size in (1)", "title startswith ''", "extra.a != 1"]:
        assert matching(parse(text), arrays) == []
        assert matching(~parse(text), arrays) == []


def test_an_int64_id_is_compared_as_a_number() -> None:
    bound = bind(col("id") >= 2.5, Schema(id=Id("int64")))

    assert bound.mask({"id": pa.array([2, 3])}, 2).tolist() == [False, True]


def test_integers_and_floats_compare_exactly_where_a_float_cannot_hold_the_integer() -> None:
    big = 2**53
    arrays = columns() | {"size": pa.array([big - 1, big, big + 1, None, 0])}
    assert matching(col("size") == float(big), arrays) == [1]
    assert matching(col("size") > float(big), arrays) == [2]

    floats = columns() | {"price": pa.array([float(big), float(big + 2), None, None, 0.0])}
    assert matching(col("price") == big + 1, floats) == []
    assert matching(col("price") <= big + 1, floats) == [0, 4]
    assert matching(col("price") >= big + 1, floats) == [1]
    assert matching(col("price") < big + 3, floats) == [0, 1, 4]
    assert matching(col("price").isin([big + 1, big + 2]), floats) == [1]


def test_a_bound_filter_names_exactly_the_columns_it_reads() -> None:
    bound = bind(parse("section = 'a' and (size > 1 or not extra.a = 1) and embedding is null"), SCHEMA)

    assert bound.columns == {"section", "size", "extra", "embedding"}


def test_the_mask_is_the_callers_to_change() -> None:
    bound = bind(parse("size = 1"), SCHEMA)

    bound.mask(columns(), 5)[:] = True

    assert np.flatnonzero(bound.mask(columns(), 5)).tolist() == [0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("size = 'large'", r"'size' holds integers and cannot be compared with 'large' \(text\)"),
        ("size > '10'", "leave the quotes out, 10"),
        ("size = true", r"with true \(bool\)"),
        ("size = timestamp '2024-05-01'", "timestamp"),
        ("size startswith '1'", "'startswith' does not apply to field 'size', which holds integers"),
        ("price in (1, 'x')", "'price' holds numbers"),
        ("section = 2020", "put it in quotes, '2020'"),
        ("section in ('a', true)", "put it in quotes, 'true'"),
        ("section contains 'x'", "section startswith 'x'"),
        ("title any of ('x')", r"title in \(...\)"),
        ("tags = 'x'", "tags contains 'x'"),
        ("tags in ('x')", r"tags any of \(...\)"),
        ("tags contains 3", "put it in quotes, '3'"),
        ("archived = 1", "write true or false"),
        ("archived < true", "'<' does not apply to field 'archived'.*takes: =, !=, in, is null"),
        ("added = 'soon'", r"'soon' \(text\) is not one in ISO 8601"),
        ("added > 1714521600", "timestamp '2024"),
        ("embedding = 1", r"holds vectors \(it takes: is null\)"),
        ("section.a = 1", "'section', which is of kind keyword: only json fields have paths"),
        ("embedding.a is null", "only json fields have paths"),
        ("extra.a < true", "no order"),
        ("extra.a between 1 and 'x'", "one type"),
        ("id = 3", "'id' holds text"),
    ],
)
def test_a_filter_that_does_not_fit_the_schema_says_why(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words) as caught:
        bind(parse(text), SCHEMA)

    assert caught.value.field is not None


@pytest.mark.parametrize("text", ["sectoin = 'x'", "size = 1 and sectoin.a = 'x'", "not sectoin is null"])
def test_an_unknown_field_is_refused_with_the_close_one(text: str) -> None:
    with pytest.raises(UnknownFieldError, match=r"sectoin.*section"):
        bind(parse(text), SCHEMA)


def test_binding_something_else_than_a_tree_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="not a filter"):
        bind("size = 1", SCHEMA)  # type: ignore[arg-type]
