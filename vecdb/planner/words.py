"""What a state knows of the words of one text column, or of the terms of sparse vectors.

That is its parts' indexes, and counts over all live rows.

Counts leave deleted rows out and do not depend on how rows are spread over parts, so neither does any score. A view of
a segment remembers its share of them as long as its deletions stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from vecdb.errors import CorruptionError
from vecdb.planner.masks import remembered
from vecdb.schema.fields import Sparse, Text
from vecdb.schema.schema import Column
from vecdb.storage.memtable_index import Piece
from vecdb.storage.snapshot import Part, SegmentView, State
from vecdb_index.inverted.index import Inverted, packed
from vecdb_index.inverted.query import idf

Searched = Column[Text] | Column[Sparse]

KNOWN = 1 << 16
"""Terms whose frequencies are remembered, for each part and for each state."""


class _Known(NamedTuple):
    """How many live rows of a part have a term, and its place in each piece; negative where the piece has it not."""

    frequency: int
    places: tuple[int, ...]


class PartWords:
    """The words of one column of a part, and how many of its live rows have each."""

    def __init__(self, part: Part, column: Searched) -> None:
        pieces, self.stored = part.words_of(column)
        self.pieces: list[Piece] = pieces
        self.problem = part.index_problem(column)
        self.part = part
        self._live = part.live()
        self._known: dict[bytes, _Known] = {}
        self.rows = self.tokens = 0
        for piece in pieces:
            alive = self.alive(piece)
            lengths = piece.inverted.lengths if alive is None else piece.inverted.lengths[alive]
            self.rows += int(np.count_nonzero(lengths))
            self.tokens += int(lengths.sum(dtype=np.int64))

    def alive(self, piece: Piece) -> np.ndarray | None:
        """Return which rows of a piece are alive, as bool (rows of the piece,); None when all are."""
        return share_of(self._live, piece, self.part.rows)

    def frequencies(self, terms: list[bytes]) -> list[int]:
        """Return how many live rows have each term."""
        return [known.frequency for known in self._looked_up(terms)]

    def places(self, terms: list[bytes]) -> list[np.ndarray]:
        """Return where each piece has the terms, (terms,) int64 as `Inverted.find`; at least one term is asked for."""
        known = [one.places for one in self._looked_up(terms)]
        return [np.array(places, np.int64) for places in zip(*known, strict=True)]

    def _looked_up(self, terms: list[bytes]) -> list[_Known]:
        known = self._known
        unknown = [term for term in terms if term not in known]
        if unknown:
            asked, total = packed(unknown), np.zeros(len(unknown), np.int64)
            places: list[list[int]] = []
            for piece in self.pieces:
                found = piece.inverted.find(asked)
                total += _frequencies(piece.inverted, found, self.alive(piece))
                places.append(found.tolist())
            if len(known) > KNOWN:
                known = self._known = {term: known[term] for term in terms if term in known}
            by_term = zip(*places, strict=True) if places else [()] * len(unknown)
            known.update(zip(unknown, map(_Known, total.tolist(), by_term), strict=True))
        return [known[term] for term in terms]

    def beginning(self, prefix: bytes) -> dict[bytes, int]:
        """Return how many live rows have each of the terms that begin so, those that none has left out."""
        found: dict[bytes, int] = {}
        for piece in self.pieces:
            index, alive = piece.inverted, self.alive(piece)
            places = index.starting(prefix)
            if not places:
                continue
            offsets = index.offsets[places.start : places.stop + 1]
            counts = np.diff(offsets)
            if alive is not None:
                counts = np.add.reduceat(
                    alive[index.rows[offsets[0] : offsets[-1]]], offsets[:-1] - offsets[0], dtype=np.int64
                )
            for place, count in zip(places, counts.tolist(), strict=True):
                if count:
                    term = index.term(place)
                    found[term] = found.get(term, 0) + count
        return found


class Leg(NamedTuple):
    """One part that has words: its number in the state, and they."""

    number: int
    words: PartWords


class StateWords:
    """The words of one column of a state."""

    def __init__(self, state: State, column: Searched, allow_partial: bool) -> None:
        """Look at all parts.

        Raises:
            CorruptionError: a segment has no sound index and its texts are damaged; with allow_partial it is left out
                instead, and named in `missing`.

        """
        self.column = column
        legs, missing = [], []
        for number, part in enumerate(state.parts):
            state.check("the words of all rows")
            try:
                legs.append(Leg(number, part_words(part, column)))
            except CorruptionError:
                if not allow_partial or part.uuid is None:
                    raise
                missing.append(part.uuid)
        self.legs: tuple[Leg, ...] = tuple(legs)
        self.missing = tuple(missing)
        self.rows = sum(leg.words.rows for leg in legs)
        self.average = sum(leg.words.tokens for leg in legs) / self.rows if self.rows else 0.0
        self._frequencies: dict[bytes, int] = {}
        self._idf: dict[int, float] = {}

    def frequencies(self, terms: Iterable[bytes]) -> list[int]:
        """Return how many live rows have each term."""
        terms, known = list(terms), self._frequencies
        unknown = [term for term in terms if term not in known]
        if unknown:
            if len(known) > KNOWN:
                known = self._frequencies = {term: known[term] for term in terms if term in known}
            shares = [leg.words.frequencies(unknown) for leg in self.legs]
            known.update(zip(unknown, map(sum, zip(*shares, strict=True)), strict=True) if shares else ())
            known.update((term, 0) for term in unknown if not shares)
        return [known[term] for term in terms]

    def idf(self, frequency: int) -> float:
        """Return how much it says that a row has a term that so many have."""
        said = self._idf.get(frequency)
        if said is None:
            said = self._idf[frequency] = float(idf(self.rows, np.array([frequency]))[0])
        return said

    def beginning(self, prefix: bytes) -> dict[bytes, int]:
        """Return how many live rows have each of the terms that begin so."""
        found: dict[bytes, int] = {}
        for leg in self.legs:
            for term, count in leg.words.beginning(prefix).items():
                found[term] = found.get(term, 0) + count
        return found


def words_of(state: State, column: Searched, allow_partial: bool = False) -> StateWords:
    """Return what a state knows of a searchable text column, worked out once."""
    key = "words", column.id, allow_partial
    found = state.routes.get(key)
    return remembered(state.routes, key, StateWords(state, column, allow_partial)) if found is None else found


def part_words(part: Part, column: Searched) -> PartWords:
    """Return what is known of a searchable text column of a part.

    Raises:
        CorruptionError: a segment has no sound index and its texts are damaged.

    """
    if not isinstance(part, SegmentView):
        return PartWords(part, column)
    key = column.id, column.field.fulltext
    known = part.words.get(key)
    return remembered(part.words, key, PartWords(part, column)) if known is None else known


def _frequencies(index: Inverted, places: np.ndarray, alive: np.ndarray | None) -> np.ndarray:
    if alive is None:
        return index.frequencies(places)
    return np.array([np.count_nonzero(alive[index.postings(at)[0]]) if at >= 0 else 0 for at in places.tolist()])


def share_of(mask: np.ndarray | None, piece: Piece, rows: int) -> np.ndarray | None:
    """Return a piece's share of a mask of a part with so many rows; rows that a piece has behind them are left out."""
    size = len(piece.inverted)
    behind = piece.first + size - rows
    if mask is None and behind <= 0:
        return None
    share = np.ones(size - max(behind, 0), bool) if mask is None else mask[piece.first : piece.first + size]
    if behind > 0:
        share = np.concatenate([share, np.zeros(behind, bool)])
    return None if share.all() else share
