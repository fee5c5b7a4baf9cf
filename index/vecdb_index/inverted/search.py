"""Searching an inverted index: the rows with the highest sums over a query's terms.

A row is found if it has at least one of the terms. Scores are whole multiples of a power of two, which BM25 chooses
from the query alone: so the score of a row has the same bits whatever the filter, the segment or the thread.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.inverted.index import Inverted, Places
from vecdb_index.inverted.query import Query
from vecdb_index.kernels.inverted import BLOCK, WINDOW, best, totals
from vecdb_index.slices import Slice, shared
from vecdb_index.types import Mask, Rows, Scores, TopK

ASKED = 12
"""To look up whether one row has one term takes as long as to read so many postings in order."""
GROUP = 16
"""Queries that one call of the kernel answers."""
POSTING_BYTES = 5

_ALL = np.empty(0, np.uint8)
_LAST = np.uint32(0xFFFFFFFF)


class _Ready(NamedTuple):
    """A query, as one index reads it: the terms that it has, and what they are worth in units of 2^-exponent."""

    places: Places
    weights: NDArray[np.float32]
    exponent: int
    postings: int


def search(index: Inverted, query: Query, k: int, *, allowed: Mask | None = None, exact: bool = False) -> TopK:
    """Return the k best of the rows that have a term of the query, best first, equal scores by row.

    Args:
        index: of the query's kind.
        query: made by `bm25` or `sparse`.
        k: at least 1.
        allowed: (n,) bool or uint8; None allows every row.
        exact: look at every posting; finds the same, more slowly.

    Raises:
        ValueError: the index is of another kind.

    """
    (only,) = search_batch(index, [query], k, allowed=allowed, exact=exact)
    return only


def search_batch(
    index: Inverted,
    queries: Sequence[Query],
    k: int,
    *,
    allowed: Mask | None = None,
    exact: bool = False,
    pool: ThreadPoolExecutor | None = None,
) -> list[TopK]:
    """Return for each query what `search` returns, with the help of a pool's threads."""
    ready = [_ready(index, query) for query in queries]
    found: list[TopK | None] = [None] * len(queries)
    mask = _ALL if allowed is None else allowed.view(np.uint8)
    matching = index.count if allowed is None else int(np.count_nonzero(allowed))
    some = np.empty(0, np.uint32)
    if not exact and any(_few(matching, one) for one in ready):
        some = np.flatnonzero(mask).astype(np.uint32)
    todo = [(first, min(first + GROUP, len(queries))) for first in range(0, len(queries), GROUP)]

    def work(taken: Iterator[Slice]) -> None:
        for first, last in taken:
            scanned = []
            for at in range(first, last):
                if not exact and allowed is not None and _few(matching, ready[at]):
                    found[at] = _best_of(some, _totals(index, queries[at], ready[at], some), k, ready[at].exponent)
                else:
                    scanned.append(at)
            if scanned:
                most = min(k, matching)
                results = _scanned(index, [queries[at] for at in scanned], [ready[at] for at in scanned], most, mask, exact)
                for at, one in zip(scanned, results, strict=True):
                    found[at] = one

    shared(work, todo, POSTING_BYTES * sum(one.postings for one in ready), pool)
    return [one for one in found if one is not None]


def scores(index: Inverted, query: Query, rows: Rows) -> Scores:
    """Return the scores of some rows (m,), in any order; 0 for one that has no term of the query."""
    ready = _ready(index, query)
    order = np.argsort(rows, kind="stable")
    out = np.empty(len(rows), np.float32)
    out[order] = _scores(_totals(index, query, ready, rows[order].astype(np.uint32)), ready.exponent)
    return out


def _ready(index: Inverted, query: Query) -> _Ready:
    if index.kind != query.kind:
        raise ValueError(f"a query for {query.kind} was put to an index of {index.kind}")
    found = index.find(query.terms)
    known = found >= 0
    places = found[known]
    if len(places) == 0:
        return _Ready(places, np.empty(0, np.float32), 0, 0)
    exponent = query.exponent(index)
    weights = np.ldexp(query.weights[known] * index.scale, exponent).astype(np.float32)
    return _Ready(places, weights, exponent, int((index.offsets[places + 1] - index.offsets[places]).sum()))


def _few(matching: int, ready: _Ready) -> bool:
    """Return whether it takes less to look up each allowed row than to go through the postings."""
    return matching * len(ready.places) * ASKED < ready.postings


def _scanned(
    index: Inverted,
    queries: Sequence[Query],
    ready: Sequence[_Ready],
    k: int,
    mask: NDArray[np.uint8],
    exact: bool,
) -> list[TopK]:
    """Answer queries by going through their postings."""
    sizes = [len(one.places) for one in ready]
    starts = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    k = min(k, max(one.postings for one in ready))
    if k == 0:
        return [_best_of(np.empty(0, np.uint32), np.empty(0, np.int32), 0, 0) for _ in ready]
    keys, states = np.zeros((len(ready), k), np.uint64), np.zeros((len(ready), 2), np.uint64)
    best(
        index.rows,
        index.values,
        index.lengths,
        index.tops,
        index.shortest,
        index.offsets,
        starts,
        np.concatenate([one.places for one in ready]),
        np.concatenate([one.weights for one in ready]),
        np.array([(query.base, query.slope) for query in queries], np.float32),
        mask,
        exact,
        np.zeros((4, max(WINDOW + 1, BLOCK + max(sizes))), np.int32),
        np.empty((max(sizes), 4), np.int64),
        keys,
        states,
    )
    return [_top(*line, one.exponent) for *line, one in zip(keys, states, ready, strict=True)]


def _top(keys: NDArray[np.uint64], state: NDArray[np.uint64], exponent: int) -> TopK:
    size, left_out = state.tolist()
    ranked = np.sort(keys[:size])[::-1]
    sums = (ranked >> np.uint64(32)).astype(np.int32)
    cut = size > 0 and left_out >> 32 == int(sums[-1])
    return TopK(_LAST - ranked.astype(np.uint32), _scores(sums, exponent), cut)


def _best_of(rows: Rows, sums: NDArray[np.int32], k: int, exponent: int) -> TopK:
    """Return the k best of some rows, ascending, whose sums are known."""
    met = np.flatnonzero(sums)
    order = met[np.argsort(-sums[met], kind="stable")]
    kept = order[:k]
    cut = len(order) > k > 0 and bool(sums[order[k]] == sums[order[k - 1]])
    return TopK(rows[kept], _scores(sums[kept], exponent), cut)


def _totals(index: Inverted, query: Query, ready: _Ready, rows: Rows) -> NDArray[np.int32]:
    out = np.zeros(len(rows), np.int32)
    curve = np.float32(query.base), np.float32(query.slope)
    totals(index.rows, index.values, index.lengths, index.offsets, ready.places, ready.weights, *curve, rows, out)
    return out


def _scores(sums: NDArray[np.int32], exponent: int) -> Scores:
    return np.ldexp(sums.astype(np.float32), -exponent).astype(np.float32)
