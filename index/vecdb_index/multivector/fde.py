"""MUVERA: one vector for the tokens of a row, whose inner product stands for MaxSim.

Dhulipala, Hadian, Jayaram, Lee, Mirrokni: MUVERA, Multi-Vector Retrieval via Fixed Dimensional Encodings (2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vecdb_index.multivector.ragged import Ragged

GENERATOR = "philox-1"
"""The name of how numbers are drawn; it is stored with encodings, because those of two generators do not match."""
BLOCK_TOKENS = 16_384
BITS_MOST = 16


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
        sparse: project by adding up signed coordinates, each into one place, instead of by a dense matrix of signs.
        centre: (dimension,) float32, subtracted before tokens are parted, not from what is encoded; None: zeros.
            Tokens of language models lie around their mean: without it most of them share few cells.

    """

    dimension: int
    repetitions: int = 20
    bits: int = 5
    projection: int | None = 16
    final: int | None = None
    seed: int = 0
    sparse: bool = False
    centre: NDArray[np.float32] | None = None

    @property
    def width(self) -> int:
        """Dimensions of an encoding."""
        if self.final is not None:
            return self.final
        return self.repetitions * (1 << self.bits) * (self.projection or self.dimension)

    def documents(self, rows: Ragged) -> NDArray[np.float32]:
        """Return (rows, width) float32: the mean of the tokens of each cell, empty ones filled; zeros for no tokens."""
        return self._encoded(rows, question=False)

    def query(self, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (width,) float32: the sum of the tokens of each cell."""
        return self._encoded(Ragged(tokens, np.array([0, len(tokens)], np.int64)), question=True)[0]

    def _encoded(self, rows: Ragged, question: bool) -> NDArray[np.float32]:
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
            if self.final is None:
                fde(projected, cells, offsets, 0, last - first, self.bits, question, out[first:last])
            else:
                whole = np.empty((last - first, self._whole), np.float32)
                fde(projected, cells, offsets, 0, last - first, self.bits, question, whole)
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
        sides = _products(tokens, self._hyperplanes)
        if self.centre is not None:
            sides -= _products(self.centre[None, :].astype(np.float32), self._hyperplanes)
        bits = sides.reshape(len(tokens), self.repetitions, self.bits) > 0
        return (bits * (np.uint32(1) << np.arange(self.bits, dtype=np.uint32))).sum(axis=2, dtype=np.uint32)

    def _projected(self, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.projection is None:
            return np.ascontiguousarray(np.tile(tokens, (1, self.repetitions)))
        return _products(tokens, self._projections)

    @cached_property
    def _hyperplanes(self) -> NDArray[np.float32]:
        """(repetitions * bits, dimension), near to Gaussian: sums of twelve uniform integers, the same everywhere."""
        count = self.repetitions * self.bits * self.dimension
        drawn = _draw(self.seed, 0, count * 3).view(np.uint16).reshape(count, 12)
        return ((drawn.astype(np.int64).sum(axis=1) - 6 * 65535) / 65536).astype(np.float32).reshape(-1, self.dimension)

    @cached_property
    def _projections(self) -> NDArray[np.float32]:
        """(repetitions * projection, dimension): signs over the root of `projection`, or sparse signs."""
        assert self.projection is not None
        shape = (self.repetitions, self.projection, self.dimension)
        if not self.sparse:
            signs = _draw(self.seed, 1, math.prod(shape)) & np.uint64(1)
            return ((signs.astype(np.float32) * 2 - 1) / np.sqrt(np.float32(self.projection))).reshape(-1, shape[2])
        drawn = _draw(self.seed, 1, self.repetitions * self.dimension).reshape(self.repetitions, self.dimension)
        place = (drawn >> np.uint64(1)) % np.uint64(self.projection)
        made = np.zeros(shape, np.float32)
        np.put_along_axis(
            made, place[:, None, :].astype(np.int64), ((drawn & np.uint64(1)).astype(np.float32) * 2 - 1)[:, None, :], 1
        )
        return made.reshape(-1, shape[2])

    def _sketch(self, whole: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Add each coordinate, with a sign, to one of the final ones (Charikar, Chen, Farach-Colton 2002)."""
        assert self.final is not None
        drawn = _draw(self.seed, 2, whole.shape[1])
        place = ((drawn >> np.uint64(1)) % np.uint64(self.final)).astype(np.int64)
        signed = whole * ((drawn & np.uint64(1)).astype(np.float32) * 2 - 1)
        order = np.argsort(place, kind="stable")
        begins = np.searchsorted(place[order], np.arange(self.final))
        counts = np.bincount(place, minlength=self.final)
        out[:] = 0
        filled = counts > 0
        out[:, filled] = np.add.reduceat(signed[:, order], begins[filled], axis=1)


def _draw(seed: int, stream: int, count: int) -> NDArray[np.uint64]:
    """Return random 64-bit numbers: raw ones of Philox, whose stream NumPy promises not to change."""
    return np.random.Philox(key=[seed, stream]).random_raw(count).astype(np.uint64)


def _products(tokens: NDArray[np.float32], directions: NDArray[np.float32]) -> NDArray[np.float32]:
    from vecdb_index.kernels.lanes import COLUMNS
    from vecdb_index.kernels.tokens import project

    count = len(directions)
    padded = np.zeros((-(-count // COLUMNS) * COLUMNS, directions.shape[1]), np.float32)
    padded[:count] = directions
    out = np.empty((len(tokens), len(padded)), np.float32)
    project(tokens, padded, 0, len(tokens), out)
    return np.ascontiguousarray(out[:, :count])
