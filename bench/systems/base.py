"""What a workload may ask of a system.

Life: create or open, work, close. A system that cannot do something raises Unsupported. Rows have the columns of
bench.datasets (id, name, section, size, r100, text, embedding), and ids follow datasets.row_id.
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
import pyarrow as pa

from bench.datasets import ATTRIBUTES

Record = Mapping[str, Any]
_TEXTS = ("name", "section", "text")


@dataclass(frozen=True)
class Graph:
    """How an approximate index is built: neighbours a row, width of the search while building, threads."""

    m: int = 16
    ef_construction: int = 200
    threads: int = 2


@dataclass(frozen=True)
class Shape:
    """What a store must know before the first row.

    Attributes:
        dimension: of the vectors.
        metric: "cosine", "dot" or "l2".
        dtype: of the stored vectors.
        columns: beside id and embedding; name, section and text are strings, all others whole numbers.
        whole_ids: rows are called by their number instead of row_id(number), where a system can store that.
        graph: the approximate index to build; None for exact search.

    """

    dimension: int
    metric: str
    dtype: str = "float32"
    columns: tuple[str, ...] = ATTRIBUTES
    whole_ids: bool = False
    graph: Graph | None = None

    def is_text(self, column: str) -> bool:
        """Tell whether a column holds strings."""
        return column in _TEXTS


@dataclass(frozen=True)
class Filter:
    """column OPERATOR value, with the operators "=", "!=", "<" and ">="."""

    column: str
    comparison: str
    value: str | int

    def __str__(self) -> str:
        return f"{self.column} {self.comparison} {self.value!r}"

    def mask(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return bool (rows,): which rows pass."""
        known = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, ">=": operator.ge}
        compare = known[self.comparison]
        return compare(columns[self.column], self.value)


class UnsupportedError(Exception):
    """This system has no such operation."""


class System:
    """Base of all systems: every operation is unsupported until a subclass defines it.

    Attributes:
        ef: the width of the search in an approximate index for the calls that follow; None is the system's own choice.
        threads: of a batch in a store that is opened afterwards, where the system takes a number; None: those of the
            shape's graph, or the system's own choice.

    """

    name: ClassVar[str]
    ef: int | None = None
    threads: int | None = None

    def create(self, path: Path, shape: Shape) -> None:
        """Make an empty store in the new folder `path` and open it."""
        self._refuse("create")

    def open(self, path: Path, shape: Shape) -> None:
        """Open the store that was made in `path`."""
        self._refuse("open")

    def ingest(self, table: pa.Table) -> None:
        """Load a whole table into the new store by the system's fastest means."""
        self.ingest_batches(table.to_batches())

    def ingest_batches(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Load batches into the new store without holding all of them."""
        self._refuse("ingest_batches")

    def insert(self, batch: pa.RecordBatch) -> None:
        """Add new rows to a store that has some, as an application does."""
        self.ingest_batches([batch])

    def sync(self) -> None:
        """Make what was ingested survive a power cut. Nothing to do where ingest itself promises that."""

    def settle(self) -> None:
        """Return when every index is built and the store no longer changes by itself. Nothing to do without any."""

    def compact(self) -> None:
        """Drop deleted rows and merge what can be merged, then settle."""
        self.settle()

    def search(self, query: np.ndarray, k: int, where: Filter | None = None) -> list[str]:
        """Return the ids of the k best rows, best first."""
        self._refuse("search")

    def search_batch(self, queries: np.ndarray, k: int) -> list[list[str]]:
        """Return search(query, k) for each row of queries (q, d)."""
        self._refuse("search_batch")

    def search_each(self, queries: np.ndarray, k: int, where: Sequence[Filter]) -> list[list[str]]:
        """Return search(query, k, filter) for each row of queries (q, d) and its filter; filters come many times."""
        return [self.search(query, k, one) for query, one in zip(queries, where, strict=True)]

    def upsert(self, record: Record) -> None:
        """Insert or replace one row; durable on return. Called from many threads at once."""
        self._refuse("upsert")

    def get(self, row: str) -> object | None:
        """Return the record of an id, or None."""
        self._refuse("get")

    def delete(self, rows: Sequence[str]) -> None:
        """Delete rows by id; durable on return."""
        self._refuse("delete")

    def count(self) -> int:
        """Return the number of rows."""
        self._refuse("count")

    def close(self) -> None:
        """Release the store. Closing twice is harmless."""

    def _refuse(self, operation: str) -> NoReturn:
        raise UnsupportedError(f"{self.name} has no {operation}")


def embeddings(batch: pa.RecordBatch) -> np.ndarray:
    """Return the vectors of a batch without copying: float32 (rows, d)."""
    column = batch.column("embedding")
    return column.flatten().to_numpy(zero_copy_only=True).reshape(batch.num_rows, -1)
