"""Rows where terms stand side by side, by their positions (see postings.py for how these lie)."""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.inverted import seek
from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.layout import BLOCK_BITS, LAST, MOST

_ROW, _VALUE, _PLACE = types.uint32, types.uint8, types.int64
AT, STOP, POSTING, POSITION, NOW = range(5)
"""What a line of `cursors` holds: where the search for the next row begins, the end of the term's postings, the posting
that was looked at last, where its positions begin, and the one of them that is compared."""


@helper
def _step(positions: Any, begins: Any, cursor: Any) -> None:
    """Move a cursor's position to that of the posting before its place, from a place that is known before it."""
    wanted = cursor[AT] - 1
    if wanted >> BLOCK_BITS != cursor[POSTING] >> BLOCK_BITS:
        cursor[POSTING] = (wanted >> BLOCK_BITS) << BLOCK_BITS
        cursor[POSITION] = begins[wanted >> BLOCK_BITS]
    place = cursor[POSITION]
    for _ in range(cursor[POSTING], wanted):
        while positions[place] < LAST:
            place += 1
        place += 1
    cursor[POSTING], cursor[POSITION] = wanted, place


@helper
def _times(positions: Any, cursors: Any, shifts: Any) -> Any:
    """Return how often the phrase stands in the row whose positions the cursors show."""
    times = 0
    ended = False
    for i in range(shifts.shape[0]):
        cursors[i, NOW] = cursors[i, POSITION]
    while not ended:
        first = np.int64(positions[cursors[0, NOW]] & ~LAST) - shifts[0]
        whole = True
        for i in range(1, shifts.shape[0]):
            here = cursors[i, NOW]
            while np.int64(positions[here] & ~LAST) - shifts[i] < first and positions[here] < LAST:
                here += 1
            cursors[i, NOW] = here
            if np.int64(positions[here] & ~LAST) - shifts[i] != first:
                whole = False
                break
        times += whole
        ended = positions[cursors[0, NOW]] >= LAST
        cursors[0, NOW] += 1
    return times


@kernel(
    frozen(_ROW, 1),
    frozen(_ROW, 1),
    frozen(_PLACE, 1),
    frozen(_PLACE, 1),
    filled(_PLACE, 2),
    filled(_ROW, 1),
    filled(_VALUE, 1),
    filled(_PLACE, 1),
)
def phrase(
    rows: Any, positions: Any, begins: Any, shifts: Any, cursors: Any, out_rows: Any, out_times: Any, found: Any
) -> None:
    """Write the rows in which terms stand at given distances, and how often.

    Args:
        rows: (p,) of the index.
        positions: of the index.
        begins: (blocks,) where each block's positions begin.
        shifts: (m,) where each term stands in the phrase, the rarest term first.
        cursors: (m, 5) each line is the term's first posting, its last + 1, a negative number, and room.
        out_rows: room for as many rows as the first term has.
        out_times: the same; 255 stands for more, too.
        found: (1,) becomes how many there are.

    """
    size = np.int64(0)
    count = shifts.shape[0]
    while cursors[0, AT] < cursors[0, STOP]:
        row = rows[cursors[0, AT]]
        cursors[0, AT] += 1
        together = True
        for i in range(1, count):
            cursors[i, AT] = seek(rows, cursors[i, AT], cursors[i, STOP], np.int64(row))
            together = cursors[i, AT] < cursors[i, STOP] and rows[cursors[i, AT]] == row
            if not together:
                break
            cursors[i, AT] += 1
        if together:
            for i in range(count):
                _step(positions, begins, cursors[i])
            times = _times(positions, cursors, shifts)
            if times > 0:
                out_rows[size], out_times[size] = row, np.uint8(min(times, np.int64(MOST)))
                size += 1
    found[0] = size
