from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vecdb
from vecdb.errors import InvalidInputError
from vecdb.schema import (
    Bool,
    Field,
    Float64,
    Id,
    Int64,
    Json,
    Keyword,
    Text,
    Timestamp,
    Vector,
    field_from_json,
)

FIELDS: list[tuple[Field, str, pa.DataType, dict[str, Any]]] = [
    (Id(), "id", pa.string(), {"kind": "id", "type": "string"}),
    (Id("int64"), "id", pa.int64(), {"kind": "id", "type": "int64"}),
    (Text(), "text", pa.string(), {"kind": "text"}),
    (Keyword(), "keyword", pa.string(), {"kind": "keyword", "many": False}),
    (Keyword(many=True), "keyword", pa.list_(pa.string()), {"kind": "keyword", "many": True}),
    (Bool(), "bool", pa.bool_(), {"kind": "bool"}),
    (Int64(), "int64", pa.int64(), {"kind": "int64"}),
    (Float64(), "float64", pa.float64(), {"kind": "float64"}),
    (Timestamp(), "timestamp", pa.timestamp("us", tz="UTC"), {"kind": "timestamp"}),
    (Json(), "json", pa.string(), {"kind": "json"}),
    (
        Vector(3),
        "vector",
        pa.list_(pa.float32(), 3),
        {"kind": "vector", "dimension": 3, "dtype": "float32", "metric": "cosine"},
    ),
    (
        Vector(5, "float16", "l2"),
        "vector",
        pa.list_(pa.float16(), 5),
        {"kind": "vector", "dimension": 5, "dtype": "float16", "metric": "l2"},
    ),
    (
        Vector(7, dtype="int8", metric="dot"),
        "vector",
        pa.list_(pa.int8(), 7),
        {"kind": "vector", "dimension": 7, "dtype": "int8", "metric": "dot"},
    ),
    (
        Vector(24, dtype="binary"),
        "vector",
        pa.list_(pa.uint8(), 3),
        {"kind": "vector", "dimension": 24, "dtype": "binary", "metric": "hamming"},
    ),
]


@pytest.mark.parametrize(("field", "kind", "arrow_type", "stored"), FIELDS)
def test_a_field_has_its_kind_arrow_type_and_stored_form(
    field: Field, kind: str, arrow_type: pa.DataType, stored: dict[str, Any]
) -> None:
    assert field.kind == kind
    assert field.arrow_type == arrow_type
    assert field.to_json() == stored
    assert field_from_json(stored) == field
    assert type(field).from_json(stored) == field


def test_fields_are_equal_and_hash_by_value() -> None:
    assert Vector(3) == Vector(3, "float32", "cosine")
    assert hash(Vector(3)) == hash(Vector(3))
    assert Vector(3) != Vector(4)
    assert Text() != Keyword()


def test_a_field_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Vector(3).dimension = 4  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("dtype", "largest"), [("float32", 65_536), ("float16", 65_536), ("int8", 32_768)])
def test_a_dimension_has_a_largest_value_per_dtype(dtype: Any, largest: int) -> None:
    assert Vector(largest, dtype).dimension == largest
    with pytest.raises(InvalidInputError, match=f"dimension {largest + 1} of a {dtype} vector"):
        Vector(largest + 1, dtype)


@pytest.mark.parametrize("dimension", [0, -1, True, 3.0, "3", None])
def test_a_dimension_is_a_positive_whole_number(dimension: Any) -> None:
    with pytest.raises(InvalidInputError, match="not a whole number from 1 to 65536"):
        Vector(dimension)


def test_a_dimension_given_by_numpy_becomes_an_int() -> None:
    assert type(Vector(np.int64(3)).dimension) is int  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Id("uuid"), "type 'uuid' is not one of 'string', 'int64'"),  # pyright: ignore[reportArgumentType]
        (lambda: Keyword(many=1), "many 1 is not one of False, True"),  # pyright: ignore[reportArgumentType]
        (lambda: Vector(3, "float64"), "dtype 'float64' is not one of"),  # pyright: ignore[reportArgumentType]
        (lambda: Vector(3, metric="l1"), "metric 'l1' is not one of"),  # pyright: ignore[reportArgumentType]
        (lambda: Vector(12, "binary"), "dimension 12 of a binary vector is its number of bits, .* not a multiple of 8"),
        (lambda: Vector(65_544, "binary"), "dimension 65544 of a binary vector is not a whole number from 1 to 65536"),
        (lambda: Vector(16, "binary", "cosine"), "metric 'cosine' does not go with dtype 'binary'.*hamming"),
        (lambda: Vector(16, metric="hamming"), "metric 'hamming' does not go with dtype 'float32'.*cosine, dot or l2"),
        (lambda: Vector(16, "binary", index="hnsw"), "index 'hnsw' does not go with binary vectors"),
        (lambda: Vector(16, "binary", index="binary"), "index 'binary' does not go with binary vectors"),
    ],
)
def test_an_attribute_outside_its_choices_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


@pytest.mark.parametrize("kind", ["link"])
def test_a_reserved_kind_is_refused_by_name(kind: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{kind!r} is reserved.*newer vecdb"):
        field_from_json({"kind": kind})


@pytest.mark.parametrize("kind", ["varchar", None, 3, ["text"]])
def test_an_unknown_kind_is_refused_by_name(kind: Any) -> None:
    with pytest.raises(InvalidInputError, match="is unknown: was it written by a newer vecdb"):
        field_from_json({"kind": kind})


@pytest.mark.parametrize(
    "stored",
    [
        {"kind": "text", "analyzer": "german"},
        {"kind": "vector"},
        {"kind": "vector", "dimension": "3"},
        {"kind": "vector", "dimension": 3, "dtype": "float8"},
        {"kind": "id", "type": ["string"]},
    ],
)
def test_a_damaged_stored_field_is_refused(stored: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        field_from_json(stored)


def test_a_stored_field_of_another_kind_is_refused_by_the_class() -> None:
    with pytest.raises(InvalidInputError, match="expected a field of kind 'text', found 'bool'"):
        Text.from_json({"kind": "bool"})


@pytest.mark.parametrize("kind", [vecdb.Vector, vecdb.Sparse, vecdb.MultiVector])
@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "4", 1 << 40, pytest.param(10**5000, id="beyond print")])
def test_every_kind_of_vector_names_a_dimension_that_is_none(kind: Any, wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match="is not a whole number from 1 to") as caught:
        kind(wrong)

    assert caught.value.field == "dimension"


@pytest.mark.parametrize("kind", [vecdb.Vector, vecdb.Sparse, vecdb.MultiVector])
@pytest.mark.parametrize("name", ["space", "encoder"])
def test_every_kind_of_vector_names_a_space_or_an_encoder_that_is_none(kind: Any, name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{name} is 'minilm', expected") as caught:
        kind(4, **{name: "minilm"})

    assert caught.value.field == name
