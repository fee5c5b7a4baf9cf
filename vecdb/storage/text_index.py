"""The inverted indexes of text columns: from a segment's file, or made in memory where there is no file yet.

All texts are searched at all times. A segment whose index is still to be built, or is damaged, gets one in memory when
it is first searched; rows of a memtable are read when they are first searched, and never again.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vecdb.schema.fields import Text
from vecdb.schema.fulltext import FullText
from vecdb.schema.schema import Column
from vecdb.storage.memtable_index import MemtableIndex
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


class MemtableWords(MemtableIndex):
    """The words of one column of a memtable."""

    def __init__(self, memtable: "Memtable", column: Column[Text]) -> None:
        super().__init__(memtable, column)
        spec = column.field.fulltext
        assert spec is not None
        self._positions, self._origin = spec.positions, origin_of(spec)
        self._reader = TokenReader(analyzer_of(spec), remember=True)

    def _add(self, values: pa.Array) -> None:
        for text in values.to_pylist():
            self._reader.add(text)

    def _made(self, full: bool) -> Inverted:
        tokens = self._reader.take() if full else self._reader.read()
        return from_tokens(tokens, positions=self._positions, origin=self._origin)
