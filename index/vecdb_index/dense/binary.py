"""Binary vectors: exact search by Hamming distance over packed bits, and the signs of ordinary vectors as such.

Rows are (n, bytes) uint8. Which bit means what does not matter, as long as rows and queries agree. The score is minus
the number of bits that differ; equal scores, of which there are many, go by row.

Kernels read whole words of eight bytes. A row of another length is copied with zeros behind it, once a search: store
rows whose length is a multiple of eight, as `binarise` makes them, to avoid that.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.heaps import Heaps, merged
from vecdb_index.slices import SLICE_BYTES, Slice, shared, slices
from vecdb_index.types import Mask, Matrix, Rows, Scores, TopK

Bits = NDArray[np.uint8]
"""(n, bytes) uint8, C-contiguous; may be read-only."""

WORD = 8
"""Bytes that are compared at once."""
BLOCK = 1024
"""Rows that are scored for every query of a batch while the cache holds them."""
WORTH = 0.05
"""Where no larger share of the rows is allowed, these are read one by one instead of scanning all."""
MOST_BYTES = 1 << 21
"""Of a row: a count of its bits is then a whole number in float32."""

_NO_ROWS = np.empty(0, np.uint32)
_NO_MASK = np.empty(0, np.uint8)
_NO_KEYS = np.empty((0, 0), np.uint64)


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
    return search_batch(bits, np.asarray(query)[None], k, allowed=allowed, pool=pool)[0]


def search_batch(
    bits: Bits, queries: Bits, k: int, *, allowed: Mask | Allowed | None = None, pool: ThreadPoolExecutor | None = None
) -> list[TopK]:
    """Return for each of the (q, bytes) queries exactly what `search` returns."""
    from vecdb_index.kernels.bits import scan

    source, wanted = _Source.of(bits, allowed), _words(queries)
    if len(wanted) == 0:
        return []

    def work(todo: Iterator[Slice]) -> Heaps:
        heaps, out = Heaps.empty(len(wanted), min(k, source.total)), np.empty(BLOCK, np.float32)
        for first, last in todo:
            scan(source.words, wanted, source.rows, first, last, source.allowed, out, *heaps)
        return heaps

    todo = slices(source.total, source.row_bytes, len(wanted))
    return merged(shared(work, todo, source.total * source.row_bytes * len(wanted), pool), k)


def score_rows(bits: Bits, query: Bits, rows: Rows) -> Scores:
    """Return the scores of the given rows, in their order: (m,) float32. A row may be named twice."""
    out = np.empty(len(rows), np.float32)
    if len(rows) == 0:
        return out
    from vecdb_index.kernels.bits import scan

    source = _Source.of(bits, None)
    wanted, listed = _words(np.asarray(query)[None]), np.ascontiguousarray(rows, np.uint32)
    for first, last in slices(len(rows), source.row_bytes):
        scan(source.words, wanted, listed, first, last, _NO_MASK, out[first:last], _NO_KEYS, _NO_KEYS)
    return out


def problems(bits: NDArray[Any]) -> list[str]:
    """Return what is wrong with stored bits, a sentence each; kernels may only be given arrays without any."""
    if bits.dtype != np.uint8 or bits.ndim != 2 or not 1 <= bits.shape[1] <= MOST_BYTES:
        return [f"bits are {bits.dtype} {bits.shape}, not uint8 (n, bytes)"]
    return [] if bits.flags.c_contiguous else ["bits are not contiguous"]


class _Source(NamedTuple):
    """What is searched: `total` rows, all or those of a list. Empty arrays mean "none"."""

    words: NDArray[np.uint64]
    total: int
    rows: Rows
    allowed: NDArray[np.uint8]

    @classmethod
    def of(cls, bits: Bits, allowed: Mask | Allowed | None) -> "_Source":
        words, chosen = _words(bits), Allowed.of(allowed)
        if chosen is None:
            return cls(words, len(words), _NO_ROWS, _NO_MASK)
        if chosen.count < WORTH * len(chosen):
            return cls(words, chosen.count, chosen.rows, _NO_MASK)
        return cls(words, len(words), _NO_ROWS, chosen.mask)

    @property
    def row_bytes(self) -> int:
        return self.words.shape[1] * WORD


def _words(bits: Bits) -> NDArray[np.uint64]:
    """Return (n, bytes) as (n, words), zeros behind each row; a copy only where rows are no whole words."""
    bits = np.ascontiguousarray(bits, np.uint8)
    length = bits.shape[1]
    if length % WORD or bits.ctypes.data % WORD:
        padded = np.zeros((len(bits), -(-length // WORD) * WORD), np.uint8)
        padded[:, :length] = bits
        bits = padded
    return bits.view(np.uint64)
