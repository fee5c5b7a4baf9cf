"""An immutable segment, memory-mapped.

Opening maps every file and compares its size with the manifest, nothing more: no byte of a column is read. A file's
checksum is compared when this process first uses the file (see Settings.verify), before Arrow looks at it: of 80
single-bit flips in an Arrow file 72 read back as silently wrong values.

Files are mapped at open and not when needed, so that a reader process keeps a complete segment even when the writer
removes the folder meanwhile.

An index is the exception to every error: one that is missing or damaged is as good as none, because the rows can be
scanned. `index_problem` says so, and whoever builds indexes builds it again.
"""

import threading
from typing import TYPE_CHECKING, Any, cast

import google_crc32c
import numpy as np
import pyarrow as pa
import xxhash

from vecdb.config import Verify
from vecdb.errors import CorruptionError
from vecdb.schema.arrays import bools_of, numbers_array, numbers_of
from vecdb.schema.schema import Column
from vecdb.storage import arrow_file, index_file
from vecdb.storage import format as names
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.id_values import IdValues
from vecdb.storage.keys import Id, KeyIndex
from vecdb.storage.manifest import FileEntry, IndexEntry, SegmentEntry
from vecdb.storage.packed import Packed
from vecdb.storage.segment_writer import (
    DATA,
    IDS,
    KEYS,
    PACKED_FILES,
    TEXT,
    has_norms,
    norm_file,
    packed_file,
    sparse_file,
    vector_file,
)
from vecdb.storage.token_files import centroid_file, nothing, row_file, token_file
from vecdb.storage.token_files import read as read_tokens

if TYPE_CHECKING:
    from vecdb.schema.multivector import MultiVector
    from vecdb_index.factory import Index, Stored
    from vecdb_index.inverted.index import Inverted
    from vecdb_index.multivector.stored import Tokens
    from vecdb_index.muvera.index import Muvera

Vectors = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


def content_of(name: str, buffer: pa.Buffer, path: str) -> pa.RecordBatch | Packed:
    """Return what a file of a segment holds, without copying it; `path` is for errors."""
    return Packed(buffer, path) if name.startswith(PACKED_FILES) else arrow_file.read_batch(buffer)


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
        self._contents: dict[str, pa.RecordBatch | Packed] = {}
        self._vectors: dict[int, Vectors] = {}
        self._tokens: dict[int, tuple[Tokens, dict[str, Any]]] = {}
        self._columns: dict[int, pa.Array] = {}
        self._index: KeyIndex | None = None
        self._id_values: IdValues | None = None
        self._lock = threading.Lock()
        self._indexes: dict[int, Stored | None] = {}
        self._index_problems: dict[int, str] = {}
        self._text_bytes: int | None = None
        self.masks: dict[Any, np.ndarray] = {}
        """Which rows pass a filter, remembered by the planner: true for ever, because rows do not change."""
        self.scalars: Any = None
        """Indexes of scalar columns, in memory, kept by the planner: true for ever, too."""
        self.words: dict[Any, Inverted] = {}
        """Indexes of texts and sparse vectors that have no file yet, see text_index.py and sparse_index.py."""
        self.sparse: dict[int, Any] = {}
        """Columns of sparse vectors as arrays, see sparse_index.py."""
        self.reading_words = threading.Lock()
        for file in entry.files:
            self._buffers[file.name] = self._map(directory, file)
        for index in entry.indexes:
            self._map_index(directory, index)
        if verify == "open":
            for name in self._entries:
                self._content(name)

    def _map(self, directory: LocalDirectory, file: FileEntry) -> pa.Buffer:
        path = f"{self.folder}/{file.name}"
        try:
            buffer = directory.map(path)
        except FileNotFoundError:
            raise names.missing(path) from None
        if buffer.size != file.bytes:
            raise CorruptionError(f"{path} has {buffer.size} bytes, the manifest says {file.bytes}", path=path)
        return buffer

    def _map_index(self, directory: LocalDirectory, index: IndexEntry) -> None:
        try:
            self._buffers[index.file.name] = self._map(directory, index.file)
        except (CorruptionError, OSError) as error:
            self._indexes[index.field] = None
            self._index_problems[index.field] = str(error)

    def with_indexes(self, directory: LocalDirectory, entry: SegmentEntry) -> "Segment":
        """Return the same segment with what indexes an entry names and this one lacks; itself where it lacks none.

        All that is mapped and verified is shared. An older version's entry names fewer: more do no harm.
        """
        fresh = [index for index in entry.indexes if index not in self.entry.indexes]
        if not fresh:
            return self
        other = object.__new__(Segment)
        other.__dict__.update(self.__dict__)
        other.entry = entry
        other._lock = threading.Lock()
        other._buffers = dict(self._buffers)
        other.words = dict(self.words)
        kept = {index.field for index in entry.indexes if index in self.entry.indexes}
        other._indexes = {field: held for field, held in dict(self._indexes).items() if field in kept}
        other._index_problems = {field: told for field, told in dict(self._index_problems).items() if field in kept}
        for index in fresh:
            other._map_index(directory, index)
        return other

    def index_entry(self, field_id: int) -> IndexEntry | None:
        """Return what the manifest says of a column's index."""
        return next((index for index in self.entry.indexes if index.field == field_id), None)

    def index_of(self, field_id: int) -> "Index | None":
        """Return a vector column's index, verified; None when it has none that can be used."""
        return cast("Index | None", self._stored(field_id))

    def muvera_of(self, field_id: int) -> "Muvera | None":
        """Return the index of a column of several vectors for a row, verified; None without one that can be used."""
        return cast("Muvera | None", self._stored(field_id))

    def inverted_of(self, field_id: int) -> "Inverted | None":
        """Return a text column's index, verified; None when it has none that can be used."""
        return cast("Inverted | None", self._stored(field_id))

    def _stored(self, field_id: int) -> "Stored | None":
        if field_id in self._indexes:
            return self._indexes[field_id]
        entry = self.index_entry(field_id)
        if entry is None:
            return None
        with self._lock:
            if field_id not in self._indexes:
                held, problem = self._load_index(entry)
                if problem is not None:
                    self._index_problems[field_id] = problem
                self._indexes[field_id] = held
        return self._indexes[field_id]

    def index_problem(self, field_id: int) -> str | None:
        """Return why a column's index cannot be used, if that was found out."""
        return self._index_problems.get(field_id)

    def _load_index(self, entry: IndexEntry) -> "tuple[Stored | None, str | None]":
        from vecdb_index import factory

        path = f"{self.folder}/{entry.file.name}"
        buffer = self._buffers[entry.file.name]
        if self._verify != "never" and google_crc32c.value(buffer) != entry.file.crc32c:
            return None, str(names.damaged(path))
        try:
            kind, arrays, settings = index_file.read(buffer)
            index = factory.of(kind, arrays, settings)
            problems = factory.problems(kind, index)
        except Exception as error:  # nothing that an index does may keep its rows from being found
            return None, f"{path} cannot be read: {error!r}"
        if kind != entry.kind or len(index) != self.rows:
            problems.append(f"it is a {kind} of {len(index)} rows, not a {entry.kind} of {self.rows}")
        return (None, f"{path} is damaged: {problems[0]}") if problems else (index, None)

    def batch(self, name: str) -> pa.RecordBatch:
        """Return what a file holds, verified."""
        batch = self._content(name)
        assert isinstance(batch, pa.RecordBatch)
        return batch

    def _packed(self, column: Column) -> Packed | None:
        """Return a packed column; None when this segment has it in another way, or not at all."""
        name = packed_file(column.id)
        if name not in self._entries:
            return None
        held = self._content(name)
        assert isinstance(held, Packed)
        return held

    def _content(self, name: str) -> pa.RecordBatch | Packed:
        content = self._contents.get(name)
        if content is not None:
            return content
        with self._lock:
            content = self._contents.get(name)
            if content is None:
                content = self._contents[name] = self._verified(name)
        return content

    def _verified(self, name: str) -> pa.RecordBatch | Packed:
        path = f"{self.folder}/{name}"
        buffer = self._buffers[name]
        if self._verify != "never" and google_crc32c.value(buffer) != self._entries[name].crc32c:
            raise names.damaged(path)
        try:
            return content_of(name, buffer, path)
        except (pa.ArrowInvalid, OSError) as error:
            raise CorruptionError(f"{path} is damaged: {error}", path=path) from error

    def ids(self) -> pa.Array:
        """Return the ids of all rows."""
        return self.batch(IDS).column(0)

    def ids_of(self, rows: np.ndarray) -> list[Id]:
        """Return the ids of some rows as Python values, without Arrow's cost per value."""
        if self._id_values is None:
            self._id_values = IdValues(self.ids())
        return self._id_values.at(rows)

    def index(self) -> KeyIndex:
        """Return the primary key index."""
        if self._index is None:
            self._index = KeyIndex(self.batch(KEYS), self.ids())
        return self._index

    @property
    def text_bytes(self) -> int | None:
        """Bytes of the column with most text, unpacked; None until `read_text_bytes` was called."""
        return self._text_bytes

    def read_text_bytes(self) -> int:
        """Return the bytes of the column with most text, unpacked: texts are read whole, once.

        Raises:
            CorruptionError: a file is damaged.

        """
        if self._text_bytes is None:
            sizes = [file.bytes for file in self.entry.files if file.name in (IDS, TEXT)]
            for name in self._entries:
                if name.startswith(PACKED_FILES):
                    held = self._content(name)
                    assert isinstance(held, Packed)
                    sizes.append(held.bytes())
            self._text_bytes = max(sizes)
        return self._text_bytes

    def has(self, column: Column) -> bool:
        """Tell whether this segment was written with the column; one added later is all null here."""
        if column.field.kind == "id":
            return True
        if column.field.kind == "vector":
            return vector_file(column.id) in self._entries
        if column.field.kind == "multivector":
            return row_file(column.id) in self._entries
        return packed_file(column.id) in self._entries or self._file_of(column) is not None

    def _file_of(self, column: Column) -> str | None:
        name = column.storage_name
        if column.field.kind == "sparse":
            own = sparse_file(column.id)
            return own if own in self._entries else None
        for file in (DATA, TEXT):
            if file in self._entries and name in self.batch(file).schema.names:
                return file
        return None

    def column(self, column: Column) -> pa.Array:
        """Return the values of all rows of an id or scalar column."""
        held = self._columns.get(column.id)
        if held is not None:
            return held
        packed = self._packed(column)
        if packed is not None:
            return packed.all()
        if column.field.kind == "id":
            found = self.ids()
        else:
            file = self._file_of(column)
            if file is None:
                return pa.nulls(self.rows, column.field.arrow_type)
            found = self.batch(file).column(column.storage_name)
        self._columns[column.id] = found
        return found

    def take(self, column: Column, rows: np.ndarray) -> pa.Array:
        """Return the values of some rows of an id or scalar column, in their order."""
        packed = self._packed(column)
        return self.column(column).take(numbers_array(rows)) if packed is None else packed.take(rows)

    def value(self, column: Column, row: int) -> Any:
        """Return one value of an id or scalar column as a Python object."""
        packed = self._packed(column)
        return self.column(column)[row].as_py() if packed is None else packed.value(row)

    def present(self, column: Column) -> np.ndarray | None:
        """Return which rows have a vector, or several, as bool (rows,); None when all do."""
        if not self.has(column):
            return np.zeros(self.rows, bool)
        own = vector_file if column.field.kind == "vector" else row_file
        present = self.batch(own(column.id)).column("present")
        if present.true_count == len(present):
            return None
        return bools_of(present)

    def vectors(self, column: Column) -> Vectors | None:
        """Return the matrix (rows, d), the mask of present rows or None, and the norms; None without the column.

        The matrix and the norms share the mapped files' memory.
        """
        held = self._vectors.get(column.id)
        if held is not None or not self.has(column):
            return held
        matrix = arrow_file.matrix_of(self.batch(vector_file(column.id)))
        norms = None
        if has_norms(column.field.arrow_type):
            norms = numbers_of(self.batch(norm_file(column.id)).column(0))
        held = self._vectors[column.id] = matrix, self.present(column), norms
        return held

    def tokens(self, column: "Column[MultiVector]") -> "Tokens":
        """Return the tokens of a column of several vectors for a row, sharing the files' memory; without it, all null.

        Raises:
            CorruptionError: they are damaged.

        """
        held = self._tokens_and_how(column)
        return nothing(column.field, self.rows) if held is None else held[0]

    def tokens_how(self, column: "Column[MultiVector]") -> dict[str, Any]:
        """Return what was done to the tokens of a column before they were stored; nothing without the column."""
        held = self._tokens_and_how(column)
        return {} if held is None else held[1]

    def _tokens_and_how(self, column: "Column[MultiVector]") -> "tuple[Tokens, dict[str, Any]] | None":
        held = self._tokens.get(column.id)
        if held is not None or not self.has(column):
            return held
        vectors, rows = self.batch(token_file(column.id)), self.batch(row_file(column.id))
        table = centroid_file(column.id)
        centroids = self.batch(table) if table in self._entries else None
        held = read_tokens(vectors, rows, column.field, f"{self.folder}/{row_file(column.id)}", centroids)
        self._tokens[column.id] = held
        return held

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
                    raise names.exchanged(path)
            except CorruptionError as error:
                problems.append(error)
        return problems

    def verify_index(self, index: IndexEntry) -> CorruptionError | None:
        """Compare an index with both of its checksums, and its content with what kernels trust."""
        path = f"{self.folder}/{index.file.name}"
        problem = self._index_problems.get(index.field)
        if problem is None:
            _, problem = self._load_index(index)
        if problem is None and xxhash.xxh3_128_hexdigest(self._buffers[index.file.name]) != index.file.xxh128:
            problem = str(names.exchanged(path))
        return None if problem is None else CorruptionError(problem, path=path)
