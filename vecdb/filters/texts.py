"""An index of a text column's words, as filters ask it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vecdb.filters.words import parse

if TYPE_CHECKING:
    from vecdb_index.inverted.analysis import Analyzer
    from vecdb_index.inverted.index import Inverted

Mask = NDArray[np.bool_]


class TextWords:
    """An inverted index with what made its terms. Reading is safe from any number of threads."""

    def __init__(self, index: Inverted, analyzer: Analyzer, presence: Callable[[], Mask | None]) -> None:
        """Keep them; presence says which rows have a text, None for all, and is asked at most once."""
        self.inverted = index
        self.analyzer = analyzer
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
        """Memory of the index."""
        return self.inverted.bytes

    def rows(self, text: str) -> Mask:
        """Return which rows match: a new array, bool (n,)."""
        from vecdb.filters.matching import excludes, rows_matching

        asked = parse(text)
        found = rows_matching(asked, self.inverted, self.analyzer)
        if excludes(asked) and self.known is not None:  # a row without a text has none of its words either
            found &= self.known
        return found
