"""What peers have in common: names that fields can have, a sample with a row of every kind, and an honest list."""

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson

from vecdb_client.cli.errors import UNAVAILABLE, CommandError
from vecdb_client.cli.readers import SAMPLE_ROWS, Chunk, Source

PIECE_ROWS = 1_000
ID = "id"
VECTOR = "embedding"


class Peer(Source, Protocol):
    """A source that is another database.

    Attributes:
        metric: "cosine", "dot", "l2" or "hamming"; None: the peer does not say.
        identity: what makes it the same source in another run: a name, a size and a time or version.
        fields: fields whose kind the peer knows; others are inferred.
        lost: a sentence for each thing that is not taken over.

    """

    metric: str | None
    identity: tuple[str, int, int]
    fields: dict[str, Any]
    lost: list[str]


def package(name: str, kind: str) -> Any:
    """Return the peer's package.

    Raises:
        CommandError: it is not installed.

    """
    try:
        return import_module(name)
    except ImportError as error:
        raise CommandError(f"`vecdb import {kind}` needs {name}: {error}", UNAVAILABLE, f"pip install {name}") from None


class Names:
    """The fields that a peer's names become; what had to change is told."""

    def __init__(self, taken: Iterable[str]) -> None:
        """Keep the names that are taken."""
        self._fields: dict[str, str] = {}
        self._taken = set(taken)

    def field(self, name: str) -> str:
        """Return the field of a name, the same each time."""
        if name not in self._fields:
            from vecdb.schema import RESERVED

            found = re.sub(r"\W", "_", name, flags=re.ASCII)
            if not re.fullmatch(r"[A-Za-z]\w*", found) or found in RESERVED:
                found = f"f_{found.lstrip('_')}"
            while found in self._taken:
                found += "_"
            self._taken.add(found)
            self._fields[name] = found
        return self._fields[name]

    def told(self) -> list[str]:
        """Say which names had to change."""
        return [f"{name!r} is called {field!r} here" for name, field in self._fields.items() if name != field]


class RecordPeer:
    """Base of peers whose rows are objects: a first pass looks at all of them, so that no later row is a surprise."""

    unit = "row"
    typed = True
    only_vectors = False

    def __init__(self, path: Path, total: int | None) -> None:
        """Keep what is known before the first row."""
        self.path = path
        self.total_rows = total
        self.fields: dict[str, Any] = {}
        self.lost: list[str] = []
        self._sample: list[dict[str, Any]] = []
        self._columns: dict[str, None] = {}
        self._mixed: set[str] = set()
        self._read = 0

    def records(self, start: int) -> Iterator[dict[str, Any]]:
        """Yield the rows from one on, under the names of their fields."""
        raise NotImplementedError

    def look(self) -> None:
        """Go over all rows once: which fields there are, and a row for every kind of value of each."""
        kinds: set[tuple[str, type]] = set()
        count = 0
        for record in self.records(0):
            fresh = {(name, type(value)) for name, value in record.items() if value is not None} - kinds
            if count < SAMPLE_ROWS or fresh:
                self._sample.append(record)
            kinds |= fresh
            self._columns |= dict.fromkeys(record)
            count += 1
        self.total_rows = count
        texts = {name for name, kind in kinds if kind is str}
        self._mixed = {name for name, kind in kinds if kind is not str and name in texts}

    def columns(self) -> list[str]:
        """Return the fields of all rows."""
        return list(self._columns)

    def sample(self) -> list[dict[str, Any]]:
        """Return the first rows, and one for every kind of value that comes later."""
        return self._sample

    def chunks(self, start: int) -> Iterator[Chunk]:
        """Read from row start."""
        piece: list[dict[str, Any]] = []
        self._read = start
        for record in self.records(start):
            # A field of JSON takes a text for JSON: one among other values is quoted.
            for name in self._mixed & record.keys():
                if isinstance(record[name], str):
                    record[name] = orjson.dumps(record[name]).decode()
            piece.append(record)
            if len(piece) == PIECE_ROWS:
                yield self._chunk(piece)
                piece = []
        if piece:
            yield self._chunk(piece)

    def _chunk(self, piece: list[dict[str, Any]]) -> Chunk:
        numbers = np.arange(self._read, self._read + len(piece))
        self._read += len(piece)
        return Chunk(piece, numbers, self._read)

    def fraction(self) -> float:
        """Return rows read over rows."""
        return self._read / self.total_rows if self.total_rows else 1.0
