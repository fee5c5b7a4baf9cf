"""The inverted indexes of one column of a memtable: of rows that were searched, and anew of the newest ones.

Indexes are merged like a binary counter, so that there are few of them and each row is copied a logarithmic number of
times. Rows are read when they are first searched, and never again.
"""

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from vecdb.schema.schema import Column
from vecdb_index.inverted.index import Inverted
from vecdb_index.inverted.merge import merged
from vecdb_index.inverted.sparse import SparseRows

if TYPE_CHECKING:
    from vecdb.storage.memtable import Memtable

FREEZE = 64
"""Rows of a memtable that make an index of their own; the newest ones, fewer, are put together again each time."""


class Piece(NamedTuple):
    """The terms of some rows of a part, those from `first` on; of sparse vectors, they themselves as well."""

    first: int
    inverted: Inverted
    vectors: SparseRows | None = None


class MemtableIndex(ABC):
    """What is known of the terms of one column of a memtable."""

    def __init__(self, memtable: "Memtable", column: Column) -> None:
        self._memtable = memtable
        self._name = column.storage_name
        self._frozen: list[Piece] = []
        self._newest: Piece | None = None
        self._read = 0
        self._lock = threading.Lock()

    @abstractmethod
    def _add(self, values: pa.Array) -> None:
        """Take further rows."""

    @abstractmethod
    def _made(self, full: bool) -> Inverted:
        """Return an index of the rows that were taken; with `full`, forget them."""

    def _told(self, piece: Piece) -> Piece:
        """Return a piece as searches see it."""
        return piece

    def of(self, rows: int) -> list[Piece]:
        """Return indexes of the first rows; the last of them may have rows behind these."""
        with self._lock:
            if rows > self._read:
                self._read_to(rows)
            pieces = self._frozen if self._newest is None else [*self._frozen, self._newest]
            return [self._told(piece) for piece in pieces if piece.first < rows]

    def _read_to(self, rows: int) -> None:
        for values in self._memtable.slices(self._name, self._read, rows):
            self._add(values)
        self._read = rows
        first = self._frozen[-1].first + len(self._frozen[-1].inverted) if self._frozen else 0
        full = rows - first >= FREEZE
        piece = Piece(first, self._made(full))
        self._newest = None if full else piece
        if full:
            self._freeze(piece)

    def _freeze(self, piece: Piece) -> None:
        group, frozen = [piece], self._frozen[:]
        while frozen and len(frozen[-1].inverted) <= 2 * sum(len(one.inverted) for one in group):
            group.insert(0, frozen.pop())
        if len(group) > 1:
            piece = Piece(group[0].first, merged([(one.inverted, np.arange(len(one.inverted))) for one in group]))
        self._frozen = [*frozen, piece]

    def index(self, rows: np.ndarray) -> Inverted | None:
        """Return one index of some rows, ascending, for a segment that is made of them; None where few were read."""
        if len(rows) == 0 or self._read * 2 < len(rows):
            return None
        pieces = self.of(int(rows[-1]) + 1)
        kept = [rows[(rows >= one.first) & (rows < one.first + len(one.inverted))] - one.first for one in pieces]
        return merged([(piece.inverted, some) for piece, some in zip(pieces, kept, strict=True)])
