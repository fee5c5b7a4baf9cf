"""The graph: named arrays and how to read them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.scalar import Codes, ScalarCoder

M = 16
"""Links that a row chooses for itself; with those chosen by others it has up to twice as many."""
EF_CONSTRUCTION = 200
"""Candidates among which a row chooses its links."""
EF = 64
"""Candidates that a search keeps, unless told otherwise."""
ENTRIES = 64
"""Rows, a random sample, that a search starts from. Read in one go, they save several steps through the graph."""
MOST_ROWS = 1 << 31
"""A candidate's key has room for so many rows."""


@dataclass(frozen=True)
class Graph:
    """A finished graph over the rows of one segment.

    Attributes:
        coder: how vectors become codes.
        codes: (n, width) uint8.
        links: (n, 2 m) int32 rows; a shorter list ends with n.
        entries: (e,) int32 rows, a random sample, where a search starts.

    """

    coder: ScalarCoder
    codes: Codes
    links: NDArray[np.int32]
    entries: NDArray[np.int32]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        return self.codes.nbytes + self.links.nbytes + self.entries.nbytes
