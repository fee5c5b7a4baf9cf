"""The inverted indexes of sparse vectors: from a segment's file, or made in memory where there is no file yet.

They say which rows may be near; the vectors beside them, as they are stored, say how near. So each comes with them.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vecdb.errors import CorruptionError
from vecdb.schema.arrays import numbers_of
from vecdb.schema.fields import Sparse
from vecdb.schema.schema import Column
from vecdb.storage.memtable_index import MemtableIndex, Piece
from vecdb_index.factory import SPARSE, Wanted
from vecdb_index.inverted.build import from_sparse
from vecdb_index.inverted.index import Inverted
from vecdb_index.inverted.merge import merged
from vecdb_index.inverted.sparse import SparseRows

if TYPE_CHECKING:
    from vecdb.storage.memtable import Memtable
    from vecdb.storage.segment import Segment

Progress = Callable[[int, int], None]

BUILT = 1 << 24
"""Entries of which an index is made at once: about half a gigabyte while it is made; then they are merged."""


def wanted() -> Wanted:
    """Return the index that a segment should have of a column."""
    return Wanted(SPARSE, {"bits": 8})


def rows_of(array: pa.Array) -> SparseRows:
    """Return a column of sparse vectors as arrays that share its memory.

    Raises:
        ValueError: its lists do not lie one behind the other.

    """
    starts = numbers_of(array.offsets).astype(np.int64, copy=False)
    index, value = array.values.flatten()
    if len(starts) and (starts[0] < 0 or starts[-1] > len(index) or (np.diff(starts) < 0).any()):
        raise ValueError("where its rows begin does not ascend")
    return SparseRows(numbers_of(index), numbers_of(value), starts)


def vectors_of(segment: "Segment", column: Column[Sparse]) -> SparseRows:
    """Return the vectors of a segment that has the column.

    Raises:
        CorruptionError: they are damaged.

    """
    known = segment.sparse.get(column.id)
    if known is None:
        try:
            known = rows_of(segment.column(column))
        except ValueError as error:
            path = f"{segment.folder}/{column.name}"
            raise CorruptionError(f"{path} is damaged: {error}", path=path) from error
        segment.sparse[column.id] = known
    return known


def of_segment(segment: "Segment", column: Column[Sparse]) -> tuple[Piece, bool]:
    """Return the index of a column of a segment with its vectors, and whether it comes from a file.

    Raises:
        CorruptionError: the vectors are damaged.

    """
    vectors = vectors_of(segment, column)
    held = ready(segment, column)
    if held is None:
        with segment.reading_words:
            held = segment.words.get((column.id, None))
            if held is None:
                held = segment.words[column.id, None] = built(segment, column, None)
    return Piece(0, held, vectors), held is segment.inverted_of(column.id)


def ready(segment: "Segment", column: Column[Sparse]) -> Inverted | None:
    """Return a column's index if it is there, in a file or in memory."""
    held = segment.inverted_of(column.id)
    if held is not None and held.kind == "weights":
        segment.words.pop((column.id, None), None)
        return held
    return segment.words.get((column.id, None))


def built(
    segment: "Segment",
    column: Column[Sparse],
    progress: Progress | None,
    parts: Sequence[tuple[Inverted | None, np.ndarray]] = (),
) -> Inverted:
    """Return an index of all rows of a segment; those of the parts that it was merged from are put together.

    Raises:
        CorruptionError: the vectors are damaged.

    """
    vectors = vectors_of(segment, column)
    pieces, first = [], 0
    for index, rows in parts or [(None, np.arange(segment.rows))]:
        stop = first + len(rows)
        if index is None or index.kind != "weights":
            pieces += _anew(vectors, first, stop, progress)
        else:
            pieces.append((index, rows))
        first = stop
    return pieces[0][0] if len(pieces) == 1 and len(pieces[0][0]) == segment.rows else merged(pieces)


def _anew(vectors: SparseRows, first: int, stop: int, progress: Progress | None) -> list[tuple[Inverted, np.ndarray]]:
    """Return indexes of the rows first .. stop - 1, each with the numbers of its rows in itself."""
    pieces = []
    while first < stop or not pieces:
        end = int(np.searchsorted(vectors.starts, vectors.starts[first] + BUILT, "right")) - 1
        end = min(max(end, first + 1), stop)
        pieces.append((of_rows(some(vectors, first, end)), np.arange(end - first)))
        first = end
        if progress is not None:
            progress(end, len(vectors.starts) - 1)
    return pieces


def some(vectors: SparseRows, first: int, stop: int) -> SparseRows:
    """Return the rows first .. stop - 1, with nothing of the others."""
    begin, end = vectors.starts[first], vectors.starts[stop]
    return SparseRows(
        vectors.dimensions[begin:end], vectors.weights[begin:end], vectors.starts[first : stop + 1] - begin
    )


def of_rows(vectors: SparseRows) -> Inverted:
    """Return the index of some sparse vectors."""
    return from_sparse(vectors.dimensions, vectors.weights, vectors.starts)


class MemtableSparse(MemtableIndex):
    """The sparse vectors of one column of a memtable, in arrays that grow by doubling, and their indexes."""

    def __init__(self, memtable: "Memtable", column: Column[Sparse]) -> None:
        super().__init__(memtable, column)
        self._vectors = SparseRows(np.empty(1024, np.uint32), np.empty(1024, np.float32), np.zeros(257, np.int64))
        self._rows = self._begun = 0

    def _add(self, values: pa.Array) -> None:
        new = rows_of(values)
        new = some(new, 0, len(values))
        rows, entries = self._rows, int(self._vectors.starts[self._rows])
        dimensions, weights, starts = self._vectors
        # A searcher keeps the arrays that it was given, whose beginning stays true.
        dimensions = _grown(dimensions, entries, entries + len(new.dimensions))
        weights = _grown(weights, entries, entries + len(new.weights))
        starts = _grown(starts, rows + 1, rows + len(values) + 1)
        dimensions[entries : entries + len(new.dimensions)] = new.dimensions
        weights[entries : entries + len(new.weights)] = new.weights
        starts[rows + 1 : rows + len(values) + 1] = new.starts[1:] + entries
        self._vectors, self._rows = SparseRows(dimensions, weights, starts), rows + len(values)

    def _made(self, full: bool) -> Inverted:
        index = of_rows(some(self._vectors, self._begun, self._rows))
        if full:
            self._begun = self._rows
        return index

    def _told(self, piece: Piece) -> Piece:
        starts = self._vectors.starts[piece.first : piece.first + len(piece.inverted) + 1]
        return piece._replace(vectors=self._vectors._replace(starts=starts))


def _grown(array: np.ndarray, used: int, needed: int) -> np.ndarray:
    if needed <= len(array):
        return array
    larger = np.zeros(max(needed, 2 * len(array)), array.dtype)
    larger[:used] = array[:used]
    return larger
