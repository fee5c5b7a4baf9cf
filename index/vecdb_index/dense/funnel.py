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

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.rabitq import prepared, ready
from vecdb_index.codes.scalar import Codes, ScalarCoder
from vecdb_index.codes.stored import mismatches
from vecdb_index.dense import calibrate, flat
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.calibrate import unmeasured
from vecdb_index.dense.heaps import Heaps, merged
from vecdb_index.dense.rescoring import best
from vecdb_index.dense.sample import sampled
from vecdb_index.slices import SLICE_ROWS, Progress, Slice, reported, shared, slices
from vecdb_index.types import METRIC_CODES, Mask, Matrix, Metric, Rows, Scores, TopK

FIRST_SHARE = 0.25
"""Of a vector's numbers, those that come first unless told otherwise: models that are trained to be cut (OpenAI, Nomic)
keep most of their quality at a quarter, and a scan reads a sixteenth of the bytes of float32."""
EIGHTS = 8
"""The first numbers come in so many, unless told otherwise."""
KEPT = 128
"""Rows that a search scores exactly where nothing was measured."""
FACTORS = 5
LIST = 0.05
"""Where no larger share of the rows is allowed, these are read one by one instead of scanning all."""
_SLACK = np.float32(2.0**-16)
"""Share of a row's length that rounding may have cost its factors."""

Floats = NDArray[np.float32]
Product = Callable[[Floats, Floats], Floats]
_LEAST_SCALE, _LARGEST_SCALE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
# Numbers whose squares overflow are allowed: what is not known of them rules nothing out.
_overflowing = np.errstate(over="ignore", invalid="ignore")

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
        curve: (points, 2) float32: rows that are scored exactly, and the recall that this was measured to reach.

    """

    coder: ScalarCoder
    metric: Metric
    centre: Floats
    axes: Floats
    codes: Codes
    factors: Floats
    curve: Floats = field(default_factory=lambda: unmeasured(KEPT))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        own = {"centre": self.centre, "axes": self.axes, "codes": self.codes, "factors": self.factors}
        return {**own, "curve": self.curve}

    def settings(self) -> dict[str, str | int | float]:
        """Return what is no array."""
        return {"metric": self.metric, "dimensions": self.coder.dimension, "scale": self.coder.scale}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> "Funnel":
        """Return the funnel that `arrays` and `settings` describe. Only `problems` says whether it may be searched.

        Raises:
            KeyError: an array or a setting is missing.

        """
        first = int(settings["dimensions"])
        coder = ScalarCoder("dot", first, float(settings["scale"]), np.zeros(first, np.float32))
        own = (arrays[name] for name in ("centre", "axes", "codes", "factors", "curve"))
        return cls(coder, settings["metric"], *own)

    def candidates(
        self,
        queries: NDArray[Any],
        size: int,
        allowed: Allowed | None = None,
        pool: ThreadPoolExecutor | None = None,
    ) -> Rows:
        """Return for each of the (q, d) queries the best allowed rows by their first numbers: (q, size) uint32.

        At least `size` rows must be allowed.
        """
        total = len(self) if allowed is None else allowed.count
        scan, lists = _Scan(self, queries, allowed, total, size, False, pool), np.empty((len(queries), size), np.uint32)
        for q in range(len(queries)):
            lists[q], _ = scan.one(q)
        return lists


def default_dimensions(dimension: int) -> int:
    """Return how many of so many numbers come first unless told otherwise."""
    return min(dimension, max(EIGHTS, EIGHTS * round(FIRST_SHARE * dimension / EIGHTS)))


@_overflowing
def build(
    matrix: Matrix,
    metric: Metric,
    norms: Scores,
    *,
    dimensions: int | None = None,
    rotate: bool = False,
    pool: ThreadPoolExecutor | None = None,
    progress: Progress | None = None,
) -> Funnel:
    """Return the funnel of all rows of a matrix.

    Args:
        matrix: (n, d) float32, float16 or int8; n at least 1.
        metric: of the search.
        norms: (n,) float32, the rows' lengths, finite.
        dimensions: how many numbers come first, 1 to d; None: `default_dimensions`.
        rotate: turn rows to their principal axes, for vectors that were not trained to be cut.
        pool: threads that help; None: the calling thread alone.
        progress: called with (rows done, rows) now and then; it may raise to stop.

    """
    count, dimension = matrix.shape
    if count == 0:
        raise ValueError("a funnel has at least 1 row, not 0")
    dimensions = default_dimensions(dimension) if dimensions is None else dimensions
    if not 1 <= dimensions <= dimension:
        raise ValueError(f"vectors of {dimension} numbers have 1 to {dimension} first ones, not {dimensions}")
    sample = sampled(norms, dimension)
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

    reported(work, count, 4 * dimension, pool, progress)
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
    allowed: Mask | Allowed | None = None,
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
        allowed: (n,) bool or uint8, or Allowed; None allows every row.
        exact: return what `flat` returns.
        pool: threads that help; the calling thread always works too. None: the calling thread alone.

    """
    chosen = Allowed.of(allowed)
    total = len(index) if chosen is None else chosen.count
    if metric == "cosine" and norms is None:
        norms = flat.norms(matrix)
    size = min(max(kept, k), total)
    if total == 0 or len(queries) == 0 or size == total:
        return flat.search_batch(matrix, queries, k, metric, allowed=allowed, norms=norms, pool=pool)
    if not exact:
        lists = index.candidates(queries, size, chosen, pool)
        return best(matrix, queries, k, metric, lists, np.full(len(lists), size, np.int32), norms)
    scan, found = _Scan(index, queries, chosen, total, size, True, pool), []
    for q in range(len(queries)):
        rows, bounds = scan.one(q)
        # At least k rows score as much as the worst of the k best of these.
        least = np.partition(flat.score_rows(matrix, queries[q], rows, metric, norms), -min(k, size))[-min(k, size)]
        left = scan.mask(bounds >= least)
        found.append(flat.search(matrix, queries[q], k, metric, allowed=left, norms=norms, pool=pool))
    return found


def problems(index: Funnel) -> list[str]:
    """Return what is wrong with a funnel's arrays, a sentence each; one may only be searched without any."""
    rows, dimension, first, scale = len(index.codes), index.centre.size, index.coder.dimension, index.coder.scale
    if index.metric not in METRIC_CODES or rows == 0:
        return [f"it has {rows} rows, and its metric is {index.metric!r}"]
    if not 1 <= first <= dimension or not _LEAST_SCALE <= scale <= _LARGEST_SCALE:
        return [f"{first} of {dimension} numbers come first, {scale} units each"]
    turned = index.axes.ndim == 2 and index.axes.shape[1] > 0
    found = mismatches(
        {
            "the centre is": (index.centre, np.float32, (dimension,)),
            "axes are": (index.axes, np.float32, (dimension, first if turned else 0)),
            "codes are": (index.codes, np.uint8, (rows, index.coder.width)),
            "factors are": (index.factors, np.float32, (FACTORS, rows)),
        }
    )
    if not found and not (np.isfinite(index.centre).all() and np.isfinite(index.axes).all()):
        found.append("the centre or an axis is not finite")
    return [*found, *calibrate.problems(index.curve)]


class _Scan:
    """One scan after the other of the same rows, each for one query."""

    def __init__(
        self,
        index: Funnel,
        queries: NDArray[Any],
        allowed: Allowed | None,
        total: int,
        size: int,
        exact: bool,
        pool: ThreadPoolExecutor | None,
    ) -> None:
        self.index, self.size, self.pool, self.allowed = index, size, pool, allowed
        few = allowed is not None and total < LIST * len(allowed)
        self.rows = allowed.rows if few and allowed is not None else _NO_ROWS
        self.passed = _NO_MASK if allowed is None or few else allowed.mask
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
        return good if self.allowed is None else good & (self.allowed.mask != 0)


def _axes(centred: Floats, dimensions: int) -> Floats:
    """Return the principal axes of (n, d) rows, the longest first: (d, dimensions)."""
    finite = np.nan_to_num(centred).astype(np.float64)
    scaled = finite / (float(np.abs(finite).max(initial=0)) or 1.0)
    _, axes = np.linalg.eigh(scaled.T @ scaled)
    return np.ascontiguousarray(axes[:, ::-1][:, :dimensions], np.float32)


def _split(rows: Floats, axes: Floats, dimensions: int, product: Product = np.matmul) -> tuple[Floats, Floats]:
    """Return the first numbers of (n, d) rows, and what they leave out."""
    if not axes.shape[1]:
        return np.ascontiguousarray(rows[:, :dimensions]), rows[:, dimensions:]
    front = product(rows, axes)
    return front, np.asarray(rows - product(front, axes.T), np.float32)


def _alone(left: Floats, right: Floats) -> Floats:
    """Return the product of two matrices without the threads of BLAS, for which a search would wait."""
    return np.einsum("ij,jk->ik", left, right)


def _lengths(rows: NDArray[Any]) -> NDArray[np.float64]:
    return np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))


@_overflowing
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


@_overflowing
def _queries(index: Funnel, queries: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.int32], Floats]:
    """Return the first numbers of queries as codes, their shifts, and what else is known of each: (q, 6)."""
    coder, vectors = index.coder, ready(queries, index.metric)
    l2 = index.metric == "l2"
    front, rest = _split(vectors - index.centre if l2 else vectors, index.axes, coder.dimension, _alone)
    codes, shifts = coder.queries(front)
    steps = np.abs(front).max(axis=1) / np.float32(127)
    whole = codes[:, : coder.dimension].astype(np.float32) * steps[:, None]
    sizes = _lengths(front)
    squares = _lengths(whole) ** 2
    constants = -squares - _lengths(rest) ** 2 if l2 else np.einsum("ij,j->i", vectors, index.centre)
    known = [steps / coder.scale, constants, squares, _lengths(front - whole), sizes, _lengths(rest)]
    return codes, shifts, np.ascontiguousarray(np.stack(known, axis=1), np.float32)
