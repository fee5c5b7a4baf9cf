"""A consistent view: the segments with their deletions, and the memtables, at one lsn.

A state is an immutable value; the writer replaces the reference to it in one step, so a reader that took the
reference sees one version whatever happens meanwhile. Files that a state maps stay readable after they are
unlinked, and the writer keeps folders that a live state of its own process uses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from vecdb.schema.schema import Column, Schema
from vecdb.storage.keys import Id, keys_of
from vecdb.storage.links.state import LinkState
from vecdb.storage.manifest import Located
from vecdb.storage.memtable import MemtableView
from vecdb.storage.segment import Segment, Vectors

if TYPE_CHECKING:
    from vecdb.schema.fields import Sparse, Text
    from vecdb.schema.multivector import MultiVector
    from vecdb.storage.memtable_index import Piece
    from vecdb_index.budget import Budget
    from vecdb_index.factory import Index
    from vecdb_index.multivector.stored import Tokens

HIT_BYTES = 24
"""What a hit takes until the result is made: its part, row and score, and its place among those of other parts."""


class Part(Protocol):
    """Rows 0 .. rows-1 of one segment or memtable.

    `told` is how many of them whoever asks may know of: all, but for a view that a filter restricts.
    """

    rows: int
    told: int

    @property
    def uuid(self) -> str | None:
        """The segment's name; None for a memtable."""
        ...

    def live(self) -> np.ndarray | None:
        """Return which rows are alive, as bool (rows,); None when all are."""
        ...

    def find(self, value: Id, key: int) -> int:
        """Return the live row of an id, or -1."""
        ...

    def ids(self) -> pa.Array:
        """Return the ids of all rows."""
        ...

    def ids_of(self, rows: np.ndarray) -> list[Id]:
        """Return the ids of some rows as Python values."""
        ...

    def column(self, column: Column) -> pa.Array:
        """Return the values of all rows of an id or scalar column."""
        ...

    def value(self, column: Column, row: int) -> Any:
        """Return one value of an id or scalar column as a Python object, without building the whole column."""
        ...

    def take(self, column: Column, rows: np.ndarray) -> pa.Array:
        """Return the values of some rows of an id or scalar column, in their order."""
        ...

    def present(self, column: Column) -> np.ndarray | None:
        """Return which rows have a vector, as bool (rows,); None when all do."""
        ...

    def vectors(self, column: Column) -> Vectors | None:
        """Return the matrix, the mask of present rows or None, and the norms; None without the column."""
        ...

    def tokens(self, column: "Column[MultiVector]") -> "Tokens":
        """Return the tokens of all rows of a column of several vectors for a row; of a part without it, all null."""
        ...

    def index_of(self, column: Column) -> "Index | None":
        """Return the index of a vector column, None without one that can be used."""
        ...

    def index_problem(self, column: Column) -> str | None:
        """Return why the index of a column cannot be used, where it turned out to be damaged."""
        ...

    def words_of(self, column: "Column[Text] | Column[Sparse]") -> "tuple[list[Piece], bool]":
        """Return indexes of the words, or terms, of all rows, and perhaps of more behind; and whether from a file."""
        ...


class SegmentView:
    """A segment and the rows deleted from it at one lsn."""

    def __init__(self, segment: Segment, deleted: BitMap, told: int | None = None) -> None:
        self.segment = segment
        self.deleted = deleted
        self.rows = segment.rows
        self.told = segment.rows if told is None else told
        self.uuid: str | None = segment.uuid
        self.allowed: dict[Any, Any] = {}
        """Which rows a search may find, remembered by the planner."""
        self.targets: dict[int, Any] = {}
        """What a search by a column needs, remembered by the planner."""
        self.words: dict[Any, Any] = {}
        """What is known of a text column's words in its live rows, remembered by the planner."""

    @property
    def live_rows(self) -> int:
        """How many rows are alive."""
        return self.rows - len(self.deleted)

    @cached_property
    def _live(self) -> np.ndarray | None:
        if not self.deleted:
            return None
        mask = np.ones(self.rows, bool)
        mask[np.frombuffer(self.deleted.to_array(), np.uint32)] = False
        return mask

    def live(self) -> np.ndarray | None:
        """Return which rows are alive, as bool (rows,); None when all are."""
        return self._live

    def find(self, value: Id, key: int) -> int:
        """Return the live row of an id, or -1."""
        row = self.segment.index().find(value, key)
        return -1 if row >= 0 and row in self.deleted else row

    def find_many(self, values: pa.Array, keys: np.ndarray) -> np.ndarray:
        """Return the live rows among those of these ids, ascending, as int64."""
        rows = self.segment.index().find_many(values, keys)
        rows = np.unique(rows[rows >= 0])
        if self.deleted and len(rows):
            dead = np.fromiter((row in self.deleted for row in rows.tolist()), bool, len(rows))
            rows = rows[~dead]
        return rows

    def without(self, rows: np.ndarray) -> "SegmentView":
        """Return a view with these rows deleted too."""
        return SegmentView(self.segment, self.deleted | BitMap(rows.tolist()))

    def ids(self) -> pa.Array:
        """Return the ids of all rows."""
        return self.segment.ids()

    def ids_of(self, rows: np.ndarray) -> list[Id]:
        """Return the ids of some rows as Python values."""
        return self.segment.ids_of(rows)

    def index_of(self, column: Column) -> "Index | None":
        """Return the index of a vector column, None without one that can be used."""
        return self.segment.index_of(column.id)

    def index_problem(self, column: Column) -> str | None:
        """Return why the index of a column cannot be used, where it turned out to be damaged."""
        return self.segment.index_problem(column.id)

    def words_of(self, column: "Column[Text] | Column[Sparse]") -> "tuple[list[Piece], bool]":
        """Return an index of a text column's words, or of terms, and whether it comes from a file."""
        if not self.segment.has(column):
            return [], False
        if column.field.kind == "sparse":
            from vecdb.storage import sparse_index

            piece, stored = sparse_index.of_segment(self.segment, cast("Column[Sparse]", column))
            return [piece], stored
        from vecdb.storage.memtable_index import Piece
        from vecdb.storage.text_index import of_segment

        index, stored = of_segment(self.segment, cast("Column[Text]", column))
        return [Piece(0, index)], stored

    def column(self, column: Column) -> pa.Array:
        """Return the values of all rows of an id or scalar column."""
        return self.segment.column(column)

    def value(self, column: Column, row: int) -> Any:
        """Return one value of an id or scalar column as a Python object."""
        return self.segment.value(column, row)

    def take(self, column: Column, rows: np.ndarray) -> pa.Array:
        """Return the values of some rows of an id or scalar column, in their order."""
        return self.segment.take(column, rows)

    def present(self, column: Column) -> np.ndarray | None:
        """Return which rows have a vector; None when all do."""
        return self.segment.present(column)

    def vectors(self, column: Column) -> Vectors | None:
        """Return the matrix, the mask of present rows or None, and the norms; None without the column."""
        return self.segment.vectors(column)

    def tokens(self, column: "Column[MultiVector]") -> "Tokens":
        """Return the tokens of all rows of a column of several vectors for a row; of a part without it, all null."""
        return self.segment.tokens(column)


@dataclass(frozen=True)
class State:
    """One version of a collection, as seen by every read that starts now.

    `budget` is what the call may take that reads it; what is remembered is the same for all calls.
    """

    lsn: int
    schema: Schema
    located: Located
    segments: tuple[SegmentView, ...]
    memtables: tuple[MemtableView, ...]
    links: LinkState
    budget: "Budget | None" = None

    def within(self, budget: "Budget | None") -> "State":
        """Return the same state for a call with a budget."""
        limited = object.__new__(type(self))  # each request of a server has its own: `replace` takes ten times as long
        limited.__dict__.update(self.__dict__, parts=self.parts, routes=self.routes, budget=budget)
        return limited

    def check(self, stage: str) -> None:
        """Return when the call that reads may go on; else its budget raises."""
        if self.budget is not None:
            self.budget.check(stage)

    def hold(self, stage: str, size: int) -> None:
        """Count memory that the call is about to take, in bytes."""
        if self.budget is not None:
            self.budget.hold(stage, size)

    def hold_hits(self, stage: str, k: int, questions: int = 1) -> None:
        """Count memory for the k best rows, or all that there are to find, of so many questions."""
        if self.budget is not None:
            self.budget.hold(stage, HIT_BYTES * min(k, sum(part.told for part in self.parts)) * questions)

    def release(self, size: int) -> None:
        """Say that the call has given memory back."""
        if self.budget is not None:
            self.budget.release(size)

    @cached_property
    def parts(self) -> Sequence[Part]:
        """All parts, newest rows last; every id is alive in at most one of them."""
        return (*self.segments, *self.memtables)

    def find(self, value: Id) -> tuple[Part, int] | None:
        """Return the part and row of a live id."""
        key = int(keys_of([value], self.schema.id.field.arrow_type)[0])
        for part in reversed(self.parts):
            row = part.find(value, key)
            if row >= 0:
                return part, row
        return None

    @cached_property
    def routes(self) -> dict[Any, Any]:
        """How searches go through the parts, remembered by the planner."""
        return {}

    @cached_property
    def count(self) -> int:
        """Live rows."""
        total = 0
        for part in self.parts:
            live = part.live()
            total += part.rows if live is None else int(np.count_nonzero(live))
        return total

    @property
    def memtable_rows(self) -> int:
        """Rows that are in the log and not yet in a segment, dead ones included."""
        return sum(view.rows for view in self.memtables)
