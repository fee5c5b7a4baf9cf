"""What a selection chooses from: candidates with their vectors and relevance, and what they are to represent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Units = NDArray[np.float32]
Reals = NDArray[np.float64]

SAMPLE = 64
"""So many candidates, evenly spread, tell how similar any two of the pool are."""
FEW = 1 << 24
"""Multiplications that a kernel does in less time than it may take BLAS to wake another thread."""


class Pool(NamedTuple):
    """Candidates, best first.

    Attributes:
        units: (n, d) float32, C-contiguous, each of length 1, or 0 where a candidate has no vector.
        relevance: (n,) float64 from 0 to 1.
        universe: (u, d) float32 of the same kind: what is to be represented; None: the candidates.
        weights: (u,) float64, how much each of the universe counts, at least 0; None: its relevance.
        given: (n, n) float32 similarities up to 1, symmetric, in place of the cosines; None: cosines.
        given_universe: (n, u) float32 similarities to `universe` in place of the cosines, of which then only the number
            counts; None: cosines.
        middle: the median similarity, where it is known.
        reach: (n, u) float32 from 0 to 1, in place of `universe`: how well each candidate represents each of what is to
            be represented; needs weights.

    """

    units: Units
    relevance: Reals
    universe: Units | None = None
    weights: Reals | None = None
    given: Units | None = None
    given_universe: Units | None = None
    middle: float | None = None
    reach: Units | None = None

    @property
    def size(self) -> int:
        """How many candidates there are."""
        return self.relevance.shape[0]


def products(rows: Units, others: Units) -> Units:
    """Return the inner products of rows (n, d) and others (m, d): (n, m) float32.

    Few of them by a kernel: BLAS spreads even these over threads, and waits for a processor that others may have.
    """
    if len(rows) * others.size > FEW:
        return rows @ others.T
    from vecdb_index.kernels import units

    out = np.empty((len(rows), len(others)), np.float32)
    units.products(rows, others, out)
    return out


def unit(vectors: np.ndarray, reuse: bool = False) -> Units:
    """Return vectors (n, d) of length 1, float32; those of length 0 stay.

    Args:
        vectors: (n, d).
        reuse: whether the outcome may lie where the vectors do.

    """
    from vecdb_index.kernels.units import to_units

    rows = np.ascontiguousarray(vectors, np.float32)
    units = rows if reuse and rows.flags.writeable else np.empty_like(rows)
    to_units(rows, units)
    return units


def scaled(scores: np.ndarray, among: np.ndarray | None = None) -> Reals:
    """Return scores so that the greatest is 1 and the least 0; equal ones are all 1.

    Args:
        scores: (n,).
        among: (n,) bool, of which scores greatest and least are taken; others are cut off there. None: of all.

    """
    values = scores.astype(np.float64)
    some = values if among is None or not among.any() else values[among]
    if not len(some):
        return values
    least = some.min()
    span = some.max() - least
    return np.clip((values - least) / span, 0, 1) if span > 0 else np.ones(len(values))


def median(pool: Pool) -> float:
    """Return the median similarity of two candidates, of a sample; 0 where there are not two."""
    if pool.middle is not None:
        return pool.middle
    chosen = slice(None, SAMPLE * max(1, pool.size // SAMPLE), max(1, pool.size // SAMPLE))
    some = pool.units[chosen] if pool.given is None else pool.given[chosen, chosen]
    if len(some) < 2:
        return 0.0
    some = np.ascontiguousarray(some)
    pairs = (products(some, some) if pool.given is None else some).ravel()[_above_diagonal(len(some))]
    return float(np.partition(pairs, len(pairs) // 2)[len(pairs) // 2])


def close(pool: Pool, places: Sequence[int] | NDArray[np.int64], closest: float) -> bool:
    """Tell whether two of some candidates are as similar as `closest`."""
    some = np.asarray(places, np.int64)
    if pool.given is None:
        units = pool.units[some]
        among = products(units, units)
    else:
        among = pool.given[np.ix_(some, some)]
    np.fill_diagonal(among, -np.inf)
    return bool(among.max(initial=-np.inf) >= closest)


def base_of(pool: Pool, baseline: float | str) -> float:
    """Return the similarity that counts as none, below 1."""
    if baseline == "median":
        found = median(pool)
    elif baseline == "two_thirds":
        found = 3 * median(pool) - 2
    else:
        found = float(baseline)
    return min(max(found, 0.0), 0.999)


@lru_cache(16)
def _above_diagonal(size: int) -> NDArray[np.int64]:
    rows, columns = np.triu_indices(size, 1)
    return rows * size + columns


def to_universe(pool: Pool, rows: NDArray[np.int64] | slice, width: int, base: float, power: int) -> Units:
    """Return the similarities of some candidates to the universe, above `base` and raised to `power`.

    Args:
        pool: the candidates.
        rows: which.
        width: columns of the result; those behind the universe are 0.
        base: similarities up to this count as 0.
        power: at least 1.

    """
    if pool.reach is not None:
        similar = pool.reach[rows]
    elif pool.given_universe is not None:
        similar = pool.given_universe[rows]
    elif pool.given is not None and pool.universe is None:
        similar = pool.given[rows]
    else:
        universe = pool.units if pool.universe is None else pool.universe
        # Of a matrix and its own transpose BLAS works out one half.
        similar = products(np.ascontiguousarray(pool.units[rows]), universe)
    out = np.zeros((len(similar), width), np.float32)
    kept = out[:, : similar.shape[1]]
    np.subtract(similar, np.float32(base), out=kept)
    if base:
        kept *= np.float32(1 / (1 - base))
    np.maximum(kept, 0, out=kept)
    _raise(kept, power)
    return out


def _raise(values: Units, power: int) -> None:
    """Raise values to a power, in place, by squares."""
    square, first = values.copy() if power > 1 else values, True
    while power > 1:
        if power & 1:
            if first:
                rest, first = square.copy(), False
            else:
                rest *= square  # pyright: ignore[reportPossiblyUnboundVariable]
        square *= square
        power >>= 1
    if square is not values:
        np.copyto(values, square if first else np.multiply(square, rest))  # pyright: ignore[reportPossiblyUnboundVariable]
