"""MUVERA: one vector for the tokens of a row, whose inner product stands for MaxSim.

Dhulipala, Hadian, Jayaram, Lee, Mirrokni: MUVERA, Multi-Vector Retrieval via Fixed Dimensional Encodings (2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vecdb_index.multivector.ragged import Ragged

GENERATOR = "philox-1"
"""The name of how numbers are drawn; it is stored with encodings, because those of two generators do not match."""
BLOCK_TOKENS = 16_384
BITS_MOST = 16

Directions = Literal["orthogonal", "dense", "sparse"]
DIRECTIONS: tuple[Directions, ...] = get_args(Directions)
"""What tokens are projected by:

    orthogonal  signs, as rows of a Hadamard matrix under random signs of its columns. Those of one repetition are
                orthogonal, and repetitions take other rows of it until none is left: the errors are smaller. Of the
                true ten best of scifact's abstracts .937 were among the first 100 where "dense" had .901 (20
                repetitions, 4 bits, 16 numbers)
    dense       random signs, as in the paper
    sparse      each number of a token is added, with a random sign, to one place, as in the paper's program
"""


@dataclass(frozen=True)
class FdeEncoder:
    """Makes encodings of documents and of queries; equal parameters make equal bits on one machine.

    Attributes:
        dimension: of a token.
        repetitions: independent encodings that are put one behind the other. They matter most.
        bits: hyperplanes that part the tokens of a repetition into 2^bits cells; 0 to 16.
        projection: dimensions to which a cell's tokens are projected; None keeps them.
        final: dimensions to which the whole is hashed by a count sketch; None keeps it.
        seed: of all that is drawn.
        directions: how the projection is drawn: see DIRECTIONS.
        centre: (dimension,) float32, subtracted before tokens are parted, not from what is encoded; None: zeros.
            Where tokens lie around a mean far from zero, most of them share few cells without it.
        renormalise: make the mean of a cell's tokens as long as they are on average, before it is projected. Tokens
            that differ have a short mean, which is too little for each of them (not in the paper). Of the true ten best
            of scifact's abstracts .945 were among the first 100 where plain means had .905 (40 repetitions, 2 bits, 8
            numbers).

    """

    dimension: int
    repetitions: int = 20
    bits: int = 5
    projection: int | None = 16
    final: int | None = None
    seed: int = 0
    directions: Directions = "orthogonal"
    centre: NDArray[np.float32] | None = None
    renormalise: bool = False

    @property
    def width(self) -> int:
        """Dimensions of an encoding."""
        return self._whole if self.final is None else self.final

    def documents(self, rows: Ragged) -> NDArray[np.float32]:
        """Return (rows, width) float32: the mean of the tokens of each cell, empty ones filled; zeros for no tokens."""
        return self._encoded(rows, False)

    def query(self, tokens: NDArray[np.float32], weights: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return (width,) float32: the sum of the tokens of each cell, times their weights (tokens,) if there are."""
        return self._encoded(Ragged(tokens, np.array([0, len(tokens)], np.int64)), True, weights)[0]

    def _encoded(self, rows: Ragged, question: bool, weights: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        from vecdb_index.kernels.tokens import fde

        out = np.empty((len(rows), self.width), np.float32)
        first = 0
        while first < len(rows):
            # As many rows as have not much more than a block of tokens, one at least.
            stop = int(np.searchsorted(rows.offsets, rows.offsets[first] + BLOCK_TOKENS, side="right")) - 1
            last = min(max(stop, first + 1), len(rows))
            offsets = np.ascontiguousarray(rows.offsets[first : last + 1] - rows.offsets[first])
            tokens = np.ascontiguousarray(rows.tokens[rows.offsets[first] : rows.offsets[last]], np.float32)
            cells, projected = self._cells(tokens), self._projected(tokens)
            if weights is not None:  # of a question, which is one row
                projected *= weights[:, None]
            stretched = tokens if self.renormalise else tokens[:0]
            if self.final is None:
                fde(projected, cells, offsets, stretched, 0, last - first, self.bits, question, out[first:last])
            else:
                whole = np.empty((last - first, self._whole), np.float32)
                fde(projected, cells, offsets, stretched, 0, last - first, self.bits, question, whole)
                self._sketch(whole, out[first:last])
            first = last
        return out

    @property
    def _whole(self) -> int:
        return self.repetitions * (1 << self.bits) * (self.projection or self.dimension)

    def _cells(self, tokens: NDArray[np.float32]) -> NDArray[np.uint32]:
        """Return (tokens, repetitions): the number whose bits say on which sides of the hyperplanes a token lies."""
        if self.bits == 0:
            return np.zeros((len(tokens), self.repetitions), np.uint32)
        sides = self._hyperplanes.products(tokens)
        if self.centre is not None:
            sides -= self._middle
        bits = sides.reshape(len(tokens), self.repetitions, self.bits) > 0
        return (bits * (np.uint32(1) << np.arange(self.bits, dtype=np.uint32))).sum(axis=2, dtype=np.uint32)

    def _projected(self, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.projection is None:
            return np.ascontiguousarray(np.tile(tokens, (1, self.repetitions)))
        return self._projections.products(tokens)

    @cached_property
    def _middle(self) -> NDArray[np.float32]:
        """(1, repetitions * bits), the products of the centre with the hyperplanes."""
        assert self.centre is not None
        return self._hyperplanes.products(np.ascontiguousarray(self.centre[None, :], np.float32))

    @cached_property
    def _hyperplanes(self) -> _Matrix:
        """(repetitions * bits, dimension), near to Gaussian: sums of twelve uniform integers, the same everywhere."""
        count = self.repetitions * self.bits * self.dimension
        drawn = _draw(self.seed, 0, count * 3).view(np.uint16).reshape(count, 12)
        sums = drawn.astype(np.int64).sum(axis=1) - 6 * 65535
        return _Matrix((sums / 65536).astype(np.float32).reshape(-1, self.dimension))

    @cached_property
    def _projections(self) -> _Matrix:
        """(repetitions * projection, dimension): signs over the root of `projection`, or sparse signs."""
        assert self.projection is not None
        count, each, of = self.repetitions, self.projection, self.dimension
        if self.directions == "sparse":
            drawn = _draw(self.seed, 1, count * of).reshape(count, of)
            place = (drawn >> np.uint64(1)) % np.uint64(each)
            made = np.zeros((count, each, of), np.float32)
            np.put_along_axis(made, place[:, None, :].astype(np.int64), _signs(drawn)[:, None, :], 1)
            return _Matrix(made.reshape(-1, of))
        root = np.sqrt(np.float32(each))
        if self.directions == "dense":
            return _Matrix(_signs(_draw(self.seed, 1, count * each * of)).reshape(-1, of) / root)
        return _Matrix(self._orthogonal() / root)

    def _orthogonal(self) -> NDArray[np.float32]:
        """Return (repetitions * projection, dimension) signs: rows of one matrix after the other, none of them twice.

        A repetition takes its rows from one matrix, from as many as it needs where it has more rows than columns.
        """
        assert self.projection is not None
        size = 1 << max(self.dimension - 1, 0).bit_length()
        rows = np.arange(size, dtype=np.uint64)
        taken = size // self.projection * self.projection or size  # the rest of a matrix is too few for a repetition
        wanted = self.repetitions * self.projection
        drawn = _draw(self.seed, 3, 2 * size * -(-wanted // taken)).reshape(-1, 2, size)
        found = []
        for columns, keys in drawn:
            order = np.argsort(keys, kind="stable")[:taken].astype(np.uint64)
            parity = np.bitwise_count(order[:, None] & rows[None, : self.dimension]) & 1  # Sylvester's matrix
            found.append((1 - 2 * parity.astype(np.float32)) * _signs(columns)[: self.dimension])
        return np.concatenate(found)[:wanted]

    def _sketch(self, whole: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Add each coordinate, with a sign, to one of the final ones (Charikar, Chen, Farach-Colton 2002)."""
        assert self.final is not None
        drawn = _draw(self.seed, 2, whole.shape[1])
        place = ((drawn >> np.uint64(1)) % np.uint64(self.final)).astype(np.int64)
        signed = whole * _signs(drawn)
        order = np.argsort(place, kind="stable")
        begins = np.searchsorted(place[order], np.arange(self.final))
        counts = np.bincount(place, minlength=self.final)
        out[:] = 0
        filled = counts > 0
        out[:, filled] = np.add.reduceat(signed[:, order], begins[filled], axis=1)


def _draw(seed: int, stream: int, count: int) -> NDArray[np.uint64]:
    """Return random 64-bit numbers: raw ones of Philox, whose stream NumPy promises not to change."""
    return np.random.Philox(key=[seed, stream]).random_raw(count).astype(np.uint64)


def _signs(drawn: NDArray[np.uint64]) -> NDArray[np.float32]:
    return (drawn & np.uint64(1)).astype(np.float32) * 2 - 1


class _Matrix:
    """Directions (p, dimension) float32, laid out for products with tokens."""

    def __init__(self, directions: NDArray[np.float32]) -> None:
        from vecdb_index.kernels.lanes import COLUMNS

        self.numbers = directions
        self._padded = np.zeros((-(-len(directions) // COLUMNS) * COLUMNS, directions.shape[1]), np.float32)
        self._padded[: len(directions)] = directions

    def products(self, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (tokens, p): the same bits whatever is computed beside them."""
        from vecdb_index.kernels.tokens import project

        out = np.empty((len(tokens), len(self._padded)), np.float32)
        project(tokens, self._padded, 0, len(tokens), out)
        return np.ascontiguousarray(out[:, : len(self.numbers)])
