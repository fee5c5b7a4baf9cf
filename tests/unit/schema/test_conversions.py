"""One column from another Arrow type or Python type to the type of its field."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from vecdb.errors import InvalidInputError
from vecdb.schema import (
    Bool,
    Field,
    Float64,
    Id,
    Int64,
    Json,
    Keyword,
    Schema,
    Text,
    Timestamp,
    validated_batch,
)

MOMENT = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)


def column(field: Field, values: Any) -> list[Any]:
    ids = [f"{row}" for row in range(len(values))]
    batch = validated_batch({"id": ids, "x": values}, Schema(id=Id(), x=field))
    batch.validate(full=True)
    assert batch.column("x").type == field.arrow_type
    return batch.column("x").to_pylist()


STRINGS = pa.array(["a", None, "ü"])
LISTS = pa.array([["a", "b"], None, [], ["c"]])


@pytest.mark.parametrize("field", [Text(), Keyword()])
@pytest.mark.parametrize(
    "source",
    [
        STRINGS,
        STRINGS.cast(pa.large_string()),
        STRINGS.cast(pa.string_view()),
        STRINGS.dictionary_encode(),
        STRINGS.cast(pa.large_string()).dictionary_encode(),
        pa.RunEndEncodedArray.from_arrays(pa.array([1, 2, 3], pa.int32()), STRINGS),
        pa.concat_arrays([pa.array(["zz"]), STRINGS]).slice(1),
        pa.chunked_array([STRINGS.slice(0, 1), STRINGS.slice(1)]),
        pa.chunked_array([pa.array(["a", None]).dictionary_encode(), pa.array(["ü"]).dictionary_encode()]),
    ],
)
def test_every_layout_of_strings_is_read(field: Field, source: Any) -> None:
    assert column(field, source) == ["a", None, "ü"]


@pytest.mark.parametrize(
    "source",
    [
        LISTS,
        LISTS.cast(pa.large_list(pa.large_string())),
        LISTS.cast(pa.list_(pa.string_view())),
        pa.array(LISTS.to_pylist(), pa.list_view(pa.string())),
        pa.array([["zz"], ["a", "b"], None, [], ["c"]]).slice(1),
        pa.chunked_array([LISTS.slice(0, 1), LISTS.slice(1)]),
        pa.ListArray.from_arrays(pa.array([0, 2, None, 2, 3]), pa.array(["a", "b", "c"]).dictionary_encode()),
        [["a", "b"], None, [], ["c"]],
        [("a", "b"), None, np.array([], dtype=object), np.array(["c"])],
    ],
)
def test_every_layout_of_lists_of_strings_is_read(source: Any) -> None:
    expected = [["a", "b"], None, [], ["c"]]
    if isinstance(source, pa.Array) and source.to_pylist() != expected:
        expected = source.to_pylist()
    assert column(Keyword(many=True), source) == expected


def test_a_fixed_size_list_of_strings_is_read() -> None:
    assert column(Keyword(many=True), pa.array([["a", "b"], None], pa.list_(pa.string(), 2))) == [["a", "b"], None]


@pytest.mark.parametrize(
    "type_", [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
)
def test_every_width_of_integer_is_read_as_int64_float64_and_id(type_: pa.DataType) -> None:
    source = pa.array([1, None, 127], type_)

    assert column(Int64(), source) == [1, None, 127]
    assert column(Float64(), source) == [1.0, None, 127.0]
    ids = validated_batch(pa.table({"n": pa.array([1, 2], type_)}), Schema(n=Id("int64"))).column("n")
    assert ids.equals(pa.array([1, 2]))


@pytest.mark.parametrize("source", [[1, None, np.int8(127)], np.array([1, 2, 127]), [np.uint64(1), None, 127]])
def test_python_and_numpy_integers_are_read(source: Any) -> None:
    assert column(Int64(), source)[0::2] == [1, 127]


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1])
def test_the_smallest_and_largest_int64_are_read(value: int) -> None:
    assert column(Int64(), [value, 0]) == [value, 0]
    assert column(Int64(), pa.array([value])) == [value]


@pytest.mark.parametrize("type_", [pa.float16(), pa.float32(), pa.float64()])
def test_every_width_of_float_is_read_as_float64(type_: pa.DataType) -> None:
    assert column(Float64(), pa.array([np.float16(1.5), None, np.float16(-0.25)], type_)) == [1.5, None, -0.25]


@pytest.mark.parametrize("source", [[1.5, None, 2], [np.float32(1.5), None, np.int8(2)]])
def test_python_and_numpy_floats_are_read(source: Any) -> None:
    assert column(Float64(), source) == [1.5, None, 2.0]


@pytest.mark.parametrize("source", [pa.array([True, None, False]), [True, None, False], [np.True_, None, np.False_]])
def test_bools_are_read(source: Any) -> None:
    assert column(Bool(), source) == [True, None, False]


def test_a_column_of_only_nulls_fits_every_field() -> None:
    for source in (pa.nulls(2), pa.array([None, None], pa.float64()), [None, None]):
        for field in (Text(), Keyword(many=True), Bool(), Int64(), Float64(), Timestamp(), Json()):
            assert column(field, source) == [None, None]


@pytest.mark.parametrize(
    "source",
    [
        pa.array([MOMENT, None], pa.timestamp("s", tz="UTC")),
        pa.array([MOMENT, None], pa.timestamp("ms", tz="Europe/Berlin")),
        pa.array([MOMENT, None], pa.timestamp("us", tz="+05:30")),
        pa.array([MOMENT, None], pa.timestamp("ns", tz="UTC")),
        pa.array([MOMENT.replace(tzinfo=None), None], pa.timestamp("us")),
        pa.array([MOMENT, MOMENT, None], pa.timestamp("us", tz="UTC")).slice(1),
        pa.array(["2024-05-01T12:30:00Z", None]),
        [MOMENT, None],
        [MOMENT.replace(tzinfo=None), None],
        [MOMENT.astimezone(timezone(timedelta(hours=-7))), None],
        ["2024-05-01 12:30", None],
        [pd.Timestamp("2024-05-01T14:30", tz="Europe/Berlin"), pd.NaT],
        [np.datetime64("2024-05-01T12:30"), np.datetime64("NaT")],
        np.array(["2024-05-01T12:30", "NaT"], dtype="datetime64[ns]"),
    ],
)
def test_every_form_of_a_moment_is_read_and_without_a_zone_is_utc(source: Any) -> None:
    assert column(Timestamp(), source) == [MOMENT, None]


@pytest.mark.parametrize(
    "source", [pa.array([date(1969, 12, 31)], pa.date32()), pa.array([date(1969, 12, 31)], pa.date64())]
)
def test_a_date_is_its_first_moment(source: pa.Array) -> None:
    assert column(Timestamp(), source) == [datetime(1969, 12, 31, tzinfo=UTC)]


def test_digits_below_a_microsecond_are_dropped_towards_the_past() -> None:
    nanoseconds = pa.array([1_999, -1], pa.int64()).view(pa.timestamp("ns"))

    micros = [value.microsecond for value in column(Timestamp(), nanoseconds)]

    assert micros == [1, 999_999]
    assert column(Timestamp(), np.array([1_999, -1], "datetime64[ns]")) == column(Timestamp(), nanoseconds)


def test_json_columns_of_every_arrow_type_become_canonical_text() -> None:
    struct = pa.array([{"b": 1, "a": [1.5, None]}, None])
    mapping = pa.array([[("b", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64()))

    assert column(Json(), struct) == ['{"a":[1.5,null],"b":1}', None]
    assert column(Json(), mapping) == ['{"a":2,"b":1}']
    assert column(Json(), pa.array([[1, 2]])) == ["[1,2]"]
    assert column(Json(), pa.array([1, 2])) == ["1", "2"]
    assert column(Json(), pa.array(['{ "b":1, "a":2 }', "null"])) == ['{"a":2,"b":1}', None]


WRONG: list[tuple[Field, Any, int, str]] = [
    (Text(), ["a", 5], 1, r"5 \(int\) is not a str"),
    (Text(), ["a", b"b"], 1, r"b'b' \(bytes\) is not a str"),
    (Text(), ["a", float("nan")], 1, "a missing value is None"),
    (Text(), ["a", "\ud800"], 1, "is not valid Unicode"),
    (Text(), pa.array([None, 5]), 1, "5 in a column of int64 is not a text"),
    (Text(), pa.array([b"a"]), 0, "in a column of binary is not a text"),
    (Text(), pa.array([2**31 - 1], pa.int32()).view(pa.date32()), 0, "in a column of date32.* is not a text"),
    (Keyword(), pa.array([["a"]]), 0, "is not a keyword"),
    (Keyword(many=True), ["a"], 0, "a single keyword is written"),
    (Keyword(many=True), [["a"], np.array("a")], 1, "a single keyword is written"),
    (Keyword(many=True), [["a"], ["a", 5]], 1, "5 in the list is not a str"),
    (Keyword(many=True), [["a"], ["a", None]], 1, "None in the list is not a str"),
    (Keyword(many=True), pa.array(["a"]), 0, "'a' in a column of string is not a keyword"),
    (Keyword(many=True), pa.array([None, [1]]), 1, "is not a keyword"),
    (Keyword(many=True), pa.array([["a"], ["b", None]]), 1, "holds a null"),
    (Bool(), [True, 1], 1, r"1 \(int\) is not a bool"),
    (Bool(), np.array([0, 1]), 0, "0 in a column of int64 is not a bool"),
    (Int64(), [1, True], 1, r"True \(bool\) is not an int"),
    (Int64(), [1, 1.0], 1, r"1.0 \(float\) is not an int"),
    (Int64(), [1, 2**63], 1, "9223372036854775808 does not fit 64 bits"),
    (Int64(), ["1"], 0, r"'1' \(str\) is not an int"),
    (Int64(), pa.array([1, 2**64 - 1], pa.uint64()), 1, "18446744073709551615 does not fit 64 bits"),
    (Int64(), np.array([1.0]), 0, "1.0 in a column of double is not a int64"),
    (Int64(), np.array([True]), 0, "True in a column of bool is not a int64"),
    (Float64(), [1.0, float("nan")], 1, "nan is not finite; a missing value is None"),
    (Float64(), [1.0, float("-inf")], 1, "-inf is not finite"),
    (Float64(), [1.0, 10**400], 1, "is not finite"),
    (Float64(), [1.0, 2**53 + 1], 1, "more than the 53 bits"),
    (Float64(), [True], 0, r"True \(bool\) is not a number"),
    (Float64(), np.array([1.0, np.nan]), 1, "nan is not finite; a missing value is null"),
    (Float64(), pa.array([1.0, None, np.inf]), 2, "inf is not finite"),
    (Float64(), pa.array([0, -(2**53) - 1]), 1, "more than the 53 bits"),
    (Float64(), pa.array([0, 2**64 - 1], pa.uint64()), 1, "more than the 53 bits"),
    (Float64(), pa.array(["1"]), 0, "'1' in a column of string is not a float64"),
    (Timestamp(), ["2024-05-01", "May"], 1, "'May' is not an ISO-8601 time"),
    (Timestamp(), pa.array(["2024-05-01", None, "May"]), 2, "'May' is not an ISO-8601 time"),
    (Timestamp(), [0], 0, r"0 \(int\) is not a datetime"),
    (Timestamp(), [datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))], 0, "outside the years 1 to 9999"),
    (Timestamp(), np.array(["2024", "10000"], "datetime64[Y]"), 1, "outside the years 1 to 9999"),
    (Timestamp(), pa.array([0, 2**62], pa.int64()).view(pa.timestamp("s")), 1, "outside the years 1 to 9999"),
    (Timestamp(), pa.array([0, 2**62], pa.int64()).view(pa.timestamp("us")), 1, "outside the years 1 to 9999"),
    (Timestamp(), pa.array([0, 2**31 - 1], pa.int32()).view(pa.date32()), 1, "outside the years 1 to 9999"),
    (Timestamp(), pa.array([5]), 0, "5 in a column of int64 is not a timestamp"),
    (Json(), ["{}", "hello"], 1, "'hello' is not JSON .*json.dumps makes one"),
    (Json(), [{}, {"a": float("nan")}], 1, "cannot be written as JSON"),
    (Json(), pa.array(["{}", "[NaN]"]), 1, "is not JSON"),
    (Json(), pa.array([{"a": 1.0}, {"a": np.inf}]), 1, "cannot be written as JSON"),
    (Json(), pa.array([b"{}"]), 0, "cannot be written as JSON"),
]


@pytest.mark.parametrize(("field", "values", "row", "message"), WRONG)
def test_a_value_that_does_not_fit_is_refused_with_its_field_and_row(
    field: Field, values: Any, row: int, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        column(field, values)

    assert str(caught.value).startswith(f"field 'x', row {row}: ")
    assert caught.value.field == "x"
    assert caught.value.row == row


def test_a_map_with_a_repeated_key_is_not_json() -> None:
    with pytest.raises(InvalidInputError, match="cannot be read as JSON"):
        column(Json(), pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())))


def strings(offsets: list[int], data: bytes) -> pa.Array:
    buffers = [None, pa.py_buffer(np.array(offsets, np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


@pytest.mark.parametrize("field", [Text(), Keyword(), Json(), Timestamp()])
def test_bytes_that_are_not_utf8_are_refused_with_their_row(field: Field) -> None:
    with pytest.raises(InvalidInputError, match="field 'x', row 1: the value is damaged"):
        column(field, strings([0, 1, 3], b"1\xff\xfe"))


@pytest.mark.parametrize("offsets", [[0, 1_000_000, 2], [0, 2, 1], [0, -5, 2]])
def test_offsets_that_leave_the_data_are_refused_and_not_read(offsets: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="damaged"):
        column(Text(), strings(offsets, b"ab"))


def test_a_dictionary_index_that_leaves_the_dictionary_is_refused() -> None:
    damaged = pa.DictionaryArray.from_arrays(pa.array([0, 7], pa.int32()), pa.array(["a"]), safe=False)

    with pytest.raises(InvalidInputError, match="damaged"):
        column(Text(), damaged)


def test_errors_show_long_values_shortened_and_keep_them_whole() -> None:
    with pytest.raises(InvalidInputError) as caught:
        column(Timestamp(), ["x" * 100_000])

    assert len(str(caught.value)) < 300
    assert caught.value.value == "x" * 100_000
