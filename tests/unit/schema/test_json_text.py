import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from vecdb.schema.json_text import json_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [1, None, "x"]}, '{"a":[1,null,"x"],"b":1}'),
        ({"b": {"d": 1, "c": 2}, "a": 0}, '{"a":0,"b":{"c":2,"d":1}}'),
        ([], "[]"),
        ((1, 2), "[1,2]"),
        (5, "5"),
        (2**64 - 1, "18446744073709551615"),
        (-(2**63), "-9223372036854775808"),
        (1.5, "1.5"),
        (True, "true"),
        ({"a": np.float32(0.5), "b": np.int8(3), "c": np.array([1, 2])}, '{"a":0.5,"b":3,"c":[1,2]}'),
        ({"t": datetime(2024, 5, 1, tzinfo=UTC), "n": None}, '{"n":null,"t":"2024-05-01T00:00:00+00:00"}'),
        (' { "b" : 1 , "a" : 2 } ', '{"a":2,"b":1}'),
        ('"text"', '"text"'),
        ('"\\u00fc"', '"ü"'),
        ("0.1234567890123456789", "0.12345678901234568"),
        ('"12345678901234567890123"', '"12345678901234567890123"'),
        ("18446744073709551615", "18446744073709551615"),
    ],
)
def test_equal_values_have_one_compact_text_with_sorted_keys(value: Any, text: str) -> None:
    assert json_text(value, 64) == text
    assert json_text(text, 64) == text


@pytest.mark.parametrize("value", [None, "null", " null "])
def test_null_is_no_value(value: Any) -> None:
    assert json_text(value, 64) is None


@pytest.mark.parametrize(
    "text", ["", "hello", "{", "[1,]", "{'a': 1}", "NaN", "[Infinity]", "-Infinity", "1 2", '"\\ud800"']
)
def test_text_that_does_not_parse_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not JSON"):
        json_text(text, 64)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf"), np.float32("nan"), np.array([1.0, np.inf])])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: {"a": [None, {"b": x}]}, lambda x: ("null", x)])
def test_numbers_that_are_not_finite_are_refused_wherever_they_hide(bad: Any, wrap: Any) -> None:
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        json_text(wrap(bad), 64)


@pytest.mark.parametrize(
    "value",
    [2**64, -(2**63) - 1, {1: "a"}, {"a": b"x"}, {"a": {1, 2}}, object(), {"a": object(), "b": None}, ["\ud800"], 1j],
)
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        json_text(value, 64)


@pytest.mark.parametrize("text", ["18446744073709551616", "[-9223372036854775809]", '{"a":[1e3,99999999999999999999]}'])
def test_integers_beyond_64_bits_are_refused_and_not_rounded(text: str) -> None:
    with pytest.raises(ValueError, match="does not fit 64 bits"):
        json_text(text, 64)


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 64, 200, 1000])
def test_depth_is_counted_in_levels_of_objects_and_arrays(depth: int) -> None:
    for text in ("[" * depth + "5" + "]" * depth, '{"a":' * depth + "5" + "}" * depth):
        if depth < 200:
            assert json_text(text, depth) == text
        with pytest.raises(ValueError, match=r"deeper|depth|[Rr]ecursion"):
            json_text("[" + text + "]", min(depth, 199))


def test_many_brackets_side_by_side_or_in_strings_are_not_deep() -> None:
    value = {"a": [[]] * 1000, "b": "[" * 1000}

    text = json_text(value, 3)

    assert text is not None
    assert json.loads(text) == value
