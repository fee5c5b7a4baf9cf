"""The numbers of a matrix of vectors: cast to the field's dtype, and checked.

Invariant: after both functions, every number is finite and was not changed by more than the rounding of its dtype, and
no vector is so long that its scores overflow.
The check runs at the speed of memory, because it looks twice only at rows that a sum or a maximum marks as suspects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vecdb.errors import InvalidInputError
from vecdb.schema.blame import Blame

if TYPE_CHECKING:
    from vecdb.schema.fields import Vector

LONGEST = 9e18
"""The longest vector of a field by dot or l2. Twice that, squared, still is a float32, so that scores are finite."""
LONGEST_COSINE = float(np.finfo(np.float32).max)
"""And of a field by cosine: lengths are kept as float32."""
_SURE = 1e37
"""A row whose squares add up to less than this is short enough for any metric, roundings included."""
_BLOCK_ROWS = 256
"""Rows whose temporary arrays stay in the cache."""


def in_dtype(matrix: NDArray[Any], field: Vector, blame: Blame, rows: NDArray[np.intp] | None) -> NDArray[Any]:
    """Return matrix (n, d) in the field's dtype, itself if it has it already.

    A number that a float dtype cannot hold becomes infinite: check_numbers, which must follow, refuses it.

    Raises:
        InvalidInputError: the dtype is int8 and a number is not whole or not in its range.

    """
    target = np.dtype(field.dtype)
    if matrix.dtype == target:
        return matrix
    if target.kind == "f":
        with np.errstate(over="ignore", under="ignore"):
            return matrix.astype(target)
    converted = np.empty(matrix.shape, dtype=target)
    for start in range(0, len(matrix), _BLOCK_ROWS):
        block = matrix[start : start + _BLOCK_ROWS]
        bad = ~((block >= -128) & (block <= 127) & (np.rint(block) == block))
        if bad.any():
            row, at = (int(index) for index in np.argwhere(bad)[0])
            place = start + row if rows is None else int(rows[start + row])
            value = block[row, at].item()
            sentence = f"the vector's number {at} is {value}, which is not a whole number from -128 to 127"
            raise blame.error(place, sentence, value)
        converted[start : start + _BLOCK_ROWS] = block
    return converted


def check_numbers(
    matrix: NDArray[Any],
    field: Vector,
    blame: Blame,
    rows: NDArray[np.intp] | None = None,
    original: NDArray[Any] | None = None,
) -> None:
    """Raise unless every number of matrix (n, d) is finite, no row is too long and, for cosine, none is all zeros.

    One pass at the speed of memory: a sum or maximum per row marks the rows that may be bad, and only those are
    looked at number by number. rows (n,) gives their places in the batch, original (n, d) what was converted.
    """
    suspects = np.flatnonzero(_suspects(matrix, field))
    for start in range(0, len(suspects), _BLOCK_ROWS):
        block = suspects[start : start + _BLOCK_ROWS]
        vectors = matrix[block]
        bad = ~np.isfinite(vectors).all(axis=1) | too_long(vectors, field)
        if field.metric == "cosine":
            bad |= ~vectors.any(axis=1)
        if bad.any():
            row = int(block[bad.argmax()])
            place = row if rows is None else int(rows[row])
            raise _number_error(matrix[row], matrix[row] if original is None else original[row], field, blame, place)


def _number_error(
    vector: NDArray[Any], original: NDArray[Any], field: Vector, blame: Blame, place: int
) -> InvalidInputError:
    """Return the error about a vector (d,) that is not finite or all zeros, converted from original (d,)."""
    infinite = np.flatnonzero(~np.isfinite(vector))
    if not len(infinite) and vector.any():
        return blame.error(place, f"the vector {length_told(vector, field)}")
    if not len(infinite):
        return blame.error(place, "the vector is all zeros, for which cosine is not defined: use null", 0.0)
    at = int(infinite[0])
    value = original[at].item()
    reason = f"which {field.dtype} cannot hold" if np.isfinite(original[at]) else "which is not finite"
    return blame.error(place, f"the vector's number {at} is {value}, {reason}", value)


def too_long(matrix: NDArray[Any], field: Vector) -> NDArray[np.bool_]:
    """Tell which rows (n,) of a matrix (n, d) are longer than their scores allow; NaN and infinity are not."""
    longest = LONGEST_COSINE if field.metric == "cosine" else LONGEST
    return np.linalg.norm(matrix.astype(np.float64), axis=1) > longest


def length_told(vector: NDArray[Any], field: Vector) -> str:
    """Return what is wrong with the length of a vector (d,) that is too long, for an error."""
    length = float(np.linalg.norm(vector.astype(np.float64)))
    longest = LONGEST_COSINE if field.metric == "cosine" else LONGEST
    return f"is {length:.3g} long: {field.metric} takes vectors of a length up to {longest:.3g}"


def _suspects(matrix: NDArray[Any], field: Vector) -> NDArray[np.bool_]:
    """Mark the rows (n,) that may be too long, hold a number that is not finite or, for cosine, only zeros.

    No bad row is missed.
    """
    cosine = field.metric == "cosine"
    if matrix.dtype == np.int8:
        return np.logical_not(matrix.any(axis=1)) if cosine else np.zeros(len(matrix), dtype=np.bool_)
    if matrix.dtype == np.float32:
        # The square of a large finite number overflows and that of a small one vanishes: those are only suspects.
        with np.errstate(all="ignore"):
            squares = np.einsum("ij,ij->i", matrix, matrix)
        return ~((squares > 0) & (squares < np.inf)) if cosine else ~(squares < _SURE)
    # Without its sign bit a float16 orders like its bits: 0 is zero, 0x7C00 and above is not finite.
    bits = np.ascontiguousarray(matrix).view(np.uint16)
    largest = np.empty(len(bits), dtype=np.uint16)
    for start in range(0, len(bits), _BLOCK_ROWS):
        block = bits[start : start + _BLOCK_ROWS] & np.uint16(0x7FFF)
        np.max(block, axis=1, out=largest[start : start + _BLOCK_ROWS])
    return (largest >= 0x7C00) | (largest == 0) if cosine else largest >= 0x7C00
