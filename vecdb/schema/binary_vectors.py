"""Columns of binary vectors: bits that come as bytes or as zeros and ones, to one contiguous matrix of bytes.

A vector of d bits is held in d / 8 bytes. It comes in two forms, which its length tells apart, since d / 8 is never d:
as d / 8 bytes (`bytes`, or whole numbers from 0 to 255), or as d values that are 0 or 1, False or True. The first value
is the highest bit of the first byte, as in `numpy.packbits`. Both forms may stand in one column.

The surprise: signed bytes are refused. Encoders that give int8 "binary" embeddings mean bytes less 128, and beside
unsigned ones each comparison would be wrong in one bit of eight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecdb.errors import DimensionMismatchError
from vecdb.schema.arrow import is_list, pc, python_value
from vecdb.schema.blame import Blame, shown

if TYPE_CHECKING:
    from vecdb.schema.fields import Vector

Bytes = NDArray[np.uint8]

_SIGNED = "; of an int8 'binary' embedding, whose bytes are less by 128, pass (codes.astype('int16') + 128)"


def packed(source: Any, field: Vector, blame: Blame) -> tuple[Bytes, NDArray[np.bool_] | None]:
    """Return the rows of source as bytes (n, d / 8), and which are there (n,), None when all are; the others are zeros.

    Args:
        source: an Arrow array of binary values or lists, a NumPy array (n, d / 8) or (n, d), or a list of vectors and
            None.
        field: a binary vector.
        blame: makes the errors.

    Raises:
        DimensionMismatchError: a vector has another number of values.
        InvalidInputError: a vector holds something that is neither a byte nor a bit.

    """
    if isinstance(source, pa.Array):
        return _from_arrow(source, field, blame)
    if isinstance(source, np.ndarray) and source.dtype != object:
        if source.ndim != 2 or source.dtype.kind not in "biuf":
            hint = ": NumPy drops zeros at the end of bytes, pass uint8" if source.dtype.kind == "S" else ""
            raise blame.column(
                f"an array of dtype {source.dtype} and shape {source.shape} is not a matrix of one vector per row{hint}"
            )
        return _from_numbers(source, field, blame, None), None
    return _from_values(list(source), field, blame)


def _from_arrow(source: pa.Array, field: Vector, blame: Blame) -> tuple[Bytes, NDArray[np.bool_] | None]:
    present = np.asarray(source.is_valid()) if source.null_count else None
    there = np.arange(len(source)) if present is None else np.flatnonzero(present)
    out = np.zeros((len(source), field.dimension // 8), np.uint8)
    if len(there) == 0:
        return out, present
    held = source if present is None else source.drop_null()
    kind = held.type
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        held = held.cast(pa.large_binary() if pa.types.is_binary_view(kind) else pa.binary())
    if pa.types.is_binary(held.type) or pa.types.is_large_binary(held.type):
        lengths, numbers = np.asarray(pc.binary_length(held)), np.frombuffer(b"".join(held.to_pylist()), np.uint8)
        bad = np.flatnonzero(lengths != out.shape[1])
        if len(bad):
            raise _bytes_error(int(lengths[bad[0]]), field, blame, there[bad[0]])
        out[there] = numbers.reshape(-1, out.shape[1])
        return out, present
    if not is_list(kind):
        value = python_value(held, 0)
        raise blame.error(there[0], f"a column of {kind} cannot hold binary vectors", value)
    lengths = np.asarray(pc.list_value_length(held)).astype(np.int64)
    values = held.flatten()
    if not (_numeric(values.type) or pa.types.is_boolean(values.type)):
        raise blame.error(there[0], f"a vector of {values.type} values is not a vector of bits", python_value(held, 0))
    bad = np.flatnonzero((lengths != out.shape[1]) & (lengths != field.dimension))
    if len(bad):
        raise _dimension(int(lengths[bad[0]]), field, blame, there[bad[0]])
    starts = np.cumsum(lengths) - lengths
    if values.null_count:
        at = int(np.flatnonzero(np.asarray(values.is_null()))[0])
        row = int(np.searchsorted(starts, at, side="right")) - 1
        raise blame.error(there[row], f"the vector's value {at - int(starts[row])} is null")
    numbers = values.to_numpy(zero_copy_only=False)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        matrix = numbers if len(rows) == len(held) else numbers[(starts[rows, None] + np.arange(length)).ravel()]
        out[there[rows]] = _from_numbers(matrix.reshape(len(rows), length), field, blame, there[rows])
    return out, present


def _numeric(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _from_numbers(matrix: NDArray[Any], field: Vector, blame: Blame, rows: NDArray[Any] | None) -> Bytes:
    """Return a matrix of bits (n, d) or of bytes (n, d / 8) as fresh bytes; rows (n,) are their places in the batch."""
    count, length = matrix.shape
    if length == field.dimension:
        if matrix.dtype != np.bool_:
            _check(matrix, (matrix == 0) | (matrix == 1), "neither 0 nor 1", blame, rows)
        return np.packbits(matrix != 0, axis=1)
    if length != field.dimension // 8:
        if count == 0:
            return np.empty((0, field.dimension // 8), np.uint8)
        raise _dimension(length, field, blame, 0 if rows is None else rows[0])
    if matrix.dtype.kind not in "iu" or matrix.dtype == np.int8:
        hint = _SIGNED if matrix.dtype == np.int8 else ""
        row = 0 if rows is None else rows[0]
        if count:
            sentence = (
                f"{length} values of {matrix.dtype} are not the bytes of {field.dimension} bits: pass uint8{hint}"
            )
            raise blame.error(row, sentence)
    if matrix.dtype != np.uint8:
        fits = (matrix >= 0) & (matrix <= 255)
        _check(matrix, fits, "not a byte from 0 to 255", blame, rows, _SIGNED)
    return matrix.astype(np.uint8)


def _check(
    matrix: NDArray[Any],
    good: NDArray[np.bool_],
    what: str,
    blame: Blame,
    rows: NDArray[Any] | None,
    hint_below_zero: str = "",
) -> None:
    if not good.all():
        row, at = (int(place) for place in np.argwhere(~good)[0])
        value = matrix[row, at].item()
        sentence = f"the vector's value {at} is {value}, {what}{hint_below_zero if value < 0 else ''}"
        raise blame.error(row if rows is None else rows[row], sentence, value)


def _from_values(values: list[Any], field: Vector, blame: Blame) -> tuple[Bytes, NDArray[np.bool_] | None]:
    out = np.zeros((len(values), field.dimension // 8), np.uint8)
    present = np.array([value is not None for value in values], np.bool_)
    for kind in dict.fromkeys(type(value) for value in values if value is not None):
        rows = np.array([row for row, value in enumerate(values) if type(value) is kind])
        some = [values[row] for row in rows]
        if issubclass(kind, bytes | bytearray | memoryview):
            out[rows] = _from_bytes(some, field, blame, rows)
            continue
        for form in dict.fromkeys(map(_form, some)):
            mine = np.array([row for row, value in zip(rows, some, strict=True) if _form(value) == form])
            matrix = _matrix([values[row] for row in mine], form[0] < field.dimension)
            if matrix is None or (form[0] < field.dimension and matrix.dtype.kind not in "iu"):
                for row in mine:  # one list of floats makes the whole matrix so
                    _check_vector(values[row], field, blame, row)
                raise blame.column("the vectors are not bytes, nor lists or arrays of bits or bytes of one kind")
            out[mine] = _from_numbers(matrix, field, blame, mine)
    return out, None if present.all() else present


def _form(value: Any) -> tuple[int, Any]:
    """Return how many values a vector has, -1 for what has none, and the dtype of an array.

    Together NumPy would make a wider dtype of them, and int8 would not be seen any more.
    """
    return len(value) if hasattr(value, "__len__") else -1, getattr(value, "dtype", None)


def _from_bytes(values: list[Any], field: Vector, blame: Blame, rows: NDArray[Any]) -> Bytes:
    held = [bytes(value) for value in values]
    for row, value in zip(rows, held, strict=True):
        if len(value) != field.dimension // 8:
            raise _bytes_error(len(value), field, blame, row)
    return np.frombuffer(b"".join(held), np.uint8).reshape(len(held), -1)


def _matrix(vectors: list[Any], numbers: bool) -> NDArray[Any] | None:
    """Return vectors of one length as a matrix of numbers or bools, None where they are not that.

    With `numbers`, a bool in a list is not one of them, though NumPy would make it one.
    """
    if any(isinstance(vector, np.ma.MaskedArray | str) for vector in vectors):
        return None
    if numbers and any(isinstance(vector, list | tuple) and bool in map(type, vector) for vector in vectors):
        return None
    try:
        matrix = np.array(vectors)
    except (ValueError, TypeError, OverflowError):
        return None
    return matrix if matrix.ndim == 2 and matrix.dtype.kind in "biuf" else None


def _check_vector(value: Any, field: Vector, blame: Blame, row: int) -> None:
    """Raise the error that says what is wrong with one vector, if anything is."""
    matrix = _matrix([value], _form(value)[0] < field.dimension)
    if matrix is None:
        sentence = (
            f"{shown(value)} is neither {field.dimension // 8} bytes nor a list or an array of {field.dimension} bits"
        )
        raise blame.error(row, sentence, value)
    _from_numbers(matrix, field, blame, np.array([row]))


def _dimension(found: int, field: Vector, blame: Blame, row: Any) -> DimensionMismatchError:
    sentence = (
        f"the vector has {found} values, the field has {field.dimension} bits: pass {field.dimension} values of 0 or 1,"
        f" or {field.dimension // 8} bytes"
    )
    return blame.error(row, sentence, found, DimensionMismatchError)


def _bytes_error(found: int, field: Vector, blame: Blame, row: Any) -> DimensionMismatchError:
    sentence = f"the vector has {found} bytes, a field of {field.dimension} bits has {field.dimension // 8}"
    return blame.error(row, sentence, found, DimensionMismatchError)
