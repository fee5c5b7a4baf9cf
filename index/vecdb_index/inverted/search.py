"""Searching an inverted index: the rows with the highest sums over a query's terms.

A row is found if it has at least one of the terms. Scores are whole multiples of a power of two, which BM25 chooses
from the query alone: so the score of a row has the same bits whatever the filter, the segment or the thread.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.inverted.index import Inverted, Places
from vecdb_index.inverted.query import Query
from vecdb_index.kernels.layout import VALUES, WIDE, WINDOW
from vecdb_index.slices import Slice, shared
from vecdb_index.types import Mask, Rows, Scores, TopK

GROUP = 16
"""Queries that one call of the kernel answers."""
POSTING_BYTES = 5

MANY = 1 << 10
"""More rows than that are asked for with a heap that is no larger than there are postings."""

_ALL, _NONE = np.empty(0, np.uint8), np.empty(0, np.uint32)


class Ready(NamedTuple):
    """A query, as one index reads it: where its terms are, and what they are worth in units of 2^-exponent."""

    places: Places
    weights: NDArray[np.float32]
    exponent: int
    curve: NDArray[np.float32]


class _Room(threading.local):
    """What the kernel needs beside its arguments; each thread has its own, of which it leaves the sums 0."""

    def __init__(self) -> None:
        self.sums, self.spans = np.zeros((7, WIDE + 1), np.int32), np.empty((WINDOW, 5), np.int64)
        self.tables = np.empty((WINDOW, VALUES), np.int32)

    def of(self, terms: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
        """Return room for so many terms a query."""
        if terms <= WINDOW:
            return self.sums, self.tables, self.spans
        return (
            np.zeros((7, max(terms, WIDE + 1)), np.int32),
            np.empty((terms, VALUES), np.int32),
            np.empty((terms, 5), np.int64),
        )


_room = _Room()


def search(
    index: Inverted,
    query: Query,
    k: int,
    *,
    allowed: Mask | None = None,
    some: Rows | None = None,
    places: Places | None = None,
    exact: bool = False,
) -> TopK:
    """Return the k best of the rows that have a term of the query, best first, equal scores by row.

    Args:
        index: of the query's kind.
        query: made by `bm25` or `sparse`.
        k: at least 1.
        allowed: (n,) bool, or uint8 of 0 and 1; None allows every row.
        some: the allowed rows, ascending, where the caller knows them.
        places: what `index.find` says of the query's terms, where the caller knows it.
        exact: look at every posting; finds the same, more slowly.

    Raises:
        ValueError: the index is of another kind.

    """
    return top_of(index, ready_for(index, query, places), k, allowed, some, exact)


def top_of(
    index: Inverted, ready: Ready, k: int, allowed: Mask | None = None, some: Rows | None = None, exact: bool = False
) -> TopK:
    """Return what `search` returns for a query that was read before."""
    if allowed is None:
        return _scanned(index, [ready], k, _ALL, _NONE, exact)[0]
    some = np.flatnonzero(allowed).astype(np.uint32) if some is None else some
    return _scanned(index, [ready], min(k, len(some)), allowed.view(np.uint8), some, exact)[0]


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
    ready = [ready_for(index, query) for query in queries]
    found: list[TopK | None] = [None] * len(queries)
    mask, some, most = _ALL, _NONE, k
    if allowed is not None:
        mask, some = allowed.view(np.uint8), np.flatnonzero(allowed).astype(np.uint32)
        most = min(k, len(some))

    def work(taken: Iterator[Slice]) -> None:
        for first, last in taken:
            found[first:last] = _scanned(index, ready[first:last], most, mask, some, exact)

    todo = [(first, min(first + GROUP, len(queries))) for first in range(0, len(queries), GROUP)]
    shared(work, todo, POSTING_BYTES * sum(_postings(index, one) for one in ready), pool)
    return [one for one in found if one is not None]


def scores(index: Inverted, query: Query, rows: Rows) -> Scores:
    """Return the scores of some rows (m,), in any order; 0 for one that has no term of the query."""
    from vecdb_index.kernels.inverted import totals

    ready = ready_for(index, query)
    order = np.argsort(rows, kind="stable")
    asked, sums, places = rows[order].astype(np.uint32), np.zeros(len(rows), np.int32), ready.places
    totals(index.rows, index.values, index.lengths, index.offsets, places, ready.weights, ready.curve, asked, sums)
    out = np.empty(len(rows), np.float32)
    out[order] = np.ldexp(sums.astype(np.float32), -ready.exponent)
    return out


@lru_cache(64)
def _starts(sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """Return where the terms of each query begin."""
    starts = np.array([0, *accumulate(sizes)], np.int64)
    starts.setflags(write=False)
    return starts


def ready_for(index: Inverted, query: Query, places: Places | None = None) -> Ready:
    """Read a query for one index; arguments and errors as those of `search`."""
    if index.kind != query.kind:
        raise ValueError(f"a query for {query.kind} was put to an index of {index.kind}")
    places = index.find(query.terms) if places is None else places
    exponent, weights = query.units(index.scale)
    return Ready(places, weights, exponent, query.curves)


def _postings(index: Inverted, ready: Ready) -> int:
    return int(index.frequencies(ready.places).sum())


def _scanned(
    index: Inverted, ready: Sequence[Ready], k: int, mask: NDArray[np.uint8], some: Rows, exact: bool
) -> list[TopK]:
    """Answer queries; the mask is empty, or `some` has its rows."""
    from vecdb_index.kernels.inverted import best

    sizes = [len(one.places) for one in ready]
    if k > MANY:
        k = min(k, max(_postings(index, one) for one in ready))
    if k == 0 or max(sizes) == 0:
        return [TopK(_NONE, _NONE.astype(np.float32), False) for _ in ready]
    shape = len(ready), k
    keys, states = np.zeros(shape, np.uint64), np.zeros((len(ready), 2), np.uint64)
    rows, sums = np.empty(shape, np.uint32), np.empty(shape, np.float32)
    together = ready[0]
    if len(ready) > 1:
        places, weights, _, curves = zip(*ready, strict=True)
        together = Ready(np.concatenate(places), np.concatenate(weights), 0, np.concatenate(curves))
    best(
        index.rows,
        index.values,
        index.lengths,
        index.tops,
        index.shortest,
        index.offsets,
        _starts(tuple(sizes)),
        together.places,
        together.weights,
        together.curve,
        mask,
        some,
        exact,
        *_room.of(max(sizes)),
        keys,
        states,
        rows,
        sums,
    )
    found = []
    for (size, left_out), row, total, each in zip(states.tolist(), rows, sums, ready, strict=True):
        row, total = row[:size], total[:size]
        cut = size > 0 and left_out >> 32 == int(total[-1])
        found.append(TopK(row, np.ldexp(total, -each.exponent), cut))
    return found
