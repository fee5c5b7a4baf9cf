"""Token pooling: fewer vectors for a document, each the mean of a cluster of its tokens.

Clavié, Chaffin, Adams: Reducing the Footprint of Multi-Vector Retrieval with Minimal Performance Impact via Token
Pooling (2024). Unlike its implementation in PyLate, means are made unit vectors again, and Ward's criterion is given
squared distances; `pylate` restores both.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vecdb_index.multivector.ragged import Ragged

Method = Literal["ward", "sequential"]

_SMALLEST = np.float32(2.0**-126)


def pool(
    documents: Ragged,
    factor: float,
    *,
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
        protected: tokens at the beginning of each document that are kept as they are, such as a marker.
        method: "ward" joins what is most alike; "sequential" only neighbours in the text.
        renormalise: make the means unit vectors.
        pylate: join as PyLate does: Ward's criterion over (1 - cosine) as a distance, of unit vectors.

    """
    if factor <= 1:
        return documents
    free_offsets, free = _without_first(documents, protected)
    lengths = np.diff(free_offsets)
    wanted = np.maximum(np.floor(lengths / factor), np.minimum(lengths, 1)).astype(np.int64)
    labels = _labels(free, free_offsets, wanted, method, pylate)
    # A number for each cluster of all documents, in the order in which they are stored.
    starts = np.concatenate([[0], np.cumsum(wanted)]).astype(np.int64)
    clusters = labels + np.repeat(starts[:-1], lengths)
    means = _means(free, clusters, int(starts[-1]), renormalise)
    return _with_first(documents, protected, means, starts)


def _labels(
    tokens: NDArray[np.float32],
    offsets: NDArray[np.int64],
    wanted: NDArray[np.int64],
    method: Method,
    pylate: bool,
) -> NDArray[np.int32]:
    labels = np.empty(len(tokens), np.int32)
    if method == "sequential":
        for document, count in enumerate(wanted):
            begin, end = offsets[document], offsets[document + 1]
            labels[begin:end] = _runs(tokens[begin:end], int(count))
        return labels
    from vecdb_index.kernels.tokens import ward

    most = int(np.diff(offsets).max(initial=0))
    room = np.empty((most, most), np.float32)
    ward(tokens, offsets, wanted, 0, len(wanted), pylate, room, labels)
    return labels


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
    sums = np.add.reduceat(tokens[order].astype(np.float64), begins, axis=0)
    means = sums / np.bincount(clusters, minlength=count)[:, None]
    if renormalise:
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        means = np.divide(means, lengths, out=np.zeros_like(means), where=lengths >= _SMALLEST)
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
