"""The best k of a stream of scores.

A score and its row are one uint64 key: the score's bits, turned so that they sort like the number, above
the inverted row number. So the larger key is the better hit, equal scores go by row, and no two keys are
equal. A heap has the worst kept key on top. 0 is no key: it would be a NaN.
"""

from typing import Any

import numpy as np

from vecdb_index.kernels.jit import helper

# Scores that are compared with the worst kept one at once; few enough that most chunks hold no hit.
CHUNK = 64


@helper
def key_of(score: Any, row: int) -> np.uint64:
    """Pack a score (no NaN, no -0.0) and its row."""
    bits = np.float32(score).view(np.uint32)
    turned = np.uint32(~bits if bits & np.uint32(0x80000000) else bits | np.uint32(0x80000000))
    return (np.uint64(turned) << np.uint64(32)) | np.uint64(np.uint32(0xFFFFFFFF) - np.uint32(row))


@helper
def score_of(key: np.uint64) -> Any:
    """Return the score of a key."""
    turned = np.uint32(key >> np.uint64(32))
    bits = np.uint32(turned & np.uint32(0x7FFFFFFF) if turned & np.uint32(0x80000000) else ~turned)
    return np.uint32(bits).view(np.float32)


@helper
def row_of(key: np.uint64) -> Any:
    """Return the row of a key: uint32."""
    return np.uint32(np.uint32(0xFFFFFFFF) - np.uint32(key & np.uint64(0xFFFFFFFF)))


@helper
def _sink(keys: Any, key: np.uint64) -> None:
    """Replace the top of a full heap by a larger key."""
    size, hole = keys.shape[0], 0
    while True:
        child = 2 * hole + 1
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if child >= size or keys[child] >= key:
            break
        keys[hole] = keys[child]
        hole = child
    keys[hole] = key


@helper
def _climb(keys: Any, size: int, key: np.uint64) -> None:
    """Add a key to a heap of `size` keys."""
    hole = size
    while hole > 0:
        parent = (hole - 1) >> 1
        if keys[parent] <= key:
            break
        keys[hole] = keys[parent]
        hole = parent
    keys[hole] = key


@helper
def keep(keys: Any, state: Any, key: np.uint64) -> None:
    """Offer one key. state = (how many keys are kept, the best key ever left out; 0 when none was)."""
    size = np.int64(state[0])
    if size < keys.shape[0]:
        _climb(keys, size, key)
        state[0] = np.uint64(size + 1)
        return
    left_out = min(key, keys[0])
    if key > keys[0]:
        _sink(keys, key)
    state[1] = max(state[1], left_out)


@helper
def sort(keys: Any, size: int) -> None:
    """Put a heap of `size` keys in falling order."""
    for last in range(size - 1, 0, -1):
        least, key = keys[0], keys[last]
        _sink(keys[:last], key)
        keys[last] = least


@helper
def offer(scores: Any, count: int, rows: Any, first: int, allowed: Any, keys: Any, state: Any) -> None:
    """Offer scores[:count], of the rows first, first + 1, ... or of rows[first], rows[first + 1], ...

    Empty `rows` means the former; empty `allowed` allows all.
    """
    for start in range(0, count, CHUNK):
        part = scores[start : min(start + CHUNK, count)]
        full = np.int64(state[0]) == keys.shape[0]
        threshold = score_of(keys[0]) if full else np.float32(-np.inf)
        # A score equal to the threshold passes too: it is how a tie across the cut is noticed.
        hits = 0
        for i in range(part.shape[0]):
            hits += part[i] >= threshold
        if hits == 0:
            continue
        for i in range(part.shape[0]):
            if part[i] >= threshold:
                at = first + start + i
                row = np.int64(rows[at]) if rows.shape[0] > 0 else at
                if allowed.shape[0] == 0 or allowed[row] != 0:
                    keep(keys, state, key_of(part[i], row))
