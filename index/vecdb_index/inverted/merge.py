"""One inverted index of several: the same, array for array, as a new one of the rows that are kept."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vecdb_index.inverted.index import Inverted, Packed, Places
from vecdb_index.kernels.layout import GONE
from vecdb_index.types import Rows

Part = tuple[Inverted, NDArray[np.integer]]
"""An index, and those of its rows that are kept, ascending."""


def merged(parts: Sequence[Part]) -> Inverted:
    """Return the index of the kept rows of several, one part's rows behind the other's.

    Weights of parts that have different scales are rounded up once more, to multiples of the largest scale; only then
    is the result not that of a new index.

    Raises:
        ValueError: there is no part, or they are of different kinds, origins, or only some have positions.

    """
    from vecdb_index.kernels.postings import copy_kept, count_kept

    indexes = [index for index, _ in parts]
    if not indexes:
        raise ValueError("no index was given to be merged")
    kind, origin = indexes[0].kind, indexes[0].origin
    if any((index.kind, index.origin) != (kind, origin) for index in indexes):
        raise ValueError("the indexes were made in different ways")
    placed = [len(index.positions) > 0 for index in indexes if len(index.rows)]
    if any(placed) and not all(placed):
        raise ValueError("only some of the indexes have positions")
    words, terms = _united(indexes)
    renumbered = _renumbered(parts)
    postings, tokens = np.zeros(len(words[1]) - 1, np.int64), np.zeros(len(words[1]) - 1, np.int64)
    for index, places, numbers in zip(indexes, terms, renumbered, strict=True):
        count_kept(index.rows, index.offsets, index.positions, places, numbers, postings, tokens)
    starts = np.cumsum(postings) - postings, np.cumsum(tokens) - tokens
    rows, values = np.empty(int(postings.sum()), np.uint32), np.empty(int(postings.sum()), np.uint8)
    positions = np.empty(int(tokens.sum()), np.uint32)
    scale = max(index.scale for index in indexes)
    for index, places, numbers in zip(indexes, terms, renumbered, strict=True):
        weights = index.values if index.scale == scale else _rescaled(index.values, index.scale / scale)
        copy_kept(
            index.rows, index.offsets, weights, index.positions, places, numbers, *starts, rows, values, positions
        )
    words, offsets = _with_postings(words, postings)
    lengths = np.concatenate([index.lengths[kept] for index, kept in parts])
    return Inverted.made(kind, scale, words, offsets, rows, values, lengths, positions, origin)


def _united(indexes: Sequence[Inverted]) -> tuple[Packed, list[Places]]:
    """Return the terms of all indexes, and the place among them of each term of each index."""
    from vecdb_index.kernels.terms import union

    words, offsets = indexes[0].words, indexes[0].word_offsets
    terms = [np.arange(indexes[0].terms)]
    for index in indexes[1:]:
        out = np.empty(len(words) + len(index.words), np.uint8)
        out_offsets = np.empty(len(offsets) + len(index.word_offsets), np.int64)
        place, other = np.empty(len(offsets) - 1, np.int64), np.empty(index.terms, np.int64)
        union(words, offsets, index.words, index.word_offsets, out, out_offsets, place, other)
        terms = [place[each] for each in terms]
        terms.append(other)
        offsets = out_offsets[: int(out_offsets[-1]) + 1].copy()
        words = out[: int(offsets[-1])].copy()
    return (words, offsets), terms


def _renumbered(parts: Sequence[Part]) -> list[Rows]:
    """Return the new number of each row of each part, or GONE."""
    out, first = [], 0
    for index, kept in parts:
        numbers = np.full(len(index), GONE)
        numbers[kept] = np.arange(first, first + len(kept), dtype=np.uint32)
        out.append(numbers)
        first += len(kept)
    return out


def _with_postings(words: Packed, postings: NDArray[np.int64]) -> tuple[Packed, NDArray[np.int64]]:
    """Return the terms that have any postings, and where these begin."""
    alive, sizes = postings > 0, np.diff(words[1])
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(postings[alive])])
    word_offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes[alive])])
    return (words[0][np.repeat(alive, sizes)], word_offsets), offsets


def _rescaled(values: NDArray[np.uint8], ratio: float) -> NDArray[np.uint8]:
    return np.maximum(np.ceil(values * ratio), 1).astype(np.uint8)
