"""MaxSim over centroids and residuals: what a centroid scores is looked up, what is left is added (WARP, 2501.17788).

The products of a question with all centroids are one table, made before. The codes of a tile of tokens are widened to
8-bit ones in the first-level cache, once for all blocks of the question, and multiplied as those in maxsim.py are.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.maxsim import BYTES, LANES, NUMBER, TILE, best_of_based_tile

WIDE = types.uint8 if BYTES else types.int16
"""Of a widened number: 128 more than it stands for, or that itself."""
WORDS = {2: types.uint32, 4: types.uint16} if BYTES else {2: types.uint64, 4: types.uint32}
"""Of the numbers of a byte of codes, by the bits of a code: they are copied at once."""


@helper
def _best_of_residuals(
    wide: Any, codes: Any, numbers: Any, begin: Any, end: Any, units: Any, bases: Any, blocks: Any, shifts: Any,
    words: Any, room: Any, picked: Any, bases_of: Any, part: Any, best: Any,
) -> None:  # fmt: skip
    """Write each query token's best product with the tokens begin .. end - 1, of which there is one at least."""
    best[:] = np.float32(-np.inf)
    for start in range(begin, end, TILE):
        for i in range(TILE):  # a last tile that is not full repeats its last token
            token = min(start + i, end - 1)
            picked[i] = i
            bases_of[i] = numbers[token]
            part[i] = units[numbers[token]]
            for j in range(codes.shape[1]):
                words[i, j] = wide[codes[token, j]]
        for block in range(blocks.shape[0]):
            best_of_based_tile(room, picked, part, 0, blocks, block, shifts, best, bases, bases_of)


def _maxsim_residuals(
    wide: Any,
    codes: Any,
    numbers: Any,
    offsets: Any,
    units: Any,
    bases: Any,
    blocks: Any,
    shifts: Any,
    weights: Any,
    words: Any,
    room: Any,
    picked: Any,
    bases_of: Any,
    part: Any,
    best: Any,
    out: Any,
) -> None:
    """Score documents, each of which lies behind the other: exact sums of integers, scaled, and sums of centroids.

    Args:
        wide: (256,) WORDS: what the codes of a byte stand for, as so many WIDE.
        codes: (t, w) uint8.
        numbers: (t,) uint32, the centroids.
        offsets: (r + 1,) int64.
        units: (k,) float32, of the codes around each centroid.
        bases: (k, 16 b) float32: products of centroids with query tokens, in units of these.
        blocks: as for `maxsim_codes`.
        shifts: the same.
        weights: the same.
        words: (TILE, w) WORDS: room.
        room: the same memory as (TILE, d) WIDE.
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
            wide, codes, numbers, begin, end, units, bases, blocks, shifts, words, room, picked, bases_of, part, best
        )
        total = np.float64(0)
        for block in range(best.shape[0]):
            for i in range(LANES):
                total += np.float64(best[block, i]) * np.float64(weights[block, i])
        out[row] = np.float32(total)


def _types_of(word: Any) -> Sequence[Any]:
    return (
        frozen(word, 1),
        frozen(types.uint8, 2),
        frozen(types.uint32, 1),
        frozen(types.int64, 1),
        frozen(types.float32, 1),
        frozen(types.float32, 2),
        frozen(NUMBER, 2),
        frozen(types.int32, 2),
        frozen(types.float32, 2),
        filled(word, 2),
        frozen(WIDE, 2),
        filled(types.int64, 1),
        filled(types.int64, 1),
        filled(types.float32, 1),
        filled(types.float32, 2),
        filled(types.float32, 1),
    )


maxsim_residuals = {bits: kernel(*_types_of(word))(_maxsim_residuals) for bits, word in WORDS.items()}
"""By the bits of a code."""
