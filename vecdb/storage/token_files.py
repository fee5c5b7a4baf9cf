"""The tokens of one multi-vector column of a segment: two files.

    tok-<id>.arrow    the vectors of all rows, one behind the other, in the form of a vector file
    doc-<id>.arrow    for each row how many it has, and whether it is there at all; of codes, their scales, a list

The vectors are streamed to their file as they come. Both files are Arrow; the second one says in its metadata what was
done to the vectors before they were stored.
"""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from vecdb.errors import CorruptionError
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column
from vecdb.storage import arrow_file
from vecdb.storage.directory import LocalDirectory, Writer
from vecdb_index.multivector.stored import Tokens, ends_of, longest_of

TOKEN_FILES = "tok-"  # nosec B105
ROW_FILES = "doc-"
_HOW = b"vecdb-tokens"
BITS = {"int8": 8, "int4": 4}


def token_file(field_id: int) -> str:
    """Return the name of the file of a column's vectors."""
    return f"{TOKEN_FILES}{field_id}.arrow"


def row_file(field_id: int) -> str:
    """Return the name of the file that says where a column's rows begin."""
    return f"{ROW_FILES}{field_id}.arrow"


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
    """Return tokens as a column in its stored type: the inverse of `split`."""
    flat = pa.array(np.ascontiguousarray(tokens.values).reshape(-1))
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
    """Writes both files of a column."""

    def __init__(self, directory: LocalDirectory, folder: str, column: Column[MultiVector]) -> None:
        self._field = column.field
        self.vectors = arrow_file.VectorFile(
            directory.create(f"{folder}/{token_file(column.id)}"), column.field.token_type
        )
        self._lengths: list[np.ndarray] = []
        self._present: list[np.ndarray] = []
        self._scales: list[np.ndarray] = []
        self._longest = 0.0

    def append(self, tokens: Tokens) -> int:
        """Write rows; return the bytes that they take."""
        values = np.ascontiguousarray(tokens.values)
        self.vectors.append(values, np.ones(len(values), bool))
        self._lengths.append(tokens.lengths)
        self._present.append(np.ones(len(tokens), bool) if tokens.present is None else tokens.present)
        if tokens.scales is not None:
            self._scales.append(np.array(tokens.scales))
            self._longest = max(self._longest, longest_of(tokens))
        return values.nbytes

    def write_rows(self, file: Writer) -> None:
        """Write the second file."""
        lengths = np.concatenate(self._lengths) if self._lengths else np.empty(0, np.int64)
        present = np.concatenate(self._present) if self._present else np.empty(0, bool)
        metadata = {_HOW: orjson.dumps(how(self._field) | {"longest": self._longest})}
        fields = [pa.field("tokens", pa.int32(), False), pa.field("present", pa.bool_(), False)]
        arrays: list[Any] = [pa.array(lengths.astype(np.int32)), pa.array(present)]
        if self._field.coded:
            fields.append(pa.field("scales", pa.large_list(pa.field("item", pa.float32(), False)), False))
            scales = np.concatenate(self._scales) if self._scales else np.empty(0, np.float32)
            arrays.append(
                pa.LargeListArray.from_arrays(pa.array(ends_of(lengths)), pa.array(scales), type=fields[-1].type)
            )
        arrow_file.write_batch(file, pa.record_batch(arrays, schema=pa.schema(fields, metadata=metadata)))


def mismatch(vectors: pa.RecordBatch, rows: pa.RecordBatch | None) -> str | None:
    """Return what is wrong between the two files of a column, if anything is."""
    if rows is None:
        return "there is no file of its rows"
    lengths = _lengths(rows)
    if (lengths < 0).any() or lengths.sum() != vectors.num_rows:
        return f"its rows have {int(lengths.sum())} of {vectors.num_rows} vectors"
    scales = rows.column(2) if rows.num_columns > 2 else None
    if scales is not None and not np.array_equal(np.diff(np.asarray(scales.offsets)), lengths):
        return "its rows have not as many scales as vectors"
    return None


def _lengths(rows: pa.RecordBatch) -> np.ndarray:
    return arrow_file.numbers_of(rows.column(0)).astype(np.int64)


def read(vectors: pa.RecordBatch, rows: pa.RecordBatch, field: MultiVector, path: str) -> tuple[Tokens, dict[str, Any]]:
    """Return the tokens of the two files, sharing their memory, and what was done to them.

    Raises:
        CorruptionError: the files do not belong together; it names path.

    """
    problem = mismatch(vectors, rows)
    if problem is None and (vectors.column(0).type.list_size != field.width or field.coded != (rows.num_columns > 2)):
        problem = f"its vectors are not {field.dtype} of {field.dimension} numbers"
    if problem is not None:
        raise CorruptionError(f"{path} is damaged: {problem}", path=path)
    values = arrow_file.matrix_of(vectors)
    offsets = ends_of(_lengths(rows))
    scales, present = None, rows.column(1)
    if field.coded:
        scales = arrow_file.numbers_of(rows.column(2).flatten())
    there = None if present.true_count == len(present) else present.to_numpy(zero_copy_only=False)
    told = orjson.loads((rows.schema.metadata or {}).get(_HOW, b"{}"))
    longest = float(told.pop("longest", np.inf))
    return Tokens(values, offsets, field.dimension, BITS.get(field.dtype), scales, there, longest), told
