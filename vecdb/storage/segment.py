"""An immutable segment, memory-mapped.

Opening maps every file and compares its size with the manifest, nothing more: no byte of a column is read. A file's
checksum is compared when this process first uses the file (see Settings.verify), before Arrow looks at it: of 80
single-bit flips in an Arrow file 72 read back as silently wrong values.

Files are mapped at open and not when needed, so that a reader process keeps a complete segment even when the writer
removes the folder meanwhile.
"""

import threading

import google_crc32c
import numpy as np
import pyarrow as pa
import xxhash

from vecdb.config import Verify
from vecdb.errors import CorruptionError
from vecdb.schema.schema import Column
from vecdb.storage import arrow_file
from vecdb.storage import format as names
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.keys import KeyIndex
from vecdb.storage.manifest import FileEntry, SegmentEntry
from vecdb.storage.segment_writer import DATA, IDS, KEYS, TEXT, norm_file, vector_file

Vectors = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


class Segment:
    """The rows of one segment. Reading is safe from any number of threads; nothing ever changes."""

    def __init__(self, directory: LocalDirectory, base: str, entry: SegmentEntry, verify: Verify) -> None:
        """Map the files.

        Raises:
            CorruptionError: a file is missing or has another size than the manifest says.

        """
        self.uuid = entry.uuid
        self.rows = entry.rows
        self.entry = entry
        self.folder = f"{base}/{names.SEGMENTS}/{entry.uuid}"
        self._verify = verify
        self._entries = {file.name: file for file in entry.files}
        self._buffers: dict[str, pa.Buffer] = {}
        self._batches: dict[str, pa.RecordBatch] = {}
        self._index: KeyIndex | None = None
        self._lock = threading.Lock()
        for file in entry.files:
            self._buffers[file.name] = self._map(directory, file)
        if verify == "open":
            for name in self._entries:
                self._batch(name)

    def _map(self, directory: LocalDirectory, file: FileEntry) -> pa.Buffer:
        path = f"{self.folder}/{file.name}"
        try:
            buffer = directory.map(path)
        except FileNotFoundError:
            raise CorruptionError(f"{path} is missing", path=path) from None
        if buffer.size != file.bytes:
            raise CorruptionError(f"{path} has {buffer.size} bytes, the manifest says {file.bytes}", path=path)
        return buffer

    def _batch(self, name: str) -> pa.RecordBatch:
        batch = self._batches.get(name)
        if batch is not None:
            return batch
        with self._lock:
            batch = self._batches.get(name)
            if batch is None:
                batch = self._verified(name)
                self._batches[name] = batch
        return batch

    def _verified(self, name: str) -> pa.RecordBatch:
        path = f"{self.folder}/{name}"
        buffer = self._buffers[name]
        if self._verify != "never" and google_crc32c.value(buffer) != self._entries[name].crc32c:
            raise CorruptionError(f"{path} is damaged: its checksum does not match the manifest", path=path)
        try:
            batch = arrow_file.read_batch(buffer)
        except (pa.ArrowInvalid, OSError) as error:
            raise CorruptionError(f"{path} is damaged: {error}", path=path) from error
        return batch

    def ids(self) -> pa.Array:
        """Return the ids of all rows."""
        return self._batch(IDS).column(0)

    def index(self) -> KeyIndex:
        """Return the primary key index."""
        if self._index is None:
            self._index = KeyIndex(self._batch(KEYS), self.ids())
        return self._index

    def has(self, column: Column) -> bool:
        """Tell whether this segment was written with the column; one added later is all null here."""
        if column.field.kind == "id":
            return True
        if column.field.kind == "vector":
            return vector_file(column.id) in self._entries
        return self._file_of(column) is not None

    def _file_of(self, column: Column) -> str | None:
        name = column.storage_name
        for file in (DATA, TEXT):
            if file in self._entries and name in self._batch(file).schema.names:
                return file
        return None

    def column(self, column: Column) -> pa.Array:
        """Return the values of all rows of an id or scalar column."""
        if column.field.kind == "id":
            return self.ids()
        file = self._file_of(column)
        if file is None:
            return pa.nulls(self.rows, column.field.arrow_type)
        return self._batch(file).column(column.storage_name)

    def present(self, column: Column) -> np.ndarray | None:
        """Return which rows have a vector, as bool (rows,); None when all do."""
        if not self.has(column):
            return np.zeros(self.rows, bool)
        present = self._batch(vector_file(column.id)).column(1)
        if present.true_count == len(present):
            return None
        return present.to_numpy(zero_copy_only=False)

    def vectors(self, column: Column) -> Vectors | None:
        """Return the matrix (rows, d), the mask of present rows or None, and the norms; None without the column.

        The matrix and the norms share the mapped files' memory.
        """
        if not self.has(column):
            return None
        matrix = arrow_file.matrix_of(self._batch(vector_file(column.id)))
        norms = self._batch(norm_file(column.id)).column(0).to_numpy(zero_copy_only=True)
        return matrix, self.present(column), norms

    def buffer(self, name: str) -> pa.Buffer:
        """Return a file's bytes as mapped, not verified."""
        return self._buffers[name]

    def verify_all(self) -> list[CorruptionError]:
        """Compare every file with both of its checksums and return what is wrong."""
        problems = []
        for name, entry in self._entries.items():
            try:
                self._verified(name)
                if xxhash.xxh3_128_hexdigest(self._buffers[name]) != entry.xxh128:
                    path = f"{self.folder}/{name}"
                    raise CorruptionError(f"{path} is not the file that was committed under this name", path=path)
            except CorruptionError as error:
                problems.append(error)
        return problems
