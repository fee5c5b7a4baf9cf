"""Vector columns: from any source to one contiguous matrix.

What comes out is always a fixed-size list at offset 0 over one buffer that begins at its first number; a row
without a vector is null and its numbers are zero, so a kernel may read the buffer as an (n, d) matrix.

Two surprises. Arrow's `.values` ignores slices and `.flatten()` drops null rows, so rows are counted without the
nulls until the end. And NumPy input is copied even when it fits: the caller may write into it again, Arrow data
is immutable by contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecdb.errors import DimensionMismatchError
from vecdb.schema import binary_vectors
from vecdb.schema.arrow import is_list, pc, python_value
from vecdb.schema.blame import Blame, shown
from vecdb.schema.vector_numbers import check_numbers, in_dtype

if TYPE_CHECKING:
    from vecdb.schema.fields import Vector

_BOOLS = frozenset({bool, np.bool_})


def vector_array(source: Any, field: Vector, blame: Blame) -> pa.FixedSizeListArray:
    """Return source as an array of field.arrow_type.

    Args:
        source: an Arrow array of lists of numbers, a NumPy array (n, d), or a list of vectors and None.
        field: the dimension, dtype and metric to hold.
        blame: makes the errors.

    Raises:
        DimensionMismatchError: a vector has another number of values.
        InvalidInputError: a vector holds something that is not a number, not finite, or too large for the dtype;
            or it is all zeros and the metric is cosine.

    """
    if field.dtype == "binary":
        matrix, present = binary_vectors.packed(source, field, blame)
        return _array(matrix, field, missing=None if present is None else ~present)
    if isinstance(source, pa.Array):
        dense, rows = _from_arrow(source, field, blame)
        total = len(source)
        owned = True
    elif isinstance(source, np.ndarray) and source.dtype != object:
        dense, rows, total = _from_matrix(source, field, blame), None, len(source)
        owned = False
    else:
        values = list(source)
        dense, rows = _from_values(values, field, blame)
        total = len(values)
        owned = True
    matrix = in_dtype(dense, field, blame, rows)
    check_numbers(matrix, field, blame, rows, original=dense)
    if rows is not None:
        full = np.zeros((total, field.dimension), dtype=matrix.dtype)
        full[rows] = matrix
        present = np.zeros(total, dtype=np.bool_)
        present[rows] = True
        return _array(full, field, missing=~present)
    if matrix is dense and not owned:
        matrix = matrix.copy()
    return _array(np.ascontiguousarray(matrix), field)


def missing_vectors(rows: int, field: Vector) -> pa.FixedSizeListArray:
    """Return a column in which no row has a vector."""
    held = field.arrow_type
    zeros = np.zeros((rows, held.list_size), dtype=held.value_type.to_pandas_dtype())
    return _array(zeros, field, missing=np.ones(rows, dtype=np.bool_))


def _array(matrix: NDArray[Any], field: Vector, missing: NDArray[np.bool_] | None = None) -> pa.FixedSizeListArray:
    numbers = pa.Array.from_buffers(
        field.arrow_type.value_type, matrix.size, [None, pa.py_buffer(matrix.reshape(-1))], null_count=0
    )
    mask = None if missing is None else pa.array(missing)
    return pa.FixedSizeListArray.from_arrays(numbers, type=field.arrow_type, mask=mask)


def _from_arrow(source: pa.Array, field: Vector, blame: Blame) -> tuple[NDArray[Any], NDArray[np.intp] | None]:
    """Return the vectors that are there (m, d), and their rows (m,) unless all n are there."""
    valid = np.asarray(source.is_valid()) if source.null_count else None
    rows = None if valid is None else np.flatnonzero(valid)
    if len(source) == source.null_count:
        return np.empty((0, field.dimension), dtype=field.dtype), rows
    if not is_list(source.type):
        row = 0 if rows is None else rows[0]
        raise blame.error(row, f"a column of {source.type} cannot hold vectors", python_value(source, int(row)))
    lengths = np.asarray(pc.fill_null(pc.list_value_length(source), field.dimension))
    wrong = np.flatnonzero(lengths != field.dimension)
    if len(wrong):
        raise _dimension(int(lengths[wrong[0]]), field, blame, wrong[0])
    numbers = source.flatten()
    if numbers.null_count:
        at = int(np.flatnonzero(np.asarray(numbers.is_null()))[0])
        row = at // field.dimension
        place = row if rows is None else rows[row]
        raise blame.error(place, f"the vector's number {at % field.dimension} is null")
    if not (pa.types.is_floating(numbers.type) or pa.types.is_integer(numbers.type)):
        row = 0 if rows is None else rows[0]
        raise blame.error(
            row, f"a vector of {numbers.type} values is not a vector of numbers", python_value(numbers, 0)
        )
    return numbers.to_numpy(zero_copy_only=True).reshape(-1, field.dimension), rows


def _from_matrix(source: NDArray[Any], field: Vector, blame: Blame) -> NDArray[Any]:
    if source.dtype.kind not in "fiu":
        raise blame.column(f"an array of dtype {source.dtype} is not a matrix of numbers")
    if source.ndim != 2:
        raise blame.column(f"an array of shape {source.shape} is not a matrix of one vector per row")
    if source.shape[1] != field.dimension and len(source):
        raise _dimension(source.shape[1], field, blame, 0)
    return source.reshape(len(source), field.dimension)


def _from_values(values: list[Any], field: Vector, blame: Blame) -> tuple[NDArray[Any], NDArray[np.intp] | None]:
    """As `_from_arrow`, from a list of array-likes and None."""
    present = [row for row, value in enumerate(values) if value is not None]
    rows = None if len(present) == len(values) else np.array(present, dtype=np.intp)
    dense = values if rows is None else [values[row] for row in present]
    if not dense:
        return np.empty((0, field.dimension), dtype=field.dtype), rows
    try:
        matrix = None if any(map(_deceptive, dense)) else np.array(dense)
    except (ValueError, TypeError, OverflowError):
        matrix = None
    if matrix is None or matrix.ndim != 2 or matrix.dtype.kind not in "fiu" or matrix.shape[1] != field.dimension:
        for row, value in zip(present, dense, strict=True):
            _check_vector(value, field, blame, row)
        raise blame.column("the vectors are not lists or arrays of numbers of one kind")
    return matrix, rows


def _deceptive(vector: Any) -> bool:
    """Say whether NumPy would read it as what it is not: a mask would be dropped, a bool among numbers be 1 or 0."""
    if isinstance(vector, list | tuple):
        return not _BOOLS.isdisjoint(map(type, vector))
    return isinstance(vector, np.ma.MaskedArray) or getattr(vector, "dtype", None) == np.bool_


def _check_vector(value: Any, field: Vector, blame: Blame, row: int) -> None:
    """Raise the error that says what is wrong with one vector, if anything is."""
    try:
        vector = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        vector = np.empty((), dtype=object)
    if vector.ndim == 1 and len(vector) and (vector.dtype.kind not in "fiu" or _deceptive(value)):
        for at, number in enumerate(value):
            if isinstance(number, bool | np.bool_) or not isinstance(number, int | float | np.number):
                raise blame.error(row, f"the vector's number {at} is {shown(number)}, which is not a number", number)
    numeric = vector.dtype.kind in "fiu" and not isinstance(value, np.ma.MaskedArray)
    if vector.ndim != 1 or (len(vector) and not numeric):
        raise blame.error(row, f"{shown(value)} is not a list or an array of {field.dimension} numbers", value)
    if len(vector) != field.dimension:
        raise _dimension(len(vector), field, blame, row)


def _dimension(found: int, field: Vector, blame: Blame, row: int) -> DimensionMismatchError:
    sentence = f"the vector has {found} values, the field has dimension {field.dimension}"
    return blame.error(row, sentence, found, DimensionMismatchError)
