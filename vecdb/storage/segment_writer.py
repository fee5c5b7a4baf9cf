"""Rows to the files of a segment.

    ids.arrow         the ids
    keys.arrow        derived: sorted keys and their rows, see keys.py
    data.arrow        columns of fixed width
    text.arrow        keywords: strings and lists of them, which filters read whole
    text-<id>.arrow   one column of texts or JSON, packed
    sparse-<id>.arrow one column of sparse vectors: their entries, row after row
    vec-<id>.arrow    one vector column: values and which rows have one
    tok-<id>.arrow    one column of several vectors for a row, and
    doc-<id>.arrow    which of them belong to which row, see token_files.py
    cen-<id>.arrow    the centroids that they are coded around, if they are
    norm-<id>.arrow   derived: the Euclidean norm of each row of a vector column, unless it is one of bits
    del-<lsn>-<nonce>.roar   deleted rows, one file per version that changed them

Vectors are streamed to their files as they come; the other columns are held until finish(). The folder is built in
tmp/ and renamed into place when every file in it is synced, so a folder under segments/ is complete or absent.
"""

import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import google_crc32c
import numpy as np
import pyarrow as pa
import xxhash
from pyroaring import BitMap

from vecdb.schema.arrays import bools_of, numbers_array, numbers_of
from vecdb.schema.schema import Schema
from vecdb.storage import arrow_file, keys, packed, tombstones
from vecdb.storage import format as names
from vecdb.storage.directory import LocalDirectory, Writer
from vecdb.storage.manifest import DeletesEntry, FileEntry, SegmentEntry
from vecdb.storage.token_files import TOKEN_FILES, TokenFiles, centroid_file, row_file, split, token_file
from vecdb_index.multivector.stored import Tokens

IDS = "ids.arrow"
KEYS = "keys.arrow"
DATA = "data.arrow"
TEXT = "text.arrow"
VECTOR_FILES = "vec-"
PACKED_FILES = "text-"
SPARSE_FILES = "sparse-"
PACKED = "text", "json"
"""Kinds of fields whose columns are packed."""
HELD = 4
"""Bytes of a vector, written as they come, for which one of another column counts, which is held in memory until the
segment is finished: a segment may be the larger the more of it is vectors."""

MOST_TEXT = 3 << 29
"""Bytes of one column's texts, unpacked, that a segment should have at most: Arrow's places in them end at 2 GiB."""


def vector_file(field_id: int) -> str:
    """Return the name of a vector column's file."""
    return f"{VECTOR_FILES}{field_id}.arrow"


def norm_file(field_id: int) -> str:
    """Return the name of the file of a vector column's norms."""
    return f"norm-{field_id}.arrow"


def packed_file(field_id: int) -> str:
    """Return the name of a packed column's file."""
    return f"{PACKED_FILES}{field_id}.arrow"


def sparse_file(field_id: int) -> str:
    """Return the name of the file of a column of sparse vectors."""
    return f"{SPARSE_FILES}{field_id}.arrow"


def is_wide(data_type: pa.DataType) -> bool:
    """Tell whether values of this type have no fixed width, and so live in text.arrow."""
    if pa.types.is_struct(data_type):
        return any(is_wide(field.type) for field in data_type)
    return not (pa.types.is_primitive(data_type) or pa.types.is_boolean(data_type))


def size_of(entry: SegmentEntry) -> int:
    """Return the size of a segment as `Settings.segment_bytes` means it."""
    vectors = sum(file.bytes for file in entry.files if file.name.startswith((VECTOR_FILES, TOKEN_FILES)))
    return vectors + HELD * (entry.bytes - vectors)


def has_norms(list_type: pa.FixedSizeListType) -> bool:
    """Tell whether the rows of a vector column have lengths: those of bits, held as bytes, have none."""
    return list_type.value_type != pa.uint8()


def row_norms(matrix: np.ndarray) -> np.ndarray:
    """Return the Euclidean norms of the rows of a matrix of any vector dtype, as float32 (n,)."""
    out = np.empty(len(matrix), np.float32)
    step = max(1, (1 << 20) // max(1, matrix.shape[1]))
    for start in range(0, len(matrix), step):
        block = matrix[start : start + step].astype(np.float32, copy=False)
        squares = np.einsum("ij,ij->i", block, block)
        # Squares of very small or very large values leave float32: those few rows are summed again in float64.
        extreme = np.flatnonzero(~((squares > 1e-30) & (squares < 1e38)))
        norms = np.sqrt(squares)
        if len(extreme):
            again = block[extreme].astype(np.float64)
            norms[extreme] = np.sqrt(np.einsum("ij,ij->i", again, again))
        out[start : start + step] = norms
    return out


def split_vectors(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return a fixed-size list array as a C-contiguous (n, d) matrix and a mask of the rows that are not null."""
    size = array.type.list_size
    values = array.values.slice(array.offset * size, len(array) * size)
    matrix = numbers_of(values).reshape(len(array), size)
    if array.null_count == 0:
        return matrix, np.ones(len(array), bool)
    return matrix, bools_of(array.is_valid())


def file_entry(directory: LocalDirectory, folder: str, name: str) -> FileEntry:
    """Read a finished file back and return what the manifest must say of it."""
    buffer = directory.map(f"{folder}/{name}")
    return FileEntry(name, buffer.size, google_crc32c.value(buffer), xxhash.xxh3_128_hexdigest(buffer))


class SegmentWriter:
    """Builds one segment. Batches come in the storage schema; every id's last row wins.

    Attributes:
        rows: appended so far.
        size: of these, as `Settings.segment_bytes` means it.

    """

    def __init__(
        self, directory: LocalDirectory, base: str, schema: Schema, pool: ThreadPoolExecutor | None = None
    ) -> None:
        """Begin an empty segment; threads of the pool help where tokens are coded around centroids."""
        self.uuid = names.new_uuid()
        self.rows = 0
        self.size = 0
        self._text = 0
        self._directory = directory
        self._base = base
        self._folder = f"{base}/{names.TMP}/{self.uuid}"
        self._schema = schema
        self._batches: list[pa.RecordBatch] = []
        self._norms: dict[int, list[np.ndarray]] = {
            column.id: [] for column in schema.vectors if has_norms(column.field.arrow_type)
        }
        directory.make(self._folder)
        self._vectors = {
            column.id: arrow_file.VectorFile(
                directory.create(f"{self._folder}/{vector_file(column.id)}"), column.field.arrow_type
            )
            for column in schema.vectors
        }
        self._tokens = {column.id: TokenFiles(directory, self._folder, column, pool) for column in schema.multivectors}

    def has_room(self, batch: pa.RecordBatch, segment_bytes: int) -> bool:
        """Tell whether the segment is neither full nor would have too much text with these rows; an empty one has."""
        return not self.rows or (self.size < segment_bytes and self._text + batch.nbytes <= MOST_TEXT)

    def append(self, batch: pa.RecordBatch) -> None:
        """Add validated rows in the storage schema."""
        narrow = [column.storage_name for column in self._schema.narrow]
        vectors = {}
        for column in self._schema.vectors:
            vectors[column.id] = split_vectors(batch.column(column.storage_name))
        tokens = {
            column.id: split(batch.column(column.storage_name), column.field) for column in self._schema.multivectors
        }
        self.append_parts(batch.select(narrow), vectors, tokens)

    def append_parts(
        self,
        narrow: pa.RecordBatch,
        vectors: dict[int, tuple[np.ndarray, np.ndarray]],
        tokens: dict[int, Tokens],
    ) -> None:
        """Add rows whose vectors come as matrices with masks of the rows that have one, and their tokens."""
        self._batches.append(narrow)
        self.rows += narrow.num_rows
        self._text += narrow.nbytes
        self.size += HELD * narrow.nbytes
        for field_id, (matrix, present) in vectors.items():
            self._vectors[field_id].append(np.ascontiguousarray(matrix), present)
            if field_id in self._norms:
                self._norms[field_id].append(row_norms(matrix))
            self.size += matrix.nbytes
        for field_id, some in tokens.items():
            self.size += self._tokens[field_id].append(some) + HELD * 8 * len(some)

    def finish(self, min_lsn: int, max_lsn: int) -> tuple[SegmentEntry, BitMap]:
        """Write the remaining files, sync them all, and move the folder into place.

        Returns the segment's entry and its deleted rows: those that a later row of the same id replaced.
        """
        for field_id, vectors in self._vectors.items():
            vectors.finish()
            self._close(vector_file(field_id), vectors.file)
        for field_id, tokens in self._tokens.items():
            tokens.finish()
            self._close(token_file(field_id), tokens.vectors.file)
            self._write_with(row_file(field_id), tokens.write_rows)
            if tokens.residuals is not None:
                self._write_with(centroid_file(field_id), tokens.residuals.write_table)
        whole = arrow_file.joined(self._batches)
        self._batches = []
        ids = whole.select([self._schema.id.storage_name])
        index, replaced = keys.build(ids.column(0))
        self._write(IDS, ids)
        self._write(KEYS, index)
        own = (*PACKED, "sparse")
        scalars = [column.storage_name for column in self._schema.scalars if column.field.kind not in own]
        for name, wide in ((DATA, False), (TEXT, True)):
            chosen = [column for column in scalars if is_wide(whole.schema.field(column).type) is wide]
            if chosen:
                self._write(name, whole.select(chosen))
        for column in self._schema.scalars:
            if column.field.kind in PACKED:
                self._write_packed(packed_file(column.id), column.storage_name, whole.column(column.storage_name))
        for column in self._schema.sparse:
            self._write(sparse_file(column.id), whole.select([column.storage_name]))
        for field_id, norms in self._norms.items():
            self._write(norm_file(field_id), pa.record_batch([numbers_array(np.concatenate(norms))], names=["norm"]))
        files = tuple(file_entry(self._directory, self._folder, name) for name in self._directory.list(self._folder))
        deleted = BitMap(replaced.tolist())
        deletes = self._deletes(deleted, max_lsn)
        self._directory.sync_dir(self._folder)
        self._directory.rename(self._folder, f"{self._base}/{names.SEGMENTS}/{self.uuid}")
        return SegmentEntry(self.uuid, self.rows, min_lsn, max_lsn, files, deletes), deleted

    def abandon(self) -> None:
        """Drop everything written; the segment never existed."""
        for vectors in self._vectors.values():
            vectors.file.close()
        for tokens in self._tokens.values():
            tokens.abandon()
        self._directory.remove_tree(self._folder)

    def _deletes(self, deleted: BitMap, lsn: int) -> DeletesEntry | None:
        return tombstones.publish(self._directory, self._folder, deleted, lsn) if deleted else None

    def _write(self, name: str, batch: pa.RecordBatch) -> None:
        self._write_with(name, lambda file: arrow_file.write_batch(file, batch))

    def _write_packed(self, name: str, column: str, values: pa.Array) -> None:
        self._write_with(name, lambda file: packed.write(file, column, values))

    def _write_with(self, name: str, write: Callable[[Writer], None]) -> None:
        file = self._directory.create(f"{self._folder}/{name}")
        try:
            write(file)
        except BaseException:
            file.close()  # an open descriptor would keep the space of the removed file
            raise
        self._close(name, file)

    def _close(self, name: str, file: Writer) -> None:
        try:
            expected = file.tell()
            file.sync()
            size = file.size()
        finally:
            file.close()
        if size != expected:  # a full disk has been seen to lose the tail without an error
            raise OSError(errno.EIO, f"wrote {expected} bytes, the file has {size}", name)
