"""Binary vectors: bytes and bits in every form that rows and queries take, and what is neither."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from vecdb.arguments import query_matrix
from vecdb.errors import DimensionMismatchError, InvalidInputError
from vecdb.schema import Id, Schema, Vector, validated_batch

BYTES = np.array([[0, 255], [1, 128], [170, 7]], np.uint8)
BITS = np.unpackbits(BYTES, axis=1)
SCHEMA = Schema(id=Id("int64"), x=Vector(16, "binary"))

FORMS: dict[str, Any] = {
    "bytes": [row.tobytes() for row in BYTES],
    "bytearrays": [bytearray(row.tobytes()) for row in BYTES],
    "views": [memoryview(row.tobytes()) for row in BYTES],
    "matrix of bytes": BYTES,
    "matrix of wide bytes": BYTES.astype(np.int64),
    "matrix of bits": BITS,
    "matrix of bools": BITS.astype(bool),
    "matrix of signed bits": BITS.astype(np.int8),
    "matrix of float bits": BITS.astype(np.float32),
    "strided matrix": np.repeat(BYTES, 2, axis=0)[::2],
    "lists of bytes": BYTES.tolist(),
    "lists of bits": BITS.tolist(),
    "lists of bools": BITS.astype(bool).tolist(),
    "lists of floats": BITS.astype(float).tolist(),
    "tuples": [tuple(row) for row in BYTES.tolist()],
    "all together": [BYTES[0].tobytes(), BITS[1].astype(bool), BYTES[2].tolist()],
    "arrays of several dtypes": [BYTES[0], BYTES[1].astype(np.uint16), BITS[2].astype(np.int8)],
}

ARROW: dict[str, Any] = {
    "binary": pa.array(FORMS["bytes"], pa.binary()),
    "large binary": pa.array(FORMS["bytes"], pa.large_binary()),
    "binary view": pa.array(FORMS["bytes"], pa.binary_view()),
    "fixed binary": pa.array(FORMS["bytes"], pa.binary(2)),
    "lists of uint8": pa.array(BYTES.tolist(), pa.list_(pa.uint8())),
    "fixed lists of uint8": pa.array(BYTES.tolist(), pa.list_(pa.uint8(), 2)),
    "lists of int64": pa.array(BYTES.tolist()),
    "list views of bits": pa.array(BITS.tolist(), pa.list_view(pa.int8())),
    "fixed lists of bools": pa.array(BITS.astype(bool).tolist(), pa.list_(pa.bool_(), 16)),
    "lists of floats": pa.array(BITS.astype(float).tolist()),
    "lists of either length": pa.array([BYTES[0].tolist(), BITS[1].tolist(), BYTES[2].tolist()]),
    "a slice": pa.array([[9], *BYTES.tolist(), None], pa.list_(pa.uint8())).slice(1, 3),
    "chunks": pa.chunked_array([pa.array(BYTES[:2].tolist()), pa.array(BYTES[2:].tolist())]),
}


def column(values: Any, schema: Schema = SCHEMA) -> pa.Array:
    batch = validated_batch({"id": list(range(len(values))), "x": values}, schema)
    batch.validate(full=True)
    found = batch.column("x")
    assert (found.offset, found.values.offset, found.values.null_count) == (0, 0, 0)
    return found


@pytest.mark.parametrize("form", [*FORMS, *(f"arrow {name}" for name in ARROW)])
def test_every_form_of_rows_is_the_same_bytes(form: str) -> None:
    source = ARROW[form.removeprefix("arrow ")] if form.startswith("arrow ") else FORMS[form]

    found = column(source)

    assert found.type == pa.list_(pa.uint8(), 2)
    assert found.to_pylist() == BYTES.tolist()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_rows_is_a_form_of_queries(form: str) -> None:
    for query, expected in zip(FORMS[form], BYTES, strict=True):
        assert query_matrix(SCHEMA["x"], query, 1).tolist() == [expected.tolist()]
    assert query_matrix(SCHEMA["x"], FORMS[form], 2).tolist() == BYTES.tolist()


def test_rows_without_a_vector_are_null_over_zeros() -> None:
    for source in (
        [None, BYTES[0], None, BITS[1]],
        pa.array([None, BYTES[0].tolist(), None, BITS[1].tolist()]),
        pa.array([None, BYTES[0].tobytes(), None, BYTES[1].tobytes()]),
    ):
        found = column(source)

        assert found.to_pylist() == [None, [0, 255], None, [1, 128]]
        assert found.values.to_pylist() == [0, 0, 0, 255, 0, 0, 1, 128]
    assert column([None, None]).to_pylist() == [None, None]
    assert column(pa.nulls(2)).to_pylist() == [None, None]
    assert column([]).to_pylist() == []
    assert column(np.empty((0, 5))).to_pylist() == []


def test_the_first_bit_is_the_highest_of_the_first_byte() -> None:
    assert column([[1, *[0] * 15]]).to_pylist() == [[128, 0]]


def test_what_the_caller_writes_afterwards_is_not_seen() -> None:
    matrix = BYTES.copy()

    found = column(matrix)
    matrix[:] = 9

    assert found.to_pylist() == BYTES.tolist()


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (
            [1, 2, 3],
            DimensionMismatchError,
            "has 3 values, the field has 16 bits: pass 16 values of 0 or 1, or 2 bytes",
        ),
        (b"abc", DimensionMismatchError, "has 3 bytes, a field of 16 bits has 2"),
        (b"", DimensionMismatchError, "has 0 bytes"),
        ([], DimensionMismatchError, "has 0 values"),
        ([1, 256], InvalidInputError, "value 1 is 256, not a byte from 0 to 255$"),
        ([1, -1], InvalidInputError, "value 1 is -1, not a byte from 0 to 255; of an int8 'binary' embedding"),
        (np.array([1, 2], np.int8), InvalidInputError, "2 values of int8 are not the bytes of 16 bits.*astype"),
        (np.array([1, 2], np.float32), InvalidInputError, "2 values of float32 are not the bytes of 16 bits"),
        ([0.0, 1.0], InvalidInputError, "2 values of float64 are not the bytes of 16 bits"),
        ([True, 5], InvalidInputError, "is neither 2 bytes nor a list or an array of 16 bits"),
        ([True, False], InvalidInputError, "is neither 2 bytes nor"),
        ([0, 2] * 8, InvalidInputError, "value 1 is 2, neither 0 nor 1"),
        ([0, -1] * 8, InvalidInputError, "value 1 is -1, neither 0 nor 1"),
        ([0.0, float("nan")] * 8, InvalidInputError, "value 1 is nan, neither 0 nor 1"),
        ([0, None] * 8, InvalidInputError, "is neither 2 bytes nor"),
        (["a", "b"], InvalidInputError, "is neither 2 bytes nor"),
        ("ab", InvalidInputError, "'ab' is neither 2 bytes nor"),
        (7, InvalidInputError, "7 is neither 2 bytes nor"),
        (np.ma.masked_array([1, 2], [True, False], np.uint8), InvalidInputError, "is neither 2 bytes nor"),
        ([[1, 2]], InvalidInputError, "is neither 2 bytes nor"),
        ({1: 2, 3: 4}, InvalidInputError, "is neither 2 bytes nor"),
    ],
)
def test_what_is_neither_bytes_nor_bits_is_refused_with_field_row_and_value(
    value: Any, error: type[InvalidInputError], message: str
) -> None:
    for rows in ([BYTES[0], value], [BYTES[0].tobytes(), value], [BYTES[0].tolist(), value, BYTES[1].tolist()]):
        with pytest.raises(error, match=message) as caught:
            column(rows)
        assert (caught.value.field, caught.value.row) == ("x", 1)

    with pytest.raises(error, match=message) as caught:
        query_matrix(SCHEMA["x"], value, 1)
    assert "query 0 for 'x'" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (pa.array([b"ab", b"abc"]), "row 1: the vector has 3 bytes"),
        (pa.array([None, [1, 2], [1, 2, 3]]), "row 2: the vector has 3 values"),
        (pa.array([None, [1, 2], [1, None]]), "row 2: the vector's value 1 is null"),
        (pa.array([None, [1, 2], [1, 300]]), "row 2: the vector's value 1 is 300"),
        (pa.array([None, [0] * 16, [1, 300]]), "row 2: the vector's value 1 is 300"),
        (pa.array([[1, 2]], pa.list_(pa.int8())), "row 0: 2 values of int8 are not the bytes"),
        (pa.array([["a", "b"]]), "row 0: a vector of string values is not a vector of bits"),
        (pa.array([1, 2]), "row 0: a column of int64 cannot hold binary vectors"),
        (pa.array(["ab"]), "row 0: a column of string cannot hold binary vectors"),
        (np.array([b"a\0", b"bc"]), "NumPy drops zeros at the end of bytes"),
        (np.zeros((2, 5), np.uint8), "row 0: the vector has 5 values"),
        (np.zeros(2, np.uint8), "is not a matrix of one vector per row"),
    ],
)
def test_a_column_that_holds_no_bits_is_refused(source: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        column(source)


@pytest.mark.parametrize("query", [BYTES[0].tobytes(), BYTES[0], BYTES[None], "ab", 3, None])
def test_many_queries_come_as_a_matrix_or_a_list(query: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"the query for 'x' has shape .* expected \(queries, dimension\)"):
        query_matrix(SCHEMA["x"], query, 2)
    assert query_matrix(SCHEMA["x"], np.empty((0, 2), np.uint8), 2).shape == (0, 2)
    assert query_matrix(SCHEMA["x"], [], 2).shape == (0, 2)


def test_a_batch_of_queries_names_the_bad_one() -> None:
    with pytest.raises(InvalidInputError, match="query 1 for 'x': the vector's value 0 is 256") as caught:
        query_matrix(SCHEMA["x"], [[0, 1], [256, 1]], 2)
    assert caught.value.row == 1
    with pytest.raises(InvalidInputError, match="query 1 for 'x': it is None"):
        query_matrix(SCHEMA["x"], [[0, 1], None], 2)


def test_the_longest_vector_is_held() -> None:
    schema = Schema(id=Id("int64"), x=Vector(65_536, "binary"))
    row = np.random.default_rng(0).integers(0, 256, 8192).astype(np.uint8)

    assert column([row.tobytes(), np.unpackbits(row)], schema).to_pylist() == [row.tolist()] * 2
