"""An index as one Arrow file: named arrays, memory-mapped as they are.

The file is an ordinary Arrow IPC file with one record batch of one row. Each array is a column of nested fixed-size
lists, so that its shape and type are Arrow's own: (n, 32) int32 is `fixed_size_list<fixed_size_list<int32>[32]>[n]`.
What kind of index it is and its few numbers stand in the schema's metadata.

Arrow aligns buffers to 8 bytes; columns named pad* between the arrays move each one to a cache line.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from vecdb.schema.arrays import numbers_of
from vecdb.storage.arrow_file import ALIGNMENT, read_batch
from vecdb.storage.directory import Writer

_PAD = "pad"
_ARROWS = 8
"""What Arrow rounds the length of a buffer up to."""


def write(file: Writer, kind: str, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> None:
    """Write an index; complete, not yet synced. No array is copied."""
    columns, names = [], []
    empty = {name: (array.shape, array.dtype.str) for name, array in arrays.items() if array.size == 0}
    for name, array in arrays.items():
        if name in empty:
            continue  # Arrow has no lists of size 0: its shape and type are all there is to it
        columns.append(_column(np.ascontiguousarray(array)))
        names.append(name)
        gap = -(-(-array.nbytes // _ARROWS) * _ARROWS) % ALIGNMENT
        if gap:
            columns.append(_column(np.zeros(gap, np.uint8)))
            names.append(f"{_PAD}{len(names)}")
    told = orjson.dumps({"kind": kind, "settings": dict(settings), "empty": empty})
    blank = pa.schema([pa.field(name, column.type) for name, column in zip(names, columns, strict=True)])
    # What stands before the first array is as long as its metadata: one look says how much is missing to a line.
    start = _start(blank.with_metadata(_metadata(told, 0)), columns)
    schema = blank.with_metadata(_metadata(told, -start % ALIGNMENT))
    with pa.PythonFile(_Sink(file), mode="w") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))


def read(buffer: pa.Buffer) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
    """Return an index's kind, its arrays and its settings; the arrays share the buffer's memory.

    Raises:
        pa.ArrowInvalid: this is no such file.

    """
    batch = read_batch(buffer)
    try:
        told = orjson.loads((batch.schema.metadata or {})[b"vecdb-index"])
        kind, settings = str(told["kind"]), dict(told["settings"])
        arrays = {
            name: _array(batch.column(at)) for at, name in enumerate(batch.schema.names) if not name.startswith(_PAD)
        }
        arrays |= {name: np.empty(shape, dtype) for name, (shape, dtype) in told["empty"].items()}
    except (KeyError, TypeError, ValueError) as error:
        raise pa.ArrowInvalid(f"this is no index: {error}") from error
    return kind, arrays, settings


def _metadata(told: bytes, pad: int) -> dict[bytes, bytes]:
    return {b"vecdb-index": told, b"pad": b" " * pad}


def _column(array: np.ndarray) -> pa.Array:
    column = pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), array.size, [None, pa.py_buffer(array)])
    for length in reversed(array.shape):
        column = pa.FixedSizeListArray.from_arrays(column, length)
    return column


def _array(column: Any) -> np.ndarray:
    shape = []
    while pa.types.is_fixed_size_list(column.type):
        shape.append(column.type.list_size)
        column = column.values
    return numbers_of(column).reshape(shape)


class _Sink(io.RawIOBase):
    """What Arrow needs of a file, in front of ours or of none."""

    def __init__(self, file: Writer | None) -> None:
        self._file = file
        self._position = 0
        self.first = -1

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        size = data.size if isinstance(data, pa.Buffer) else len(data)
        if isinstance(data, pa.Buffer) and self.first < 0:
            self.first = self._position
        if self._file is not None:
            self._file.write(data)
            self._file.sync_early()
        self._position += size
        return size


def _start(schema: pa.Schema, columns: list[pa.Array]) -> int:
    """Return where the first array would begin."""
    sink = _Sink(None)
    with pa.PythonFile(sink, mode="w") as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))
    return sink.first
