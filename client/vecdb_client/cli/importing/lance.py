"""A table of a LanceDB database in a folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vecdb_client.cli.errors import NOT_FOUND, CommandError
from vecdb_client.cli.importing.peer import PIECE_ROWS, package
from vecdb_client.cli.readers import SAMPLE_ROWS, Chunk

_METRICS = {"cosine": "cosine", "l2": "l2", "dot": "dot", "hamming": "hamming"}


class LanceTable:
    """One table; its columns are Arrow already."""

    unit = "row"
    typed = True
    only_vectors = False

    def __init__(self, path: Path, name: str | None, stack: contextlib.ExitStack) -> None:
        """Open the table.

        Raises:
            CommandError: lancedb is missing, there is no such database or table, or several and none is named.

        """
        if not path.is_dir():
            raise CommandError(f"no such folder: {path}", NOT_FOUND)
        database = package("lancedb", "lancedb").connect(str(path))
        names = sorted(entry.name.removesuffix(".lance") for entry in path.glob("*.lance"))
        if name is None and len(names) == 1:
            name = names[0]
        if name not in names:
            told = f"{path} has no table {name!r}" if name else f"{path} has {'several' if names else 'no'} tables"
            raise CommandError(f"{told}; there are {', '.join(names) or 'none'}", NOT_FOUND, "--from NAME chooses one")
        self.path = path
        self._table = database.open_table(name)
        self.total_rows: int | None = self._table.count_rows()
        self.identity = (f"{path.resolve()}#{name}", self.total_rows or 0, self._table.version)
        self.metric = self._metric()
        self.fields: dict[str, Any] = {}
        self.lost = [
            "older versions and tags of the table: the newest is taken",
            "indexes, full-text ones too: vecdb makes its own (`vecdb index`, and --set search for texts)",
            "embedding functions: `vecdb load --embed` or an encoder takes their place",
        ]
        self._read = 0

    def _metric(self) -> str | None:
        """Return the distance of the first vector index; without one the table does not say."""
        for index in self._table.list_indices():
            told = getattr(self._table.index_stats(index.name), "distance_type", None)
            if told:
                return _METRICS.get(str(told).lower())
        return None

    def columns(self) -> list[str]:
        """Return the names of the columns."""
        return self._table.schema.names

    def _rows(self, begin: int, count: int) -> pa.Table:
        return self._table.search().offset(begin).limit(count).to_arrow().select(self.columns())

    def sample(self) -> pa.RecordBatch:
        """Return the first rows."""
        return _one(self._rows(0, SAMPLE_ROWS))

    def chunks(self, start: int) -> Iterator[Chunk]:
        """Read from row start, in the table's own order."""
        total = self.total_rows or 0
        for begin in range(start, total, PIECE_ROWS):
            batch = _one(self._rows(begin, PIECE_ROWS))
            self._read = begin + batch.num_rows
            yield Chunk(batch, np.arange(begin, self._read), self._read)

    def fraction(self) -> float:
        """Return rows read over rows."""
        return self._read / self.total_rows if self.total_rows else 1.0


def _one(table: pa.Table) -> pa.RecordBatch:
    """Return a table as one batch."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)
