"""LanceDB, embedded, without a vector index: its search is then an exact scan. Optional: runs when installed.

Lance syncs no file, so what it has acknowledged may be gone after a power cut; `sync` does it from outside, and a
single upsert is not durable. Keep that beside its rates.
"""

import importlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from bench import pagecache
from bench.systems.base import Filter, Record, Shape, System

_TABLE = "rows"


class Lance(System):
    """One table; a search selects ids only."""

    name: ClassVar[str] = "lancedb"

    def create(self, path: Path, shape: Shape) -> None:
        path.mkdir(parents=True)
        self._connect(path, shape)

    def open(self, path: Path, shape: Shape) -> None:
        self._connect(path, shape)
        self._table: Any = self._db.open_table(_TABLE)

    def _connect(self, path: Path, shape: Shape) -> None:
        self._path, self._metric = path, shape.metric
        self._db: Any = importlib.import_module("lancedb").connect(str(path))

    def ingest(self, table: pa.Table) -> None:
        self._table = self._db.create_table(_TABLE, table)

    def ingest_batches(self, batches: Iterable[pa.RecordBatch]) -> None:
        source = iter(batches)
        first = next(source)
        self._table = self._db.create_table(_TABLE, _chained(first, source), schema=first.schema)

    def sync(self) -> None:
        for path in [*pagecache.files(self._path), self._path]:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def search(self, query: np.ndarray, k: int, where: Filter | None = None) -> list[str]:
        asked = self._table.search(query, vector_column_name="embedding").distance_type(self._metric).limit(k)
        if where is not None:
            asked = asked.where(str(where), prefilter=True)
        return asked.select(["id"]).to_arrow().column("id").to_pylist()

    def search_batch(self, queries: np.ndarray, k: int) -> list[list[str]]:
        return [self.search(query, k) for query in queries]

    def upsert(self, record: Record) -> None:
        row = _one_row(record)
        if not hasattr(self, "_table"):
            self._table = self._db.create_table(_TABLE, row)
            return
        self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(row)

    def get(self, row: str) -> object | None:
        found = self._table.search().where(f"id = '{row}'").limit(1).to_list()
        return found[0] if found else None

    def delete(self, rows: Sequence[str]) -> None:
        self._table.delete("id in ({})".format(", ".join(f"'{row}'" for row in rows)))

    def count(self) -> int:
        return self._table.count_rows()


def _chained(first: pa.RecordBatch, rest: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    yield first
    yield from rest


def _one_row(record: Record) -> pa.Table:
    vector = record["embedding"]
    plain = {name: [value] for name, value in record.items() if name != "embedding"}
    column = pa.FixedSizeListArray.from_arrays(pa.array(vector), len(vector))
    return pa.table({**plain, "embedding": column})
