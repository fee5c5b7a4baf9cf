"""One Arrow column, from anywhere, as an array of its field's type.

What came from outside is validated in full before anything reads it: a string column with bad offsets is an
out-of-bounds read otherwise. Conversions lose nothing, except that a moment loses what is below a microsecond.

The surprise: only vectors share memory with the source. Other columns are copied, because they are small, because
pandas lends Arrow arrays that it goes on changing, and because a slice would keep a whole table alive.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.schema.arrow import is_list, is_string, pc, python_value
from vecdb.schema.blame import Blame, shown
from vecdb.schema.fields import Field, Float64, Geo, Json, Keyword, Sparse, Timestamp, Vector
from vecdb.schema.from_python import json_array, timestamp_array
from vecdb.schema.limits import Limits
from vecdb.schema.multivector import MultiVector
from vecdb.schema.places import places_from_arrow
from vecdb.schema.sparse import sparse_from_arrow
from vecdb.schema.timestamps import FIRST_MICROS, LAST_MICROS
from vecdb.schema.tokens import tokens_array
from vecdb.schema.vectors import missing_vectors, vector_array

_MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1}


def from_arrow(source: pa.Array | pa.ChunkedArray, field: Field, blame: Blame, limits: Limits) -> pa.Array:
    """Return source as one array of field.arrow_type.

    Raises:
        InvalidInputError: the array is damaged, has another type, or a value does not fit the field.

    """
    chunks = source.chunks if isinstance(source, pa.ChunkedArray) else [source]
    try:
        array = _joined([_plain(chunk, blame) for chunk in chunks], field, blame)
        converted = _converted(array, field, blame, limits)
        return converted if isinstance(field, Vector | MultiVector) else pa.concat_arrays([converted])
    except pa.ArrowException as error:
        raise blame.column(f"a column of {source.type} cannot be read as {field.kind}: {error}") from error


def nulls(rows: int, field: Field) -> pa.Array:
    """Return a column in which every row is null."""
    return missing_vectors(rows, field) if isinstance(field, Vector) else pa.nulls(rows, field.arrow_type)


def _plain(array: pa.Array, blame: Blame) -> pa.Array:
    """Validate, then undo extension types, dictionaries and run-length encoding."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        raise _damaged(array, blame, error) from error
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array


def _damaged(array: pa.Array, blame: Blame, error: pa.ArrowInvalid) -> Exception:
    """Return the error about the first value that is not valid by itself, or else about the column."""
    for row in range(len(array)):
        try:
            array.slice(row, 1).validate(full=True)
        except pa.ArrowInvalid as cause:
            return blame.error(row, f"the value is damaged: {cause}")
    return blame.column(f"the column is damaged: {error}")


def _joined(arrays: list[pa.Array], field: Field, blame: Blame) -> pa.Array:
    if not arrays:
        return nulls(0, field)
    if len(arrays) == 1:
        return arrays[0]
    joined = pa.chunked_array(arrays).combine_chunks()
    if isinstance(joined, pa.ChunkedArray):
        raise blame.column("the column has more than 2 GiB in one batch: write it in several")
    return joined


def _converted(array: pa.Array, field: Field, blame: Blame, limits: Limits) -> pa.Array:
    if isinstance(field, Vector | MultiVector):
        return _vectors(array, field, blame)
    if array.null_count == len(array):
        return nulls(len(array), field)
    if isinstance(field, Json):
        return _json(array, blame, limits)
    if isinstance(field, Timestamp | Geo | Sparse):
        return {Timestamp: _timestamp, Geo: places_from_arrow, Sparse: sparse_from_arrow}[type(field)](
            array, field, blame
        )
    if isinstance(field, Keyword) and field.many:
        return _strings(array, field, blame)
    if isinstance(field, Float64):
        return _floats(array, field, blame)
    target = field.arrow_type
    if array.type == target:
        return array
    if not (
        (is_string(target) and is_string(array.type))
        or (pa.types.is_integer(target) and pa.types.is_integer(array.type))
    ):
        raise _wrong_type(array, field, blame)
    if array.type == pa.uint64():
        _refuse(pc.greater(array, pa.scalar(2**63 - 1, pa.uint64())), array, blame, "does not fit 64 bits with a sign")
    return array.cast(target)


def _vectors(array: pa.Array, field: Vector | MultiVector, blame: Blame) -> pa.Array:
    return vector_array(array, field, blame) if isinstance(field, Vector) else tokens_array(array, field, blame)


def _wrong_type(array: pa.Array, field: Field, blame: Blame) -> Exception:
    row = int(np.flatnonzero(np.asarray(array.is_valid()))[0])
    value = python_value(array, row)
    return blame.error(row, f"{shown(value)} in a column of {array.type} is not a {field.kind}", value)


def _refuse(bad: pa.BooleanArray, array: pa.Array, blame: Blame, reason: str) -> None:
    """Raise about the first row where bad is true, if any."""
    rows = np.flatnonzero(np.asarray(pc.fill_null(bad, False)))
    if len(rows):
        row = int(rows[0])
        value = python_value(array, row)
        raise blame.error(row, f"{shown(value)} {reason}", value)


def _floats(array: pa.Array, field: Float64, blame: Blame) -> pa.Array:
    if pa.types.is_integer(array.type):
        floats = array.cast(pa.float64(), safe=False)
        if pa.types.is_int64(array.type) or pa.types.is_uint64(array.type):
            limit = pa.scalar(2**53, array.type)
            large = pc.greater(array, limit)
            if pa.types.is_int64(array.type):
                large = pc.or_(large, pc.less(array, pa.scalar(-(2**53), array.type)))
            _refuse(large, array, blame, "has more than the 53 bits that a float64 holds exactly")
        return floats
    if not pa.types.is_floating(array.type):
        raise _wrong_type(array, field, blame)
    floats = array if array.type == pa.float64() else array.cast(pa.float64())
    _refuse(pc.invert(pc.is_finite(floats)), floats, blame, "is not finite; a missing value is null")
    return floats


def _strings(array: pa.Array, field: Keyword, blame: Blame) -> pa.Array:
    if not is_list(array.type):
        raise _wrong_type(array, field, blame)
    strings = _plain(array.flatten(), blame)
    if not (is_string(strings.type) or strings.null_count == len(strings)):
        raise _wrong_type(array, field, blame)
    if strings.null_count:
        for row, value in enumerate(array.to_pylist()):
            if value is not None and None in value:
                raise blame.error(row, f"{shown(value)} holds a null; leave it out", value)
    if array.type == field.arrow_type:
        return array
    lengths = np.asarray(pc.fill_null(pc.list_value_length(array), 0)).astype(np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    mask = array.is_null() if array.null_count else None
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), strings.cast(pa.string()), mask=mask)


def _timestamp(array: pa.Array, field: Timestamp, blame: Blame) -> pa.Array:
    """Return UTC microseconds. Arrow keeps moments with a zone in UTC already, and those without are taken as UTC."""
    if is_string(array.type):
        return timestamp_array(array.to_pylist(), blame)
    if pa.types.is_date32(array.type):
        scale, ticks = 86_400 * 1_000_000, array.view(pa.int32())
    elif pa.types.is_date64(array.type):
        scale, ticks = 1_000, array.view(pa.int64())
    elif pa.types.is_timestamp(array.type):
        scale, ticks = _MICROS.get(array.type.unit, 0), array.view(pa.int64())
    else:
        raise _wrong_type(array, field, blame)
    numbers = np.asarray(pc.fill_null(ticks, 0)).astype(np.int64)
    # Compared in the source's unit: multiplied first, a far moment would overflow and come back near.
    first, last = (FIRST_MICROS // scale, LAST_MICROS // scale) if scale else (FIRST_MICROS * 1000, LAST_MICROS * 1000)
    outside = np.flatnonzero((numbers < first) | (numbers > last))
    if len(outside):
        row = int(outside[0])
        value = int(numbers[row])
        raise blame.error(row, f"the {array.type} {value} is outside the years 1 to 9999 of UTC", value)
    if scale == 1:
        return array.view(field.arrow_type)
    micros = numbers * scale if scale else numbers // 1_000
    mask = np.asarray(array.is_null()) if array.null_count else None
    return pa.array(micros, mask=mask).view(field.arrow_type)


def _json(array: pa.Array, blame: Blame, limits: Limits) -> pa.Array:
    try:
        values: list[Any] = array.to_pylist(maps_as_pydicts="strict")
    except (KeyError, OverflowError, ValueError) as error:
        raise blame.column(f"a column of {array.type} cannot be read as JSON: {error}") from error
    return json_array(values, blame, limits)
