"""An index of a column of numbers: its least and largest value, and, once that pays, its rows in their order.

Derived from the column, in memory, and never wrong about it: the column is immutable. Reading is safe from any number
of threads.

The surprise: an order is not made at once. Comparing a million numbers takes 0.3 ms, sorting them 27, so the sort waits
until as much was spent on comparing; then a range is found by two binary searches. Lists of values do not wait.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecdb.filters.intervals import Intervals
from vecdb.filters.rows import mark
from vecdb.schema.arrays import bools_of

Mask = NDArray[np.bool_]

SORT_AFTER = 64
"""Comparisons of the column after which it is sorted."""

COMPARED = 4
"""More intervals than these are not compared one after the other: the column is sorted for them."""

SHARE = 8
"""More rows than one in so many are found sooner by comparing than by their places in the order."""


class Ordered:
    """The index of one column."""

    def __init__(self, column: pa.Array) -> None:
        """Read the column once."""
        self.known: Mask | None = None if column.null_count == 0 else bools_of(column.is_valid())
        self.values = _numbers(column)
        present = self.values if self.known is None else self.values[self.known]
        self._count = len(present)
        self._low, self._high = (present.min(), present.max()) if len(present) else (0, 0)
        self._order: tuple[NDArray[np.uint32], NDArray[Any]] | None = None
        self._spent = 0

    @property
    def bytes(self) -> int:
        """Memory that the index has, or will have once it is sorted; the values are the column's own."""
        return 12 * self._count + (0 if self.known is None else len(self.known))

    def rows(self, asked: Intervals) -> Mask:
        """Return which rows have a value that is asked for: a new array, bool (n,)."""
        found = self._inside(asked.lows, asked.highs)
        if asked.others:
            np.logical_not(found, out=found)
            if self.known is not None:
                found &= self.known
        return found

    def _inside(self, lows: NDArray[Any], highs: NDArray[Any]) -> Mask:
        met = (highs >= self._low) & (lows <= self._high)
        if self._count == 0 or not met.any():
            return np.zeros(len(self.values), np.bool_)
        if not met.all():
            lows, highs = lows[met], highs[met]
        if ((lows <= self._low) & (highs >= self._high)).any():
            return np.ones(len(self.values), np.bool_) if self.known is None else self.known.copy()
        self._spent += len(lows)
        if self._order is None and (len(lows) > COMPARED or self._spent > SORT_AFTER):
            self._order = self._sorted()
        if self._order is not None:
            rows, ascending = self._order
            starts, ends = np.searchsorted(ascending, lows, "left"), np.searchsorted(ascending, highs, "right")
            if len(lows) > COMPARED or (ends - starts).sum() * SHARE < self._count:
                found = np.zeros(len(self.values), np.bool_)
                mark(found, rows, starts, ends)
                return found
        return self._compared(lows, highs)

    def _compared(self, lows: NDArray[Any], highs: NDArray[Any]) -> Mask:
        found: Mask | None = None
        for low, high in zip(lows, highs, strict=True):
            if low == high:
                inside = self.values == low
            elif low <= self._low:
                inside = self.values <= high
            elif high >= self._high:
                inside = self.values >= low
            else:
                inside = self.values >= low
                inside &= self.values <= high
            found = inside if found is None else np.logical_or(found, inside, out=found)
        assert found is not None
        if self.known is not None:
            found &= self.known
        return found

    def _sorted(self) -> tuple[NDArray[np.uint32], NDArray[Any]]:
        """Return the rows that have a value, by their values, and these."""
        if self.known is None:
            rows = np.argsort(self.values).astype(np.uint32)
        else:
            present = np.flatnonzero(self.known).astype(np.uint32)
            rows = present[np.argsort(self.values[present])]
        return rows, self.values[rows]


def _numbers(column: pa.Array) -> NDArray[Any]:
    """Return the values of a column without copying them; where it is null they mean nothing."""
    dtype = np.float64 if pa.types.is_floating(column.type) else np.int64
    buffer = column.buffers()[1]
    if buffer is None:
        return np.zeros(len(column), dtype)
    return np.frombuffer(buffer, dtype)[column.offset : column.offset + len(column)]
