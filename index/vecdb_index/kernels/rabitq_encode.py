"""Making RaBitQ codes of rotated rows. What the factors mean: kernels/rabitq.py."""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.fastscan import BLOCK
from vecdb_index.kernels.jit import filled, frozen, helper, kernel

_BYTE, _INT, _FLOAT, _SIZE = types.uint8, types.int32, types.float32, types.intp


@helper
def _factors(add: Any, square: Any, along: Any, grid: Any, centred: Any, l2: bool, factors: Any, row: int) -> None:
    """Write the three factors of a row.

    Args:
        add: <r, c>, with the whole centre; not read for l2.
        square: |r|².
        along: <u, r>, u being the row on its grid.
        grid: |u|².
        centred: <u, c>, with the centre less the mean.
        l2: whether scores are minus the squared distance.
        factors: (3, n).
        row: which.

    """
    scale = square / along if along > 0 else 0.0
    error = np.sqrt(max(0.0, scale * scale * grid - square))
    times = 2.0 if l2 else 1.0
    factors[0, row] = np.float32((-square if l2 else add) - times * scale * centred)
    factors[1, row] = np.float32(times * scale)
    factors[2, row] = np.float32(times * error)


@helper
def _best_step(row: Any, deviation: Any, steps: Any, top: Any, dots: Any, squares: Any) -> Any:
    """Return the step for which the row lies nearest to its numbers on the grid."""
    dots[:] = np.float32(0)
    squares[:] = np.float32(0)
    for j in range(row.shape[0]):
        number = np.float32(abs(row[j]) * deviation)
        for t in range(steps.shape[0]):
            level = min(np.floor(number * steps[t]), top) + np.float32(0.5)
            dots[t] += level * number
            squares[t] += level * level
    best = 0
    for t in range(1, steps.shape[0]):
        if dots[t] * dots[t] * squares[best] > dots[best] * dots[best] * squares[t]:
            best = t
    return steps[best]


@kernel(
    filled(_FLOAT, 2),
    frozen(_FLOAT, 2),
    frozen(_INT, 1),
    frozen(_FLOAT, 1),
    types.boolean,
    _SIZE,
    frozen(_FLOAT, 1),
    _SIZE,
    filled(_BYTE, 3),
    filled(_FLOAT, 2),
    filled(_BYTE, 2),
    filled(_FLOAT, 2),
    filled(_FLOAT, 2),
)
def encode(
    rows: Any,
    centres: Any,
    of_row: Any,
    mean: Any,
    l2: bool,
    bits: int,
    steps: Any,
    start: int,
    codes: Any,
    factors: Any,
    levels: Any,
    level_factors: Any,
    room: Any,
) -> None:
    """Write the codes of rows to the places start, start + 1, ...

    Args:
        rows: (m, width) rotated, less the mean; overwritten.
        centres: (l, width) rotated, less the mean.
        of_row: (m,) which centre each row has.
        mean: (width,) rotated.
        l2: whether scores are minus the squared distance, or products.
        bits: 1 to 8.
        steps: (t,) grids to be tried, levels per standard deviation.
        start: place of the first row.
        codes: (b, bytes, 32), zeros where nothing is written; (b, 0, 32) when no signs are wanted.
        factors: (3, n); written with the signs.
        levels: (n, width), or (n, width / 2) for up to four bits, zeros; written when bits is more than 1.
        level_factors: (3, n).
        room: (2, t).

    """
    width = rows.shape[1]
    top = np.float32((1 << max(bits - 1, 0)) - 1)
    for i in range(rows.shape[0]):
        row, centre, place = rows[i], centres[of_row[i]], start + i
        block, lane = place // BLOCK, place % BLOCK
        square = along = centred = add = 0.0
        for j in range(width):
            c = np.float64(centre[j])
            r = np.float64(row[j]) - c
            row[j] = np.float32(r)
            square += r * r
            along += abs(r)
            centred += c if r >= 0 else -c
            add += r * (c + np.float64(mean[j]))
        for at in range(codes.shape[1]):
            byte = 0
            for k in range(8):
                byte |= (1 << k) if row[8 * at + k] >= 0 else 0
            codes[block, at, lane] = np.uint8(byte)
        if codes.shape[1] > 0:
            _factors(add, square, along, np.float64(width), centred, l2, factors, place)
        if bits < 2:
            continue
        deviation = np.float32(np.sqrt(width / square)) if square > 0 else np.float32(0)
        step = np.float32(_best_step(row, deviation, steps, top, room[0], room[1]) * deviation)
        half = levels.shape[1]
        along = centred = grid = 0.0
        for j in range(width):
            level = min(np.floor(abs(row[j]) * step), top)
            u = np.float64(level + np.float32(0.5)) if row[j] >= 0 else -np.float64(level + np.float32(0.5))
            along += u * np.float64(row[j])
            centred += u * np.float64(centre[j])
            grid += u * u
            code = np.uint8(top + np.float32(1) + level if row[j] >= 0 else top - level)
            if half == width or j < half:
                levels[place, j] = code
            else:
                levels[place, j - half] |= np.uint8(code << np.uint8(4))
        _factors(add, square, along, grid, centred, l2, level_factors, place)
