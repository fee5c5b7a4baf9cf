"""An inverted index of a column of keywords: its different values, and which rows have each.

Any condition is asked of the different values, by the test that would be asked of the column; rows follow from those
that pass. So the answers are the column's own by construction. Derived, in memory; safe to read from many threads.

The surprise: postings are one array of row numbers and not a roaring bitmap for each value. For a million rows of 40
values bitmaps took half the memory but 40 ms more to make, and were no faster to read (0.12 ms for 50,000 rows against
0.10, the union of twenty 1.3 ms against 1.2); for 100,000 values there would be as many of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vecdb.filters.rows import mark
from vecdb.schema.arrays import bools_of, numbers_array, numbers_of, true_of

Mask = NDArray[np.bool_]

SAMPLE = 4096
DIFFERENT = 0.95
"""A column of whose sample more are different is not indexed: comparing all values would be no dearer."""
WORTH = 4
"""Nor is one that has more than one value in so many rows."""

_compute: Any = pc  # pyarrow builds its functions at import, where no type checker sees them


class Postings:
    """The index of one column, of keywords or of lists of them."""

    def __init__(
        self, column: pa.Array, values: pa.Array, rows: NDArray[np.uint32], offsets: NDArray[np.int64]
    ) -> None:
        self.known: Mask | None = None if column.null_count == 0 else bools_of(column.is_valid())
        self.values = values
        """The different values, in no order."""
        self._length = len(column)
        self._lists = pa.types.is_list(column.type)
        self._rows = rows
        self._offsets = offsets

    @classmethod
    def of(cls, column: pa.Array) -> Postings | None:
        """Read the column once and return its index; None where it has too many different values to be worth it."""
        many = pa.types.is_list(column.type)
        elements = _elements(column) if many else column
        step = max(1, len(elements) // SAMPLE)
        sample = elements.take(numbers_array(np.arange(0, len(elements), step))) if step > 1 else elements
        if len(sample) >= SAMPLE and len(sample.unique()) > DIFFERENT * len(sample):
            return None
        encoded = _compute.dictionary_encode(elements)
        values = encoded.dictionary
        if len(values) * WORTH > max(len(elements), SAMPLE):
            return None
        none = numbers_array(np.array([len(values)], np.int32))[0]
        codes = numbers_of(_compute.fill_null(encoded.indices, none))
        # A sort of narrow integers is a radix sort.
        narrow = codes.astype(np.uint8 if len(values) < 1 << 8 else np.uint16 if len(values) < 1 << 16 else np.int32)
        order = np.argsort(narrow, kind="stable")
        offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(values))[: len(values)])])
        order = order[: offsets[-1]]
        rows = np.repeat(np.arange(len(column)), _lengths(column))[order] if many else order
        return cls(column, values, rows.astype(np.uint32), offsets.astype(np.int64))

    @property
    def bytes(self) -> int:
        """Memory of the index."""
        known = 0 if self.known is None else len(self.known)
        return self._rows.nbytes + self._offsets.nbytes + self.values.nbytes + known

    def rows(self, test: Callable[[Any], Any]) -> Mask:
        """Return which rows have a value, or an element, that passes a test of an array: a new array, bool (n,)."""
        chosen = np.flatnonzero(true_of(test(self.values)))
        starts, ends = self._offsets[chosen], self._offsets[chosen + 1]
        found = np.zeros(self._length, np.bool_)
        mark(found, self._rows, starts, ends)
        if self._lists and self.known is not None:  # a list may hide elements under its null
            found &= self.known
        return found

    def rows_of_all(self, tests: Sequence[Callable[[Any], Any]]) -> Mask:
        """Return which rows have, for each test, an element that passes it; without tests, all that are not null."""
        found = np.ones(self._length, np.bool_) if self.known is None else self.known.copy()
        for test in tests:
            found &= self.rows(test)
        return found


def _elements(lists: pa.Array) -> pa.Array:
    """Return the elements of all lists, also of those under a null."""
    offsets = lists.offsets
    return lists.values.slice(offsets[0].as_py(), offsets[-1].as_py() - offsets[0].as_py())


def _lengths(lists: pa.Array) -> NDArray[np.int64]:
    return np.diff(numbers_of(lists.offsets)).astype(np.int64)
