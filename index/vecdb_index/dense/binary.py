"""Binary vectors: exact search by Hamming distance over packed bits, and the signs of ordinary vectors as such.

Rows are (n, bytes) uint8. Which bit means what does not matter, as long as rows and queries agree. The score is minus
the number of bits that differ; equal scores, of which there are many, go by row.

Rows of a multiple of eight bytes, as `binarise` makes them, are read a little faster; no row is copied.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.heaps import Heaps, merged
from vecdb_index.slices import SLICE_BYTES, SLICE_ROWS, Slice, shared, slices
from vecdb_index.types import Mask, Matrix, Rows, Scores, TopK

Bits = NDArray[np.uint8]
"""(n, bytes) uint8, C-contiguous; may be read-only."""

WORD = 8
"""Bytes of a word of the kernels."""
BLOCK_BYTES = 24 << 10
"""A batch works on rows of so many bytes at a time, which the first-level cache holds beside a query."""
BLOCK_ROWS = 64, 1024
"""And on at least and at most so many rows: multiples of the kernel's lanes."""
FEW = 4
"""Fewer queries than this are faster one by one."""
BATCH = 256
"""Queries for which a block of rows is turned once."""
WORTH = 0.05
"""Where no larger share of the rows is allowed, these are read one by one instead of scanning all."""
MOST_BYTES = 1 << 21
"""Of a row: a count of its bits is then a whole number in float32."""

_NO_ROWS = np.empty(0, np.uint32)
_NO_MASK = np.empty(0, np.uint8)
_NO_KEYS = np.empty(0, np.uint64)


def binarise(matrix: Matrix, centre: NDArray[np.float32] | None = None) -> Bits:
    """Return the signs of (n, d) rows less the centre as bits: (n, bytes) uint8, bytes a multiple of eight.

    Bit j % 8 of byte j // 8 says whether number j is greater than the centre's (zero when there is none), which NaN is
    not. For cosine, the mean of the directions and rows scaled to length 1 tell most.
    """
    from vecdb_index.kernels.bits import pack_signs

    count, dimension = matrix.shape
    out = np.empty((count, -(-dimension // (8 * WORD)) * WORD), np.uint8)
    middle = np.zeros(dimension, np.float32) if centre is None else np.ascontiguousarray(centre, np.float32)
    if middle.shape != (dimension,):
        raise ValueError(f"the centre is {middle.shape}, not {(dimension,)}")
    step = max(1, SLICE_BYTES // max(1, 4 * dimension))
    for first in range(0, count, step):
        part = np.ascontiguousarray(matrix[first : first + step], np.float32)
        pack_signs(part, middle, 0, len(part), out[first : first + len(part)])
    return out


def search(
    bits: Bits, query: Bits, k: int, *, allowed: Mask | Allowed | None = None, pool: ThreadPoolExecutor | None = None
) -> TopK:
    """Return the k nearest rows for one query: (rows (m,) uint32, scores (m,) float32, cut).

    m is k, or the number of allowed rows when that is smaller. Best first; equal scores in row order; cut says that an
    allowed row which is not returned has the score of the last one that is.

    Args:
        bits: (n, bytes) uint8.
        query: (bytes,) uint8.
        k: at least 1.
        allowed: (n,) bool or uint8, or Allowed; None allows every row.
        pool: threads that help; the calling thread always works too. None: the calling thread alone.

    """
    from vecdb_index.kernels.bits import hamming

    source, asked = _Source.of(bits, allowed), _words(np.asarray(query)[None])[0]

    def work(todo: Iterator[Slice]) -> Heaps:
        heaps, out = Heaps.empty(1, min(k, source.total)), source.scratch()
        for first, last in todo:
            given = source.rows, first, last, source.allowed
            hamming(source.bits, asked, *given, out, heaps.keys[0], heaps.states[0])
        return heaps

    return merged(shared(work, source.slices(), source.total * source.row_bytes, pool), k)[0]


def search_batch(
    bits: Bits, queries: Bits, k: int, *, allowed: Mask | Allowed | None = None, pool: ThreadPoolExecutor | None = None
) -> list[TopK]:
    """Return for each of the (q, bytes) queries exactly what `search` returns."""
    queries = np.asarray(queries)
    if len(queries) < FEW:
        return [search(bits, query, k, allowed=allowed, pool=pool) for query in queries]
    source = _Source.of(bits, allowed)
    found: list[TopK] = []
    for start in range(0, len(queries), BATCH):
        found += _search_some(source, queries[start : start + BATCH], k, pool)
    return found


def _search_some(source: "_Source", queries: Bits, k: int, pool: ThreadPoolExecutor | None) -> list[TopK]:
    from vecdb_index.kernels.bits import hamming_batch

    asked = _words(queries)
    least, most = BLOCK_ROWS
    block = max(least, min(most, BLOCK_BYTES // source.row_bytes // least * least))

    def work(todo: Iterator[Slice]) -> Heaps:
        heaps, out = Heaps.empty(len(asked), min(k, source.total)), np.empty(block, np.float32)
        tile = np.zeros((-(-source.row_bytes // WORD), block), np.uint64)
        for first, last in todo:
            hamming_batch(source.bits, asked, source.rows, first, last, source.allowed, tile, out, *heaps)
        return heaps

    size = source.total * source.row_bytes * len(asked)
    return merged(shared(work, source.slices(len(asked)), size, pool), k)


def ties_at(bits: Bits, query: Bits, score: float | np.float32, allowed: Mask | Allowed | None = None) -> Rows:
    """Return all allowed rows, ascending, whose score is exactly `score`."""
    from vecdb_index.kernels.bits import hamming

    source, asked = _Source.of(bits, allowed), _words(np.asarray(query)[None])[0]
    out, found = source.scratch(), [_NO_ROWS]
    for first, last in source.slices():
        hamming(source.bits, asked, source.rows, first, last, _NO_MASK, out, _NO_KEYS, _NO_KEYS)
        at = np.flatnonzero(out[: last - first] == np.float32(score)) + first
        rows = source.rows[at] if len(source.rows) else at.astype(np.uint32)
        found.append(rows[source.allowed[rows] != 0] if len(source.allowed) else rows)
    return np.concatenate(found)


def score_rows(bits: Bits, query: Bits, rows: Rows) -> Scores:
    """Return the scores of the given rows, in their order: (m,) float32. A row may be named twice."""
    out = np.empty(len(rows), np.float32)
    if len(rows) == 0:
        return out
    from vecdb_index.kernels.bits import hamming

    asked, listed = _words(np.asarray(query)[None])[0], np.ascontiguousarray(rows, np.uint32)
    source = _Source.of(bits, None)._replace(total=len(rows), rows=listed)
    for first, last in source.slices():
        hamming(source.bits, asked, listed, first, last, _NO_MASK, out[first:last], _NO_KEYS, _NO_KEYS)
    return out


def problems(bits: NDArray[Any]) -> list[str]:
    """Return what is wrong with stored bits, a sentence each; kernels may only be given arrays without any."""
    if bits.dtype != np.uint8 or bits.ndim != 2 or not 1 <= bits.shape[1] <= MOST_BYTES:
        return [f"bits are {bits.dtype} {bits.shape}, not uint8 (n, bytes)"]
    return [] if bits.flags.c_contiguous else ["bits are not contiguous"]


class _Source(NamedTuple):
    """What is searched: `total` rows, all or those of a list. Empty arrays mean "none"."""

    bits: Bits
    total: int
    rows: Rows
    allowed: NDArray[np.uint8]

    @classmethod
    def of(cls, bits: Bits, allowed: Mask | Allowed | None) -> "_Source":
        bits, chosen = np.ascontiguousarray(bits, np.uint8), Allowed.of(allowed)
        if chosen is None:
            return cls(bits, len(bits), _NO_ROWS, _NO_MASK)
        if chosen.count < WORTH * len(chosen):
            return cls(bits, chosen.count, chosen.rows, _NO_MASK)
        return cls(bits, len(bits), _NO_ROWS, chosen.mask)

    @property
    def row_bytes(self) -> int:
        return self.bits.shape[1]

    def slices(self, queries: int = 1) -> list[Slice]:
        return slices(self.total, self.row_bytes, queries)

    def scratch(self) -> Scores:
        """Room for the scores of any slice."""
        return np.empty(min(self.total, SLICE_ROWS), np.float32)


def _words(queries: Bits) -> NDArray[np.uint64]:
    """Return (q, bytes) as (q, words), with zeros behind the last bit as the kernels want them."""
    from vecdb_index.kernels.bits import PADDING

    count, length = queries.shape
    padded = np.zeros((count, -(-length // PADDING) * PADDING), np.uint8)
    padded[:, :length] = queries
    return padded.view(np.uint64)
