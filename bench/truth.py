"""Exact answers to score approximate ones by: NumPy in blocks of rows, ties counted as right.

A truth is int64 (queries, columns): the k best rows, then every row whose score equals the k-th up to rounding, then
-1. So an index that returns the other one of two equal rows has found it.
"""

from collections.abc import Sequence

import numpy as np

_BLOCK_ROWS = 32_768
_SPARE = 22
_RELATIVE = 1e-6


def exact(rows: np.ndarray, queries: np.ndarray, k: int, metric: str, mask: np.ndarray | None = None) -> np.ndarray:
    """Return the truth for each query among the rows that pass `mask` (bool, rows; or queries x rows).

    Rows and queries of cosine must have unit length. A query with fewer than k passing rows has fewer answers.
    """
    pool = k + _SPARE
    kept = np.full((len(queries), 0), -np.inf, dtype=np.float32)
    numbers = np.zeros((len(queries), 0), dtype=np.int64)
    for start in range(0, len(rows), _BLOCK_ROWS):
        part = np.ascontiguousarray(rows[start : start + _BLOCK_ROWS])
        scores = queries @ part.T
        if metric == "l2":
            scores -= 0.5 * np.einsum("ij,ij->i", part, part)
        if mask is not None:
            scores[~np.broadcast_to(mask[..., start : start + len(part)], scores.shape)] = -np.inf
        top = np.argpartition(scores, -min(pool, len(part)), axis=1)[:, -pool:]
        kept = np.hstack([kept, np.take_along_axis(scores, top, axis=1)])
        numbers = np.hstack([numbers, top + start])
        if kept.shape[1] > 8 * pool:
            kept, numbers = _best(kept, numbers, pool)
    kept, numbers = _best(kept, numbers, pool)
    return np.stack([_one(rows, *each, k, metric) for each in zip(queries, numbers, kept, strict=True)])


def recall(found: Sequence[Sequence[int]], truth: np.ndarray, k: int) -> float:
    """Return the mean share of the k best rows (or of all there are, where fewer) that were found."""
    shares = []
    for mine, true in zip(found, truth, strict=True):
        right = set(true[true >= 0].tolist())
        there = min(k, len(right))
        shares.append(1.0 if there == 0 else min(1.0, len(right & {int(row) for row in mine[:k]}) / there))
    return float(np.mean(shares))


def short(found: Sequence[Sequence[int]], truth: np.ndarray, k: int) -> int:
    """Return how many answers have fewer rows than there are to find."""
    there = np.minimum(k, (truth >= 0).sum(axis=1))
    return sum(
        len({int(row) for row in mine if int(row) >= 0}) < least for mine, least in zip(found, there, strict=True)
    )


def _best(scores: np.ndarray, numbers: np.ndarray, pool: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-scores, axis=1, kind="stable")[:, :pool]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(numbers, order, axis=1)


def _one(
    rows: np.ndarray, query: np.ndarray, candidates: np.ndarray, scores: np.ndarray, k: int, metric: str
) -> np.ndarray:
    """Score the candidates again in float64 and lay them out as the module says."""
    near = candidates[np.isfinite(scores)]
    exactly = rows[near].astype(np.float64) @ query.astype(np.float64)
    if metric == "l2":
        exactly -= 0.5 * np.einsum("ij,ij->i", rows[near], rows[near], dtype=np.float64)
    order = np.argsort(-exactly, kind="stable")
    near, exactly = near[order], exactly[order]
    right = np.full(k + _SPARE, -1, dtype=np.int64)
    if len(near):
        last = exactly[min(k, len(near)) - 1]
        tied = near[exactly >= last - _RELATIVE * max(1.0, abs(last))]
        right[: len(tied)] = tied
    return right
