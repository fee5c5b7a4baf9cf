"""Which rows have which terms: filters by words, and phrases by positions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vecdb_index.inverted.index import Inverted, packed
from vecdb_index.types import Rows

Found = tuple[Rows, NDArray[np.uint8]]
"""Rows, ascending, and how often each has what was looked for; 255 stands for more, too."""
_UNSEEN = -1


def matches(
    index: Inverted,
    *,
    must: Sequence[bytes] = (),
    should: Sequence[bytes] = (),
    must_not: Sequence[bytes] = (),
    phrases: Sequence[Sequence[bytes | None]] = (),
) -> NDArray[np.uint8]:
    """Return for each row (n,) 1 if it has what is asked for, else 0; ready to be a search's `allowed`.

    Args:
        index: any.
        must: terms that a row has, all of them.
        should: terms of which a row has at least one, where any are given.
        must_not: terms of which a row has none.
        phrases: each is found in a row by `phrase`.

    Raises:
        ValueError: a phrase was given and the index has no positions.

    """
    out = _rows_of(index, should) if should else np.ones(len(index), np.uint8)
    for term in must:
        out &= _rows_of(index, [term])
    for words in phrases:
        here = np.zeros(len(index), np.uint8)
        here[phrase(index, words)[0]] = 1
        out &= here
    for place in _known(index, must_not):
        out[index.postings(place)[0]] = 0
    return out


def phrase(index: Inverted, words: Sequence[bytes | None]) -> Found:
    """Return the rows in which terms stand one behind the other, and how often.

    Args:
        index: with positions.
        words: the terms in order; None stands for any word: "state of the art" is (state, None, None, art).

    Raises:
        ValueError: the index has no positions.

    """
    from vecdb_index.kernels import phrase as kernels

    if len(index.positions) == 0 and len(index.rows) > 0:
        raise ValueError("phrases cannot be found: the index was made without positions")
    shifts = np.array([at for at, word in enumerate(words) if word is not None], np.int64)
    places = index.find(packed(word for word in words if word is not None))
    if len(places) == 0 or places.min() < 0:
        return np.empty(0, np.uint32), np.empty(0, np.uint8)
    rarest = np.argsort(index.frequencies(places), kind="stable")
    shifts, places = shifts[rarest], places[rarest]
    cursors = np.full((len(places), 5), _UNSEEN, np.int64)
    cursors[:, 0], cursors[:, 1] = index.offsets[places], index.offsets[places + 1]
    most = int(cursors[0, 1] - cursors[0, 0])
    rows, times, found = np.empty(most, np.uint32), np.empty(most, np.uint8), np.zeros(1, np.int64)
    kernels.phrase(index.rows, index.positions, index.begins, shifts, cursors, rows, times, found)
    return rows[: found[0]], times[: found[0]]


def _rows_of(index: Inverted, terms: Sequence[bytes]) -> NDArray[np.uint8]:
    out = np.zeros(len(index), np.uint8)
    for place in _known(index, terms):
        out[index.postings(place)[0]] = 1
    return out


def _known(index: Inverted, terms: Sequence[bytes]) -> list[int]:
    return [place for place in index.find(packed(terms)).tolist() if place >= 0]
