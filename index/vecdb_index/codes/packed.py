"""4-bit codes for walks through a graph: half the bytes of the 8-bit ones that the graph is built with.

A level l of 16 stands for the odd number 2 l - 15. Byte j of a row holds the level of the vector's number j in its low
four bits, and that of number j + h in its high ones, h being half of the dimension, rounded up. For l2 the row's
squared length follows, times FINER, as an int32. A row is padded to whole cache lines.

They are made from 8-bit codes, of which there are only 256: a table says the level of each. A level is as wide as makes
the fourth powers of the errors least: a few numbers far out are clipped, rather than all others rounded coarsely. With
the squares, which clip more, recall was .002 to .006 less over texts.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.scalar import LINE, NORM_BYTES, SAMPLE, Codes, ScalarCoder
from vecdb_index.slices import Slice, shared, slices_of
from vecdb_index.types import Metric

FINER = 4
"""How many times finer than rows queries are measured for l2: whole numbers of the rows' own unit are too coarse."""
LEVELS = 16
_STEPS = np.linspace(4, 17, 53)
"""Widths of a level that are tried, in units of the 8-bit codes; 17 takes all of them in."""
_NUMBERS = np.arange(256) - 128.0
_BLOCK = 4096


@dataclass(frozen=True)
class PackedCoder:
    """How 8-bit codes become 4-bit ones, and queries are measured with them.

    Attributes:
        metric: what the codes order rows by.
        dimension: numbers of a vector.
        scale: units of the odd numbers per unit of the (prepared) vector.
        centre: (d,) float32, subtracted from rows and queries; zeros unless l2.
        noise: mean squared error of a number, in those units.

    """

    metric: Metric
    dimension: int
    scale: float
    centre: NDArray[np.float32]
    noise: float

    @classmethod
    def fit(cls, coder: ScalarCoder, codes: Codes) -> "PackedCoder | None":
        """Choose the step from a sample of 8-bit codes; None where packed rows would not be shorter."""
        if width_of(coder.dimension, coder.normed) >= coder.width:
            return None
        rows = np.linspace(0, len(codes) - 1, min(len(codes), SAMPLE)).astype(np.int64)
        seen = np.bincount(codes[rows, : coder.dimension].ravel(), minlength=256).astype(np.float64)
        fourth = [(seen * _errors(step) ** 4).sum() for step in _STEPS]
        step = float(_STEPS[int(np.argmin(fourth))])
        noise = (seen * _errors(step) ** 2).sum() / seen.sum() * (2 / step) ** 2
        return cls(coder.metric, coder.dimension, coder.scale * 2 / step, coder.centre, float(noise))

    @property
    def normed(self) -> bool:
        """Whether rows end with their squared length."""
        return self.metric == "l2"

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return width_of(self.dimension, self.normed)

    def packed(self, coder: ScalarCoder, codes: Codes, pool: ThreadPoolExecutor | None = None) -> Codes:
        """Return the 4-bit codes (n, width) of 8-bit ones that `coder` made."""
        levels = _levels(2 * coder.scale / self.scale)
        squares = (FINER * _odd(levels) ** 2).astype(np.int32)
        half, out = (self.dimension + 1) // 2, np.zeros((len(codes), self.width), np.uint8)

        def work(todo: Iterator[Slice]) -> None:
            for first, last in todo:
                rows, block = codes[first:last, : self.dimension], out[first:last]
                block[:, :half] = levels[rows[:, :half]]
                block[:, : self.dimension - half] |= levels[rows[:, half:]] << 4
                if self.normed:
                    lengths = squares[rows].sum(axis=1, dtype=np.int32).astype("<i4")
                    block[:, -NORM_BYTES:] = lengths.view(np.uint8).reshape(-1, NORM_BYTES)

        shared(work, slices_of(0, len(codes), _BLOCK), codes.nbytes, pool)
        return out


def width_of(dimension: int, normed: bool) -> int:
    """Return the bytes of a packed row."""
    return -(-((dimension + 1) // 2 + (NORM_BYTES if normed else 0)) // LINE) * LINE


def _odd(levels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the numbers that levels stand for."""
    return 2.0 * levels - (LEVELS - 1)


def _errors(step: float) -> NDArray[np.float64]:
    """Return by how much each of the 256 codes is missed, in their units."""
    return _NUMBERS - step * _odd(_levels(step)) / 2


def _levels(step: float) -> NDArray[np.uint8]:
    """Return the level of each of the 256 codes, where a level is so many of their units wide."""
    return np.clip(np.rint(_NUMBERS / step + (LEVELS - 1) / 2), 0, LEVELS - 1).astype(np.uint8)
