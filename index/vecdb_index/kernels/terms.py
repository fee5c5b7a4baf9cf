"""Looking terms up, and making one dictionary of two.

A dictionary is bytes and offsets: term i is bytes[offsets[i]:offsets[i + 1]]. Terms ascend by their bytes, as unsigned
numbers, a prefix before what it begins; no term is there twice.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel

_BYTE, _OFFSET = types.uint8, types.int64


@helper
def _order(one: Any, first: Any, last: Any, other: Any, start: Any, stop: Any) -> Any:
    """Return less than, equal to or greater than 0, as one[first:last] sorts before, with or behind the other."""
    for i in range(min(last - first, stop - start)):
        x, y = np.int64(one[first + i]), np.int64(other[start + i])
        if x != y:
            return x - y
    return (last - first) - (stop - start)


@kernel(frozen(_BYTE, 1), frozen(_OFFSET, 1), frozen(_BYTE, 1), frozen(_OFFSET, 1), filled(_OFFSET, 1))
def places(words: Any, offsets: Any, asked: Any, asked_offsets: Any, out: Any) -> None:
    """Write for each asked word the place of the first term that is not before it; where it is the term, else -1 less.

    Args:
        words: bytes of the dictionary.
        offsets: (terms + 1,) where its terms begin.
        asked: bytes of the words that are looked up, in any order.
        asked_offsets: (a + 1,) where they begin.
        out: (a,) the place p of a word that is there; -1 - p where p would be its place.

    """
    for i in range(out.shape[0]):
        start, stop = asked_offsets[i], asked_offsets[i + 1]
        low, high, found = np.int64(0), np.int64(offsets.shape[0] - 1), False
        while low < high:
            middle = (low + high) >> 1
            order = _order(words, offsets[middle], offsets[middle + 1], asked, start, stop)
            found |= order == 0
            if order < 0:
                low = middle + 1
            else:
                high = middle
        out[i] = low if found else -1 - low


@kernel(
    frozen(_BYTE, 1),
    frozen(_OFFSET, 1),
    frozen(_BYTE, 1),
    frozen(_OFFSET, 1),
    filled(_BYTE, 1),
    filled(_OFFSET, 1),
    filled(_OFFSET, 1),
    filled(_OFFSET, 1),
)
def union(
    words: Any, offsets: Any, others: Any, other_offsets: Any, out: Any, out_offsets: Any, place: Any, other_place: Any
) -> None:
    """Write the dictionary of all terms of two, and the place in it of each term of both.

    Args:
        words: bytes of the one dictionary.
        offsets: (t + 1,).
        others: bytes of the other.
        other_offsets: (u + 1,).
        out: room for the bytes of both.
        out_offsets: (t + u + 2,) room; its last number becomes how many terms there are.
        place: (t,).
        other_place: (u,).

    """
    count, other_count = place.shape[0], other_place.shape[0]
    i, j, size, end = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    out_offsets[0] = 0
    while i < count or j < other_count:
        order = np.int64(-1)
        if i == count:
            order = np.int64(1)
        elif j < other_count:
            order = np.int64(_order(words, offsets[i], offsets[i + 1], others, other_offsets[j], other_offsets[j + 1]))
        if order <= 0:
            for at in range(offsets[i], offsets[i + 1]):
                out[end + at - offsets[i]] = words[at]
            end += offsets[i + 1] - offsets[i]
            place[i] = size
            i += 1
        if order >= 0:
            if order > 0:
                for at in range(other_offsets[j], other_offsets[j + 1]):
                    out[end + at - other_offsets[j]] = others[at]
                end += other_offsets[j + 1] - other_offsets[j]
            other_place[j] = size
            j += 1
        size += 1
        out_offsets[size] = end
    out_offsets[count + other_count + 1] = size
