"""What is asked of inverted indexes: terms, and what each is worth. One query serves all segments."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

K1, B = 1.2, 0.75
"""BM25's usual parameters: how soon further occurrences add little, and how much long rows are held back."""
MOST_UNITS = 1 << 24
"""No score is more units: float32 holds each of them."""
MOST_TERMS = 1 << 16
LARGEST_VALUE = 255


@dataclass(frozen=True)
class Query:
    """Different terms and their weights.

    Attributes:
        terms: words as bytes, in any order; those of sparse vectors are (t,) uint32, ascending.
        weights: (t,) float64, positive and finite.
        curve: limit, base and slope of what a row's value adds, see kernels/inverted.py.
        kind: of the indexes that it may be put to.

    """

    terms: list[bytes] | NDArray[np.uint32]
    weights: NDArray[np.float64]
    curve: tuple[float, float, float] = (0.0, 1.0, 0.0)
    kind: str = "weights"

    @property
    def curves(self) -> NDArray[np.float32]:
        """The curve as kernels take it, (1, 3)."""
        return _curves(self.curve)

    def units(self, scale: float = 1.0) -> tuple[int, NDArray[np.float32]]:
        """Return e, and what a value of 1 adds for each term at most, in units of 2^-e.

        For BM25, whose scale is always 1, these are the same for all indexes.
        """
        if len(self.weights) == 0:
            return 0, np.empty(0, np.float32)
        largest, scale = (1.0, 1.0) if self.kind == "counts" else (LARGEST_VALUE * scale, scale)
        # Each term may be rounded up by one.
        room = MOST_UNITS - 2 * len(self.weights)
        exponent = math.floor(math.log2(room / (math.fsum(self.weights.tolist()) * largest)))
        worth = self.weights if scale == 1 else self.weights * scale
        return exponent, np.ldexp(worth, exponent).astype(np.float32)


@lru_cache(64)
def _curves(curve: tuple[float, float, float]) -> NDArray[np.float32]:
    made = np.array([curve], np.float32)
    made.setflags(write=False)
    return made


def idf(rows: int, frequencies: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return how much it says that a row has each term, if so many of all rows have it: Lucene's formula.

    ln(1 + (rows - frequency + 0.5) / (frequency + 0.5)), always positive.
    """
    known = np.asarray(frequencies, np.float64)
    return np.log1p((np.maximum(rows - known, 0) + 0.5) / (known + 0.5))


def bm25(
    boosts: Mapping[bytes, float] | Mapping[str, float],
    frequencies: NDArray[np.integer],
    rows: int,
    average: float,
    *,
    k1: float = K1,
    b: float = B,
) -> Query:
    """Return the query for some terms by BM25, as Lucene has it (without the factor k1 + 1).

    Args:
        boosts: what each term counts, by default 1 a time that the user's words have it.
        frequencies: (t,) how many of all live rows have each term.
        rows: how many live rows there are, in all segments.
        average: how many tokens they have on average.
        k1: at least 0.
        b: 0 to 1.

    Raises:
        ValueError: there is a boost that is not positive and finite, or another number is out of its range.

    """
    if not (0 <= k1 < math.inf and 0 <= b <= 1):
        raise ValueError(f"k1 is {k1} and b is {b}; k1 must be at least 0, b between 0 and 1")
    terms = [term if isinstance(term, bytes) else term.encode("utf-8", "surrogatepass") for term in boosts]
    given = np.fromiter(boosts.values(), np.float64, len(boosts))
    return by_words(terms, _checked(given) * idf(rows, frequencies), average, k1, b)


def by_words(terms: list[bytes], weights: NDArray[np.float64], average: float, k1: float, b: float) -> Query:
    """Return what `bm25` returns, for boosts that were multiplied by `idf` already, and numbers that are in range."""
    slope = k1 * b / average if average > 0 else 0.0
    return Query(terms, weights, (1.0, k1 * (1 - b), slope), "counts")


def sparse(dimensions: Sequence[int] | NDArray[np.integer], weights: NDArray[np.floating]) -> Query:
    """Return the query for the dot product with a sparse vector.

    Args:
        dimensions: (d,) whole numbers from 0 to 2^32 - 1, none twice.
        weights: (d,) positive and finite.

    Raises:
        ValueError: a weight is not.

    """
    asked = np.asarray(dimensions).astype(np.uint32)
    order = np.argsort(asked)
    return by_dimensions(asked[order], _checked(np.asarray(weights, np.float64))[order])


def by_dimensions(dimensions: NDArray[np.uint32], weights: NDArray[np.floating]) -> Query:
    """Return what `sparse` returns, for dimensions that ascend already and weights that are in range."""
    return Query(dimensions, weights.astype(np.float64))


def _checked(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(weights) > MOST_TERMS:
        raise ValueError(f"a query has at most {MOST_TERMS} terms, not {len(weights)}")
    if not ((weights > 0) & (weights < np.inf)).all():
        raise ValueError("what a term counts must be positive and finite")
    return weights
