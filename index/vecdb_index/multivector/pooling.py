"""Token pooling: fewer vectors for a document, each the mean of a cluster of its tokens.

Clavié, Chaffin, Adams: Reducing the Footprint of Multi-Vector Retrieval with Minimal Performance Impact via Token
Pooling (2024). Unlike its implementation in PyLate, Ward's criterion is given squared distances, and means are
stretched (see STRETCH); `pylate` changes the criterion back, `renormalise=False` leaves means as they are.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vecdb_index.multivector.ragged import Ragged

Method = Literal["ward", "kmeans", "sequential"]

PIECE = 2048
"""Tokens of a document that are clustered together; a longer one is cut into pieces of equal length, which bounds the
memory of all distances between them, and the time."""
ROUNDS = 10
"""Of k-means."""
STRETCH = 1.5
"""A mean m of unit vectors is stored as m / |m|^STRETCH: longer than a unit vector, the more so the more its vectors
differ. MaxSim takes the best product of a cluster, which the direction of its mean alone falls short of."""
LEAST = 0.5
"""No mean is divided by less than LEAST^STRETCH: of opposite vectors hardly anything is left but rounding."""

_SMALLEST = np.float32(2.0**-126)


def pool(
    documents: Ragged,
    factor: float,
    *,
    most: int | None = None,
    protected: int = 0,
    method: Method = "ward",
    renormalise: bool = True,
    pylate: bool = False,
) -> Ragged:
    """Return documents of about 1 / factor as many vectors.

    A document with n tokens beyond the protected ones keeps max(1, floor(n / factor)) of them; one without tokens stays
    as it is.

    Args:
        documents: float32 tokens.
        factor: at least 1; 1 changes nothing.
        most: instead of a factor, how many vectors a document keeps at most, the protected ones among them.
        protected: tokens at the beginning of each document that are kept as they are, such as a marker.
        method: "ward" joins what is most alike; "kmeans" finds clusters of directions (spherical k-means); "sequential"
            joins only neighbours in the text.
        renormalise: stretch the means, in proportion to how long their vectors are on average.
        pylate: join as PyLate does: Ward's criterion over (1 - cosine) as a distance, of unit vectors.

    """
    if factor <= 1 and most is None:
        return documents
    protected = protected if most is None else min(protected, most)
    free_offsets, free = _without_first(documents, protected)
    lengths = np.diff(free_offsets)
    if most is None:
        wanted = np.maximum(np.floor(lengths / factor), np.minimum(lengths, 1)).astype(np.int64)
    else:
        wanted = np.minimum(lengths, most - protected)
        free, free_offsets, lengths = _where_wanted(free, free_offsets, wanted)
    labels = _in_pieces(free, free_offsets, wanted, method, pylate)
    # A number for each cluster of all documents, in the order in which they are stored.
    starts = np.concatenate([[0], np.cumsum(wanted)]).astype(np.int64)
    clusters = labels + np.repeat(starts[:-1], lengths)
    means = _means(free, clusters, int(starts[-1]), renormalise)
    return _with_first(documents, protected, means, starts)


def _where_wanted(
    tokens: NDArray[np.float32], offsets: NDArray[np.int64], wanted: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Leave out the tokens of documents that shall keep none of them."""
    lengths = np.diff(offsets)
    kept = np.repeat(wanted > 0, lengths)
    lengths = np.where(wanted > 0, lengths, 0)
    return tokens[kept], np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), lengths


def _in_pieces(
    tokens: NDArray[np.float32],
    offsets: NDArray[np.int64],
    wanted: NDArray[np.int64],
    method: Method,
    pylate: bool,
) -> NDArray[np.int32]:
    """Cluster documents, each long one in pieces; a document's clusters are numbered from 0."""
    lengths = np.diff(offsets)
    pieces = np.maximum(-(-lengths // PIECE), 1)
    pieces = np.where(wanted < pieces, 1, pieces)  # of fewer clusters than pieces, nothing can be spread over these
    if pieces.max(initial=1) == 1:
        return _labels(tokens, offsets, wanted, method, pylate)
    first = np.repeat(np.cumsum(pieces) - pieces, pieces)
    number, count = np.arange(len(first)) - first, np.repeat(pieces, pieces)

    def share(total: NDArray[np.int64]) -> NDArray[np.int64]:
        whole = np.repeat(total, pieces)
        return whole * (number + 1) // count - whole * number // count

    starts = np.concatenate([[0], np.cumsum(share(lengths))]).astype(np.int64)
    clusters = share(wanted)
    labels = _labels(tokens, starts, clusters, method, pylate)
    before = np.cumsum(clusters) - clusters
    return labels + np.repeat(before - before[first], np.diff(starts)).astype(np.int32)


def _labels(
    tokens: NDArray[np.float32],
    offsets: NDArray[np.int64],
    wanted: NDArray[np.int64],
    method: Method,
    pylate: bool,
) -> NDArray[np.int32]:
    labels = np.empty(len(tokens), np.int32)
    if method != "ward":
        clusters = _runs if method == "sequential" else _directions
        for document, count in enumerate(wanted):
            begin, end = offsets[document], offsets[document + 1]
            labels[begin:end] = clusters(tokens[begin:end], int(count))
        return labels
    from vecdb_index.kernels.tokens import ward

    most = int(np.diff(offsets).max(initial=0))
    room = np.empty((most, most), np.float32)
    ward(tokens, offsets, wanted, 0, len(wanted), pylate, room, labels)
    return labels


def _directions(tokens: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    """Return clusters of one document by k-means over directions, seeded as k-means++ (Arthur, Vassilvitskii 2007)."""
    if count >= len(tokens):
        return np.arange(len(tokens), dtype=np.int32)
    lengths = np.linalg.norm(tokens, axis=1, keepdims=True)
    units = np.divide(tokens, lengths, out=np.zeros_like(tokens), where=lengths > _SMALLEST)
    rng = np.random.default_rng(0)  # the same for each document, so that its clusters depend on nothing else
    centres = units[_seeds(units, count, rng)]
    labels = np.full(len(units), -1)
    for _ in range(ROUNDS):
        near = units @ centres.T
        found = near.argmax(axis=1)
        _fill(found, near, count)
        if np.array_equal(found, labels):
            break
        labels = found
        order = np.argsort(labels, kind="stable")
        sums = np.add.reduceat(units[order], np.searchsorted(labels[order], np.arange(count)), axis=0)
        long = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.divide(sums, long, out=np.zeros_like(sums), where=long > _SMALLEST)
    _, numbers, labels = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(numbers))[labels].astype(np.int32)


def _seeds(units: NDArray[np.float32], count: int, rng: np.random.Generator) -> list[int]:
    chosen = [0]
    apart = np.full(len(units), np.inf)
    for _ in range(count - 1):
        apart = np.minimum(apart, np.maximum(1 - units @ units[chosen[-1]].astype(np.float64), 0))
        apart[chosen] = 0
        total = np.cumsum(apart)
        if total[-1] > 0:
            at = int(np.searchsorted(total, rng.random() * total[-1], "right"))
        else:  # all that are left are equal to some that were chosen
            at = next(row for row in range(len(units)) if row not in chosen)
        chosen.append(min(at, len(units) - 1))
    return chosen


def _fill(labels: NDArray[np.intp], near: NDArray[np.float32], count: int) -> None:
    """Give each empty cluster the token that is farthest from its own cluster's centre, of those with company."""
    sizes = np.bincount(labels, minlength=count)
    for empty in np.flatnonzero(sizes == 0):
        own = np.where(sizes[labels] > 1, near[np.arange(len(labels)), labels], np.inf)
        at = int(own.argmin())
        sizes[labels[at]] -= 1
        labels[at], sizes[empty] = empty, 1


def _runs(tokens: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    """Return the clusters of one document when only neighbours are joined, those first that cost least by Ward."""
    sums = [row.astype(np.float64) for row in tokens]
    sizes = [1] * len(tokens)
    costs = [_cost(sums[i], 1, sums[i + 1], 1) for i in range(len(tokens) - 1)]
    while len(sums) > count:
        at = int(np.argmin(costs))
        sums[at] = sums[at] + sums.pop(at + 1)
        sizes[at] += sizes.pop(at + 1)
        costs.pop(at)
        for i in (at - 1, at):
            if 0 <= i < len(costs):
                costs[i] = _cost(sums[i], sizes[i], sums[i + 1], sizes[i + 1])
    return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)


def _cost(a: NDArray[np.float64], of_a: int, b: NDArray[np.float64], of_b: int) -> float:
    """Return by how much the sum of squared distances from the means grows when two clusters are joined."""
    apart = a / of_a - b / of_b
    return of_a * of_b / (of_a + of_b) * float(apart @ apart)


def _means(
    tokens: NDArray[np.float32], clusters: NDArray[np.int64], count: int, renormalise: bool
) -> NDArray[np.float32]:
    order = np.argsort(clusters, kind="stable")
    begins = np.searchsorted(clusters[order], np.arange(count))
    if count == 0:
        return np.empty((0, tokens.shape[1]), np.float32)
    sizes = np.bincount(clusters, minlength=count)
    wide = tokens[order].astype(np.float64)
    means = np.add.reduceat(wide, begins, axis=0) / sizes[:, None]
    if renormalise:
        usual = np.add.reduceat(np.linalg.norm(wide, axis=1), begins) / sizes
        share = np.divide(np.linalg.norm(means, axis=1), usual, out=np.ones(count), where=usual > 0)
        means /= np.maximum(share, LEAST)[:, None] ** STRETCH
    return means.astype(np.float32)


def _without_first(documents: Ragged, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    tokens = np.ascontiguousarray(documents.tokens, np.float32)
    if count == 0:
        return documents.offsets, tokens
    lengths = np.maximum(documents.lengths - count, 0)
    free = np.arange(len(tokens)) - np.repeat(documents.offsets[:-1], documents.lengths) >= count
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), tokens[free]


def _with_first(documents: Ragged, count: int, means: NDArray[np.float32], starts: NDArray[np.int64]) -> Ragged:
    """Put the protected tokens of each document before its means."""
    if count == 0:
        return Ragged(means, starts)
    kept = np.minimum(documents.lengths, count)
    offsets = np.concatenate([[0], np.cumsum(kept + np.diff(starts))]).astype(np.int64)
    tokens = np.empty((int(offsets[-1]), means.shape[1]), np.float32)
    place = np.arange(len(tokens)) - np.repeat(offsets[:-1], np.diff(offsets))
    first = place < np.repeat(kept, np.diff(offsets))
    position = np.arange(len(documents.tokens)) - np.repeat(documents.offsets[:-1], documents.lengths)
    tokens[first] = documents.tokens[position < count]
    tokens[~first] = means
    return Ragged(tokens, offsets)
