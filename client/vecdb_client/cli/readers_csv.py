"""CSV and TSV, plain or gzip, with a header line.

Every column is read as raw bytes and typed later against the schema: that is what makes it possible to name the
row, field and value that do not fit. An empty unquoted cell is null, a quoted empty one is an empty text.
"""

import contextlib
import functools
import re
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.readers import PIECE_BYTES, SAMPLE_ROWS, Chunk, Rejected

BLOCK_BYTES = 4 << 20
"""Also the longest row that can be read, more or less."""

_CONVERT = "iconv -f latin1 -t utf-8 converts the file, if that is what it is in"
_PATIENCE_SECONDS = 30
_WRONG_WIDTH = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")


class CsvSource:
    """A CSV file; the numbers of its rows do not count the header."""

    unit = "row"
    typed = False
    only_vectors = False
    total_rows: int | None = None

    def __init__(self, path: Path, delimiter: str) -> None:
        """Read the header."""
        self.path = path
        self._delimiter = delimiter
        with path.open("rb") as file:
            self._packed = file.read(2) == b"\x1f\x8b"
        self._size = max(1, path.stat().st_size)
        self._rejected: list[Rejected] = []
        with self._open(0, {}) as batches:
            try:
                self._names = batches.names()
            except UnicodeDecodeError as error:
                told = f"{path}: the name of a column is not UTF-8: {error.object!r:.80}"
                raise CommandError(told, hint=_CONVERT) from None
        repeated = sorted({name for name in self._names if self._names.count(name) > 1})
        if repeated:
            raise CommandError(f"{path}: the header names {repeated[0]!r} twice")
        if all(_is_number(name) for name in self._names):
            raise CommandError(f"{path}: the first line must name the columns, found {self._names[0]!r}, ...")

    @contextlib.contextmanager
    def _open(self, start: int, types: dict[str, pa.DataType]) -> Iterator["Batches"]:
        # Arrow reads ahead in a thread of its own. From a file of Python's it would do so while Python ends, which
        # aborts the process.
        self._raw = pa.OSFile(str(self.path))
        self._rejected = []
        shown = sys.unraisablehook
        sys.unraisablehook = self._shown_else_by(shown)
        batches = Batches(self._reject)
        try:
            # One thread: only then does the parser know the number of a bad row.
            batches.reader = pacsv.open_csv(
                pa.CompressedInputStream(self._raw, "gzip") if self._packed else self._raw,
                read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, skip_rows_after_names=start),
                parse_options=pacsv.ParseOptions(
                    delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=batches.taken_handler()
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
                ),
            )
            yield batches
        except pa.ArrowInvalid as error:
            # A row of a wrong width is refused and the next one read, unless Arrow cannot give us its text.
            if (found := _WRONG_WIDTH.search(str(error))) is None:
                raise
            number, expected, actual = map(int, found.groups())
            told = f"{self.path}, row {number - 2}: expected {expected} columns, found {actual}, and no UTF-8"
            raise CommandError(told, hint=_CONVERT) from error
        finally:
            batches.close()
            sys.unraisablehook = shown

    def _shown_else_by(self, shown: Callable[[Any], object]) -> Callable[[Any], object]:
        """Keep Arrow's traceback of a text that it cannot decode for `_reject` off the screen: the error follows."""

        def show(unraisable: Any) -> None:
            if getattr(unraisable.object, "func", None) != self._reject:
                shown(unraisable)

        return show

    def _reject(self, bad: Any) -> str:
        # The parser counts from 1 and counts the header.
        row = (bad.number or 2) - 2
        message = f"expected {bad.expected_columns} columns, found {bad.actual_columns}"
        self._rejected.append(Rejected(row, message, value=bad.text[:80]))
        return "skip"

    def columns(self) -> list[str]:
        """Return the header."""
        return list(self._names)

    def sample(self) -> pa.RecordBatch:
        """Return the first rows, every column as bytes."""
        for chunk in self.chunks(0):
            if chunk.data.num_rows:
                return chunk.data.slice(0, SAMPLE_ROWS)
        return pa.RecordBatch.from_pylist([], schema=pa.schema([(name, pa.binary()) for name in self._names]))

    def chunks(self, start: int) -> Iterator[Chunk]:
        """Read from row start; rows before it are parsed but not converted."""
        delivered = 0
        sent = 0
        with self._open(start, {name: pa.binary() for name in self._names}) as batches:
            for batch in batches:
                bad = np.array(sorted(rejected.row for rejected in self._rejected if rejected.row >= start), np.int64)
                # A delivered row moves up by the bad rows before it: those whose number, less their rank, is not above.
                order = np.arange(delivered, delivered + batch.num_rows)
                numbers = start + order + np.searchsorted(bad - start - np.arange(len(bad)), order, side="right")
                delivered += batch.num_rows
                for piece, places in _pieces(batch, numbers):
                    next_row = int(places[-1]) + 1
                    before = [r for r in self._rejected[sent:] if r.row < next_row]
                    sent += len(before)
                    yield Chunk(piece, places, next_row, [r for r in before if r.row >= start])
        rest = [r for r in self._rejected[sent:] if r.row >= start]
        if rest:
            empty = pa.RecordBatch.from_pylist([], schema=pa.schema([(name, pa.binary()) for name in self._names]))
            yield Chunk(empty, np.empty(0, np.int64), rest[-1].row + 1, rest)

    def fraction(self) -> float:
        """Return bytes read over bytes; the parser reads a little ahead."""
        return min(1.0, self._raw.tell() / self._size)


class Batches:
    """Record batches of Arrow's reader, and its handler of bad rows.

    Arrow parses ahead in threads of its own and lets go of the handler when the last of them is done with it. One that
    called Python while Python ends would abort the process, so closing waits for that.
    """

    reader: pacsv.CSVStreamingReader | None = None

    def __init__(self, handle: Callable[[Any], str]) -> None:
        self._handler: Callable[[Any], str] | None = functools.partial(handle)
        self._held = weakref.ref(self._handler)

    def taken_handler(self) -> Callable[[Any], str]:
        """Return the handler, and hold it no more."""
        handler, self._handler = self._handler, None
        assert handler is not None
        return handler

    def names(self) -> list[str]:
        """Return the names of the columns."""
        assert self.reader is not None
        return self.reader.schema.names

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        # The loop must not hold Arrow's reader: it may be told to end while an error is on its way.
        with contextlib.suppress(StopIteration):
            while self.reader is not None:
                yield self.reader.read_next_batch()

    def close(self) -> None:
        """End reading, and wait until no thread can call the handler."""
        self.reader = self._handler = None
        patience = time.monotonic() + _PATIENCE_SECONDS
        while self._held() is not None and time.monotonic() < patience:
            time.sleep(0.001)


def _pieces(batch: pa.RecordBatch, numbers: Any) -> Iterator[tuple[pa.RecordBatch, Any]]:
    parts = max(1, -(-batch.nbytes // PIECE_BYTES))
    size = max(1, -(-batch.num_rows // parts))
    for offset in range(0, batch.num_rows, size):
        yield batch.slice(offset, size), numbers[offset : offset + size]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
