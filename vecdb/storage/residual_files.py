"""Tokens on their way to be coded around centroids, and the table of these.

Centroids are trained with the tokens of a whole segment, so half floats wait in a file of its folder until all rows are
there. What comes coded from another segment keeps its centroids, and so its numbers, bit for bit: a merge joins tables,
without the centroids that no token is near any more. A segment holds either the one or the other.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column
from vecdb.storage import arrow_file
from vecdb.storage.directory import LocalDirectory, Writer
from vecdb_index.multivector.residual import Centroids
from vecdb_index.multivector.stored import Tokens, by_centroids

_BLOCK = 1 << 14
"""Tokens that are coded together: bounds memory."""


def table_of(batch: pa.RecordBatch) -> Centroids:
    """Return the centroids of a file, sharing its memory."""
    return Centroids(arrow_file.matrix_of(batch), arrow_file.numbers_of(batch.column(1)))


class Residuals:
    """What the tokens of a column of a segment are coded with.

    Attributes:
        longest_left: no token is longer without its centroid.

    """

    def __init__(
        self, directory: LocalDirectory, folder: str, column: Column[MultiVector], pool: ThreadPoolExecutor | None
    ) -> None:
        assert column.field.residual is not None
        self._bits, self._dimension = column.field.residual, column.field.dimension
        self._type = column.field.token_type
        self._pool = pool
        self._directory, self._name = directory, f"{folder}/waiting-{column.id}.arrow"
        self._waiting: arrow_file.VectorFile | None = None
        self._tables: list[Centroids] = []
        self._numbers: list[np.ndarray] = []
        self._begin = 0
        self.longest_left = 0.0

    def spill(self, tokens: Tokens) -> int:
        """Let half floats wait until `coded`; return the bytes that their codes will take, about."""
        if len(tokens.values) == 0:
            return 0
        if self._waiting is None:
            self._waiting = arrow_file.VectorFile(self._directory.create(self._name), self._type)
        self._waiting.append(np.ascontiguousarray(tokens.values), np.ones(len(tokens.values), bool))
        return len(tokens.values) * self._dimension * self._bits // 8

    def add(self, tokens: Tokens) -> None:
        """Take note of which centroids tokens have; they are written in this order."""
        assert tokens.centroids is not None
        assert tokens.numbers is not None
        if not self._tables or self._tables[-1] is not tokens.centroids:
            self._begin += len(self._tables[-1]) if self._tables else 0
            self._tables.append(tokens.centroids)
        self._numbers.append(tokens.numbers.astype(np.uint32) + np.uint32(self._begin))
        self.longest_left = max(self.longest_left, tokens.longest_left)

    def coded(self) -> Iterator[Tokens]:
        """Give the tokens that wait, in codes, as one row a block."""
        if self._waiting is None:
            return
        if self._tables:
            raise AssertionError("a segment has tokens with centroids and others that wait for theirs")
        self._waiting.finish()
        self._waiting.file.close()
        self._waiting = None
        values = arrow_file.matrix_of(arrow_file.read_batch(self._directory.map(self._name)))
        self._directory.unlink(self._name)
        table = Centroids.trained(values, self._bits, pool=self._pool)
        for first in range(0, len(values), _BLOCK):
            block = values[first : first + _BLOCK]
            row = Tokens(block, np.array([0, len(block)], np.int64), self._dimension)
            yield by_centroids(row, table, table.nearest(block, self._pool), self._bits)

    def abandon(self) -> None:
        """Close what is open."""
        if self._waiting is not None:
            self._waiting.file.close()

    def numbers(self) -> np.ndarray:
        """Return the number of each token's centroid: (t,) uint16, or uint32 where there are too many."""
        numbers, kept = self._used()
        places = np.cumsum(kept, dtype=np.int64) - 1
        return places[numbers].astype(np.uint16 if kept.sum() <= 1 << 16 else np.uint32)

    def write_table(self, file: Writer) -> None:
        """Write the file of centroids."""
        table = Centroids.joined(self._tables, self._dimension).some(np.flatnonzero(self._used()[1]))
        flat: Any = pa.array(np.ascontiguousarray(table.vectors).reshape(-1), pa.float16())
        lists = pa.FixedSizeListArray.from_arrays(flat, self._dimension)
        arrow_file.write_batch(file, pa.record_batch([lists, pa.array(table.units)], names=["centroid", "unit"]))

    def _used(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of all tokens as they came, and which centroids are any token's."""
        numbers = np.concatenate(self._numbers) if self._numbers else np.empty(0, np.uint32)
        return numbers, np.bincount(numbers, minlength=sum(map(len, self._tables))) > 0
