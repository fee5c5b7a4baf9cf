"""Parquet files, Arrow IPC files and Arrow IPC streams.

Row groups and record batches are read a piece at a time: a Parquet row group is decoded in slices, and an
uncompressed Arrow batch is only mapped.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vecdb_client.cli.readers import SAMPLE_ROWS, Chunk, rows_per_piece


def _row_bytes(schema: pa.Schema) -> float:
    """Estimate the size of a decoded row: fixed-size lists and numbers exactly, anything else 64 bytes."""
    total = 0.0
    for field in schema:
        kind = field.type
        if pa.types.is_fixed_size_list(kind):
            total += kind.list_size * (_width(kind.value_type) or 8)
        else:
            total += _width(kind) or 64
    return total


def _width(kind: pa.DataType) -> float:
    try:
        return kind.bit_width / 8
    except ValueError:
        return 0.0


def _numbered(batch: pa.RecordBatch, first: int) -> Chunk:
    return Chunk(batch, np.arange(first, first + batch.num_rows), first + batch.num_rows)


class ParquetSource:
    """A Parquet file, read by row group without prefetching: memory does not grow with the row group."""

    unit = "row"
    typed = True
    only_vectors = False

    def __init__(self, path: Path, stack: contextlib.ExitStack) -> None:
        """Read the footer."""
        self.path = path
        self._file = stack.enter_context(pq.ParquetFile(path, memory_map=True, pre_buffer=False))
        self.total_rows: int | None = self._file.metadata.num_rows
        self._schema = self._file.schema_arrow
        self._read = 0

    def columns(self) -> list[str]:
        """Return the top-level names."""
        return self._schema.names

    def sample(self) -> pa.RecordBatch:
        """Return the first rows of the first row groups."""
        for batch in self._file.iter_batches(batch_size=SAMPLE_ROWS):
            return batch
        return pa.RecordBatch.from_pylist([], schema=self._schema)

    def chunks(self, start: int) -> Iterator[Chunk]:
        """Read from row start; whole row groups before it are not touched."""
        metadata = self._file.metadata
        begin = 0
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            if begin + rows > start and rows:
                yield from self._group(group, begin, start)
            begin += rows

    def _group(self, group: int, begin: int, start: int) -> Iterator[Chunk]:
        metadata = self._file.metadata.row_group(group)
        size = rows_per_piece(max(_row_bytes(self._schema), metadata.total_byte_size / metadata.num_rows))
        for batch in self._file.iter_batches(batch_size=size, row_groups=[group]):
            end = begin + batch.num_rows
            if end > start:
                kept = batch.slice(max(0, start - begin))
                self._read = end
                yield _numbered(kept, end - kept.num_rows)
            begin = end

    def fraction(self) -> float:
        """Return rows read over rows."""
        return self._read / self.total_rows if self.total_rows else 1.0


class ArrowSource:
    """An Arrow IPC file or stream, told apart by the file's magic."""

    unit = "row"
    typed = True
    only_vectors = False

    def __init__(self, path: Path, stack: contextlib.ExitStack) -> None:
        """Map the file and read its schema."""
        self.path = path
        self._map = stack.enter_context(pa.memory_map(str(path)))
        self._is_file = self._map.read(6) == b"ARROW1"
        self._map.seek(0)
        self._schema = self._open().schema
        self.total_rows: int | None = None

    def _open(self) -> "pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader":
        self._map.seek(0)
        return pa.ipc.open_file(self._map) if self._is_file else pa.ipc.open_stream(self._map)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        reader = self._open()
        if isinstance(reader, pa.ipc.RecordBatchFileReader):
            for index in range(reader.num_record_batches):
                self._share = (index + 1) / reader.num_record_batches
                yield reader.get_batch(index)
        else:
            size = max(1, self._map.size())
            for batch in reader:
                self._share = self._map.tell() / size
                yield batch

    _share = 0.0

    def columns(self) -> list[str]:
        """Return the top-level names."""
        return self._schema.names

    def sample(self) -> pa.RecordBatch:
        """Return the first rows of the first batch that has any."""
        for batch in self._batches():
            if batch.num_rows:
                return batch.slice(0, SAMPLE_ROWS)
        return pa.RecordBatch.from_pylist([], schema=self._schema)

    def chunks(self, start: int) -> Iterator[Chunk]:
        """Read from row start; batches before it are mapped or decoded but not looked at."""
        begin = 0
        size = rows_per_piece(_row_bytes(self._schema))
        for batch in self._batches():
            for offset in range(max(0, start - begin), batch.num_rows, size):
                yield _numbered(batch.slice(offset, size), begin + offset)
            begin += batch.num_rows

    def fraction(self) -> float:
        """Return batches, or bytes of a stream, over all of them."""
        return self._share
