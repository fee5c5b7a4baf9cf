"""Rows that are in the log and not yet in a segment.

One writer appends; any number of readers look at a prefix. A row never changes. What makes a snapshot is two
numbers: how many rows there were, and the lsn. A row is alive at lsn s when it was appended by then and its
`dead` lsn is greater than s; replacing or deleting a row only writes its `dead` lsn, so a snapshot taken before
stays as it was, without any copy.

Vectors live in matrices that grow by doubling; a reader keeps the array that it was given, whose prefix stays true.
"""

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from vecdb.schema.arrays import numbers_array
from vecdb.schema.schema import Column, Schema
from vecdb.storage.arrow_file import joined
from vecdb.storage.keys import Id
from vecdb.storage.segment_writer import SegmentWriter, has_norms, row_norms, split_vectors
from vecdb.storage.token_files import nothing, split
from vecdb_index.multivector.stored import Tokens

if TYPE_CHECKING:
    from vecdb.schema.fields import Sparse, Text
    from vecdb.schema.multivector import MultiVector
    from vecdb.storage.memtable_index import MemtableIndex, Piece
    from vecdb_index.inverted.index import Inverted

ALIVE = np.iinfo(np.int64).max
_CAPACITY = 256


class Rows(NamedTuple):
    """Rows ready to be appended: all that can fail is done before they are logged."""

    batch: pa.RecordBatch
    ids: list[Id]
    vectors: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]
    tokens: dict[int, Tokens]
    bytes: int

    @classmethod
    def of(cls, batch: pa.RecordBatch, schema: Schema, size: int) -> "Rows":
        """Prepare validated rows in the storage schema: vectors by column number, as (matrix, present, norms).

        size is the length of the batch in the log, in bytes.
        """
        vectors = {}
        for column in schema.vectors:
            matrix, present = split_vectors(batch.column(column.storage_name))
            normed = has_norms(column.field.arrow_type)
            vectors[column.id] = matrix, present, row_norms(matrix) if normed else np.zeros(len(matrix), np.float32)
        tokens = {column.id: split(batch.column(column.storage_name), column.field) for column in schema.multivectors}
        return cls(batch, batch.column(schema.id.storage_name).to_pylist(), vectors, tokens, size)


class Memtable:
    """Appended rows, their ids, and when each died."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.rows = 0
        self.bytes = 0
        self.first_lsn = 0
        self.last_lsn = 0
        self.index: dict[Id, int] = {}
        self.ids: list[Id] = []
        self._dead = np.full(_CAPACITY, ALIVE, np.int64)
        self._lsns = np.zeros(_CAPACITY, np.int64)
        self.narrow_names = [column.storage_name for column in schema.narrow]
        self._vectors = {column.id: _Vectors(column) for column in schema.vectors}
        self._tokens = {column.id: _Tokens(column) for column in schema.multivectors}
        self._chunks: list[pa.RecordBatch] = []
        self._lock = threading.Lock()
        self.words: dict[Any, MemtableIndex] = {}
        """What is known of the terms of each column that was searched by them, see memtable_index.py."""

    def append(self, rows: Rows, lsn: int) -> None:
        """Add rows; the caller has killed older rows of the same ids."""
        batch, ids = rows.batch, rows.ids
        start, count = self.rows, batch.num_rows
        self._reserve(start + count)
        self._lsns[start : start + count] = lsn
        for column in self.schema.vectors:
            self._vectors[column.id].append(start, *rows.vectors[column.id])
        for column in self.schema.multivectors:
            self._tokens[column.id].append(start, rows.tokens[column.id])
        with self._lock:
            self._chunks.append(batch.select(self.narrow_names))
        for row, value in enumerate(ids, start):
            self.index[value] = row
        self.ids.extend(ids)
        self.first_lsn = self.first_lsn or lsn
        self.last_lsn = lsn
        self.bytes += rows.bytes + 128 * count  # the dictionary entry, the id object and the bookkeeping arrays
        self.rows = start + count

    def kill(self, value: Id, lsn: int) -> bool:
        """Mark the live row of an id as dead from lsn on; return whether there was one."""
        row = self.index.get(value)
        if row is None:
            return False
        # First: a view of before that finds no row of this id looks for it among those that have died.
        self._dead[row] = lsn
        del self.index[value]
        return True

    def lsn_of(self, row: int) -> int:
        """Return the write that made a row."""
        return int(self._lsns[row])

    def dead_now(self, rows: np.ndarray) -> np.ndarray:
        """Return which of these rows have died since they were appended, as bool (n,)."""
        return self._dead[rows] != ALIVE

    def view(self, lsn: int) -> "MemtableView":
        """Return the rows as they are at lsn, the latest write."""
        return MemtableView(self, self.rows, lsn, self._dead)

    def _reserve(self, rows: int) -> None:
        capacity = len(self._dead)
        if rows <= capacity:
            return
        while capacity < rows:
            capacity *= 2
        dead = np.full(capacity, ALIVE, np.int64)
        lsns = np.zeros(capacity, np.int64)
        dead[: self.rows] = self._dead[: self.rows]
        lsns[: self.rows] = self._lsns[: self.rows]
        # An older view keeps the old array: deaths that it no longer sees have an lsn behind its own.
        self._dead, self._lsns = dead, lsns

    def narrow(self, rows: int) -> pa.RecordBatch:
        """Return all columns but the vectors, of the first rows, as one batch.

        Chunks are merged like a binary counter: each row is copied a logarithmic number of times over the
        memtable's life, however reads and single-row writes alternate.
        """
        with self._lock:
            merged = self._merged()
        if not merged:
            return pa.RecordBatch.from_pylist([], self.schema.storage_schema()).select(self.narrow_names)
        return joined(merged).slice(0, rows)

    def _merged(self) -> list[pa.RecordBatch]:
        """Merge chunks, from the newest, while the next older one is not much larger; the lock is held."""
        merged: list[pa.RecordBatch] = []
        group: list[pa.RecordBatch] = []
        size = 0
        for chunk in reversed(self._chunks):
            if group and chunk.num_rows > 2 * size:
                merged.append(joined(group[::-1]))
                group, size = [], 0
            group.append(chunk)
            size += chunk.num_rows
        if group:
            merged.append(joined(group[::-1]))
        self._chunks = merged[::-1]
        return self._chunks[:]

    def slices(self, name: str, first: int, stop: int) -> list[pa.Array]:
        """Return the values of the rows first .. stop - 1 of a column that is not a vector, in pieces."""
        with self._lock:
            chunks = self._merged()
        found, start = [], 0
        for chunk in chunks:
            begin, end = max(first - start, 0), min(stop - start, chunk.num_rows)
            if begin < end:
                found.append(chunk.column(name).slice(begin, end - begin))
            start += chunk.num_rows
        return found

    def words_of(self, column: "Column[Text] | Column[Sparse]", rows: int) -> "list[Piece]":
        """Return indexes of the words of the first rows of a text column, or of terms of sparse vectors."""
        key = column.id, column.field.fulltext
        words = self.words.get(key)
        if words is None:
            words = self.words.setdefault(key, self._index(column))
        return words.of(rows)

    def _index(self, column: "Column[Any]") -> "MemtableIndex":
        if column.field.kind == "sparse":
            from vecdb.storage.sparse_index import MemtableSparse

            return MemtableSparse(self, column)
        from vecdb.storage.text_index import MemtableWords

        return MemtableWords(self, column)

    def value(self, name: str, row: int) -> Any:
        """Return one value of a column that is not a vector."""
        with self._lock:
            chunks = self._merged()
        for chunk in chunks:
            if row < chunk.num_rows:
                return chunk.column(name)[row].as_py()
            row -= chunk.num_rows
        raise IndexError(row)

    def vectors(self, field_id: int, rows: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Return matrix, mask or None, norms of the first rows."""
        return self._vectors[field_id].prefix(rows)

    def tokens(self, field_id: int, rows: int) -> Tokens:
        """Return the tokens of the first rows."""
        return self._tokens[field_id].prefix(rows)


class _Vectors:
    """One vector column: a growing matrix, which rows are real, and their norms."""

    def __init__(self, column: Column) -> None:
        list_type = column.field.arrow_type
        self._matrix = np.zeros((_CAPACITY, list_type.list_size), list_type.value_type.to_pandas_dtype())
        self._present = np.zeros(_CAPACITY, bool)
        self._norms = np.zeros(_CAPACITY, np.float32)

    def append(self, start: int, matrix: np.ndarray, present: np.ndarray, norms: np.ndarray) -> None:
        end = start + len(matrix)
        if end > len(self._matrix):
            self._grow(start, end)
        self._matrix[start:end] = matrix
        self._present[start:end] = present
        self._norms[start:end] = norms

    def _grow(self, rows: int, needed: int) -> None:
        capacity = len(self._matrix)
        while capacity < needed:
            capacity *= 2
        for name in ("_matrix", "_present", "_norms"):
            old = getattr(self, name)
            new = np.zeros((capacity, *old.shape[1:]), old.dtype)
            new[:rows] = old[:rows]
            setattr(self, name, new)

    def prefix(self, rows: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        present = self._present[:rows]
        return self._matrix[:rows], None if present.all() else present, self._norms[:rows]


class _Tokens:
    """One column of several vectors for a row: arrays that grow by doubling, of which readers keep what they have."""

    def __init__(self, column: "Column[MultiVector]") -> None:
        none = nothing(column.field, 0)
        self._none = none
        self._values = np.empty((_CAPACITY, none.values.shape[1]), none.values.dtype)
        self._scales = np.empty(_CAPACITY, np.float32)
        self._offsets = np.zeros(_CAPACITY + 1, np.int64)
        self._present = np.zeros(_CAPACITY, bool)

    def append(self, start: int, tokens: Tokens) -> None:
        end, first = start + len(tokens), int(self._offsets[start])
        last = first + len(tokens.values)
        self._offsets = _larger(self._offsets, start + 1, end + 1)
        self._present = _larger(self._present, start, end)
        self._values = _larger(self._values, first, last)
        self._values[first:last] = tokens.values
        if tokens.scales is not None:
            self._scales = _larger(self._scales, first, last)
            self._scales[first:last] = tokens.scales
        self._present[start:end] = True if tokens.present is None else tokens.present
        self._offsets[start + 1 : end + 1] = tokens.offsets[1:] + first

    def prefix(self, rows: int) -> Tokens:
        offsets, present = self._offsets[: rows + 1], self._present[:rows]
        count = int(offsets[-1])
        scales = None if self._none.scales is None else self._scales[:count]
        there = None if present.all() else present
        return Tokens(self._values[:count], offsets, self._none.dimension, self._none.bits, scales, there)


def _larger(array: np.ndarray, used: int, needed: int) -> np.ndarray:
    """Return the array, or a copy of what is used of it with room for what is needed."""
    if needed <= len(array):
        return array
    larger = np.zeros((max(needed, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[:used] = array[:used]
    return larger


class MemtableView:
    """The rows of a memtable at one lsn."""

    uuid = None

    def __init__(self, memtable: Memtable, rows: int, lsn: int, dead: np.ndarray) -> None:
        self.memtable = memtable
        self.rows = self.told = rows
        self._lsn = lsn
        self._dead = dead
        self._passing: np.ndarray | None = None
        self._narrow: pa.RecordBatch | None = None
        self.copied_words: dict[Any, Inverted] = {}
        """Indexes of the words of the rows that were copied to a segment, for `Segment.words`."""

    def live(self) -> np.ndarray | None:
        """Return which rows are alive, as bool (rows,); None when all are."""
        mask = self._dead[: self.rows] > self._lsn
        if self._passing is not None:
            mask &= self._passing
        return None if mask.all() else mask

    def restricted(self, passing: np.ndarray) -> "MemtableView":
        """Return a view in which only the live rows that pass, bool (rows,), are alive."""
        view = MemtableView(self.memtable, self.rows, self._lsn, self._dead)
        view._passing = passing
        view.told = int(np.count_nonzero(passing))
        return view

    def find(self, value: Id, key: int) -> int:
        """Return the live row of an id, or -1."""
        row = self._find(value)
        return -1 if row >= 0 and self._passing is not None and not self._passing[row] else row

    def _find(self, value: Id) -> int:
        row = self.memtable.index.get(value, -1)
        if 0 <= row < self.rows and self._dead[row] > self._lsn:
            return row
        # Replaced or deleted since this view was taken, or never here: only dead rows can still hold the id.
        alive = self.live_rows()
        died = alive[self.memtable.dead_now(alive)]
        ids = self.memtable.ids
        return next((row for row in died.tolist() if ids[row] == value), -1)

    def live_rows(self) -> np.ndarray:
        """Return the numbers of the live rows, ascending."""
        return np.flatnonzero(self._dead[: self.rows] > self._lsn)

    def died_since(self, rows: np.ndarray) -> np.ndarray:
        """Return which places of `rows` hold a row that has died meanwhile."""
        return np.flatnonzero(self.memtable.dead_now(rows))

    def copy_to(self, builder: SegmentWriter, rows: np.ndarray) -> None:
        """Append these rows to a segment under construction."""
        narrow = self.memtable.narrow(self.rows)
        vectors = {}
        for column in self.memtable.schema.vectors:
            matrix, present, _ = self.memtable.vectors(column.id, self.rows)
            vectors[column.id] = matrix[rows], np.ones(len(rows), bool) if present is None else present[rows]
        tokens = {
            column.id: self.memtable.tokens(column.id, self.rows).some(rows)
            for column in self.memtable.schema.multivectors
        }
        builder.append_parts(narrow if len(rows) == self.rows else narrow.take(numbers_array(rows)), vectors, tokens)
        made = {key: words.index(rows) for key, words in list(self.memtable.words.items())}
        self.copied_words = {key: index for key, index in made.items() if index is not None}

    def ids(self) -> pa.Array:
        """Return the ids of all rows."""
        return self.column(self.memtable.schema.id)

    def ids_of(self, rows: np.ndarray) -> list[Id]:
        """Return the ids of some rows as Python values."""
        ids = self.memtable.ids
        return [ids[row] for row in rows.tolist()]

    def index_of(self, column: Column) -> None:
        """Rows in memory have no index."""
        return

    def index_problem(self, column: Column) -> None:
        """Nor anything wrong with it."""
        return

    def words_of(self, column: "Column[Text] | Column[Sparse]") -> "tuple[list[Piece], bool]":
        """Return indexes of the words of a text column, or of terms of sparse vectors, in memory."""
        if column.storage_name not in self.memtable.narrow_names:
            return [], False
        return self.memtable.words_of(column, self.rows), False

    def column(self, column: Column) -> pa.Array:
        """Return the values of all rows of an id or scalar column."""
        narrow = self._narrow
        if narrow is None:
            narrow = self._narrow = self.memtable.narrow(self.rows)
        name = column.storage_name
        if name not in narrow.schema.names:
            return pa.nulls(self.rows, column.field.arrow_type)
        return narrow.column(name)

    def take(self, column: Column, rows: np.ndarray) -> pa.Array:
        """Return the values of some rows of an id or scalar column, in their order."""
        return self.column(column).take(numbers_array(rows))

    def value(self, column: Column, row: int) -> Any:
        """Return one value of an id or scalar column as a Python object."""
        name = column.storage_name
        return self.memtable.value(name, row) if name in self.memtable.narrow_names else None

    def present(self, column: Column) -> np.ndarray | None:
        """Return which rows have a vector, or several; None when all do."""
        if column.field.kind == "multivector":
            return self.tokens(column).present
        vectors = self.vectors(column)
        return np.zeros(self.rows, bool) if vectors is None else vectors[1]

    def vectors(self, column: Column) -> tuple[np.ndarray, np.ndarray | None, np.ndarray] | None:
        """Return the matrix, the mask of present rows or None, and the norms; None without the column."""
        if column.id not in {own.id for own in self.memtable.schema.vectors}:
            return None
        return self.memtable.vectors(column.id, self.rows)

    def tokens(self, column: "Column[MultiVector]") -> Tokens:
        """Return the tokens of all rows of a column of several vectors for a row; of a part without it, all null."""
        if column.id not in {own.id for own in self.memtable.schema.multivectors}:
            return nothing(column.field, self.rows)
        return self.memtable.tokens(column.id, self.rows)
