"""The best rows of every query, as each worker of a scan found them; see kernels/topk.py for the keys."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.types import TopK

_SIGN = np.uint32(0x80000000)
_LOW = np.uint32(0xFFFFFFFF)


class Heaps(NamedTuple):
    """For each query a heap of keys (q, k), and its state (q, 2): how many, and the best key left out."""

    keys: NDArray[np.uint64]
    states: NDArray[np.uint64]

    @classmethod
    def empty(cls, queries: int, k: int) -> "Heaps":
        """Return heaps with room for k rows each."""
        return cls(np.zeros((queries, k), np.uint64), np.zeros((queries, 2), np.uint64))


def merged(parts: list[Heaps], k: int) -> list[TopK]:
    """Return the k best rows of each query over all parts. The heaps are used up."""
    keys, (kept, left_out) = parts[0].keys, parts[0].states.T
    for part in parts[1:]:
        keys = np.concatenate([keys, part.keys], axis=1)
        kept, left_out = kept + part.states[:, 0], np.maximum(left_out, part.states[:, 1])
    keys.sort(axis=1)
    keys = keys[:, ::-1]
    if keys.shape[1] > k:
        left_out = np.maximum(left_out, keys[:, k])
        keys = keys[:, :k]
    turned = (keys >> np.uint64(32)).astype(np.uint32)
    scores = np.where(turned & _SIGN, turned ^ _SIGN, ~turned).view(np.float32)
    rows = _LOW - keys.astype(np.uint32)
    found = []
    for i, (size, best) in enumerate(zip(kept.tolist(), left_out.tolist(), strict=True)):
        # What follows the first m are places that were never filled.
        m = min(size, keys.shape[1])
        found.append(TopK(rows[i, :m], scores[i, :m], m > 0 and best >> 32 == int(turned[i, m - 1])))
    return found
