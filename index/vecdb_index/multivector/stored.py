"""Tokens as they are stored: floats; codes of 8, 4 or 1 bits with a scale for each; or centroids and residuals.

A code of 8 bits stands for (code - 128) * scale, one of 4 bits for (code - 8) * scale, two of them in a byte, the first
in the lower half. Behind the last number, up to a multiple of four, codes stand for zeros. Those of one bit are the
signs of the numbers of a rotated token: sign.py. What stands for a token by its centroid is in residual.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.multivector import sign
from vecdb_index.multivector.ragged import Ragged
from vecdb_index.multivector.residual import Centroids

LEVELS = {8: 127, 4: 7}
"""The largest number that a code stands for, in units of its scale."""
_SMALLEST = np.float32(2.0**-126)
_BLOCK = 1 << 14
"""Tokens that are widened at a time."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of rows, one behind the other.

    Attributes:
        values: (t, width) float32 or float16; or uint8 codes: of 8 bits where `bits` is 8, else several in a byte.
        offsets: (rows + 1,) int64: those of row r are values[offsets[r] : offsets[r + 1]]. Rows may be empty.
        dimension: numbers of a token.
        bits: of a code; None: floats.
        scales: (t,) float32, the units of the codes; None without codes, and with centroids.
        present: (rows,) bool, false for rows that are null; None when none is.
        longest: no token of codes is longer; infinity where nobody knows.
        centroids: what codes of 2 or 4 bits are added to; None: to nothing.
        numbers: (t,) uint16 or uint32, which centroid is each token's; None without centroids.
        longest_left: no token is longer without its centroid; infinity where nobody knows.

    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]
    dimension: int
    bits: int | None = None
    scales: NDArray[np.float32] | None = None
    present: NDArray[np.bool_] | None = None
    longest: float = math.inf
    centroids: Centroids | None = None
    numbers: NDArray[Any] | None = None
    longest_left: float = math.inf

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many tokens each row has."""
        return np.diff(self.offsets)

    def lengths_of(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Return how many tokens some rows have, without a look at the others."""
        rows = np.asarray(rows, np.int64)
        return self.offsets[rows + 1] - self.offsets[rows]

    @property
    def token_bytes(self) -> int:
        """Bytes of one token."""
        beside = 0 if self.scales is None else 4
        if self.numbers is not None:
            beside = self.numbers.itemsize
        return self.values.shape[1] * self.values.itemsize + beside

    def slice(self, first: int, last: int) -> Tokens:
        """Return the rows first .. last - 1, sharing the memory of their tokens."""
        begin, end = int(self.offsets[first]), int(self.offsets[last])
        present = None if self.present is None else self.present[first:last]
        return self._at(slice(begin, end), self.offsets[first : last + 1] - begin, present)

    def some(self, rows: NDArray[Any]) -> Tokens:
        """Return some rows, in their order."""
        rows = np.asarray(rows, np.int64)
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows) and (len(rows) == 1 or (np.diff(rows) == 1).all()):
            return self.slice(int(rows[0]), int(rows[-1]) + 1)
        lengths = self.lengths_of(rows)
        offsets = ends_of(lengths)
        at = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return self._at(at, offsets, None if self.present is None else self.present[rows])

    def _at(self, at: Any, offsets: NDArray[np.int64], present: NDArray[np.bool_] | None) -> Tokens:
        """Return the tokens at some places as those of rows."""
        scales = None if self.scales is None else self.scales[at]
        numbers = None if self.numbers is None else self.numbers[at]
        return Tokens(
            self.values[at], offsets, self.dimension, self.bits, scales, present, self.longest, self.centroids, numbers,
            self.longest_left,
        )  # fmt: skip

    def floats(self) -> Ragged:
        """Return the numbers that all tokens stand for, as float32; half floats are widened."""
        if self.bits is None:
            return Ragged(self.values.astype(np.float32, copy=False), self.offsets)
        if self.centroids is not None:
            assert self.numbers is not None
            return Ragged(self.centroids.numbers_of(self.values, self.numbers, self.bits), self.offsets)
        assert self.scales is not None
        if self.bits == 1:
            return Ragged(sign.turned_back(sign.numbers_of(self.values, self.scales), self.dimension), self.offsets)
        codes = self.values if self.bits == 8 else eight_of_four(self.values)
        numbers = codes[:, : self.dimension].astype(np.float32)
        numbers -= np.float32(128)
        numbers *= self.scales[:, None]
        return Ragged(numbers, self.offsets)


def longest_of(tokens: Tokens) -> float:
    """Return the length of the longest token, a little more; 0 of none, infinity of floats, of which nobody asks."""
    if tokens.bits is None:
        return math.inf
    if tokens.bits == 1:
        assert tokens.scales is not None
        width = sign.width_of(tokens.dimension)
        return float(tokens.scales.max(initial=0)) * math.sqrt(width) * (1 + 1e-6)
    found = 0.0
    for first in range(0, len(tokens.values), _BLOCK):
        last = min(first + _BLOCK, len(tokens.values))
        numbers = tokens._at(slice(first, last), np.array([0, last - first], np.int64), None).floats().tokens
        squares = np.einsum("ij,ij->i", numbers, numbers, dtype=np.float64)
        found = max(found, float(np.sqrt(squares.max(initial=0))))
    return found * (1 + 1e-6)


def ends_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where rows of these lengths begin, and behind them where the last one ends."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def coded(numbers: NDArray[np.float32], bits: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return codes (t, width) of tokens (t, d), and their scales (t,): the nearest steps of the largest number.

    Of one bit they are signs, as sign.py has them.
    """
    if bits == 1:
        return sign.coded(numbers)
    most = LEVELS[bits]
    scales = np.abs(numbers).max(axis=1, initial=0).astype(np.float32) / np.float32(most)
    units = np.where(scales >= _SMALLEST, scales, np.float32(1))
    steps = np.clip(np.rint(numbers / units[:, None]), -most, most).astype(np.int16)
    dimension = numbers.shape[1]
    whole = np.zeros((len(numbers), -(-dimension // 4) * 4), np.int16)
    whole[:, :dimension] = np.where((scales >= _SMALLEST)[:, None], steps, 0)
    codes = (whole + (1 << (bits - 1))).astype(np.uint8)
    if bits == 4:
        codes = codes[:, ::2] | (codes[:, 1::2] * np.uint8(16))
    return np.ascontiguousarray(codes), scales


def eight_of_four(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return codes of 4 bits (t, w), two in a byte, as codes of 8 bits (t, 2 w) that stand for the same numbers."""
    pairs = codes.astype("<u2")
    pairs |= pairs << 4
    pairs &= 0x0F0F
    pairs += 0x7878  # 120 for both: 8 is the zero of 4 bits, 128 that of 8
    return pairs.view(np.uint8).reshape(len(codes), 2 * codes.shape[1])


def by_centroids(tokens: Tokens, centroids: Centroids, numbers: NDArray[Any], bits: int) -> Tokens:
    """Return tokens of floats by their centroids and residuals in codes of `bits`."""
    codes = centroids.coded(tokens.values, numbers, bits)
    made = Tokens(codes, tokens.offsets, tokens.dimension, bits, None, tokens.present, math.inf, centroids, numbers)
    return measured(made)


def measured(tokens: Tokens) -> Tokens:
    """Return tokens of codes with what bounds the error of a coded question."""
    left = math.inf
    if tokens.centroids is not None and tokens.bits is not None and tokens.numbers is not None:
        left = tokens.centroids.longest_left(tokens.values, tokens.numbers, tokens.bits)
    return replace(tokens, longest=longest_of(tokens), longest_left=left)
