"""The inverted index of one column of a segment: named arrays and how to read them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from vecdb_index.kernels.layout import BLOCK, LAST
from vecdb_index.types import Rows

Kind: TypeAlias = Literal["counts", "weights"]
"""What a posting's value is: how often the row has the term, for BM25, or a quantised weight, for dot products."""

Setting: TypeAlias = str | int | float
Places: TypeAlias = NDArray[np.int64]
"""Places of terms in an index; negative for a term that it does not have."""
Packed: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Terms one after the other: their bytes, and (terms + 1,) where each begins."""
Asked: TypeAlias = Packed | list[bytes] | NDArray[np.uint32]
"""Terms that are looked for; those of sparse vectors are numbers, (terms,)."""

DIMENSION = 4
"""Bytes of a dimension of sparse vectors as a term."""

NAMES = "words", "word_offsets", "offsets", "rows", "values", "lengths", "tops", "shortest", "positions", "begins"
"""The arrays of an index."""


@dataclass(frozen=True)
class Inverted:
    """Which rows have which terms. All arrays may be read-only.

    Attributes:
        kind: what values are.
        scale: what a value of 1 is worth; 1.0 for counts.
        words: uint8, the bytes of all terms; they ascend, and are different.
        word_offsets: (t + 1,) int64, where each term begins in `words`.
        offsets: (t + 1,) int64: term i has the postings offsets[i] to offsets[i + 1], at least one.
        rows: (p,) uint32, the row of each posting; ascending within a term.
        values: (p,) uint8, at least 1. A count of 255 stands for more, too.
        lengths: (n,) uint32, how many tokens, or weights, each row has.
        tops: (p / BLOCK,) uint8, the largest value of each block of postings.
        shortest: (p / BLOCK,) uint32, the least length of a row in each block.
        positions: uint32, where in its row each token stands, posting after posting, ascending; the last one of each
            posting has its highest bit set. Empty where phrases cannot be asked for.
        begins: (p / BLOCK,) int64, where the positions of each block begin; empty as well.
        origin: what made terms of the rows, as JSON; the index only keeps it.

    """

    kind: Kind
    scale: float
    words: NDArray[np.uint8]
    word_offsets: NDArray[np.int64]
    offsets: NDArray[np.int64]
    rows: Rows
    values: NDArray[np.uint8]
    lengths: NDArray[np.uint32]
    tops: NDArray[np.uint8]
    shortest: NDArray[np.uint32]
    positions: NDArray[np.uint32]
    begins: NDArray[np.int64]
    origin: str = ""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lengths)

    @property
    def terms(self) -> int:
        """How many different terms there are."""
        return len(self.offsets) - 1

    @property
    def tokens(self) -> int:
        """How many tokens all rows have together; for BM25's average length, over all segments."""
        return int(self.lengths.sum(dtype=np.int64))

    @cached_property
    def dimensions(self) -> NDArray[np.uint32]:
        """The terms of sparse vectors as numbers, (t,), ascending."""
        return self.words.view(">u4").astype(np.uint32)

    def find(self, asked: Asked) -> Places:
        """Return where terms are in the index; negative for one that is not there."""
        if isinstance(asked, np.ndarray):
            found = self.dimensions.searchsorted(asked)
            there = self.dimensions.take(found, mode="clip") == asked if self.terms else np.zeros(len(asked), bool)
            return found if there.all() else np.where(there, found, -1 - found)
        from vecdb_index.kernels.terms import places

        words, starts = asked if isinstance(asked, tuple) else packed(asked)
        found = np.empty(len(starts) - 1, np.int64)
        places(self.words, self.word_offsets, words, starts, found)
        return found

    def frequencies(self, found: Places) -> NDArray[np.int64]:
        """Return how many rows have each term, deleted ones included; 0 for a term that is not there."""
        known = np.maximum(found, 0) if self.terms else np.zeros(len(found), np.int64)
        return np.where(found < 0, 0, self.offsets[known + 1] - self.offsets[known]) if self.terms else known

    def postings(self, place: int) -> tuple[Rows, NDArray[np.uint8]]:
        """Return the rows, ascending, and the values of one term that is there."""
        part = slice(self.offsets[place], self.offsets[place + 1])
        return self.rows[part], self.values[part]

    def starting(self, prefix: bytes) -> range:
        """Return the places of the terms that begin with these bytes."""
        # No byte of UTF-8 is as large as the one behind it.
        first, last = (place if place >= 0 else -1 - place for place in self.find(packed([prefix, prefix + b"\xff"])))
        return range(int(first), int(last))

    def term(self, place: int) -> bytes:
        """Return a term."""
        return self.words[self.word_offsets[place] : self.word_offsets[place + 1]].tobytes()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by their names; with `settings`, all that there is to store."""
        return {name: getattr(self, name) for name in NAMES}

    def settings(self) -> dict[str, Setting]:
        """Return what is no array."""
        return {"kind": self.kind, "scale": self.scale, "origin": self.origin}

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Setting]) -> "Inverted":
        """Put an index together again. Only `problems` says whether it may be searched.

        Raises:
            KeyError: an array or a setting is missing.

        """
        kind, origin = cast(Kind, settings["kind"]), str(settings["origin"])
        return cls(kind, float(settings["scale"]), *(arrays[name] for name in NAMES), origin=origin)

    @classmethod
    def made(
        cls,
        kind: Kind,
        scale: float,
        words: Packed,
        offsets: NDArray[np.int64],
        rows: Rows,
        values: NDArray[np.uint8],
        lengths: NDArray[np.uint32],
        positions: NDArray[np.uint32],
        origin: str,
    ) -> "Inverted":
        """Return the index of these postings, with what follows from them."""
        tops, shortest, begins = blocks(rows, values, lengths, positions)
        return cls(
            kind, scale, *words, offsets, rows, values, lengths, tops, shortest, positions, begins, origin=origin
        )


def packed(terms: Iterable[bytes]) -> Packed:
    """Return terms one after the other."""
    terms = list(terms)
    offsets = np.array([0, *accumulate(map(len, terms))], np.int64)
    return np.frombuffer(b"".join(terms), np.uint8), offsets


def packed_dimensions(dimensions: Sequence[int] | NDArray[Any]) -> Packed:
    """Return dimensions of sparse vectors as terms: four bytes each, the highest first, so that they sort alike."""
    numbers = np.asarray(dimensions).astype(">u4")
    return numbers.view(np.uint8).reshape(-1), np.arange(len(numbers) + 1, dtype=np.int64) * DIMENSION


def blocks(
    rows: Rows, values: NDArray[np.uint8], lengths: NDArray[np.uint32], positions: NDArray[np.uint32]
) -> tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.int64]]:
    """Return the largest value, the least length and the first position of each block of postings."""
    firsts = np.arange(0, len(rows), BLOCK)
    begins = np.empty(0, np.int64)
    if len(rows) == 0:
        return np.empty(0, np.uint8), np.empty(0, np.uint32), begins
    tops, shortest = np.maximum.reduceat(values, firsts), np.minimum.reduceat(lengths[rows], firsts)
    if len(positions):
        ends = np.flatnonzero(positions >= LAST)
        begins = np.concatenate([np.zeros(1, np.int64), ends[BLOCK - 1 : len(rows) - 1 : BLOCK] + 1])
    return tops, shortest, begins
