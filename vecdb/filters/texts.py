"""Indexes of a text column's words, as filters ask them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vecdb.filters.words import parse

if TYPE_CHECKING:
    from vecdb_index.inverted.analysis import Analyzer
    from vecdb_index.inverted.index import Inverted

Mask = NDArray[np.bool_]


class TextWords:
    """Inverted indexes of the rows of a part, with what made their terms. Safe to read from any number of threads.

    Each piece is the first of the rows that it holds and their index; the pieces follow each other, and the last one
    may have rows behind those of the part. Rows in no piece have no text.
    """

    def __init__(
        self,
        rows: int,
        pieces: Sequence[tuple[int, Inverted]],
        analyzer: Analyzer,
        presence: Callable[[], Mask | None],
    ) -> None:
        """Keep them; presence says which rows have a text, None for all, and is asked at most once."""
        self.pieces = pieces
        self.analyzer = analyzer
        self._length = rows
        self._presence = presence
        self._known: tuple[Mask | None] | None = None

    @property
    def known(self) -> Mask | None:
        """Which rows have a text; None: all."""
        if self._known is None:
            self._known = (self._presence(),)
        return self._known[0]

    @property
    def bytes(self) -> int:
        """Memory of the indexes."""
        return sum(index.bytes for _, index in self.pieces)

    def can_answer(self, text: str) -> bool:
        """Say whether the indexes can tell: for phrases they need positions."""
        from vecdb.filters.matching import can_answer

        return all(can_answer(index, parse(text), self.analyzer) for _, index in self.pieces)

    def rows(self, text: str) -> Mask:
        """Return which rows match: a new array, bool (n,)."""
        from vecdb.filters.matching import excludes, rows_matching

        asked = parse(text)
        found = np.zeros(self._length, np.bool_)
        for first, index in self.pieces:
            here = found[first : first + len(index)]
            here[:] = rows_matching(asked, index, self.analyzer)[: len(here)]
        if excludes(asked) and self.known is not None:  # a row without a text has none of its words either
            found &= self.known
        return found
