"""Indexes of the scalar columns of a segment: derived, in memory, made when a filter first asks, dropped when too many.

They belong to the segment and go with it. Rows in memory have none: they are asked anew each time, and they are few.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from vecdb.filters.lookup import ScalarIndex
from vecdb.filters.ordered import Ordered
from vecdb.filters.postings import Postings
from vecdb.filters.texts import TextWords
from vecdb.schema.arrays import bools_of
from vecdb.schema.fields import Keyword, Text
from vecdb.schema.schema import Column
from vecdb.storage.segment import Segment

LEAST_ROWS = 4_096
"""Smaller segments have none: a column of them is compared in microseconds."""

MOST = 64
"""Columns of a segment that are indexed at a time."""

MOST_BYTES = 64 << 20
"""Bytes that the indexes of a segment have together; a single one that is larger is used once and not kept."""

WORDS_BYTES = 256 << 20
"""The same for the words of its texts, which cost seconds to make and not milliseconds."""

NUMBERS = frozenset({"int64", "float64", "timestamp"})


class Scalars:
    """The indexes of one segment, by column number; None stands for a column that is not worth one."""

    def __init__(self) -> None:
        self._held: dict[int, ScalarIndex | None] = {}
        self._lock = threading.Lock()

    def held(self, column: Column) -> ScalarIndex | None:
        """Return the index of a column if it was made."""
        return self._held.get(column.id)

    def of(self, segment: Segment, column: Column) -> ScalarIndex | None:
        """Return the index of a column, made now if need be; None where it would be no faster.

        Raises:
            CorruptionError: the column cannot be read.

        """
        if segment.rows < LEAST_ROWS and not isinstance(column.field, Text):
            return None
        try:
            return self._held[column.id]
        except KeyError:
            pass
        with self._lock:  # made twice, a text's words would cost seconds for nothing
            if column.id not in self._held:
                return self._keep(column.id, _made(segment, column))
            return self._held[column.id]

    def _keep(self, number: int, index: ScalarIndex | None) -> ScalarIndex | None:
        if index is not None:
            kind = TextWords if isinstance(index, TextWords) else Ordered | Postings
            most = WORDS_BYTES if kind is TextWords else MOST_BYTES
            if index.bytes > most:
                return index
            sizes = {number: held.bytes for number, held in self._held.items() if isinstance(held, kind)}
            while sizes and (sum(sizes.values()) + index.bytes > most or len(sizes) >= MOST):
                oldest = next(iter(sizes))
                del sizes[oldest], self._held[oldest]
        self._held[number] = index
        return index


def scalars_of(segment: Segment) -> Scalars:
    """Return the indexes of a segment."""
    if segment.scalars is None:
        segment.scalars = Scalars()
    return segment.scalars


def _made(segment: Segment, column: Column) -> ScalarIndex | None:
    field = column.field
    if isinstance(field, Text):
        return _words(segment.column(column), field, lambda: presence_of(segment.column(column)))
    if field.kind in NUMBERS or (field.kind == "id" and pa.types.is_integer(field.arrow_type)):
        return Ordered(segment.column(column))
    if isinstance(field, Keyword):
        return Postings.of(segment.column(column))
    return None


def _words(texts: pa.Array, field: Text, presence: Callable[[], np.ndarray | None]) -> TextWords:
    """Return an index made of the texts. An index that a segment brings along belongs in its place."""
    from vecdb.filters.matching import analyzer_of, index_of

    analyzer = analyzer_of(field)
    return TextWords(len(texts), [(0, index_of(texts, analyzer))], analyzer, presence)


def presence_of(texts: pa.Array) -> np.ndarray | None:
    """Return which rows of a column are not null; None: all."""
    return None if texts.null_count == 0 else bools_of(texts.is_valid())
