"""One record to one batch, fast: the shortcut for a program that writes record by record.

A shortcut and nothing else: it takes a record only when every value is of the plainest type for its field, and
otherwise returns None, so that the general way makes the batch or the error. Its exact twin is that general way, and
a property test compares the two.

Arrays are put together from packed bytes, because Arrow's conversion from Python costs more per call than all of
the checks here.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecdb.errors import InvalidInputError
from vecdb.schema.blame import Blame
from vecdb.schema.fields import ID_BYTES, Bool, Field, Float64, Geo, Id, Int64, Json, Keyword, Sparse, Timestamp, Vector
from vecdb.schema.from_arrow import nulls
from vecdb.schema.json_text import json_text
from vecdb.schema.limits import Limits
from vecdb.schema.multivector import MultiVector
from vecdb.schema.places import place_of
from vecdb.schema.schema import Schema
from vecdb.schema.sparse import sparse_from_python
from vecdb.schema.timestamps import timestamp_micros

_OFFSETS = struct.Struct("=ii").pack
_INT64 = struct.Struct("=q").pack
_FLOAT64 = struct.Struct("=d").pack
_STRING = pa.string()
_SURE = 1e37
"""A sum of squares below this has no number that float32 cannot hold, and is of no vector that is too long."""

Cell = Callable[[Any, Limits], tuple[pa.Array, int]]
"""Turns a value that is not None into an array of one row and its bytes of text, or raises _NotPlainError."""


class OneRow:
    """Writes records of one schema. Never changes once made, so threads may share it."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema.arrow_schema()
        self._names = frozenset(column.name for column in schema)
        self._id = schema.id.name
        self._columns = [(column.name, nulls(1, column.field), _cell(column.field)) for column in schema]

    def batch(self, record: dict[str, Any], limits: Limits, partial: bool = False) -> pa.RecordBatch | None:
        """Return the record as a validated batch of one row, or None when it needs the general way.

        With partial, the batch has the id first and then the columns that the record names.
        """
        if not self._names.issuperset(record) or record.get(self._id) is None:
            return None
        arrays: list[pa.Array] = []
        size = 0
        try:
            for name, null, cell in self._columns:
                value = record.get(name)
                if value is None:
                    arrays.append(null)
                else:
                    array, length = cell(value, limits)
                    arrays.append(array)
                    size += length
        except (_NotPlainError, UnicodeEncodeError, OverflowError):
            return None
        if size > limits.row_bytes:
            return None
        if not partial:
            return pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        places = [place for place, column in enumerate(self._columns) if column[0] in record and column[0] != self._id]
        places.insert(0, self._schema.get_field_index(self._id))
        schema = pa.schema([self._schema.field(place) for place in places])
        return pa.RecordBatch.from_arrays([arrays[place] for place in places], schema=schema)


@lru_cache(maxsize=64)
def one_row(schema: Schema) -> OneRow:
    """Return the writer for a schema, made once."""
    return OneRow(schema)


class _NotPlainError(Exception):
    """The value needs the general way. Never seen by a caller."""


def _cell(field: Field) -> Cell:
    if isinstance(field, Vector):
        return _bits_cell(field) if field.dtype == "binary" else _vector_cell(field)
    if isinstance(field, MultiVector):
        return _general_cell
    if isinstance(field, Bool):
        return _bool_cell()
    if isinstance(field, Keyword) and field.many:
        return _strings_cell(field)
    if isinstance(field, Geo):
        return _place_cell(field)
    if isinstance(field, Sparse):
        return _sparse_cell(field)
    if isinstance(field, Id):
        return _id_cell if field.type == "string" else _int64_cell
    return {Int64: _int64_cell, Float64: _float64_cell, Timestamp: _timestamp_cell, Json: _json_cell}.get(
        type(field), _string_cell
    )


def _general_cell(value: Any, limits: Limits) -> tuple[pa.Array, int]:
    raise _NotPlainError


def _string_cell(value: Any, _: Limits) -> tuple[pa.Array, int]:
    if type(value) is not str:
        raise _NotPlainError
    data = value.encode()
    length = len(data)
    # Longer ones are refused anyway, and an offset has 31 bits.
    if length > 2**30:
        raise _NotPlainError
    buffers = [None, pa.py_buffer(_OFFSETS(0, length)), pa.py_buffer(data)]
    return pa.Array.from_buffers(_STRING, 1, buffers, 0), length


def _id_cell(value: Any, limits: Limits) -> tuple[pa.Array, int]:
    array, length = _string_cell(value, limits)
    if not 1 <= length <= ID_BYTES:
        raise _NotPlainError
    return array, length


def _json_cell(value: Any, limits: Limits) -> tuple[pa.Array, int]:
    try:
        text = json_text(value, limits.json_depth)
    except ValueError as error:
        raise _NotPlainError from error
    return (pa.nulls(1, _STRING), 0) if text is None else _string_cell(text, limits)


def _strings_cell(field: Keyword) -> Cell:
    type_ = field.arrow_type

    def strings(value: Any, _: Limits) -> tuple[pa.Array, int]:
        if type(value) is not list or not all(type(item) is str for item in value):
            raise _NotPlainError
        return pa.array([value], type_), sum(len(item.encode()) for item in value)

    return strings


def _bool_cell() -> Cell:
    arrays = {value: pa.array([value], pa.bool_()) for value in (True, False)}

    def boolean(value: Any, _: Limits) -> tuple[pa.Array, int]:
        if type(value) is not bool:
            raise _NotPlainError
        return arrays[value], 0

    return boolean


def _numbers(type_: pa.DataType, count: int, data: bytes) -> pa.Array:
    return pa.Array.from_buffers(type_, count, [None, pa.py_buffer(data)], 0)


def _int64_cell(value: Any, _: Limits) -> tuple[pa.Array, int]:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise _NotPlainError
    return _numbers(pa.int64(), 1, _INT64(value)), 0


def _float64_cell(value: Any, _: Limits) -> tuple[pa.Array, int]:
    if type(value) is not float or not math.isfinite(value):
        raise _NotPlainError
    return _numbers(pa.float64(), 1, _FLOAT64(value)), 0


_MOMENT = Timestamp().arrow_type


def _timestamp_cell(value: Any, _: Limits) -> tuple[pa.Array, int]:
    if type(value) is not datetime:
        raise _NotPlainError
    try:
        micros = timestamp_micros(value)
    except ValueError as error:
        raise _NotPlainError from error
    return _numbers(_MOMENT, 1, _INT64(micros)), 0


def _place_cell(field: Geo) -> Cell:
    type_ = field.arrow_type

    def place(value: Any, _: Limits) -> tuple[pa.Array, int]:
        try:
            latitude, longitude = place_of(value)
        except ValueError as error:
            raise _NotPlainError from error
        return pa.array([{"lat": latitude, "lon": longitude}], type_), 0

    return place


def _sparse_cell(field: Sparse) -> Cell:
    blame = Blame("")

    def sparse(value: Any, _: Limits) -> tuple[pa.Array, int]:
        try:
            return sparse_from_python([value], field, blame), 0
        except InvalidInputError as error:
            raise _NotPlainError from error

    return sparse


def _vector_cell(field: Vector) -> Cell:
    type_, item, shape = field.arrow_type, field.arrow_type.value_type, (field.dimension,)
    dtype, cosine = np.dtype(field.dtype), field.metric == "cosine"

    def vector(value: Any, _: Limits) -> tuple[pa.Array, int]:
        """Copy the vector, if its numbers are finite and not all zero without a doubt."""
        if type(value) is list:
            value = _from_list(value)
        if type(value) is not np.ndarray or value.shape != shape:
            raise _NotPlainError
        if dtype == np.float32:
            if value.dtype != dtype:
                value = _to_float32(value)
            # Infinity or NaN anywhere makes the sum so; one that overflows or vanishes leaves the question open.
            plain = 0.0 < np.vdot(value, value) < _SURE
        else:
            plain = value.dtype == dtype and (not cosine or value.any()) and np.isfinite(value).all()
        if not plain:
            raise _NotPlainError
        return pa.FixedSizeListArray.from_arrays(_numbers(item, field.dimension, value.tobytes()), type=type_), 0

    return vector


def _bits_cell(field: Vector) -> Cell:
    type_, item, size = field.arrow_type, field.arrow_type.value_type, field.dimension // 8

    def bits(value: Any, _: Limits) -> tuple[pa.Array, int]:
        """Copy the bytes of a vector that comes packed."""
        if type(value) is np.ndarray and value.dtype == np.uint8 and value.ndim == 1:
            value = value.tobytes()
        if type(value) is not bytes or len(value) != size:
            raise _NotPlainError
        return pa.FixedSizeListArray.from_arrays(_numbers(item, size, value), type=type_), 0

    return bits


def _from_list(numbers: list[Any]) -> NDArray[Any]:
    if not {float, int}.issuperset(map(type, numbers)):
        raise _NotPlainError
    return np.array(numbers)


def _to_float32(vector: NDArray[Any]) -> NDArray[np.float32]:
    if vector.dtype != np.float64 or not np.vdot(vector, vector) < _SURE:
        raise _NotPlainError
    return vector.astype(np.float32)
