"""Columns of multi-vectors: from any form in which people have them to lists of vectors, every number checked.

A row comes as a (tokens, dimension) array, a list of vectors, or None; a row without tokens is an empty list. A whole
column may be a list of rows, a (rows, tokens, dimension) array, an Arrow array of lists of lists in any of Arrow's
layouts, or `ragged(tokens, offsets)`.

Nothing is normalised, pooled or coded here: a batch may be checked twice on its way, and that must change nothing. It
is done once, when it is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecdb.errors import DimensionMismatchError, InvalidInputError
from vecdb.schema.arrow import is_list, pc, python_value
from vecdb.schema.blame import Blame, shown
from vecdb.schema.multivector import TOKENS, MultiVector

_BLOCK = 1 << 16
"""Tokens that are looked at together: bounds the memory of what is compared."""
LONGEST = 1e9
"""The longest vector of a token: sums of products of 32,768 such pairs stay within float32."""


class _Rows(NamedTuple):
    """The tokens of rows, not yet checked: (t, d) numbers, how many each row has (n,), and which rows are null."""

    tokens: NDArray[Any]
    lengths: NDArray[np.int64]
    missing: NDArray[np.bool_] | None


def ragged(tokens: Any, offsets: Any) -> pa.LargeListArray:
    """Return rows of tokens as a column for `upsert`, without copying them.

    Args:
        tokens: (t, dimension) float32 or float16, those of all rows one behind the other.
        offsets: (rows + 1,) whole numbers: row r has tokens[offsets[r] : offsets[r + 1]].

    Raises:
        InvalidInputError: the shapes are others, or the offsets do not ascend from 0 to t.

    """
    matrix, ends = np.ascontiguousarray(tokens), np.asarray(offsets)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu" or matrix.shape[1] == 0:
        told = f"tokens have dtype {matrix.dtype} and shape {matrix.shape}, expected a matrix of numbers"
        raise InvalidInputError(told, field="tokens")
    if ends.ndim != 1 or ends.dtype.kind not in "iu" or len(ends) == 0:
        raise InvalidInputError(f"offsets are {shown(offsets)}, expected whole numbers, one more than rows")
    ends = ends.astype(np.int64)
    if ends[0] != 0 or ends[-1] != len(matrix) or (np.diff(ends) < 0).any():
        told = f"offsets do not ascend from 0 to {len(matrix)}, the number of tokens"
        raise InvalidInputError(told, field="offsets")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])
    return pa.LargeListArray.from_arrays(pa.array(ends), lists)


def tokens_array(source: Any, field: MultiVector, blame: Blame) -> pa.LargeListArray:
    """Return source as an array of field.arrow_type.

    Args:
        source: an Arrow array of lists of lists, a NumPy array (rows, tokens, d), or a list of rows and None.
        field: the dimension and dtype to hold.
        blame: makes the errors.

    Raises:
        DimensionMismatchError: a vector has another number of values.
        InvalidInputError: a row has another form, too many tokens, or a number that is not finite or too large.

    """
    if isinstance(source, pa.Array):
        rows = _from_arrow(source, field, blame)
    elif isinstance(source, np.ndarray) and source.dtype != object:
        rows = _from_block(source, field, blame)
    else:
        rows = _from_values(list(source), field, blame)
    large = np.flatnonzero(rows.lengths > TOKENS)
    if len(large):
        raise blame.error(large[0], f"the row has {rows.lengths[large[0]]} vectors, at most {TOKENS}")
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(rows.lengths)])
    held = _checked(rows.tokens, ends, field, blame)
    return as_array(held, ends, field, rows.missing)


def as_array(
    tokens: NDArray[Any], ends: NDArray[np.int64], field: MultiVector, missing: NDArray[np.bool_] | None
) -> pa.LargeListArray:
    """Return (t, d) tokens of field's own dtype as a column; `missing` rows, bool (n,), are null and have none."""
    inner = field.arrow_type.value_type
    flat = pa.Array.from_buffers(inner.value_type, tokens.size, [None, pa.py_buffer(tokens.reshape(-1))], null_count=0)
    lists = pa.FixedSizeListArray.from_arrays(flat, type=inner)
    mask = pa.array(missing) if missing is not None and missing.any() else None
    return pa.LargeListArray.from_arrays(pa.array(ends), lists, type=field.arrow_type, mask=mask)


def dtype_of(field: MultiVector) -> np.dtype[Any]:
    """Return the dtype of the vectors that users send and receive."""
    return np.dtype(np.float16 if field.dtype == "float16" else np.float32)


def matrix_of(value: Any, dimension: int) -> NDArray[Any]:
    """Return one row's vectors, or those of a question, as (tokens, dimension) numbers.

    Raises:
        ValueError: with the rest of a sentence: it has another form.

    """
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError("is a masked array, which is not read")
    try:
        if isinstance(value, list | tuple) and value and not isinstance(value[0], np.ndarray):
            flat = [number for vector in value if isinstance(vector, list | tuple) for number in vector]
            if any(isinstance(number, bool | str | bytes) or number is None for number in flat):
                raise ValueError("holds something that is not a number")
        matrix = np.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        told = str(error) if str(error).startswith("holds") else "is not a matrix of numbers: (tokens, dimension)"
        raise ValueError(told) from error
    if matrix.size == 0 and (matrix.ndim <= 1 or matrix.shape[0] == 0):
        return np.empty((0, dimension), np.float32)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        told = f"has the shape {matrix.shape} and" if matrix.dtype.kind in "fiu" else ""
        raise ValueError(f"{told} is not a matrix of numbers: (tokens, dimension)".strip())
    return matrix


def _from_values(values: Sequence[Any], field: MultiVector, blame: Blame) -> _Rows:
    matrices, missing = [], np.zeros(len(values), np.bool_)
    for row, value in enumerate(values):
        if value is None:
            missing[row] = True
            matrices.append(np.empty((0, field.dimension), np.float32))
            continue
        try:
            matrix = matrix_of(value, field.dimension)
        except ValueError as error:
            raise blame.error(row, f"{shown(value)} {error}", value) from error
        if matrix.shape[1] != field.dimension:
            raise _dimension(matrix.shape[1], field, blame, row)
        matrices.append(matrix)
    lengths = np.array([len(matrix) for matrix in matrices], np.int64)
    filled = [matrix for matrix in matrices if len(matrix)]
    tokens = np.concatenate(filled) if filled else np.empty((0, field.dimension), np.float32)
    return _Rows(tokens, lengths, missing)


def _from_block(source: NDArray[Any], field: MultiVector, blame: Blame) -> _Rows:
    if source.ndim != 3 or source.dtype.kind not in "fiu" or isinstance(source, np.ma.MaskedArray):
        raise blame.column(
            f"an array of dtype {source.dtype} and shape {source.shape} is not one of (rows, tokens, dimension)"
            " numbers: rows of different lengths are a list of arrays, or vecdb.ragged(tokens, offsets)"
        )
    if source.shape[2] != field.dimension:
        raise _dimension(source.shape[2], field, blame, 0)
    lengths = np.full(len(source), source.shape[1], np.int64)
    return _Rows(source.reshape(-1, field.dimension).copy(), lengths, None)


def _from_arrow(source: pa.Array, field: MultiVector, blame: Blame) -> _Rows:
    missing = np.asarray(source.is_null()) if source.null_count else None
    nothing = np.empty((0, field.dimension), dtype_of(field))
    if source.null_count == len(source):
        return _Rows(nothing, np.zeros(len(source), np.int64), missing)
    if not is_list(source.type):
        raise _no_lists(source, blame)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(source), 0)).astype(np.int64)
    vectors = source.flatten()  # leaves out what lies under nulls
    if len(vectors) == 0:
        return _Rows(nothing, lengths, missing)
    if not is_list(vectors.type):
        raise _no_lists(source, blame)
    return _Rows(_flat(vectors, np.cumsum(lengths), field, blame), lengths, missing)


def _no_lists(source: pa.Array, blame: Blame) -> InvalidInputError:
    row = int(np.flatnonzero(np.asarray(source.is_valid()))[0])
    value = python_value(source, row)
    return blame.error(row, f"{shown(value)} in a column of {source.type} is not a list of vectors", value)


def _flat(vectors: pa.Array, ends: NDArray[np.int64], field: MultiVector, blame: Blame) -> NDArray[Any]:
    """Return vectors, a list each, as a matrix; `ends` says where each row's end."""

    def row_of(token: Any) -> int:
        return int(np.searchsorted(ends, int(token), side="right"))

    if vectors.null_count:
        raise blame.error(row_of(np.flatnonzero(np.asarray(vectors.is_null()))[0]), "one of its vectors is null")
    sizes = np.asarray(pc.list_value_length(vectors))
    wrong = np.flatnonzero(sizes != field.dimension)
    if len(wrong):
        raise _dimension(int(sizes[wrong[0]]), field, blame, row_of(wrong[0]))
    numbers = vectors.flatten()
    if not (pa.types.is_floating(numbers.type) or pa.types.is_integer(numbers.type)):
        value = python_value(vectors, 0)
        raise blame.error(row_of(0), f"a vector of {numbers.type} values is not one of numbers", value)
    if numbers.null_count:
        at = int(np.flatnonzero(np.asarray(numbers.is_null()))[0])
        raise blame.error(row_of(at // field.dimension), f"a vector's number {at % field.dimension} is null")
    return numbers.to_numpy(zero_copy_only=False).reshape(-1, field.dimension)


def _checked(tokens: NDArray[Any], ends: NDArray[np.int64], field: MultiVector, blame: Blame) -> NDArray[Any]:
    """Return tokens in the dtype in which users have them, contiguous; refuse what is not finite, too long, or zero."""
    dtype = dtype_of(field)
    held = tokens if tokens.dtype == dtype else np.empty(tokens.shape, dtype)
    for start in range(0, len(tokens), _BLOCK):
        block = tokens[start : start + _BLOCK]
        if held is not tokens:
            with np.errstate(over="ignore", under="ignore"):
                held[start : start + _BLOCK] = block
        problem = token_problem(held[start : start + _BLOCK], block, field.normalise)
        if problem is None and field.residual is not None and not field.normalise:
            problem = _too_large(held[start : start + _BLOCK])
        if problem is not None:
            token, told = problem
            token += start
            row = int(np.searchsorted(ends, token, side="right")) - 1
            raise blame.error(row, f"vector {token - int(ends[row])} of the row {told}")
    return np.ascontiguousarray(held)


def token_problem(held: NDArray[Any], given: NDArray[Any], normalise: bool) -> tuple[int, str] | None:
    """Return which of the tokens (t, d) as they are held is refused and why; `given` are those before conversion."""
    floats = held.astype(np.float32, copy=False)
    with np.errstate(all="ignore"):
        squares = np.einsum("ij,ij->i", floats, floats)
    suspects = np.flatnonzero(~((squares > 1e-30) & (squares < LONGEST**2)))
    for at in suspects.tolist():
        infinite = np.flatnonzero(~np.isfinite(floats[at]))
        if len(infinite):
            number = given[at, infinite[0]]
            what = "is not finite" if not np.isfinite(number) else f"does not fit {held.dtype}"
            return at, f"has the number {float(number):g}, which {what}"
        length = float(np.linalg.norm(floats[at].astype(np.float64)))
        if length > LONGEST:
            return at, f"is {length:.3g} long, at most {LONGEST:g}"
        if normalise and length == 0:
            return at, "is all zeros, which has no direction: leave it out, or say normalise=False"
    return None


def _too_large(held: NDArray[Any]) -> tuple[int, str] | None:
    """Return which of the tokens (t, d) has a number that half floats do not, as centroids are stored."""
    largest = np.abs(held).max(axis=1, initial=0)
    found = np.flatnonzero(largest > np.finfo(np.float16).max)
    return (int(found[0]), f"has the number {largest[found[0]]:g}, which does not fit float16") if len(found) else None


def _dimension(found: int, field: MultiVector, blame: Blame, row: int) -> DimensionMismatchError:
    sentence = f"a vector of the row has {found} values, the field has dimension {field.dimension}"
    return blame.error(row, sentence, found, DimensionMismatchError)
