"""Tokens as the signs of their numbers after a random rotation, one bit each, and one scale (RaBitQ, 2405.12497).

    number j of a turned token  =  scale, where its bit is 1, else -scale

The rotation makes the numbers of any token about equally large, so that their signs tell as much as they can: without
it, tokens whose axes carry unequally much lose a third of what signs tell. The scale is |x|^2 / sum |x_j|, with which
the product of a token with itself comes out right, and products with others are right on average.

The rotation is the same for all fields of a width: codes of several segments are joined bit for bit.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

PADDING = 32
"""Turned tokens have a multiple of so many numbers: their bits fill whole words."""
ROUNDS = 4
"""Flips of signs, and transforms behind them, that make a rotation."""
_SEED = 0x51C4
_SMALLEST = 2.0**-60
_BLOCK = 1 << 8
MIDDLE = 15
"""The entry of a table that stands for 0: eight of the largest, 30, fit a byte."""
_PATTERNS = (2 * ((np.arange(16)[:, None] >> np.arange(4)) & 1) - 1).astype(np.float32)


def width_of(dimension: int) -> int:
    """Return how many numbers a turned token has."""
    return -(-dimension // PADDING) * PADDING


@cache
def _flips(width: int) -> NDArray[np.int8]:
    """Return which signs a rotation flips, (ROUNDS, width) of 1 and -1: raw bits, as they are the same for ever."""
    words = np.random.Philox(key=[_SEED, width]).random_raw(ROUNDS * width)
    return (1 - 2 * (words >> np.uint64(63)).astype(np.int8)).reshape(ROUNDS, width)


def turned(tokens: NDArray[Any]) -> NDArray[np.float32]:
    """Return tokens (t, d) rotated: (t, width) float32, of the same lengths."""
    from vecdb_index.kernels.rotation import rotate

    out = np.zeros((len(tokens), width_of(tokens.shape[1])), np.float32)
    out[:, : tokens.shape[1]] = tokens
    rotate(out, _flips(out.shape[1]))
    return out


def turned_back(rows: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """Return rows (t, width) without their rotation: (t, dimension). What lies outside these dimensions is lost."""
    out = np.empty((len(rows), dimension), np.float32)
    for first in range(0, len(rows), _BLOCK):
        # A column for each row, so that every step below adds whole lines.
        out[first : first + _BLOCK] = _columns_back(np.array(rows[first : first + _BLOCK].T, np.float32))[:dimension].T
    return out


def _columns_back(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Undo the rotation of columns (width, t), in place; each step of it undoes itself (kernels/rotation.py)."""
    width, half = len(columns), len(columns) // 2
    size, root = 1 << (width.bit_length() - 1), np.float32(np.sqrt(0.5))
    for turn in reversed(range(ROUNDS)):
        if size < width:
            _mix(columns[:half], columns[half:])
            columns *= root
        start = 0 if turn % 2 == 0 else width - size
        _transform(columns[start : start + size])
        columns *= _flips(width)[turn][:, None]
    return columns


def _transform(columns: NDArray[np.float32]) -> None:
    """Apply the Hadamard transform to columns (2^k, t); their lengths are kept."""
    half = 1
    while half < len(columns):
        pairs = columns.reshape(-1, 2, half, columns.shape[1])
        _mix(pairs[:, 0], pairs[:, 1])
        half *= 2
    columns *= np.float32(1 / np.sqrt(len(columns)))


def _mix(x: NDArray[np.float32], y: NDArray[np.float32]) -> None:
    """Replace x and y by x + y and x - y."""
    before = x.copy()
    x += y
    np.subtract(before, y, out=y)


def coded(tokens: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the bits of tokens (t, d), (t, width / 8), the first in the lowest bit, and their scales (t,)."""
    codes = np.empty((len(tokens), width_of(tokens.shape[1]) // 8), np.uint8)
    scales = np.empty(len(tokens), np.float32)
    for first in range(0, len(tokens), _BLOCK):
        part = slice(first, first + _BLOCK)
        numbers = turned(tokens[part])
        codes[part] = np.packbits(numbers > 0, axis=1, bitorder="little")
        scales[part] = _scales(numbers)
    return codes, scales


def _scales(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = np.einsum("ij,ij->i", numbers, numbers, dtype=np.float64)
    return (squares / np.maximum(np.abs(numbers).sum(axis=1, dtype=np.float64), _SMALLEST)).astype(np.float32)


def signs_of(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return bits (t, width / 8) as the bytes 0 and 1: (t, width)."""
    return np.unpackbits(codes, axis=1, bitorder="little")


def numbers_of(codes: NDArray[np.uint8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the turned tokens that codes stand for: (t, width)."""
    numbers = signs_of(codes).astype(np.float32)
    numbers *= 2
    numbers -= 1
    numbers *= scales[:, None]
    return numbers


def eight_of_one(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return codes of one bit as 8-bit codes (t, width) that stand for the same numbers."""
    wide = signs_of(codes)
    wide *= 2
    wide += 127  # 129 and 127 stand for 1 and -1
    return wide


def tables_of(numbers: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the products of turned query tokens with all patterns of four signs, for kernels/maxsim_sign.py.

    Args:
        numbers: (q, width).

    Returns:
        tables: (q, width / 4, 16), whole numbers around MIDDLE.
        units: (q,) float32, what a step of a token's numbers is worth.

    """
    fours = numbers.reshape(len(numbers), numbers.shape[1] // 4, 4)
    largest = np.abs(fours).sum(axis=2).max(axis=1, initial=0)
    units = (np.maximum(largest, np.float32(_SMALLEST)) / np.float32(MIDDLE)).astype(np.float32)
    steps = (fours / units[:, None, None]).reshape(-1, 4) @ _PATTERNS.T
    return np.rint(steps + np.float32(MIDDLE)).astype(np.uint8).reshape(*fours.shape[:2], 16), units
