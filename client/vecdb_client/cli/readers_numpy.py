"""NumPy files: .npy holds one matrix of vectors, .npz one array per column.

Arrays are read a block of rows at a time: .npy is mapped, members of .npz are unpacked as a stream. Pickled
objects are refused: loading them could run code.
"""

import contextlib
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.lib import format as npformat

from vecdb_client.cli import multivectors
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.readers import SAMPLE_ROWS, Chunk, rows_per_piece

MATRIX = "embedding"
"""What the only column of a .npy file is called."""


def to_arrow(values: np.ndarray, name: str, path: Path) -> pa.Array:
    """Return rows of an array as an Arrow column; a matrix becomes fixed-size lists, a block lists of these."""
    if values.ndim == 3:
        lists = to_arrow(values.reshape(-1, values.shape[2]), name, path)
        return pa.FixedSizeListArray.from_arrays(lists, values.shape[1])
    if values.ndim == 2:
        if not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="))
        flat = np.ascontiguousarray(values).reshape(-1)
        return pa.FixedSizeListArray.from_arrays(pa.array(flat), values.shape[1])
    if values.dtype.kind in "US":
        return pa.array([item.decode() if isinstance(item, bytes) else item for item in values.tolist()], pa.string())
    if values.dtype.kind == "M":
        return pa.array(values.astype("datetime64[us]"))
    if values.dtype.kind in "biuf":
        return pa.array(values.astype(values.dtype.newbyteorder("=")))
    raise CommandError(f"{path}: the array {name!r} has dtype {values.dtype}, which cannot be loaded")


def _check_shape(shape: tuple[int, ...], dtype: np.dtype, name: str, path: Path) -> None:
    if dtype.hasobject:
        raise CommandError(f"{path}: the array {name!r} holds pickled Python objects, which are never loaded")
    if len(shape) not in (1, 2, 3) or 0 in shape[1:]:
        forms = "(rows,), (rows, dimension) or (rows, tokens, dimension)"
        raise CommandError(f"{path}: the array {name!r} has shape {shape}, expected {forms}")


class NpySource:
    """A .npy file with a matrix, one vector per row."""

    unit = "row"
    typed = True
    only_vectors = True

    def __init__(self, path: Path, stack: contextlib.ExitStack) -> None:
        """Map the matrix."""
        self.path = path
        try:
            self._values = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError) as error:
            raise CommandError(f"cannot read {path}: {error}") from error
        _check_shape(self._values.shape, self._values.dtype, path.name, path)
        if self._values.ndim != 2:
            raise CommandError(f"{path} has shape {self._values.shape}, expected a matrix (rows, dimension)")
        self.total_rows: int | None = len(self._values)
        self._read = 0

    def columns(self) -> list[str]:
        """Return the one name."""
        return [MATRIX]

    def _batch(self, start: int, stop: int) -> pa.RecordBatch:
        column = to_arrow(np.asarray(self._values[start:stop]), MATRIX, self.path)
        return pa.RecordBatch.from_arrays([column], names=[MATRIX])

    def sample(self) -> pa.RecordBatch:
        """Return the first rows."""
        return self._batch(0, SAMPLE_ROWS)

    def chunks(self, start: int) -> Iterator[Chunk]:
        """Read from row start."""
        total = len(self._values)
        size = rows_per_piece(self._values.itemsize * self._values.shape[1])
        for begin in range(start, total, size):
            self._read = min(begin + size, total)
            yield Chunk(self._batch(begin, self._read), np.arange(begin, self._read), self._read)

    def fraction(self) -> float:
        """Return rows read over rows."""
        return self._read / self.total_rows if self.total_rows else 1.0


class _Member:
    """One array of a .npz file, read forwards."""

    def __init__(self, file: IO[bytes], name: str, path: Path) -> None:
        version = npformat.read_magic(file)
        header = npformat.read_array_header_1_0 if version == (1, 0) else npformat.read_array_header_2_0
        self.shape, fortran, self.dtype = header(file)
        self.name = name
        self._file = file
        _check_shape(self.shape, self.dtype, name, path)
        self.row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        if fortran and len(self.shape) == 2 and self.shape[1] > 1:
            raise CommandError(
                f"{path}: the array {name!r} is stored by columns", hint="save np.ascontiguousarray(...) of it"
            )

    def read(self, rows: int) -> np.ndarray:
        """Return the next rows; they must exist."""
        raw = self._file.read(rows * self.row_bytes)
        if len(raw) < rows * self.row_bytes:
            raise EOFError(f"the array {self.name!r} ends early")
        return np.frombuffer(raw, self.dtype).reshape(rows, *self.shape[1:])

    def skip(self, rows: int) -> None:
        """Pass over rows."""
        left = rows * self.row_bytes
        while left > 0:
            left -= len(self._file.read(min(left, 1 << 20))) or left


class NpzSource:
    """A .npz file: arrays of equal length, each a column; matrices are vectors.

    A matrix `tokens` beside `tokens_offsets` holds multi-vectors: row r has tokens[offsets[r] : offsets[r + 1]].
    """

    unit = "row"
    typed = True
    only_vectors = False

    def __init__(self, path: Path, stack: contextlib.ExitStack) -> None:
        """Read the header of every array."""
        self.path = path
        self._zip = stack.enter_context(zipfile.ZipFile(path))
        self._names = [name for name in self._zip.namelist() if name.endswith(".npy")]
        with contextlib.ExitStack() as members:
            opened = self._members(members)
            lengths = {member.name: member.shape[0] for member in opened}
            self._row_bytes = sum(member.row_bytes for member in opened)
            self._ragged = self._offsets(opened)
        for name, offsets in self._ragged.items():
            multivectors.check_offsets(offsets, lengths[name], name, path)
            lengths[name] = lengths.pop(name + multivectors.OFFSETS) - 1
        if not lengths:
            raise CommandError(f"{path} holds no arrays")
        if len(set(lengths.values())) > 1:
            raise CommandError(f"{path}: the arrays have different lengths: {lengths}")
        self.total_rows: int | None = next(iter(lengths.values()))
        for name, offsets in self._ragged.items():  # a row has as many bytes as its tokens
            own = next(member.row_bytes for member in opened if member.name == name)
            self._row_bytes += own * int(offsets[-1]) // max(1, self.total_rows) - own
        self._read = 0

    @staticmethod
    def _offsets(members: list[_Member]) -> dict[str, np.ndarray]:
        """Return, of each array of tokens that has one beside it, the array that says where its rows begin."""
        named = {member.name: member for member in members}
        pairs = {name: named.get(name + multivectors.OFFSETS) for name in named}
        return {name: other.read(other.shape[0]) for name, other in pairs.items() if other is not None}

    def _members(self, stack: contextlib.ExitStack) -> list[_Member]:
        try:
            return [
                _Member(stack.enter_context(self._zip.open(name)), name.removesuffix(".npy"), self.path)
                for name in self._names
            ]
        except ValueError as error:
            raise CommandError(f"cannot read {self.path}: {error}") from error

    def columns(self) -> list[str]:
        """Return the names of the arrays."""
        names = [name.removesuffix(".npy") for name in self._names]
        offsets = {name + multivectors.OFFSETS for name in self._ragged}
        return [name for name in names if name not in offsets]

    def sample(self) -> pa.RecordBatch:
        """Return the first rows."""
        with contextlib.ExitStack() as stack:
            members = [member for member in self._members(stack) if member.name in self.columns()]
            return self._batch(members, 0, min(SAMPLE_ROWS, self.total_rows or 0))

    def _batch(self, members: list[_Member], begin: int, end: int) -> pa.RecordBatch:
        """Return the rows begin .. end - 1, which the members are to read next."""
        arrays: list[Any] = []
        for member in members:
            offsets = self._ragged.get(member.name)
            if offsets is None:
                arrays.append(to_arrow(member.read(end - begin), member.name, self.path))
                continue
            starts = offsets[begin : end + 1].astype(np.int64)
            lists = to_arrow(member.read(int(starts[-1] - starts[0])), member.name, self.path)
            arrays.append(pa.LargeListArray.from_arrays(pa.array(starts - starts[0]), lists))
        return pa.RecordBatch.from_arrays(arrays, names=[member.name for member in members])

    def chunks(self, start: int) -> Iterator[Chunk]:
        """Read from row start; rows before it are unpacked and dropped."""
        total = self.total_rows or 0
        size = rows_per_piece(self._row_bytes)
        with contextlib.ExitStack() as stack:
            members = [member for member in self._members(stack) if member.name in self.columns()]
            for member in members:
                offsets = self._ragged.get(member.name)
                member.skip(start if offsets is None else int(offsets[start]))
            for begin in range(start, total, size):
                self._read = min(begin + size, total)
                batch = self._batch(members, begin, self._read)
                yield Chunk(batch, np.arange(begin, self._read), self._read)

    def fraction(self) -> float:
        """Return rows read over rows."""
        return self._read / self.total_rows if self.total_rows else 1.0
