"""A Parquet file: the yardstick of bulk loading. Written by pyarrow, synced only when asked."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from bench.systems.base import Shape, System

FILE = "rows.parquet"


class Parquet(System):
    """pyarrow.parquet with its defaults: dictionaries where they pay, Snappy."""

    name: ClassVar[str] = "parquet"
    options: ClassVar[dict[str, Any]] = {}

    def create(self, path: Path, shape: Shape) -> None:
        path.mkdir(parents=True)
        self._file = path / FILE

    def open(self, path: Path, shape: Shape) -> None:
        self._file = path / FILE

    def ingest(self, table: pa.Table) -> None:
        pq.write_table(table, self._file, **self.options)

    def ingest_batches(self, batches: Iterable[pa.RecordBatch]) -> None:
        writer = None
        for batch in batches:
            writer = writer or pq.ParquetWriter(self._file, batch.schema, **self.options)
            writer.write_batch(batch)
        if writer is not None:
            writer.close()

    def sync(self) -> None:
        for path in (self._file, self._file.parent):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def count(self) -> int:
        return pq.ParquetFile(self._file).metadata.num_rows


class PlainParquet(Parquet):
    """Neither dictionaries nor compression: the least work a Parquet writer can do for vectors."""

    name: ClassVar[str] = "parquet-plain"
    options: ClassVar[dict[str, Any]] = {"use_dictionary": False, "compression": "none"}
