"""JSON Lines, plain or gzip: one object per line.

Lines are parsed one by one, so a bad line is known by its number and the next one is still read.
"""

import codecs
import contextlib
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import orjson

from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.readers import SAMPLE_ROWS, Chunk, Rejected

TEXT_BYTES = 1 << 20
"""Text per chunk: its Python objects take about eight times as much."""

LINE_BYTES = 64 << 20


def open_text(path: Path, stack: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    """Open a text file as bytes, unpacking gzip; return the text and the raw file (whose position is the progress)."""
    raw = stack.enter_context(path.open("rb"))
    packed = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    return (cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=raw))) if packed else raw), raw


class JsonLinesSource:
    """A JSON Lines file."""

    unit = "line"
    typed = True
    only_vectors = False
    total_rows: int | None = None

    def __init__(self, path: Path, stack: contextlib.ExitStack) -> None:
        """Open the file and look at its first bytes."""
        self.path = path
        self._text, self._raw = open_text(path, stack)
        self._size = max(1, path.stat().st_size)
        if self._text.read(64).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
            raise CommandError(
                f"{path} is a JSON array, not JSON Lines", hint=f"jq -c '.[]' {path} > rows.jsonl converts it"
            )

    def columns(self) -> list[str]:
        """Return the keys of the sample, in order of appearance."""
        return list(dict.fromkeys(key for record in self.sample() for key in record))

    def sample(self) -> list[dict[str, Any]]:
        """Return the first good lines."""
        records: list[dict[str, Any]] = []
        for chunk in self.chunks(0):
            records += chunk.data
            if len(records) >= SAMPLE_ROWS:
                break
        return records[:SAMPLE_ROWS]

    def chunks(self, start: int) -> Iterator[Chunk]:
        """Read from line start; the lines before it are only counted."""
        self._text.seek(0)
        row = 0
        while row < start and self._text.readline():
            row += 1
        records: list[dict[str, Any]] = []
        numbers: list[int] = []
        rejected: list[Rejected] = []
        size = 0
        while line := self._text.readline(LINE_BYTES + 1):
            size += len(line)
            record = _parse(line, row)
            if isinstance(record, Rejected):
                rejected.append(record)
                while len(line) > LINE_BYTES and not line.endswith(b"\n"):
                    line = self._text.readline(LINE_BYTES + 1)
            elif record is not None:
                records.append(record)
                numbers.append(row)
            row += 1
            if size >= TEXT_BYTES:
                yield Chunk(records, np.array(numbers, np.int64), row, rejected)
                records, numbers, rejected, size = [], [], [], 0
        if size:
            yield Chunk(records, np.array(numbers, np.int64), row, rejected)

    def fraction(self) -> float:
        """Return bytes read over bytes, of the packed file if it is packed."""
        return min(1.0, self._raw.tell() / self._size)


def _parse(line: bytes, row: int) -> dict[str, Any] | Rejected | None:
    """Return the object of a line, the reason why it is none, or None for a blank line."""
    if len(line) > LINE_BYTES:
        return Rejected(row, f"the line is longer than {LINE_BYTES >> 20} MiB")
    if not line.strip():
        return None
    try:
        record = orjson.loads(line.removeprefix(codecs.BOM_UTF8) if row == 0 else line)
    except orjson.JSONDecodeError as error:
        return Rejected(row, _reason(line, error), value=line[:80].decode("utf-8", "replace").rstrip())
    if not isinstance(record, dict):
        return Rejected(row, f"expected a JSON object, found {type(record).__name__}", value=record)
    return record


def _reason(line: bytes, error: orjson.JSONDecodeError) -> str:
    """Say why a line cannot be read, and where in it; what is no UTF-8 was mostly written in another encoding."""
    try:
        line.decode()
    except UnicodeDecodeError as bad:
        return f"not UTF-8: byte 0x{line[bad.start]:02x} at column {bad.start + 1} (iconv converts other encodings)"
    return f"not JSON: {error.msg}, at column {error.colno}"
