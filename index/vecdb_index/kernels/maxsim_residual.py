"""MaxSim over centroids and residuals: what a centroid scores is looked up, what is left is added (WARP, 2501.17788).

The products of a question with all centroids are one table, made before. The codes of a tile of tokens are widened to
8-bit ones in the first-level cache, once for all blocks of the question, and multiplied as those in maxsim.py are.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.maxsim import BYTES, LANES, NUMBER, TILE, best_of_based_tile

WIDE = types.uint8 if BYTES else types.int16
"""Of a widened number: 128 more than it stands for, or that itself."""


@helper
def _best_of_residuals(
    codes: Any, numbers: Any, begin: Any, end: Any, wide: Any, units: Any, bases: Any, blocks: Any, shifts: Any,
    room: Any, picked: Any, bases_of: Any, part: Any, best: Any,
) -> None:  # fmt: skip
    """Write each query token's best product with the tokens begin .. end - 1, of which there is one at least."""
    several = wide.shape[1]
    best[:] = np.float32(-np.inf)
    for start in range(begin, end, TILE):
        for i in range(TILE):  # a last tile that is not full repeats its last token
            token = min(start + i, end - 1)
            picked[i] = i
            bases_of[i] = numbers[token]
            part[i] = units[numbers[token]]
            for j in range(codes.shape[1]):
                code = codes[token, j]
                for each in range(several):
                    room[i, j * several + each] = wide[code, each]
        for block in range(blocks.shape[0]):
            best_of_based_tile(room, picked, part, 0, blocks, block, shifts, best, bases, bases_of)


@kernel(
    frozen(types.uint8, 2),
    frozen(types.uint32, 1),
    frozen(types.int64, 1),
    frozen(WIDE, 2),
    frozen(types.float32, 1),
    frozen(types.float32, 2),
    frozen(NUMBER, 2),
    frozen(types.int32, 2),
    frozen(types.float32, 2),
    filled(WIDE, 2),
    filled(types.int64, 1),
    filled(types.int64, 1),
    filled(types.float32, 1),
    filled(types.float32, 2),
    filled(types.float32, 1),
)
def maxsim_residuals(
    codes: Any,
    numbers: Any,
    offsets: Any,
    wide: Any,
    units: Any,
    bases: Any,
    blocks: Any,
    shifts: Any,
    weights: Any,
    room: Any,
    picked: Any,
    bases_of: Any,
    part: Any,
    best: Any,
    out: Any,
) -> None:
    """Score documents, each of which lies behind the other: exact sums of integers, scaled, and sums of centroids.

    Args:
        codes: (t, w) uint8.
        numbers: (t,) uint32, the centroids.
        offsets: (r + 1,) int64.
        wide: (256, c) WIDE: what the c codes of a byte stand for.
        units: (k,) float32, of the codes around each centroid.
        bases: (k, 16 b) float32: products of centroids with query tokens, in units of these.
        blocks: as for `maxsim_codes`.
        shifts: the same.
        weights: the same.
        room: (TILE, w c) WIDE.
        picked: (TILE,) int64: room.
        bases_of: (TILE,) int64: room.
        part: (TILE,) float32: room.
        best: (b, 16) float32: room.
        out: (r,) float32.

    """
    for row in range(out.shape[0]):
        begin, end = offsets[row], offsets[row + 1]
        if begin == end:
            out[row] = np.float32(-np.inf)
            continue
        _best_of_residuals(
            codes, numbers, begin, end, wide, units, bases, blocks, shifts, room, picked, bases_of, part, best
        )
        total = np.float64(0)
        for block in range(best.shape[0]):
            for i in range(LANES):
                total += np.float64(best[block, i]) * np.float64(weights[block, i])
        out[row] = np.float32(total)
