"""The funnel: a search by the first numbers of vectors, then exact scores of what is left.

Matryoshka embeddings are trained so that their first numbers are embeddings of their own. Other vectors are turned to
their principal axes first (`rotate`), which puts most of their length in front. The first numbers stand apart, in 8
bits each, so a scan reads a small part of the bytes.

Two ways to search. Ordinarily the `kept` best by the first numbers are scored exactly. With `exact`, the length of what
the first numbers leave out bounds each score (q . x <= q1 . x1 + |q2| |x2|), and all rows that the bound does not rule
out are scored: the result is that of `flat`, to the bit. How many that are depends on how much of the length is in
front.

For cosine without rotation, the estimate is the cosine of the first numbers alone: what Matryoshka models are trained
for.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.rabitq import prepared, ready
from vecdb_index.codes.scalar import Codes, ScalarCoder
from vecdb_index.codes.stored import mismatches
from vecdb_index.dense import flat
from vecdb_index.dense.heaps import Heaps, merged
from vecdb_index.slices import SLICE_ROWS, Slice, shared, slices
from vecdb_index.types import Mask, Matrix, Metric, Rows, Scores, TopK

SAMPLE = 1 << 14
"""Rows from which the mean and the principal axes are taken."""
FACTORS = 5
LIST = 0.05
"""Where no larger share of the rows is allowed, these are read one by one instead of scanning all."""
_PART = 4096
_SLACK = np.float32(2.0**-16)
"""Share of a row's length that rounding may have cost its factors."""

Floats = NDArray[np.float32]
_NO_ROWS = np.empty(0, np.uint32)
_NO_MASK = np.empty(0, np.uint8)
_NO_BOUNDS = np.empty(0, np.float32)


@dataclass(frozen=True)
class Funnel:
    """The first numbers of n rows.

    Attributes:
        coder: of the first numbers, by inner product.
        metric: of the search.
        centre: (d,) float32, subtracted from rows before they are turned; zeros when they are not.
        axes: (d, first numbers) float32, orthonormal columns; (d, 0) when rows are not turned.
        codes: (n, width) uint8.
        factors: (5, n) float32, see kernels/funnel.py.

    """

    coder: ScalarCoder
    metric: Metric
    centre: Floats
    axes: Floats
    codes: Codes
    factors: Floats

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        return self.codes.nbytes + self.factors.nbytes + self.axes.nbytes

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {"centre": self.centre, "axes": self.axes, "codes": self.codes, "factors": self.factors}

    def settings(self) -> dict[str, str | int | float]:
        """Return what is no array."""
        return {"metric": self.metric, "dimensions": self.coder.dimension, "scale": self.coder.scale}

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any]) -> "Funnel":
        """Return the funnel that `arrays` and `settings` describe."""
        first = int(settings["dimensions"])
        coder = ScalarCoder("dot", first, float(settings["scale"]), np.zeros(first, np.float32))
        return cls(coder, settings["metric"], arrays["centre"], arrays["axes"], arrays["codes"], arrays["factors"])


def build(
    matrix: Matrix,
    metric: Metric,
    norms: Scores,
    *,
    dimensions: int,
    rotate: bool = False,
    pool: ThreadPoolExecutor | None = None,
) -> Funnel:
    """Return the funnel of all rows of a matrix.

    Args:
        matrix: (n, d) float32, float16 or int8; n at least 1.
        metric: of the search.
        norms: (n,) float32, the rows' lengths, finite.
        dimensions: how many numbers come first, 1 to d.
        rotate: turn rows to their principal axes, for vectors that were not trained to be cut.
        pool: threads that help; None: the calling thread alone.

    """
    count, dimension = matrix.shape
    if not 1 <= dimensions <= dimension:
        raise ValueError(f"vectors of {dimension} numbers have 1 to {dimension} first ones, not {dimensions}")
    sample = np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64)
    seen = prepared(matrix[sample], norms[sample], metric)
    centre, axes = np.zeros(dimension, np.float32), np.empty((dimension, 0), np.float32)
    if rotate:
        centre = seen.mean(axis=0, dtype=np.float64).astype(np.float32)
        axes = _axes(seen - centre, dimensions)
    front, _ = _split(seen - centre, axes, dimensions)
    # What overflowed has a bound that rules nothing out, whatever its code.
    front = np.nan_to_num(front)
    coder = ScalarCoder.fit(front, "dot", _lengths(front).astype(np.float32))
    codes, factors = np.empty((count, coder.width), np.uint8), np.empty((FACTORS, count), np.float32)
    funnel = Funnel(coder, metric, centre, axes, codes, factors)

    def work(todo: Iterator[Slice]) -> None:
        for first, last in todo:
            _write(funnel, prepared(matrix[first:last], norms[first:last], metric) - centre, first, last)

    parts = [(first, min(first + _PART, count)) for first in range(0, count, _PART)]
    shared(work, parts, matrix.nbytes, pool)
    return funnel


def search_batch(
    index: Funnel,
    matrix: Matrix,
    queries: NDArray[Any],
    k: int,
    metric: Metric,
    *,
    kept: int,
    norms: Scores | None = None,
    allowed: Mask | None = None,
    exact: bool = False,
    pool: ThreadPoolExecutor | None = None,
) -> list[TopK]:
    """Return for each of the (q, d) queries about the k best rows, with the scores that `flat` gives.

    Args:
        index: of this matrix and metric.
        matrix: (n, d), the rows themselves.
        queries: (q, d).
        k: at least 1.
        metric: that of the index.
        kept: rows that are scored exactly; at least k are. With `exact`, of these the first threshold is taken.
        norms: (n,) float32 for cosine.
        allowed: (n,) bool or uint8; None allows every row.
        exact: return what `flat` returns.
        pool: threads that help; the calling thread always works too. None: the calling thread alone.

    """
    mask = None if allowed is None else allowed.view(np.uint8)
    total = len(index) if mask is None else int(np.count_nonzero(mask))
    if metric == "cosine" and norms is None:
        norms = flat.norms(matrix)
    size = min(max(kept, k), total)
    if total == 0 or len(queries) == 0 or size == total:
        return flat.search_batch(matrix, queries, k, metric, allowed=allowed, norms=norms, pool=pool)
    scan = _Scan(index, queries, mask, total, size, exact, pool)
    lists = np.empty((len(queries), size), np.uint32)
    if not exact:
        for q in range(len(queries)):
            lists[q], _ = scan.one(q)
        scores = flat.rank_lists(matrix, queries, lists, np.full(len(lists), size, np.int32), metric, norms)
        return [_best(row, score, k) for row, score in zip(lists, scores, strict=True)]
    found = []
    for q in range(len(queries)):
        rows, bounds = scan.one(q)
        # At least k rows score as much as the worst of the k best of these.
        least = np.partition(flat.score_rows(matrix, queries[q], rows, metric, norms), -min(k, size))[-min(k, size)]
        left = scan.mask(bounds >= least)
        found.append(flat.search(matrix, queries[q], k, metric, allowed=left, norms=norms, pool=pool))
    return found


def problems(index: Funnel, rows: int, dimension: int) -> list[str]:
    """Return what is wrong with a funnel over so many rows of so many numbers, a sentence each."""
    first = index.coder.dimension
    if not 1 <= first <= dimension:
        return [f"{first} of {dimension} numbers come first"]
    return mismatches(
        {
            "the centre is": (index.centre, np.float32, (dimension,)),
            "axes are": (index.axes, np.float32, (dimension, first if index.axes.shape[-1] else 0)),
            "codes are": (index.codes, np.uint8, (rows, index.coder.width)),
            "factors are": (index.factors, np.float32, (FACTORS, rows)),
        }
    )


class _Scan:
    """One scan after the other of the same rows, each for one query."""

    def __init__(
        self,
        index: Funnel,
        queries: NDArray[Any],
        mask: NDArray[np.uint8] | None,
        total: int,
        size: int,
        exact: bool,
        pool: ThreadPoolExecutor | None,
    ) -> None:
        self.index, self.size, self.pool, self.allowed = index, size, pool, mask
        few = mask is not None and total < LIST * len(mask)
        self.rows = np.flatnonzero(mask).astype(np.uint32) if few and mask is not None else _NO_ROWS
        self.passed = _NO_MASK if mask is None or few else mask
        self.total = total if few else len(index)
        self.bounds = np.empty(self.total, np.float32) if exact else _NO_BOUNDS
        self.ready, self.shifts, self.known = _queries(index, queries)

    def one(self, q: int) -> tuple[Rows, Floats]:
        """Return the best rows by their first numbers, and the bounds of all; these are overwritten by the next."""
        from vecdb_index.kernels.funnel import scan

        index = self.index
        given = index.codes, index.factors, self.ready, q, self.shifts[q], self.known[q], index.metric == "l2"

        def work(todo: Iterator[Slice]) -> Heaps:
            heaps, out = Heaps.empty(1, self.size), np.empty(min(self.total, SLICE_ROWS), np.float32)
            for first, last in todo:
                bounds = self.bounds[first:last]
                scan(*given, self.rows, first, last, self.passed, out, bounds, heaps.keys[0], heaps.states[0])
            return heaps

        row_bytes = index.codes.shape[1]
        parts = shared(work, slices(self.total, row_bytes), self.total * row_bytes, self.pool)
        return np.ascontiguousarray(merged(parts, self.size)[0].rows), self.bounds

    def mask(self, good: NDArray[np.bool_]) -> Mask:
        """Return which of all rows are good and allowed."""
        if len(self.rows):
            out = np.zeros(len(self.index), np.uint8)
            out[self.rows[good]] = 1
            return out
        return good if self.allowed is None else good & (self.allowed != 0)


def _axes(centred: Floats, dimensions: int) -> Floats:
    """Return the principal axes of (n, d) rows, the longest first: (d, dimensions)."""
    finite = np.nan_to_num(centred).astype(np.float64)
    scaled = finite / (float(np.abs(finite).max(initial=0)) or 1.0)
    _, axes = np.linalg.eigh(scaled.T @ scaled)
    return np.ascontiguousarray(axes[:, ::-1][:, :dimensions], np.float32)


def _split(rows: Floats, axes: Floats, dimensions: int) -> tuple[Floats, Floats]:
    """Return the first numbers of (n, d) rows, and what they leave out."""
    if not axes.shape[1]:
        return np.ascontiguousarray(rows[:, :dimensions]), rows[:, dimensions:]
    front = rows @ axes
    return front, np.asarray(rows - front @ axes.T, np.float32)


def _lengths(rows: NDArray[Any]) -> NDArray[np.float64]:
    return np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))


def _write(funnel: Funnel, rows: Floats, first: int, last: int) -> None:
    """Write the codes and factors of the rows first .. last - 1, which are given, less the centre."""
    coder = funnel.coder
    front, rest = _split(rows, funnel.axes, coder.dimension)
    sizes, tails = _lengths(front), _lengths(rest)
    codes = funnel.codes[first:last]
    coder.encode(front, sizes.astype(np.float32), np.arange(last - first), codes)
    decoded = (codes[:, : coder.dimension].astype(np.float32) - 128) / np.float32(coder.scale)
    lengths, errors = _lengths(decoded), _lengths(front - decoded)
    slack = _SLACK * (sizes + tails)
    weights, adds = np.ones(last - first), np.zeros(last - first)
    if funnel.metric == "l2":
        weights, adds = 2 * weights, -(lengths**2) - tails**2
    elif funnel.metric == "cosine" and not funnel.axes.shape[1]:
        weights = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    funnel.factors[:, first:last] = weights, adds, lengths, errors + slack, tails


def _queries(index: Funnel, queries: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.int32], Floats]:
    """Return the first numbers of queries as codes, their shifts, and what else is known of each: (q, 6)."""
    coder, vectors = index.coder, ready(queries, index.metric)
    l2 = index.metric == "l2"
    front, rest = _split(vectors - index.centre if l2 else vectors, index.axes, coder.dimension)
    codes, shifts = coder.queries(front)
    steps = np.abs(front).max(axis=1) / np.float32(127)
    whole = codes[:, : coder.dimension].astype(np.float32) * steps[:, None]
    sizes = _lengths(front)
    squares = _lengths(whole) ** 2
    constants = -squares - _lengths(rest) ** 2 if l2 else np.einsum("ij,j->i", vectors, index.centre)
    known = [steps / coder.scale, constants, squares, _lengths(front - whole), sizes, _lengths(rest)]
    return codes, shifts, np.ascontiguousarray(np.stack(known, axis=1), np.float32)


def _best(rows: Rows, scores: Scores, k: int) -> TopK:
    return TopK(rows[:k], scores[:k], len(rows) > k and bool(scores[k] == scores[k - 1]))
