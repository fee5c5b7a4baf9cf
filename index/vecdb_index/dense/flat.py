"""Flat: the exact scan of one matrix, and the oracle of every approximate index.

Invariant: the score of a (row, query) pair has the same bits whichever function computed it, with or
without a mask, in one thread or many, alone or in a batch; see kernels/lanes.py. So ties are real ties and
can be broken by id.

The surprise: a batch does not call BLAS. A matrix product adds in its own order, so its scores would have to
be computed again; the batch kernel is as fast and its scores are final.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.heaps import Heaps, merged
from vecdb_index.slices import SLICE_BYTES, SLICE_ROWS, Slice, aligned, shared, slices
from vecdb_index.types import METRIC_CODES, Mask, Matrix, Metric, Rows, Scores, TopK, Vector

# A batch works on rows of so many bytes at a time, which the second-level cache holds beside the queries.
BLOCK_BYTES = 192 << 10
BATCH = 256
# Fewer queries than this are faster one by one.
FEW = 3
# A batch reads single rows rather than all of them below this share: it computes much longer than it reads.
BATCH_WORTH = 0.9

_NO_ROWS = np.empty(0, np.uint32)
_NO_MASK = np.empty(0, np.uint8)
_NO_NORMS = np.empty(0, np.float32)
_NO_KEYS = np.empty(0, np.uint64)


def norms(matrix: Matrix) -> Scores:
    """Return the Euclidean norm of every row: (n,) float32, summed in float64."""
    stored, kernels = _stored(matrix)
    out = np.empty(len(stored), np.float32)
    for first, last in slices(len(stored), stored.shape[1] * stored.itemsize):
        kernels.norms(stored, first, last, out)
    return out


def search(
    matrix: Matrix,
    query: Vector,
    k: int,
    metric: Metric,
    *,
    allowed: Mask | Allowed | None = None,
    norms: Scores | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> TopK:
    """Return the k best rows for one query: (rows (m,) uint32, scores (m,) float32, cut).

    m is k, or the number of allowed rows when that is smaller. Best first; equal scores in row order; cut
    says that an allowed row which is not returned has the score of the last one that is.

    Args:
        matrix: (n, d) float32, float16, bfloat16 as uint16 (codes/bfloat16.py), or int8.
        query: (d,) of the same dtype, or float32 beside float16; always float32 beside bfloat16.
        k: at least 1.
        metric: "dot" scores x.q, "cosine" x.q / (|x||q|) and 0 for a zero vector, "l2" -sum((x - q)²). A score
            is never NaN: what overflows is infinite, and -inf where both infinities met in one sum.
        allowed: (n,) bool or uint8, or Allowed; None allows every row.
        norms: (n,) float32 from `norms`; computed here (one more scan) when cosine misses them.
        pool: threads that help; the calling thread always works too. None: the calling thread alone.

    """
    source = _Source.of(matrix, metric, allowed, norms)
    queries, scales = source.ready(np.asarray(query)[None])

    def work(todo: Iterator[Slice]) -> Heaps:
        heaps, (weights, out) = Heaps.empty(1, min(k, source.total)), source.scratch()
        for first, last in todo:
            source.scan(queries[0], scales[0], first, last, weights, out, heaps.keys[0], heaps.states[0])
        return heaps

    return merged(shared(work, source.slices(), source.bytes, pool), k)[0]


def search_batch(
    matrix: Matrix,
    queries: Matrix,
    k: int,
    metric: Metric,
    *,
    allowed: Mask | Allowed | None = None,
    norms: Scores | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> list[TopK]:
    """Return for each of the (q, d) queries exactly what `search` returns, bit for bit."""
    queries = np.asarray(queries)
    source = _Source.of(matrix, metric, allowed, norms, BATCH_WORTH)
    if len(queries) < FEW:
        given = source.norms if metric == "cosine" else norms
        return [search(matrix, query, k, metric, allowed=allowed, norms=given, pool=pool) for query in queries]
    found: list[TopK] = []
    for start in range(0, len(queries), BATCH):
        found += _search_some(source, queries[start : start + BATCH], k, metric, pool)
    return found


def _search_some(
    source: "_Source", queries: Matrix, k: int, metric: Metric, pool: ThreadPoolExecutor | None
) -> list[TopK]:
    """Search for as many queries as the cache holds."""
    from vecdb_index.kernels.lanes import COLUMNS

    count = len(queries)
    ready, scales = source.ready(queries)
    padded = aligned((-(-count // COLUMNS) * COLUMNS, ready.shape[1]), ready.dtype)
    padded[:count] = ready
    # A power of two between 16 and 128.
    block = 1 << max(4, min(7, (BLOCK_BYTES // source.row_bytes).bit_length() - 1))

    def work(todo: Iterator[Slice]) -> Heaps:
        heaps = Heaps.empty(count, min(k, source.total))
        weights, out = np.empty(block, np.float32), np.empty((len(padded), block), np.float32)
        for first, last in todo:
            source.scan_batch(padded, scales, first, last, weights, out, heaps)
        return heaps

    return merged(shared(work, source.slices(count), source.bytes * count, pool), k)


def ties_at(
    matrix: Matrix,
    query: Vector,
    metric: Metric,
    score: float | np.float32,
    allowed: Mask | Allowed | None = None,
    norms: Scores | None = None,
) -> Rows:
    """Return all allowed rows, ascending, whose score is exactly `score` (bits as `search` gives them)."""
    source = _Source.of(matrix, metric, allowed, norms)
    queries, scales = source.ready(np.asarray(query)[None])
    wanted, (weights, out) = np.float32(score), source.scratch()
    found = [_NO_ROWS]
    for first, last in source.slices():
        source.scan(queries[0], scales[0], first, last, weights, out)
        at = np.flatnonzero(out[: last - first] == wanted) + first
        rows = source.rows[at] if len(source.rows) else at.astype(np.uint32)
        found.append(rows[source.allowed[rows] != 0] if len(source.allowed) else rows)
    return np.concatenate(found)


def score_rows(matrix: Matrix, query: Vector, rows: Rows, metric: Metric, norms: Scores | None = None) -> Scores:
    """Return the scores of the given rows, in their order: (m,) float32. A row may be named twice."""
    out = np.empty(len(rows), np.float32)
    if len(rows) == 0:
        return out
    rows = np.ascontiguousarray(rows, np.uint32)
    source = _Source.of(matrix, metric, None, norms)._replace(total=len(rows), rows=rows)
    queries, scales = source.ready(np.asarray(query)[None])
    weights, _ = source.scratch()
    for first, last in source.slices():
        source.scan(queries[0], scales[0], first, last, weights, out[first:last])
    return out


def prepared(matrix: Matrix, queries: Matrix, metric: Metric) -> tuple[NDArray[Any], Scores]:
    """Return (q, d) queries as exact scores need them, and (q,) what is left to multiply a score by."""
    return _Source.of(matrix, metric, None, _NO_NORMS).ready(queries)


def rank_lists(
    matrix: Matrix, queries: Matrix, rows: Rows, counts: NDArray[np.int32], metric: Metric, norms: Scores | None = None
) -> Scores:
    """Sort each query's list of rows in place, best first, equal scores by row; return the scores (q, c) float32.

    Args:
        matrix: (n, d), as in `search`.
        queries: (q, d).
        rows: (q, c) uint32.
        counts: (q,) int32, how many rows of a line are meant; what stands behind them means nothing.
        metric: as in `search`.
        norms: as in `search`.

    """
    from vecdb_index.kernels.lists import scan_lists

    source = _Source.of(matrix, metric, None, norms)
    ready, scales = source.ready(queries)
    out, weights = np.empty(rows.shape, np.float32), np.empty(rows.shape[1], np.float32)
    kernel = scan_lists(source.matrix.dtype.char)
    given = source.matrix, ready, source.metric, scales, source.norms, rows, counts
    step = max(1, SLICE_BYTES // max(1, rows.shape[1] * source.row_bytes))
    for first in range(0, len(ready), step):
        kernel(*given, first, min(first + step, len(ready)), weights, out)
    return out


class _Source(NamedTuple):
    """What is searched, ready for the kernels: `total` rows, all or those of a list. Empty arrays mean "none"."""

    kernels: Any
    matrix: NDArray[Any]
    metric: int
    norms: Scores
    total: int
    rows: Rows
    allowed: NDArray[np.uint8]

    @classmethod
    def of(
        cls,
        matrix: Matrix,
        metric: Metric,
        allowed: Mask | Allowed | None,
        norms: Scores | None,
        worth: float | None = None,
    ) -> "_Source":
        stored, kernels = _stored(matrix)
        if metric == "cosine" and norms is None:
            norms = _norms(matrix)
        chosen = _chosen(allowed, stored, worth)
        return cls(kernels, stored, METRIC_CODES[metric], _NO_NORMS if norms is None else norms, *chosen)

    @property
    def row_bytes(self) -> int:
        return self.matrix.shape[1] * self.matrix.itemsize

    @property
    def bytes(self) -> int:
        """How many bytes are read."""
        return self.total * self.row_bytes

    def slices(self, queries: int = 1) -> list[Slice]:
        return slices(self.total, self.row_bytes, queries)

    def ready(self, queries: NDArray[Any]) -> tuple[NDArray[Any], Scores]:
        """Return (q, d) queries as the kernels want them, and (q,) what is left to multiply a score by."""
        cosine, scales = self.metric == METRIC_CODES["cosine"], np.ones(len(queries), np.float32)
        if self.matrix.dtype == np.int8:
            if cosine:
                lengths = _norms(np.ascontiguousarray(queries))
                scales = np.divide(scales, lengths, out=np.zeros_like(scales), where=lengths > 0)
            return queries.astype(np.int16, casting="safe"), scales
        queries = np.ascontiguousarray(queries, np.float32)
        if cosine:
            from vecdb_index.kernels.query import normalise

            directions = np.empty_like(queries)
            normalise(queries, directions)
            queries = directions
        return queries, scales

    def scratch(self) -> tuple[Scores, Scores]:
        """Room for the weights and the scores of any slice."""
        size = min(self.total, SLICE_ROWS)
        return np.empty(size, np.float32), np.empty(size, np.float32)

    def scan(
        self,
        query: NDArray[Any],
        scale: np.float32,
        first: int,
        last: int,
        weights: Scores,
        out: Scores,
        keys: NDArray[np.uint64] = _NO_KEYS,
        state: NDArray[np.uint64] = _NO_KEYS,
    ) -> None:
        given = self.norms, self.rows, first, last, self.allowed
        self.kernels.scan(self.matrix, query, self.metric, scale, *given, weights, out, keys, state)

    def scan_batch(
        self,
        queries: NDArray[Any],
        scales: Scores,
        first: int,
        last: int,
        weights: Scores,
        out: Scores,
        heaps: Heaps,
    ) -> None:
        given = self.norms, self.rows, first, last, self.allowed
        self.kernels.scan_batch(self.matrix, queries, self.metric, scales, *given, weights, out, *heaps)


def _stored(matrix: Matrix) -> tuple[NDArray[Any], Any]:
    """Return the matrix as the kernels see it, and the module of its kernels, compiled now if need be."""
    if matrix.dtype == np.float32:
        from vecdb_index.kernels import dense

        return matrix, dense
    if matrix.dtype == np.float16:
        from vecdb_index.kernels import half

        return matrix.view(np.uint16), half
    if matrix.dtype == np.int8:
        from vecdb_index.kernels import int8

        return matrix, int8
    if matrix.dtype == np.uint16:
        from vecdb_index.kernels import brain

        return matrix.view(np.int16), brain
    raise TypeError(f"no kernels for {matrix.dtype}: want float32, float16, bfloat16 as uint16, or int8")


def _chosen(
    allowed: Mask | Allowed | None, matrix: NDArray[Any], worth: float | None
) -> tuple[int, Rows, NDArray[np.uint8]]:
    """Return (how many rows to look at, which, mask); a mask of a share below `worth` becomes a list of rows."""
    if allowed is None:
        return len(matrix), _NO_ROWS, _NO_MASK
    allowed = allowed if isinstance(allowed, Allowed) else Allowed(allowed)
    count = allowed.count
    if worth is None:
        # Where single rows cost one query as much as the whole scan: at 4 % for rows of 32 bytes, at 28 % for 1536.
        worth = min(0.007 * math.sqrt(matrix.shape[1] * matrix.itemsize), 0.3)
    if count < worth * len(allowed):
        return count, allowed.rows, _NO_MASK
    return len(matrix), _NO_ROWS, allowed.mask


_norms = norms
