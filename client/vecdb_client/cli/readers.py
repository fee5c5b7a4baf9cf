"""Data files as a stream of chunks, whatever their format.

A source never holds more than a few MiB of a file, knows where each row came from, and can start at any row.
Rows are numbered from 0 in the file (a CSV header is no row; a blank JSON line is one, so that row + 1 is the line).
A row that cannot even be parsed does not end the stream: it travels beside the chunk as Rejected, and the caller
decides. Anything worse (a torn Parquet footer) is an InvalidInputError that names the file.
"""

import contextlib
import errno
import lzma
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import Any, Protocol
from zipfile import BadZipFile

from vecdb_client.cli.errors import NOT_FOUND, CommandError

PIECE_BYTES = 8 << 20
SAMPLE_ROWS = 1_000

FORMATS = ("parquet", "arrow", "jsonl", "csv", "tsv", "npy", "npz")
_EXTENSIONS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".npy": "npy",
    ".npz": "npz",
}
_MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\x93NUMPY": "npy", b"PK\x03\x04": "npz"}


@dataclass(frozen=True)
class Rejected:
    """A row that is not stored, and why."""

    row: int
    message: str
    field: str | None = None
    value: Any = None


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file.

    numbers[i] is the place in the file of data's row i; reading goes on at next_row. rejected are the rows before
    next_row that could not be parsed, in order.
    """

    data: Any
    numbers: Any
    next_row: int
    rejected: list[Rejected] = field(default_factory=list)


class Source(Protocol):
    """One open data file.

    Attributes:
        path: the file.
        unit: what a row is called in messages: "row" or, where rows are lines, "line".
        typed: False when every value is text whose type has to be guessed (CSV).
        only_vectors: the file has no room for ids (.npy).
        total_rows: the number of rows, None when only reading tells.

    """

    path: Path
    unit: str
    typed: bool
    only_vectors: bool
    total_rows: int | None

    def columns(self) -> list[str]:
        """Return the names of the columns, as far as the beginning of the file shows them."""
        ...

    def sample(self) -> Any:
        """Return the first SAMPLE_ROWS good rows, as chunks' data would hold them."""
        ...

    def chunks(self, start: int) -> Iterator[Chunk]:
        """Read from row start to the end; each chunk is about PIECE_BYTES in memory."""
        ...

    def fraction(self) -> float:
        """Return the share of the file that has been read, 0 to 1."""
        ...


def place(source: Source, row: int) -> str:
    """Say where a row is, the way an editor or a data frame counts."""
    return f"line {row + 1}" if source.unit == "line" else f"row {row}"


def format_of(path: Path, given: str | None) -> str:
    """Return the format of a file: the given one, else by extension, else by its first bytes."""
    if given is not None:
        if given not in FORMATS:
            raise CommandError(f"no format {given!r}: formats are {', '.join(FORMATS)}")
        return given
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    if suffixes and suffixes[-1] in _EXTENSIONS:
        return _EXTENSIONS[suffixes[-1]]
    with path.open("rb") as file:
        head = file.read(8)
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    raise CommandError(f"cannot tell the format of {path}", hint=f"--format says it: {', '.join(FORMATS)}")


@contextlib.contextmanager
def open_source(path: Path, format: str | None = None) -> Iterator[Source]:
    """Open a data file; it is closed when the block ends.

    Raises:
        CommandError: no such file, or a format that cannot be told.
        InvalidInputError: the content is not what the format promises.

    """
    if not path.exists():
        raise CommandError(f"no such file: {path}", NOT_FOUND)
    if path.is_dir():
        raise CommandError(f"{path} is a directory, not a data file")
    kind = format_of(path, format)
    if path.stat().st_size == 0:
        raise CommandError(f"{path} is empty")
    with contextlib.ExitStack() as stack:
        with reading(path):
            source = _open(path, kind, stack)
        yield _Named(source)


def _open(path: Path, kind: str, stack: contextlib.ExitStack) -> Source:
    from vecdb_client.cli import readers_arrow, readers_csv, readers_jsonl, readers_numpy

    match kind:
        case "parquet":
            return readers_arrow.ParquetSource(path, stack)
        case "arrow":
            return readers_arrow.ArrowSource(path, stack)
        case "jsonl":
            return readers_jsonl.JsonLinesSource(path, stack)
        case "csv" | "tsv":
            return readers_csv.CsvSource(path, delimiter="\t" if kind == "tsv" else ",")
        case "npy":
            return readers_numpy.NpySource(path, stack)
        case _:
            return readers_numpy.NpzSource(path, stack)


class _Named:
    """A source whose errors name the file; errors of whoever uses the rows stay as they are."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.path = source.path
        self.unit = source.unit
        self.typed = source.typed
        self.only_vectors = source.only_vectors
        self.total_rows = source.total_rows

    def columns(self) -> list[str]:
        with reading(self.path):
            return self._source.columns()

    def sample(self) -> Any:
        with reading(self.path):
            return self._source.sample()

    def chunks(self, start: int) -> Iterator[Chunk]:
        with reading(self.path):
            yield from self._source.chunks(start)

    def fraction(self) -> float:
        return self._source.fraction()


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the format libraries raise about a bad file into an InvalidInputError that names it."""
    import pyarrow as pa

    from vecdb.errors import InvalidInputError

    try:
        yield
    except _DAMAGE as error:
        raise InvalidInputError(f"cannot read {path}: {_first_line(error)}") from error
    except pa.ArrowException as error:
        raise InvalidInputError(f"cannot read {path}: {_first_line(error)}") from error
    except OSError as error:
        # Arrow raises one without a number for a damaged file, and a wrong offset in a zip ends in EINVAL: what the
        # system itself refuses stays what it is.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise InvalidInputError(f"cannot read {path}: {_first_line(error)}") from error


_DAMAGE = (
    EOFError, OverflowError, RuntimeError, SyntaxError, TokenError, UnicodeDecodeError,
    BadZipFile, lzma.LZMAError, struct.error, zlib.error,
)  # fmt: skip
"""What the libraries of the formats raise for damaged files: NumPy reads the head of an array as Python source, and a
member of a zip may seem to be encrypted (RuntimeError)."""


def _first_line(error: Exception) -> str:
    return f"{(str(error).splitlines() or [type(error).__name__])[0]:.300}"


def rows_per_piece(row_bytes: float) -> int:
    """Return how many rows of this size make a piece."""
    return int(min(65_536, max(16, PIECE_BYTES // max(1, row_bytes))))
