"""One-batch Arrow IPC files: whole, or streamed around a matrix that is never held in memory.

A vector file is an ordinary Arrow IPC file with one record batch of two columns, `values` (fixed-size list) and
`present` (bool). How long its header is does not depend on how many rows follow, so the rows can be streamed to
their place first and the header written when their number is known. The header is what pyarrow itself writes for a
batch of that many rows whose values are an untouched anonymous mapping: it sees every buffer but reads none.

Arrow aligns buffers to 8 bytes; the header is padded by a metadata entry until the values start at a multiple of
64, which, in a mapped file, keeps a row from straddling more cache lines than it must.
"""

import io
from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.errors import ResourceExhaustedError
from vecdb.schema.arrays import bools_array, numbers_of
from vecdb.storage.directory import Writer

ALIGNMENT = 64


class _Recorder(io.RawIOBase):
    """A sink that keeps small writes, and only the place of the one large buffer it was told of."""

    def __init__(self, skip: int) -> None:
        self.before = bytearray()
        self.after = bytearray()
        self._skip = skip
        self._seen = False
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        if isinstance(data, pa.Buffer) and data.address == self._skip and not self._seen:
            self._seen = True
            self._position += data.size
            return data.size
        part = self.after if self._seen else self.before
        part += memoryview(data)
        self._position += len(data)
        return len(data)


def vector_schema(list_type: pa.DataType, pad: int = 0) -> pa.Schema:
    """Return the schema of a vector file."""
    fields = [pa.field("values", list_type, nullable=False), pa.field("present", pa.bool_(), nullable=False)]
    return pa.schema(fields, metadata={"vecdb": "vectors", "pad": " " * pad})


def vector_frame(list_type: pa.FixedSizeListType, present: np.ndarray) -> tuple[bytes, bytes]:
    """Return the bytes before and behind the values of a vector file of len(present) rows."""
    rows = len(present)
    values = np.zeros(max(1, rows * list_type.list_size), list_type.value_type.to_pandas_dtype())
    before, after = _frame(list_type, values, present, 0)
    pad = -len(before) % ALIGNMENT
    if pad:
        before, after = _frame(list_type, values, present, pad)
    return before, after


def _frame(list_type: pa.FixedSizeListType, values: np.ndarray, present: np.ndarray, pad: int) -> tuple[bytes, bytes]:
    child = pa.Array.from_buffers(
        list_type.value_type, len(present) * list_type.list_size, [None, pa.py_buffer(values)]
    )
    lists = pa.FixedSizeListArray.from_arrays(child, list_type.list_size)
    schema = vector_schema(list_type, pad)
    batch = pa.record_batch([lists, bools_array(present)], schema=schema)
    sink = _Recorder(values.ctypes.data)
    with pa.PythonFile(sink, mode="w") as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.before), bytes(sink.after)


class VectorFile:
    """Streams the rows of one vector column into an Arrow file."""

    def __init__(self, file: Writer, list_type: pa.FixedSizeListType) -> None:
        self.file = file
        self._type = list_type
        self._row_bytes = list_type.list_size * list_type.value_type.bit_width // 8
        self._start = len(vector_frame(list_type, np.ones(1, bool))[0])
        self._present: list[np.ndarray] = []
        self.file.seek(self._start)

    @property
    def bytes(self) -> int:
        """Bytes of values written so far."""
        return self.file.tell() - self._start

    def append(self, matrix: np.ndarray, present: np.ndarray) -> None:
        """Write the rows of a C-contiguous (n, d) matrix and which of them are real vectors."""
        self.file.write(matrix.reshape(-1).view(np.uint8).data)
        self.file.sync_early()
        self._present.append(present)

    def finish(self) -> None:
        """Write the header and the footer; the file is complete, not yet synced."""
        present = np.concatenate(self._present) if self._present else np.empty(0, bool)
        if len(present) == 0:  # the header of no rows has another length, and there is nothing to stream around
            self.file.seek(0)
            lists = pa.array([], self._type)
            write_batch(self.file, pa.record_batch([lists, pa.array(present)], schema=vector_schema(self._type)))
            return
        before, after = vector_frame(self._type, present)
        if len(before) != self._start or len(present) * self._row_bytes != self.bytes:
            raise AssertionError(f"vector file of {len(present)} rows has {self.bytes} bytes of values")
        # Between the values and the next buffer Arrow pads to its alignment; `after` begins with that padding.
        self.file.write(after)
        self.file.write_at(0, before)


def write_batch(file: Writer, batch: pa.RecordBatch) -> None:
    """Write a whole one-batch Arrow file, uncompressed."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    file.write(sink.getvalue())


def read_batch(buffer: pa.Buffer) -> pa.RecordBatch:
    """Return the one batch of an Arrow file without copying it."""
    with pa.ipc.open_file(buffer) as reader:
        if reader.num_record_batches != 1:
            raise pa.ArrowInvalid(f"expected one record batch, found {reader.num_record_batches}")
        return reader.get_batch(0)


def joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Return the rows of one or more batches, of which there is at least one, as one batch.

    Raises:
        ResourceExhaustedError: they do not fit one; see `only_batch`.

    """
    return batches[0] if len(batches) == 1 else only_batch(pa.Table.from_batches(batches).combine_chunks())


def only_batch(table: pa.Table) -> pa.RecordBatch:
    """Return the rows of a table whose chunks were combined.

    Raises:
        ResourceExhaustedError: a column has more than 2 GiB of text, of which Arrow makes several batches.

    """
    batches = table.to_batches()
    if len(batches) > 1:
        told = f"{table.num_rows} rows have more than 2 GiB of text in one column: write fewer at a time"
        raise ResourceExhaustedError(told)
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def matrix_of(batch: pa.RecordBatch) -> np.ndarray:
    """Return the values of a vector file as a read-only (n, d) matrix that shares its memory."""
    lists = batch.column(0)
    return numbers_of(lists.values).reshape(len(lists), lists.type.list_size)
