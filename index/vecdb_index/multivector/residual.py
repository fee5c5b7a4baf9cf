"""Tokens as a centroid and what is left of them, in codes of 2 or 4 bits a number (ColBERTv2, section 3.3; PLAID).

    number j of a token  =  number j of its centroid + unit of the centroid * step of code j

Steps are the same for all tokens, and units belong to centroids, not to all of them together as in ColBERTv2: tokens
spread more around some centroids than around others. Then centroids of several trainings may stand in one table, and
tokens keep their numbers, bit for bit, when they are stored together with others.

Steps are whole numbers that fit 8 bits, so a token without its centroid is one of 8-bit codes. Those of 2 bits are the
best levels of normally distributed numbers (Lloyd and Max), those of 4 bits of some with longer tails: on tokens of
MiniLM the error is a fifth, and two fifths, less than with ColBERTv2's quantiles.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.cluster.kmeans import kmeans, nearest

_UPPER = {2: (38, 127), 4: (4, 12, 22, 33, 46, 63, 86, 127)}
_LARGEST = {2: 1.5104, 4: 3.6}
"""The largest step, as a multiple of the mean deviation of what is coded."""
STEPS = {bits: np.array([-step for step in reversed(upper)] + list(upper), np.int16) for bits, upper in _UPPER.items()}
"""What codes stand for, in units: ascending."""
MOST_CENTROIDS = 1 << 16
LEAST_TOKENS = 16
"""Tokens of a centroid on average, at least: a table of more takes more bytes than it saves."""
ITERATIONS = 4
SAMPLE = 32
"""Tokens of a centroid that it is trained with."""
_SMALLEST = 2.0**-60
_BLOCK = 1 << 14


def _bytes_of(bits: int) -> NDArray[np.uint8]:
    """Return the 8-bit codes of all bytes of codes, the first one in the lowest bits: (256, 8 / bits)."""
    codes = np.arange(256)[:, None] >> np.arange(0, 8, bits) & ((1 << bits) - 1)
    return (STEPS[bits][codes] + 128).astype(np.uint8)


WIDE = {bits: _bytes_of(bits) for bits in STEPS}
"""For each byte of codes, the 8-bit codes that stand for the same steps."""


def many_centroids(tokens: int) -> int:
    """Return how many centroids so many tokens have: 16 times their root, as PLAID has it, down to a power of two."""
    wanted = 1 << int(math.log2(16 * math.sqrt(max(1, tokens))))
    return max(1, min(wanted, MOST_CENTROIDS, tokens // LEAST_TOKENS))


@dataclass(frozen=True, slots=True)
class Centroids:
    """A table of centroids.

    Attributes:
        vectors: (k, d) float16.
        units: (k,) float32, what a step is worth around each.

    """

    vectors: NDArray[np.float16]
    units: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.vectors)

    @classmethod
    def none(cls, dimension: int) -> Centroids:
        """Return an empty table."""
        return cls(np.empty((0, dimension), np.float16), np.empty(0, np.float32))

    @classmethod
    def joined(cls, tables: list[Centroids], dimension: int) -> Centroids:
        """Return one table of several, the first one's centroids first."""
        tables = [cls.none(dimension), *tables]
        vectors = np.concatenate([table.vectors for table in tables])
        return cls(vectors, np.concatenate([table.units for table in tables]))

    def some(self, numbers: NDArray[Any]) -> Centroids:
        """Return some centroids, in their order."""
        return Centroids(self.vectors[numbers], self.units[numbers])

    @classmethod
    def trained(
        cls, tokens: NDArray[np.float16], bits: int, seed: int = 0, pool: ThreadPoolExecutor | None = None
    ) -> Centroids:
        """Return a table for tokens (t, d), made from a sample of them by k-means."""
        count = many_centroids(len(tokens))
        if len(tokens) == 0:
            return cls.none(tokens.shape[1])
        rows = np.arange(len(tokens))
        if len(tokens) > SAMPLE * count:
            rows = np.sort(np.random.default_rng(seed).choice(len(tokens), SAMPLE * count, replace=False))
        sample = tokens[rows]
        found = kmeans(sample, count, iterations=ITERATIONS, seed=seed, pool=pool)
        vectors = found.centroids.astype(np.float16)
        squares = np.zeros(count)
        for first in range(0, len(sample), _BLOCK):
            own = found.assignments[first : first + _BLOCK]
            left = sample[first : first + _BLOCK].astype(np.float32) - vectors[own].astype(np.float32)
            squares += np.bincount(own, np.einsum("ij,ij->i", left, left, dtype=np.float64), count)
        sizes = np.bincount(found.assignments, minlength=count)
        deviation = np.sqrt(squares / np.maximum(1, sizes) / tokens.shape[1])
        overall = math.sqrt(squares.sum() / (len(sample) * tokens.shape[1]))
        deviation[sizes < 2] = overall  # a centroid of one token says nothing of those that come
        return cls(vectors, (deviation * (_LARGEST[bits] / 127)).astype(np.float32))

    def nearest(self, tokens: NDArray[Any], pool: ThreadPoolExecutor | None = None) -> NDArray[np.uint32]:
        """Return the number of each token's centroid: (t,)."""
        if len(tokens) == 0:
            return np.empty(0, np.uint32)
        return nearest(tokens, self.vectors.astype(np.float32), pool=pool)

    def coded(self, tokens: NDArray[Any], numbers: NDArray[Any], bits: int) -> NDArray[np.uint8]:
        """Return the codes (t, width) of what tokens (t, d) are apart from their centroids."""
        left = tokens.astype(np.float32) - self.vectors[numbers].astype(np.float32)
        units = np.maximum(self.units[numbers], np.float32(_SMALLEST))
        between = (STEPS[bits][1:] + STEPS[bits][:-1]).astype(np.float32) / 2
        codes = np.zeros((len(left), -(-left.shape[1] // 4) * 4), np.uint8)
        codes[:, : left.shape[1]] = np.searchsorted(between, left / units[:, None])
        out = np.zeros((len(codes), codes.shape[1] * bits // 8), np.uint8)
        for at, shift in enumerate(range(0, 8, bits)):
            out |= codes[:, at :: 8 // bits] << np.uint8(shift)
        return out

    def numbers_of(self, codes: NDArray[np.uint8], numbers: NDArray[Any], bits: int) -> NDArray[np.float32]:
        """Return what codes (t, width) around the centroids of these numbers stand for: (t, d) float32."""
        wide = WIDE[bits][codes].reshape(len(codes), codes.shape[1] * 8 // bits)[:, : self.vectors.shape[1]]
        found = wide.astype(np.float32)
        found -= np.float32(128)
        found *= self.units[numbers][:, None]
        found += self.vectors[numbers]
        return found

    def longest_left(self, codes: NDArray[np.uint8], numbers: NDArray[Any], bits: int) -> float:
        """Return the largest length of what codes stand for without their centroids, a little more."""
        found, squares = 0.0, (WIDE[bits].astype(np.float64) - 128) ** 2
        for first in range(0, len(codes), _BLOCK):
            # Codes behind the last number count too: too much does no harm.
            lengths = np.sqrt(squares.sum(axis=1)[codes[first : first + _BLOCK]].sum(axis=1))
            units = self.units[numbers[first : first + _BLOCK]]
            found = max(found, float((lengths * units).max(initial=0)))
        return found * (1 + 1e-6)
