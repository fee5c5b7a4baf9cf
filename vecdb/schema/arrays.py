"""Arrow arrays of plain values, and back, without pandas.

`pa.array`, `pa.scalar` and `Array.to_numpy` load pandas where it is installed, to see whether they were given one of
its objects: most of the time that a process's first search takes. Memory and its type say enough.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLAIN = (
    pa.types.is_string, pa.types.is_boolean, pa.types.is_int64, pa.types.is_float64, pa.types.is_timestamp,
)  # fmt: skip


def array_of(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    """Return Python's values as an array of a field's type.

    Args:
        values: bool, int, float, str or datetime, as `type_` holds them, or None.
        type_: of a bool, int64, float64, text, keyword or timestamp field.

    """
    missing = np.array([value is None for value in values], np.bool_)
    if pa.types.is_boolean(type_):
        return bools_array(np.array([bool(value) for value in values], np.bool_), missing if missing.any() else None)
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    if pa.types.is_string(type_):
        texts = [b"" if value is None else value.encode() for value in values]
        offsets = np.zeros(len(texts) + 1, np.int32)
        np.cumsum([len(text) for text in texts], out=offsets[1:])
        return pa.Array.from_buffers(type_, len(texts), [valid, pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))])
    if pa.types.is_timestamp(type_):
        values = [None if value is None else (_moment(value) - _EPOCH) // _MICROSECOND for value in values]
    dtype = np.float64 if pa.types.is_floating(type_) else np.int64
    numbers = np.array([0 if value is None else value for value in values], dtype)
    return pa.Array.from_buffers(type_, len(values), [valid, pa.py_buffer(numbers)])


def python_array(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    """Return a few of Python's values, None among them, as an array of any field's type.

    `pa.array` does that faster, once pandas is loaded or where there is none.
    """
    if "pandas" not in sys.modules and _has_pandas() and any(test(type_) for test in _PLAIN):
        return array_of(values, type_)
    return pa.array(values, type_)


@cache
def _has_pandas() -> bool:
    return find_spec("pandas") is not None


def scalar_of(value: Any, type_: pa.DataType) -> pa.Scalar[Any]:
    """Return one of Python's values as Arrow has it."""
    return array_of([value], type_)[0]


def _moment(value: datetime) -> datetime:
    """Return a moment; one without a time zone is UTC."""
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def numbers_array(numbers: NDArray[Any]) -> pa.Array:
    """Return numbers (n,) as an array that shares their memory."""
    flat = np.ascontiguousarray(numbers)
    return pa.Array.from_buffers(pa.from_numpy_dtype(flat.dtype), len(flat), [None, pa.py_buffer(flat)])


def bools_array(bools: NDArray[np.bool_], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return truth values (n,) as an array, null where `missing` says so."""
    valid = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    packed = pa.py_buffer(np.packbits(bools, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(bools), [valid, packed])


def numbers_of(array: pa.Array) -> NDArray[Any]:
    """Return the numbers of an array without nulls as a read-only array (n,) that shares its memory."""
    return np.from_dlpack(array)  # pyright: ignore[reportArgumentType]


def codes_of(coded: pa.DictionaryArray) -> NDArray[np.int64]:
    """Return which entry of its dictionary each value of an array is, (n,); -1 for null."""
    nowhere = numbers_array(np.array([-1], np.int32))[0]
    return numbers_of(coded.indices.fill_null(nowhere)).astype(np.int64)


def true_of(array: pa.Array) -> NDArray[np.bool_]:
    """Return where a boolean array is true: a new array (n,); null is not."""
    found = bools_of(array)
    return found if array.null_count == 0 else found & bools_of(array.is_valid())


def bools_of(array: pa.Array) -> NDArray[np.bool_]:
    """Return the truth values of a boolean array without nulls: a new array (n,)."""
    bits = array.buffers()[1]
    if bits is None or len(array) == 0:
        return np.zeros(len(array), np.bool_)
    first = array.offset & 7
    taken = np.frombuffer(bits, np.uint8)[array.offset >> 3 :]
    return np.unpackbits(taken, count=first + len(array), bitorder="little")[first:].view(np.bool_)
