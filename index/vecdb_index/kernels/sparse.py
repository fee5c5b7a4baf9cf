"""Dot products of sparse vectors with a query, from the vectors themselves.

A row's entries lie together, terms ascending, and so do the query's. Products are added in float64 in the order of the
terms, whichever way they are found, so that the bits of a score depend on nothing but the row and the query.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.layout import NONE
from vecdb_index.kernels.topk import keep, key_of, row_of, score_of, sort

_TERM, _WEIGHT, _PLACE, _SLOT = types.uint32, types.float32, types.int64, types.int32
_ROW, _KEY = types.uint32, types.uint64
STEPS = 8
"""Finding a term in a row by halving takes about as long as looking up so many of the row's terms among the query's."""
SPREAD = np.uint32(2654435769)
"""Knuth's: 2^32 divided by the golden ratio. It spreads neighbouring terms over all slots."""


@helper
def _slot(term: Any, shift: Any) -> Any:
    return np.int64(np.uint32(term * SPREAD) >> shift)


@helper
def _seeking(weights: Any, terms: Any, at: Any, end: Any, asked: Any, worth: Any) -> Any:
    """Score a row by looking for each of the query's terms in it."""
    total, met = 0.0, False
    for number in range(asked.shape[0]):
        term, stop = asked[number], end
        while at < stop:  # the first entry from here on that is not below the term
            middle = (at + stop) >> 1
            if terms[middle] < term:
                at = middle + 1
            else:
                stop = middle
        if at == end:
            break
        if terms[at] == term:
            total += worth[number] * np.float64(weights[at])
            met = True
    return np.float32(total) if met else NONE


@helper
def _reading(weights: Any, terms: Any, at: Any, end: Any, asked: Any, worth: Any, slots: Any, shift: Any) -> Any:
    """Score a row by looking each of its terms up in the table of the query's."""
    total, met, last = 0.0, False, slots.shape[0] - 1
    for place in range(at, end):
        term = terms[place]
        slot = _slot(term, shift)
        while slots[slot] >= 0:
            if asked[slots[slot]] == term:
                total += worth[slots[slot]] * np.float64(weights[place])
                met = True
                break
            slot = (slot + 1) & last
    return np.float32(total) if met else NONE


@helper
def _tabled(asked: Any, slots: Any) -> Any:
    """Fill the table of the query's terms; return by how much a hash is shifted to be a slot."""
    shift, last = np.uint32(32), np.int64(slots.shape[0] - 1)
    while (np.int64(1) << np.int64(32 - shift)) < slots.shape[0]:
        shift -= np.uint32(1)
    slots[:] = -1
    for number in range(asked.shape[0]):
        slot = _slot(asked[number], shift)
        while slots[slot] >= 0:
            slot = (slot + 1) & last
        slots[slot] = number
    return shift


@helper
def _score(weights: Any, terms: Any, at: Any, end: Any, asked: Any, worth: Any, slots: Any, shift: Any) -> Any:
    if asked.shape[0] * STEPS < end - at:
        return _seeking(weights, terms, at, end, asked, worth)
    return _reading(weights, terms, at, end, asked, worth, slots, shift)


@kernel(
    frozen(_WEIGHT, 1),
    frozen(_TERM, 1),
    frozen(_PLACE, 1),
    frozen(_PLACE, 1),
    frozen(_TERM, 1),
    frozen(types.float64, 1),
    filled(_SLOT, 1),
    filled(_WEIGHT, 1),
)
def products(weights: Any, terms: Any, starts: Any, rows: Any, asked: Any, worth: Any, slots: Any, out: Any) -> None:
    """Score some rows.

    Args:
        weights: (w,) of all rows' entries.
        terms: (w,) their terms, ascending within a row.
        starts: (n + 1,) row i has the entries starts[i] to starts[i + 1].
        rows: (m,) the rows to score.
        asked: (t,) the query's terms, ascending.
        worth: (t,) their weights.
        slots: room for a table; a power of two, at least 2 and more than t.
        out: (m,) becomes the scores, NONE for a row without any of the terms.

    """
    shift = _tabled(asked, slots)
    for place in range(rows.shape[0]):
        at, end = starts[rows[place]], starts[rows[place] + 1]
        out[place] = _score(weights, terms, at, end, asked, worth, slots, shift)


@kernel(
    frozen(_WEIGHT, 1),
    frozen(_TERM, 1),
    frozen(_PLACE, 1),
    frozen(_ROW, 1),
    frozen(_WEIGHT, 1),
    types.float64,
    frozen(_TERM, 1),
    frozen(types.float64, 1),
    filled(_SLOT, 1),
    filled(_KEY, 1),
    filled(_KEY, 1),
    filled(_WEIGHT, 1),
    filled(_ROW, 1),
    filled(_WEIGHT, 1),
)
def best_of(
    weights: Any,
    terms: Any,
    starts: Any,
    rows: Any,
    bounds: Any,
    slack: Any,
    asked: Any,
    worth: Any,
    slots: Any,
    keys: Any,
    state: Any,
    out: Any,
    best_rows: Any,
    best_scores: Any,
) -> None:
    """Score rows until the next one cannot be among the best k; write these, best first, equal ones by row.

    Args:
        weights: as above; so are terms, starts, asked, worth and slots.
        terms: see above.
        starts: see above.
        rows: (m,) candidates, the highest bound first.
        bounds: (m,) what they score at most, and `slack`.
        slack: by how much a score may be above its bound.
        asked: see above.
        worth: see above.
        slots: see above.
        keys: (k,) a heap of topk.py.
        state: (3,) zeros: becomes how many of the best there are, the best key left out, and how many rows were scored.
        out: (m,) becomes the scores of these.
        best_rows: (k,) what lies behind the best is not written.
        best_scores: (k,) their scores.

    """
    shift = _tabled(asked, slots)
    for place in range(rows.shape[0]):
        full = np.int64(state[0]) == keys.shape[0]
        if full and np.float64(bounds[place]) + slack < np.float64(score_of(keys[0])):
            break
        at, end = starts[rows[place]], starts[np.int64(rows[place]) + 1]
        out[place] = max(_score(weights, terms, at, end, asked, worth, slots, shift), np.float32(0))
        keep(keys, state, key_of(out[place], rows[place]))
        state[2] += np.uint64(1)
    size = np.int64(state[0])
    sort(keys, size)
    for i in range(size):
        best_rows[i], best_scores[i] = row_of(keys[i]), score_of(keys[i])
