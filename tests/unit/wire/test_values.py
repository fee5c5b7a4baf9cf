import math
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from vecdb.errors import InvalidInputError
from vecdb.wire import values
from vecdb_proto.v1 import query_pb2
from vecdb_proto.v1 import values_pb2 as pb


@pytest.mark.parametrize("dtype", ["f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_a_vector_keeps_its_dtype_and_its_bytes(dtype: str) -> None:
    array = np.array([1, 2, 127], dtype)

    found = values.vector_from_message(values.vector_to_message(array), "a")

    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()
    assert not found.flags.writeable


def test_a_matrix_keeps_its_shape_also_without_rows() -> None:
    for shape in ((3, 5), (0, 5)):
        array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)

        found = values.matrix_from_message(values.matrix_to_message(array), "a")

        assert found.shape == shape
        np.testing.assert_array_equal(found, array)


def test_a_matrix_that_is_a_part_of_another_is_sent_row_by_row() -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, 1:4]

    np.testing.assert_array_equal(values.matrix_from_message(values.matrix_to_message(array), "a"), array)


@pytest.mark.parametrize("dtype", ["f8", "c8", "?", "U3"])
def test_vectors_of_other_dtypes_are_refused(dtype: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be sent"):
        values.vector_to_message(np.ones(3).astype(dtype))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (pb.Vector(dtype=pb.DTYPE_FLOAT32, dimension=3, data=bytes(11)), "has 11 bytes, 3 numbers of float32 have 12"),
        (pb.Vector(dtype=pb.DTYPE_FLOAT32, dimension=2**32 - 1, data=bytes(4)), "has 4 bytes"),
        (pb.Vector(dimension=3, data=bytes(12)), "unknown dtype 0"),
        (pb.Vector(dtype=99, dimension=3, data=bytes(12)), "unknown dtype 99"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_a_vector_with_other_bytes_than_it_says_is_refused(message: pb.Vector, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=f"the query for 'a' .*{reason}") as caught:
        values.vector_from_message(message, "a")

    assert caught.value.field == "a"


def test_a_matrix_with_other_bytes_than_it_says_is_refused() -> None:
    message = pb.Matrix(dtype=pb.DTYPE_INT8, rows=2**32 - 1, dimension=2**32 - 1, data=b"ab")

    with pytest.raises(InvalidInputError, match="has 2 bytes"):
        values.matrix_from_message(message, "a")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "boolean"),
        (np.bool_(True), "boolean"),
        (1, "integer"),
        (np.int16(1), "integer"),
        (2**63, "large_integer"),
        (1.0, "number"),
        (np.float32(1), "number"),
        ("", "text"),
        (date(2024, 5, 1), "timestamp"),
        (datetime(2024, 5, 1), "timestamp"),
    ],
)
def test_a_scalar_has_the_kind_of_its_type(value: Any, kind: str) -> None:
    assert values.value_to_message(value).WhichOneof("kind") == kind


def test_moments_of_any_zone_arrive_in_utc() -> None:
    moment = datetime(2024, 5, 1, 12, 0, 0, 7, timezone(timedelta(hours=2)))

    found = values.value_from_message(values.value_to_message(moment))

    assert found == moment
    assert found.tzinfo is UTC


@pytest.mark.parametrize("value", [None, b"bytes", [1], {"a": 1}, 1j, 2**64, -(2**63) - 1, "\ud800"])
def test_what_is_no_scalar_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError):
        values.value_to_message(value)


@pytest.mark.parametrize("message", [pb.Value(), pb.Value(timestamp=2**62), pb.Value(large_integer=5)])
def test_a_value_that_is_none_is_refused(message: pb.Value) -> None:
    with pytest.raises(InvalidInputError):
        values.value_from_message(message)


@pytest.mark.parametrize(
    "message",
    [
        pb.Ids(),
        pb.Ids(type=pb.ID_TYPE_STRING, int64s=bytes(8)),
        pb.Ids(type=pb.ID_TYPE_INT64, strings=["a"]),
        pb.Ids(type=pb.ID_TYPE_INT64, int64s=bytes(9)),
        pb.Ids(type=7),  # pyright: ignore[reportArgumentType]
    ],
)
def test_ids_of_no_one_type_are_refused(message: pb.Ids) -> None:
    with pytest.raises(InvalidInputError):
        values.ids_from_message(message)


def test_an_id_that_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="does not fit in 64 bits"):
        values.id_to_message(2**63)
    with pytest.raises(InvalidInputError, match="neither a text nor an integer"):
        values.id_from_message(pb.Id())


def test_json_has_nan_as_null_and_mappings_as_objects() -> None:
    from types import MappingProxyType

    told = {"a": math.nan, "b": MappingProxyType({"c": np.int64(3)}), 5: (1, 2)}

    assert values.from_json(values.as_json(told)) == {"a": None, "b": {"c": 3}, "5": [1, 2]}
    assert values.from_json(b"") == {}


@pytest.mark.parametrize("data", [b"[1]", b"{", b"\xff", b"[" * 10_000])
def test_json_that_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="JSON"):
        values.from_json(data)


def test_bytes_that_are_no_message_are_an_input_error() -> None:
    with pytest.raises(InvalidInputError, match="the 2 bytes are no Query"):
        values.read(query_pb2.Query, b"\xff\xff")


def test_messages_too_deep_inside_each_other_are_an_input_error() -> None:
    content = b""
    for _ in range(500):  # an arm with a nested query, written by hand: tag, length, content
        for tag in (0x2A, 0x12):
            size, length = len(content), b""
            while size > 127:
                length += bytes([size & 127 | 128])
                size >>= 7
            content = bytes([tag]) + length + bytes([size]) + content

    with pytest.raises(InvalidInputError, match="no Query"):
        values.read(query_pb2.Query, content)
