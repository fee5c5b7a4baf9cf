"""The tokens of one multi-vector column of a segment: two files, or three.

    tok-<id>.arrow    the vectors of all rows, one behind the other, in the form of a vector file
    doc-<id>.arrow    for each row how many it has, and whether it is there at all; of codes, their scales, a list; of
                      residuals, their centroids, a list. Where all rows have as many, it says so once
    cen-<id>.arrow    of residuals: the centroids, and what a step of a code is worth around each

The vectors are streamed to their file as they come; those that are to be coded around centroids, to a file that is read
again when all are there (residual_files.py). All files are Arrow; the second one says in its metadata what was done to
the vectors before they were stored.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from vecdb.errors import CorruptionError
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column
from vecdb.storage import arrow_file
from vecdb.storage.directory import LocalDirectory, Writer
from vecdb.storage.residual_files import Residuals, table_of
from vecdb_index.multivector.residual import Centroids
from vecdb_index.multivector.stored import Tokens, ends_of, longest_of

TOKEN_FILES = "tok-"  # nosec B105
ROW_FILES = "doc-"
CENTROID_FILES = "cen-"
_HOW = b"vecdb-tokens"
BITS = {"int8": 8, "int4": 4, "sign": 1}


def token_file(field_id: int) -> str:
    """Return the name of the file of a column's vectors."""
    return f"{TOKEN_FILES}{field_id}.arrow"


def row_file(field_id: int) -> str:
    """Return the name of the file that says where a column's rows begin."""
    return f"{ROW_FILES}{field_id}.arrow"


def centroid_file(field_id: int) -> str:
    """Return the name of the file of a column's centroids."""
    return f"{CENTROID_FILES}{field_id}.arrow"


def split(array: pa.Array, field: MultiVector) -> Tokens:
    """Return a column in its stored type as tokens that share its memory; null rows have none."""
    present = np.asarray(array.is_valid()) if array.null_count else None
    offsets = np.asarray(array.offsets).astype(np.int64, copy=False)
    begin, end = int(offsets[0]), int(offsets[-1])
    entries = array.values.slice(begin, end - begin)
    scales = None
    if field.coded:
        codes, scale = entries.flatten()
        scales, entries = arrow_file.numbers_of(scale), codes
    flat = entries.values.slice(entries.offset * field.width, len(entries) * field.width)
    values = arrow_file.numbers_of(flat).reshape(len(entries), field.width)
    return Tokens(values, offsets - begin, field.dimension, BITS.get(field.dtype), scales, present)


def joined(tokens: Tokens, field: MultiVector) -> pa.Array:
    """Return tokens as a column in its stored type: the inverse of `split`. Residuals become half floats again."""
    values = tokens.values if tokens.centroids is None else tokens.floats().tokens.astype(np.float16)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    entries: Any = pa.FixedSizeListArray.from_arrays(flat, type=field.token_type)
    if tokens.scales is not None:
        parts = list(field.stored_type.value_type)
        entries = pa.StructArray.from_arrays([entries, pa.array(tokens.scales)], fields=parts)
    mask = None if tokens.present is None else pa.array(~tokens.present)
    return pa.LargeListArray.from_arrays(pa.array(tokens.offsets), entries, type=field.stored_type, mask=mask)


def nothing(field: MultiVector, rows: int) -> Tokens:
    """Return rows that are all null."""
    bits = BITS.get(field.dtype)
    values = np.empty((0, field.width), field.token_type.value_type.to_pandas_dtype())
    scales = None if bits is None else np.empty(0, np.float32)
    return Tokens(values, np.zeros(rows + 1, np.int64), field.dimension, bits, scales, np.zeros(rows, bool), 0.0)


def how(field: MultiVector) -> dict[str, Any]:
    """Return what is recorded of what was done to the vectors."""
    names = ("pool_factor", "pooling", "protect", "fixed", "normalise")
    return {name: getattr(field, name) for name in names}


class TokenFiles:
    """Writes the files of a column."""

    def __init__(
        self, directory: LocalDirectory, folder: str, column: Column[MultiVector], pool: ThreadPoolExecutor | None
    ) -> None:
        self._field = column.field
        self.vectors = arrow_file.VectorFile(
            directory.create(f"{folder}/{token_file(column.id)}"), column.field.file_type
        )
        self.residuals = Residuals(directory, folder, column, pool) if column.field.residual is not None else None
        self._lengths: list[np.ndarray] = []
        self._present: list[np.ndarray] = []
        self._scales: list[np.ndarray] = []
        self._longest = 0.0

    def append(self, tokens: Tokens) -> int:
        """Write rows; return the bytes that they take."""
        self._lengths.append(tokens.lengths)
        self._present.append(np.ones(len(tokens), bool) if tokens.present is None else tokens.present)
        if self.residuals is not None and tokens.centroids is None:
            return self.residuals.spill(tokens)
        return self._write(tokens)

    def _write(self, tokens: Tokens) -> int:
        values = np.ascontiguousarray(tokens.values)
        self.vectors.append(values, np.ones(len(values), bool))
        if tokens.scales is not None:
            self._scales.append(np.array(tokens.scales))
        if self.residuals is not None:
            self.residuals.add(tokens)
            self._longest = max(self._longest, tokens.longest)
        elif tokens.bits is not None:
            self._longest = max(self._longest, longest_of(tokens))
        return values.nbytes

    def finish(self) -> None:
        """Code what waits for it, and complete the first file; it is not yet synced."""
        if self.residuals is not None:
            for tokens in self.residuals.coded():
                self._write(tokens)
        self.vectors.finish()

    def abandon(self) -> None:
        """Close what is open."""
        self.vectors.file.close()
        if self.residuals is not None:
            self.residuals.abandon()

    def write_rows(self, file: Writer) -> None:
        """Write the second file."""
        lengths = np.concatenate(self._lengths) if self._lengths else np.empty(0, np.int64)
        present = np.concatenate(self._present) if self._present else np.empty(0, bool)
        told = how(self._field) | {"longest": self._longest}
        count = int(lengths[0]) if len(lengths) else 0
        if count and (lengths == count).all():  # the usual thing where rows keep a fixed number of vectors
            told |= {"count": count}
        else:
            count = 0
        arrays: dict[str, Any] = {} if count else {"tokens": pa.array(lengths.astype(np.int32))}
        arrays["present"] = pa.array(present)
        beside = None
        if self._field.coded:
            beside = "scales", pa.array(np.concatenate(self._scales) if self._scales else np.empty(0, np.float32))
        if self.residuals is not None:
            beside = "centroids", pa.array(self.residuals.numbers())
            told |= {"longest_left": self.residuals.longest_left}
        if beside is not None:
            item = pa.field("item", beside[1].type, False)
            arrays[beside[0]] = (
                pa.FixedSizeListArray.from_arrays(beside[1], type=pa.list_(item, count))
                if count
                else pa.LargeListArray.from_arrays(pa.array(ends_of(lengths)), beside[1], type=pa.large_list(item))
            )
        fields = [pa.field(name, array.type, False) for name, array in arrays.items()]
        schema = pa.schema(fields, metadata={_HOW: orjson.dumps(told)})
        arrow_file.write_batch(file, pa.record_batch(list(arrays.values()), schema=schema))


def mismatch(
    vectors: pa.RecordBatch, rows: pa.RecordBatch | None, centroids: pa.RecordBatch | None = None
) -> str | None:
    """Return what is wrong between the files of a column, if anything is."""
    if rows is None:
        return "there is no file of its rows"
    if "tokens" not in rows.schema.names and not _told(rows).get("count"):
        return "it does not say how many vectors its rows have"
    lengths = _lengths(rows)
    if (lengths < 0).any() or lengths.sum() != vectors.num_rows:
        return f"its rows have {int(lengths.sum())} of {vectors.num_rows} vectors"
    name = _beside(rows)
    beside = None if name is None else rows.column(name)
    if beside is not None and not np.array_equal(_sizes(beside), lengths):
        return f"its rows have not as many {name} as vectors"
    if (name == "centroids") != (centroids is not None):
        return "there is no file of its centroids" if centroids is None else "it has centroids that nothing is near"
    if beside is not None and centroids is not None:
        largest = arrow_file.numbers_of(beside.flatten()).max(initial=0)
        if len(vectors) and largest >= centroids.num_rows:
            return f"it has {centroids.num_rows} centroids, a vector is near number {largest}"
    return None


def _told(rows: pa.RecordBatch) -> dict[str, Any]:
    return orjson.loads((rows.schema.metadata or {}).get(_HOW, b"{}"))


def _beside(rows: pa.RecordBatch) -> str | None:
    """Return the name of what rows have a list of, one value for each vector."""
    return next((name for name in rows.schema.names if name not in ("tokens", "present")), None)


def _lengths(rows: pa.RecordBatch) -> np.ndarray:
    if "tokens" in rows.schema.names:
        return arrow_file.numbers_of(rows.column("tokens")).astype(np.int64)
    return np.full(rows.num_rows, _told(rows)["count"], np.int64)


def _sizes(lists: Any) -> np.ndarray:
    if pa.types.is_fixed_size_list(lists.type):
        return np.full(len(lists), lists.type.list_size, np.int64)
    return np.diff(np.asarray(lists.offsets))


def read(
    vectors: pa.RecordBatch,
    rows: pa.RecordBatch,
    field: MultiVector,
    path: str,
    centroids: pa.RecordBatch | None = None,
) -> tuple[Tokens, dict[str, Any]]:
    """Return the tokens of the files, sharing their memory, and what was done to them.

    Raises:
        CorruptionError: the files do not belong together; it names path.

    """
    problem = mismatch(vectors, rows, centroids)
    beside = "scales" if field.coded else "centroids" if field.residual is not None else None
    if problem is None and (
        vectors.column(0).type.list_size != field.file_type.list_size
        or _beside(rows) != beside
        or (centroids is not None and centroids.column(0).type.list_size != field.dimension)
    ):
        problem = f"its vectors are not {field.dtype} of {field.dimension} numbers"
    if problem is not None:
        raise CorruptionError(f"{path} is damaged: {problem}", path=path)
    offsets, present, told = ends_of(_lengths(rows)), rows.column("present"), _told(rows)
    listed = None if beside is None else arrow_file.numbers_of(rows.column(beside).flatten())
    table: Centroids | None = None if centroids is None else table_of(centroids)
    tokens = Tokens(
        arrow_file.matrix_of(vectors),
        offsets,
        field.dimension,
        field.residual or BITS.get(field.dtype),
        listed if field.coded else None,
        None if present.true_count == len(present) else present.to_numpy(zero_copy_only=False),
        float(told.pop("longest", np.inf)),
        table,
        None if table is None else listed,
        float(told.pop("longest_left", np.inf)),
    )
    return tokens, told
