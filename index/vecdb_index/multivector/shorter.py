"""Fewer vectors for a question: tokens that are alike become one, which counts as much as they did together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vecdb_index.multivector.pooling import _directions

Floats = NDArray[np.float32]

_SMALLEST = 2.0**-126


def carved(tokens: Floats, threshold: float) -> tuple[Floats, Floats]:
    """Return sums of tokens that lie in one ball, as directions (c, d) and lengths (c,): ball carving (MUVERA).

    The first token that is left takes with it all that are left whose product with it is at least the threshold.

    Args:
        tokens: (q, d), unit vectors.
        threshold: at most 1. The paper's, 0.7, left recall as it was.

    """
    left = np.arange(len(tokens))
    labels = np.zeros(len(tokens), np.int64)
    count = 0
    while len(left):
        near = tokens[left] @ tokens[left[0]] >= threshold
        near[0] = True
        labels[left[near]] = count
        left, count = left[~near], count + 1
    return _sums(tokens, labels, count)


def clustered(tokens: Floats, count: int, *, by_size: bool = True) -> tuple[Floats, Floats]:
    """Return at most `count` centroids of spherical k-means, as directions (c, d), and what each counts (c,).

    Args:
        tokens: (q, d), unit vectors.
        count: at least 1.
        by_size: a centroid counts as much as the sum of its tokens; else all count the same, as in CRISP.

    """
    labels = _directions(tokens, min(count, len(tokens))).astype(np.int64)
    directions, lengths = _sums(tokens, labels, int(labels.max(initial=-1)) + 1)
    return directions, lengths if by_size else np.ones_like(lengths)


def _sums(tokens: Floats, labels: NDArray[np.int64], count: int) -> tuple[Floats, Floats]:
    sums = np.zeros((count, tokens.shape[1]), np.float64)
    np.add.at(sums, labels, tokens.astype(np.float64))
    lengths = np.linalg.norm(sums, axis=1)
    some = lengths > _SMALLEST  # tokens that cancel each other say nothing
    return (sums[some] / lengths[some, None]).astype(np.float32), lengths[some].astype(np.float32)
