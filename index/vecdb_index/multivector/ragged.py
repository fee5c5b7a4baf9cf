"""Rows of any number of vectors, as one matrix and the places where rows begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """The tokens of rows, one behind the other.

    Attributes:
        tokens: (n, d), all tokens of all rows.
        offsets: (rows + 1,) int64: those of row r are tokens[offsets[r] : offsets[r + 1]]. Rows may be empty.

    """

    tokens: NDArray[Any]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[NDArray[Any]], dimension: int) -> Ragged:
        """Put (tokens, d) arrays one behind the other; an empty row may have any shape."""
        lengths = [len(row) for row in rows]
        filled = [row for row in rows if len(row)]
        tokens = np.concatenate(filled) if filled else np.empty((0, dimension), np.float32)
        return cls(tokens, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[Any]:
        """Return the tokens of one row."""
        return self.tokens[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many tokens each row has."""
        return np.diff(self.offsets)
