"""Vectors, ids and scalars as messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import orjson
from google.protobuf.message import DecodeError, Message

from vecdb.errors import InvalidInputError
from vecdb.schema.timestamps import EPOCH
from vecdb_proto.v1 import values_pb2 as pb

if TYPE_CHECKING:
    from numpy.typing import NDArray

M = TypeVar("M", bound=Message)

DTYPES: dict[pb.Dtype.ValueType, np.dtype[Any]] = {
    pb.DTYPE_FLOAT32: np.dtype("<f4"),
    pb.DTYPE_INT8: np.dtype("i1"),
    pb.DTYPE_UINT8: np.dtype("u1"),
    pb.DTYPE_INT16: np.dtype("<i2"),
    pb.DTYPE_UINT16: np.dtype("<u2"),
    pb.DTYPE_INT32: np.dtype("<i4"),
    pb.DTYPE_UINT32: np.dtype("<u4"),
    pb.DTYPE_INT64: np.dtype("<i8"),
    pb.DTYPE_UINT64: np.dtype("<u8"),
}
_NUMBERS: dict[np.dtype[Any], pb.Dtype.ValueType] = {dtype: number for number, dtype in DTYPES.items()}

ID_TYPES: dict[str, pb.IdType.ValueType] = {"string": pb.ID_TYPE_STRING, "int64": pb.ID_TYPE_INT64}

_MICROSECOND = timedelta(microseconds=1)
_INTEGERS = range(-(1 << 63), 1 << 63)
_LARGE = range(1 << 63, 1 << 64)
_SMALL = (1 << 63) - 1


def read(kind: type[M], data: bytes) -> M:
    """Return the message that bytes hold.

    Raises:
        InvalidInputError: they hold none of this kind.

    """
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise InvalidInputError(f"the {len(data)} bytes are no {kind.DESCRIPTOR.name}: {error}") from None


@contextmanager
def writable() -> Iterator[None]:
    """Make what no message can hold, half a surrogate pair or a number that is too large, an InvalidInputError."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"the text {error.object!a:.80} is not valid Unicode", value=error.object) from None
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(f"the request cannot be written down: {error}") from None


# -- vectors -----------------------------------------------------------------------------------------------------------


def vector_to_message(array: NDArray[Any]) -> pb.Vector:
    """Return a (d,) vector as a message."""
    return pb.Vector(dtype=_dtype(array), dimension=len(array), data=array.tobytes())


def vector_from_message(message: pb.Vector, name: str) -> NDArray[Any]:
    """Return the (d,) vector of a message, read-only; its numbers are not checked.

    Raises:
        InvalidInputError: the dtype is unknown, or there are more or fewer bytes than it says.

    """
    return _array(message.data, message.dtype, message.dimension, name)


def matrix_to_message(array: NDArray[Any]) -> pb.Matrix:
    """Return a (n, d) matrix as a message."""
    rows, dimension = array.shape
    return pb.Matrix(dtype=_dtype(array), rows=rows, dimension=dimension, data=array.tobytes())


def matrix_from_message(message: pb.Matrix, name: str) -> NDArray[Any]:
    """Return the (n, d) matrix of a message, read-only; its numbers are not checked.

    Raises:
        InvalidInputError: the dtype is unknown, or there are more or fewer bytes than it says.

    """
    rows, dimension = message.rows, message.dimension
    return _array(message.data, message.dtype, rows * dimension, name).reshape(rows, dimension)


def _dtype(array: NDArray[Any]) -> pb.Dtype.ValueType:
    number = _NUMBERS.get(array.dtype)
    if number is None:
        raise InvalidInputError(f"vectors of dtype {array.dtype} cannot be sent")
    return number


def _array(data: bytes, number: pb.Dtype.ValueType, count: int, name: str) -> NDArray[Any]:
    dtype = DTYPES.get(number)
    if dtype is None:
        raise InvalidInputError(f"the query for {name!r} has the unknown dtype {number}", field=name)
    if len(data) != count * dtype.itemsize:
        raise InvalidInputError(
            f"the query for {name!r} has {len(data)} bytes, {count} numbers of {dtype.name} have"
            f" {count * dtype.itemsize}",
            field=name,
        )
    return np.frombuffer(data, dtype)


def packed(data: bytes, dtype: str, what: str) -> NDArray[Any]:
    """Return the numbers that bytes hold, read-only.

    Raises:
        InvalidInputError: the last one is incomplete.

    """
    size = np.dtype(dtype).itemsize
    if len(data) % size:
        raise InvalidInputError(f"{what} has {len(data)} bytes, which is no multiple of {size}")
    return np.frombuffer(data, dtype)


# -- ids ---------------------------------------------------------------------------------------------------------------


def ids_to_message(ids: Sequence[Any], type: str) -> pb.Ids:
    """Return ids of one collection as a message; type is that of its id field, which they were checked against."""
    message = pb.Ids()
    write_ids(message, ids, type)
    return message


def write_ids(message: pb.Ids, ids: Sequence[Any], type: str) -> None:
    """Write ids into an empty message, as `ids_to_message` does."""
    if type == "string":
        message.type = pb.ID_TYPE_STRING
        message.strings.extend(ids)
    else:
        message.type = pb.ID_TYPE_INT64
        message.int64s = np.array(ids, "<i8").tobytes()


def ids_from_message(message: pb.Ids) -> list[str] | list[int]:
    """Return the ids of a message.

    Raises:
        InvalidInputError: their type is unknown, or not that of what there is.

    """
    if message.type == pb.ID_TYPE_STRING and not message.int64s:
        return list(message.strings)
    if message.type == pb.ID_TYPE_INT64 and not message.strings:
        return packed(message.int64s, "<i8", "the list of ids").tolist()
    raise InvalidInputError("the ids are neither all texts nor all integers", field="ids")


def id_to_message(value: str | int) -> pb.Id:
    """Return one id as a message.

    Raises:
        InvalidInputError: it does not fit in 64 bits.

    """
    if isinstance(value, str):
        return pb.Id(text=value)
    if value not in _INTEGERS:
        raise InvalidInputError(f"id {value} does not fit in 64 bits", value=value)
    return pb.Id(integer=value)


def id_from_message(message: pb.Id) -> str | int:
    """Return the id of a message.

    Raises:
        InvalidInputError: it is empty.

    """
    kind = message.WhichOneof("kind")
    if kind is None:
        raise InvalidInputError("an id is neither a text nor an integer", field="ids")
    return getattr(message, kind)


# -- scalars -----------------------------------------------------------------------------------------------------------


def value_to_message(value: Any) -> pb.Value:
    """Return a scalar as a message; a date is its midnight, a moment without a zone is in UTC.

    Raises:
        InvalidInputError: it is none, or an integer of more than 64 bits.

    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return pb.Value(boolean=value)
    if isinstance(value, str):
        with writable():
            return pb.Value(text=value)
    if isinstance(value, int):
        if value in _INTEGERS:
            return pb.Value(integer=value)
        if value in _LARGE:
            return pb.Value(large_integer=value)
        raise InvalidInputError(f"an integer of {value.bit_length()} bits is too large to be sent", value=value)
    if isinstance(value, float):
        return pb.Value(number=value)
    if isinstance(value, date):
        return pb.Value(timestamp=micros(value))
    raise InvalidInputError(f"a {type(value).__name__} is no scalar that can be sent", value=value)


def value_from_message(message: pb.Value) -> Any:
    """Return the scalar of a message.

    Raises:
        InvalidInputError: it is empty, or a moment outside the years 1 to 9999.

    """
    kind = message.WhichOneof("kind")
    if kind is None:
        raise InvalidInputError("a value is empty")
    value = getattr(message, kind)
    if kind == "timestamp":
        return moment(value)
    if kind == "large_integer" and value <= _SMALL:
        raise InvalidInputError(f"the integer {value} is written as a large one")
    return value


def optional_to_message(value: Any) -> pb.Value | None:
    """Return a scalar as a message, None for None."""
    return None if value is None else value_to_message(value)


def micros(value: date) -> int:
    """Return a moment, or the midnight of a date, as microseconds since 1970."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    elif value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return (value - EPOCH) // _MICROSECOND


def moment(since: int) -> datetime:
    """Return the moment that is so many microseconds after 1970.

    Raises:
        InvalidInputError: it is outside the years 1 to 9999.

    """
    try:
        return EPOCH + timedelta(microseconds=since)
    except OverflowError:
        raise InvalidInputError(f"the moment {since} is outside the years 1 to 9999", value=since) from None


# -- names and JSON ----------------------------------------------------------------------------------------------------


def fields_to_message(names: Iterable[str] | None) -> pb.Fields | None:
    """Return names of fields as a message, None for None."""
    return None if names is None else pb.Fields(names=names)


def valid(text: str) -> str:
    """Return a text as Unicode that can be sent: of names of files, for example, bytes may remain that are none."""
    return text.encode("utf-8", "backslashreplace").decode()


def as_json(told: Any) -> bytes:
    """Return plain values as JSON; mappings of any class become objects, and NaN null."""
    return orjson.dumps(told, _plainly, orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def from_json(data: bytes) -> dict[str, Any]:
    """Return the JSON object that bytes hold, an empty one for none.

    Raises:
        InvalidInputError: they hold something else.

    """
    try:
        told = orjson.loads(data or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(f"the message has no JSON where it should: {error}") from None
    if not isinstance(told, dict):
        raise InvalidInputError(f"the message has no JSON object where it should: a {type(told).__name__}")
    return told


def _plainly(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} is no value of JSON")


def sought_text(message: Any, kind: str | None) -> str:
    """Return the text that is sought, in place of a vector.

    Raises:
        InvalidInputError: nothing is.

    """
    if kind is None:
        raise InvalidInputError(f"nothing is sought in {message.field!r}", field=message.field)
    return message.text
