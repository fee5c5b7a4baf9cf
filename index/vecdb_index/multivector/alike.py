"""How alike rows are by their tokens: MaxSim in both directions.

Of two rows, each token of the one counts its cosine with the token of the other that is nearest to it; the mean of
these, and the mean the other way round, are averaged. So it is symmetric, up to 1, and 1 for equal rows, however many
tokens they have.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vecdb_index.multivector.ragged import Ragged

PRODUCTS = 1 << 22
"""Products of tokens that are held at once: 16 MiB."""


def alike(rows: Ragged, others: Ragged | None = None, check: Callable[[], None] | None = None) -> NDArray[np.float32]:
    """Return how alike rows are to each other (n, n), or to others (n, m): float32, from -1 to 1.

    A row without tokens is alike to none, and to itself: 0.

    Args:
        rows: n rows of tokens, float32, of any length.
        others: m rows; None: the rows themselves.
        check: called now and then; it may raise.

    """
    mine = _Filled.of(rows)
    theirs = mine if others is None else _Filled.of(others)
    found = np.zeros((len(mine.at), len(theirs.at)), np.float32)
    for row in range(len(mine.at)):
        if check is not None:
            check()
        tokens = mine.tokens[mine.starts[row] : mine.starts[row] + mine.counts[row]]
        first = row if others is None else 0  # what is before was compared already, the other way round
        while first < len(theirs.at):
            last = theirs.upto(first, PRODUCTS // len(tokens))
            begin, end = theirs.starts[first], theirs.starts[last - 1] + theirs.counts[last - 1]
            products = tokens @ theirs.tokens[begin:end].T
            starts = theirs.starts[first:last] - begin
            there = np.maximum.reduceat(products, starts, axis=1).mean(axis=0)
            back = np.add.reduceat(products.max(axis=0), starts) / theirs.counts[first:last]
            found[row, first:last] = (there + back) / 2
            first = last
    if others is None:
        found += np.triu(found, 1).T
    out = np.zeros((len(rows), len(rows if others is None else others)), np.float32)
    out[np.ix_(mine.at, theirs.at)] = np.minimum(found, np.float32(1))
    return out


class _Filled:
    """The rows that have tokens, and these as unit vectors.

    Attributes:
        tokens: (t, d) float32 of length 1, or 0.
        at: (f,) which rows.
        starts: (f,) where the tokens of each begin.
        counts: (f,) how many they are.

    """

    def __init__(self, tokens: NDArray[np.float32], at: NDArray[np.int64], starts: NDArray[np.int64]) -> None:
        self.tokens, self.at, self.starts = tokens, at, starts
        self.counts = np.diff(starts, append=len(tokens))

    @classmethod
    def of(cls, rows: Ragged) -> _Filled:
        from vecdb_index.kernels.units import to_units

        given = np.ascontiguousarray(rows.tokens[rows.offsets[0] : rows.offsets[-1]], np.float32)
        units = np.empty_like(given)
        to_units(given, units)
        at = np.flatnonzero(rows.lengths)
        return cls(units, at, rows.offsets[at] - rows.offsets[0])

    def upto(self, first: int, most: int) -> int:
        """Return the end of the rows from `first` on that have so many tokens together, or of one row."""
        end = int(np.searchsorted(self.starts + self.counts, self.starts[first] + most, "right"))
        return max(first + 1, end)
