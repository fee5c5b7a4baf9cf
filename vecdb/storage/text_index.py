"""The inverted indexes of text columns: from a segment's file, or made in memory where there is no file yet.

All texts are searched at all times. A segment whose index is still to be built, or is damaged, gets one in memory when
it is first searched; rows of a memtable are read when they are first searched, and never again.
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vecdb.schema.fields import Text
from vecdb.schema.fulltext import FullText
from vecdb.schema.schema import Column
from vecdb_index.factory import TEXT, Wanted
from vecdb_index.inverted.analysis import Analyzer, TokenReader
from vecdb_index.inverted.build import build, from_tokens
from vecdb_index.inverted.index import Inverted
from vecdb_index.inverted.merge import merged

if TYPE_CHECKING:
    from vecdb.storage.memtable import Memtable
    from vecdb.storage.segment import Segment

Progress = Callable[[int, int], None]

READ = 4096
"""Texts of a segment that are taken from its file at once."""
FREEZE = 64
"""Rows of a memtable that make an index of their own; the newest ones, fewer, are put together again each time."""


class Piece(NamedTuple):
    """The words of some rows of a part, those from `first` on."""

    first: int
    inverted: Inverted


@lru_cache(64)
def analyzer_of(spec: FullText) -> Analyzer:
    """Return what makes terms of a column's texts, and of questions to them."""
    known = None if spec.stop_words is True else frozenset(spec.stop_words or ())
    return Analyzer(spec.language, known, spec.shortest)


@lru_cache(64)
def origin_of(spec: FullText) -> str:
    """Return what an index of such texts says of its analysis."""
    return json.dumps(analyzer_of(spec).to_json())


def wanted(spec: FullText) -> Wanted:
    """Return the index that a segment should have of a column."""
    return Wanted(TEXT, {**analyzer_of(spec).to_json(), "positions": spec.positions})


def fits(index: Inverted, origin: str, positions: bool) -> bool:
    """Tell whether an index was made in this way; positions that nobody asked for do no harm."""
    placed = len(index.positions) > 0 or len(index.rows) == 0
    return index.origin == origin and (placed or not positions)


def of_segment(segment: "Segment", column: Column[Text]) -> tuple[Inverted, bool]:
    """Return the index of a column of a segment, and whether it comes from a file.

    Raises:
        CorruptionError: there is no sound index, and the texts are damaged as well.

    """
    spec = column.field.fulltext
    assert spec is not None, "only searchable texts have words"
    held = segment.inverted_of(column.id)
    if held is not None and fits(held, origin_of(spec), spec.positions):
        segment.words.pop((column.id, spec), None)
        return held, True
    with segment.reading_words:
        known = segment.words.get((column.id, spec))
        if known is None:
            known = segment.words[column.id, spec] = built(segment, column, wanted(spec), None)
    return known, False


def ready(segment: "Segment", column: Column[Text]) -> Inverted | None:
    """Return a column's index if it is there, in a file or in memory, and was made as it is wanted now."""
    spec = column.field.fulltext
    assert spec is not None
    held = segment.inverted_of(column.id)
    if held is not None and fits(held, origin_of(spec), spec.positions):
        return held
    return segment.words.get((column.id, spec))


def built(
    segment: "Segment",
    column: Column,
    what: Wanted,
    progress: Progress | None,
    parts: Sequence[tuple[Inverted | None, np.ndarray]] = (),
) -> Inverted:
    """Return an index of all texts of a segment; what is known of the parts that it was merged from is not read again.

    Raises:
        CorruptionError: the texts are damaged.

    """
    given = dict(what.parameters)
    positions, analyzer = bool(given.pop("positions")), Analyzer.of(given)
    origin = json.dumps(analyzer.to_json())
    usable = [(index if index is not None and fits(index, origin, positions) else None, rows) for index, rows in parts]
    if not any(index is not None for index, _ in usable):
        return build(_texts(segment, column, 0, segment.rows, progress), analyzer, positions=positions)
    pieces, first = [], 0
    for index, rows in usable:
        stop = first + len(rows)
        if index is None:
            index = build(_texts(segment, column, first, stop, progress), analyzer, positions=positions)
            rows = np.arange(len(index))
        pieces.append((index if positions else without_positions(index), rows))
        first = stop
    return merged(pieces)


def without_positions(index: Inverted) -> Inverted:
    """Return an index that knows no positions: only such ones go together."""
    if len(index.positions) == 0:
        return index
    none = np.empty(0, np.uint32), np.empty(0, np.int64)
    return Inverted.of({**index.arrays(), "positions": none[0], "begins": none[1]}, index.settings())


def _texts(
    segment: "Segment", column: Column, first: int, stop: int, progress: Progress | None
) -> Iterator[str | None]:
    for start in range(first, stop, READ):
        if progress is not None:
            progress(start, segment.rows)
        yield from segment.take(column, np.arange(start, min(start + READ, stop))).to_pylist()


class MemtableWords:
    """The words of one column of a memtable: indexes of rows that were searched, and the newest rows' terms.

    Indexes are merged like a binary counter, so that there are few of them and each row is copied a logarithmic number
    of times.
    """

    def __init__(self, memtable: "Memtable", column: Column[Text]) -> None:
        spec = column.field.fulltext
        assert spec is not None
        self._memtable = memtable
        self._name = column.storage_name
        self._positions, self._origin = spec.positions, origin_of(spec)
        self._reader = TokenReader(analyzer_of(spec), remember=True)
        self._frozen: list[Piece] = []
        self._newest: Piece | None = None
        self._read = 0
        self._lock = threading.Lock()

    def of(self, rows: int) -> list[Piece]:
        """Return indexes of the first rows; the last of them may have rows behind these."""
        with self._lock:
            if rows > self._read:
                self._read_to(rows)
            pieces = self._frozen if self._newest is None else [*self._frozen, self._newest]
            return [piece for piece in pieces if piece.first < rows]

    def _read_to(self, rows: int) -> None:
        for texts in self._memtable.slices(self._name, self._read, rows):
            for text in texts.to_pylist():
                self._reader.add(text)
        self._read = rows
        first = self._frozen[-1].first + len(self._frozen[-1].inverted) if self._frozen else 0
        full = rows - first >= FREEZE
        tokens = self._reader.take() if full else self._reader.read()
        piece = Piece(first, from_tokens(tokens, positions=self._positions, origin=self._origin))
        self._newest = None if full else piece
        if full:
            self._freeze(piece)

    def _freeze(self, piece: Piece) -> None:
        group, frozen = [piece], self._frozen[:]
        while frozen and len(frozen[-1].inverted) <= 2 * sum(len(one.inverted) for one in group):
            group.insert(0, frozen.pop())
        if len(group) > 1:
            piece = Piece(group[0].first, merged([(one.inverted, np.arange(len(one.inverted))) for one in group]))
        self._frozen = [*frozen, piece]

    def index(self, rows: np.ndarray) -> Inverted | None:
        """Return one index of some rows, ascending, for a segment that is made of them; None where few were read."""
        if len(rows) == 0 or self._read * 2 < len(rows):
            return None
        pieces = self.of(int(rows[-1]) + 1)
        kept = [rows[(rows >= first) & (rows < first + len(index))] - first for first, index in pieces]
        return merged([(piece.inverted, some) for piece, some in zip(pieces, kept, strict=True)])
