"""Ids, duplicates and oversized rows."""

from typing import Any

import pyarrow as pa
import pytest

from vecdb.errors import DuplicateIdError, InvalidInputError
from vecdb.schema import Id, Int64, Json, Keyword, Limits, Schema, Text, validated_batch

SCHEMA = Schema(id=Id(), title=Text(), tags=Keyword(many=True), extra=Json())
NUMBERED = Schema(id=Id("int64"), size=Int64())


@pytest.mark.parametrize("value", ["a", "x" * 512, "ü" * 256, "\x00", " "])
def test_an_id_of_1_to_512_bytes_is_accepted(value: str) -> None:
    for data in ({"id": value}, {"id": [value]}, pa.table({"id": [value]})):
        assert validated_batch(data, SCHEMA).column("id").to_pylist() == [value]


@pytest.mark.parametrize(("value", "length"), [("", 0), ("x" * 513, 513), ("ü" * 257, 514)])
def test_an_id_of_another_length_is_refused(value: str, length: int) -> None:
    for data in ({"id": value}, {"id": [value]}, pa.table({"id": [value]})):
        with pytest.raises(InvalidInputError, match=f"field 'id', row 0: the id .* has {length} bytes, not 1 to 512"):
            validated_batch(data, SCHEMA)


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63)])
def test_every_64_bit_integer_is_an_id(value: int) -> None:
    for data in ({"id": value}, {"id": [value]}):
        assert validated_batch(data, NUMBERED).column("id").to_pylist() == [value]


@pytest.mark.parametrize(
    "data", [{"id": None}, {"id": [None]}, [{"id": None}], pa.table({"id": pa.array([None], pa.string())})]
)
@pytest.mark.parametrize("partial", [False, True])
def test_a_null_id_is_refused(data: Any, partial: bool) -> None:
    with pytest.raises(InvalidInputError, match="field 'id', row 0: the id is null"):
        validated_batch(data, SCHEMA, partial=partial)


def test_the_row_of_a_null_id_is_named() -> None:
    with pytest.raises(InvalidInputError, match="row 2: the id is null"):
        validated_batch([{"id": "a"}, {"id": "b"}, {"title": "x"}], SCHEMA)


@pytest.mark.parametrize(("schema", "ids"), [(SCHEMA, ["a", "b", "c", "b"]), (NUMBERED, [1, 2, 3, 2])])
@pytest.mark.parametrize("partial", [False, True])
def test_an_id_that_comes_twice_is_refused_with_both_rows(schema: Schema, ids: list[Any], partial: bool) -> None:
    with pytest.raises(DuplicateIdError) as caught:
        validated_batch({"id": ids}, schema, partial=partial)

    assert str(caught.value) == f"field 'id', row 3: the id {ids[3]!r} is already in row 1 of the same batch"
    assert (caught.value.field, caught.value.row, caught.value.value) == ("id", 3, ids[3])


@pytest.mark.parametrize(
    "row",
    [
        {"id": "b", "title": "x" * 100},
        {"id": "b", "title": "ü" * 50},
        {"id": "b", "tags": ["x" * 50, "y" * 50]},
        {"id": "b", "extra": {"a": "x" * 100}},
        {"id": "b" * 40, "title": "x" * 30, "tags": ["y" * 40]},
    ],
)
def test_a_row_with_more_text_than_the_limit_is_refused(row: dict[str, Any]) -> None:
    limits = Limits(row_bytes=100)

    for data, place in (([{"id": "a"}, row], 1), (row, 0), ([row], 0)):
        with pytest.raises(InvalidInputError, match=f"row {place} has .* bytes .* the limit is 100") as caught:
            validated_batch(data, SCHEMA, limits)
        assert caught.value.row == place


def test_a_row_exactly_at_the_limit_is_accepted() -> None:
    row = {"id": "b", "title": "x" * 49, "tags": ["y" * 50]}

    for data in (row, [row, {"id": "a", "title": "x" * 99}]):
        assert validated_batch(data, SCHEMA, Limits(row_bytes=100)).num_rows >= 1


def test_many_small_rows_may_be_larger_than_the_limit_together() -> None:
    rows = [{"id": f"{row}", "title": "x" * 90, "tags": None if row % 2 else ["y"]} for row in range(50)]

    assert validated_batch(rows, SCHEMA, Limits(row_bytes=100)).num_rows == 50


def test_the_default_limit_of_a_row_is_one_mebibyte() -> None:
    validated_batch({"id": "a", "title": "x" * (2**20 - 1)}, SCHEMA)
    with pytest.raises(InvalidInputError, match="row 0 has 1048577 bytes"):
        validated_batch({"id": "a", "title": "x" * 2**20}, SCHEMA)


@pytest.mark.parametrize(
    "nest", [lambda depth: "[" * depth + "]" * depth, lambda depth: '{"a":' * depth + "1" + "}" * depth]
)
def test_json_has_a_deepest_level(nest: Any) -> None:
    for wrap in (lambda text: {"id": "a", "extra": text}, lambda text: {"id": ["a"], "extra": [text]}):
        validated_batch(wrap(nest(64)), SCHEMA)
        with pytest.raises(InvalidInputError, match=r"row 0: .* is nested deeper than 64 levels"):
            validated_batch(wrap(nest(65)), SCHEMA)
