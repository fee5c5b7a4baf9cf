"""RaBitQ: a bit, or up to eight, for each number of a vector, with an unbiased estimate and a bound of its error.

A row less its centre is turned by a random rotation; then the signs of its numbers say much of its direction, whatever
the data. Scans read the signs alone; all bits are read for the rows that are left. Rows can share one
centre (a whole segment's mean) or have a centre each (that of an inverted list): a query has one table for all.

    cosine  the direction x / |x|; centres are means of directions
    dot     x itself
    l2      x itself

The surprise: how often a bound holds is a matter of chance. `epsilon` 1.9 covers 95 % on both sides, 2.8 99.5 %.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.bfloat16 import decode
from vecdb_index.codes.stored import mismatches
from vecdb_index.types import Matrix, Metric, Scores

ROUNDS = 4
LINE = 64
"""Numbers of a rotated vector come in multiples of so many, so that its bits fill whole words."""
BLOCK = 32
"""Rows whose signs stand together; see kernels/fastscan.py."""
SAMPLE = 4096
SEED = 0xB17
EPSILON = 2.8
"""Standard deviations between an estimate and its bound, where a bound drops a row."""
# Rows with a smaller norm count as zero vectors, as in kernels/loops.py.
_SMALLEST = np.float32(2.0**-126)
_PART = 1024
# Levels per standard deviation, around which the best step is looked for: those for normally distributed numbers.
_STEPS = {2: 1.0, 3: 1.7, 4: 3.0, 5: 5.3, 6: 9.6, 7: 17.6, 8: 32.5}
_AROUND = np.geomspace(0.7, 1.4, 8)

Floats = NDArray[np.float32]


class Queries(NamedTuple):
    """Queries ready for the kernels; see kernels/rabitq.py. Each has a line in every array."""

    vectors: Floats
    tables: NDArray[np.uint8]
    units: Floats
    misses: Floats
    numbers: NDArray[np.int16]
    totals: NDArray[np.int64]
    fine_units: Floats


@dataclass(frozen=True)
class Codes:
    """The codes of n rows.

    Attributes:
        signs: (blocks, width / 8, 32) uint8, blocks of 32 rows.
        factors: (3, n) float32, for the signs.
        levels: (n, width / 2) uint8, two numbers a byte, for 2 to 4 bits; (n, width) for 5 to 8; (n, 0) for 1. The
            signs are in them again: to read them from the blocks would cost more than their room.
        level_factors: (3, n) float32, for the levels; (3, 0) for 1 bit.

    """

    signs: NDArray[np.uint8]
    factors: Floats
    levels: NDArray[np.uint8]
    level_factors: Floats

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.factors.shape[1]

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {
            "signs": self.signs,
            "factors": self.factors,
            "levels": self.levels,
            "level_factors": self.level_factors,
        }

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]]) -> "Codes":
        """Return the codes that `arrays` describes."""
        return cls(arrays["signs"], arrays["factors"], arrays["levels"], arrays["level_factors"])


@dataclass(frozen=True)
class RaBitQ:
    """How vectors become codes.

    Attributes:
        metric: what the estimates estimate: the scores that `flat` gives.
        dimension: numbers of a vector.
        bits: of a number, 1 to 8.
        mean: (d,) float32, subtracted from everything before it is rotated.
        flips: (4, width) int8, 1 and -1: the rotation.

    """

    metric: Metric
    dimension: int
    bits: int
    mean: Floats
    flips: NDArray[np.int8]

    @classmethod
    def fit(
        cls,
        matrix: Matrix,
        metric: Metric,
        norms: Scores,
        *,
        bits: int = 1,
        rows: NDArray[Any] | None = None,
        seed: int = SEED,
    ) -> "RaBitQ":
        """Take the mean of a sample, evenly spread or the given rows, and choose a rotation.

        norms are the rows' lengths (n,); every one of them must be finite and the matrix must not be empty.
        """
        if not 1 <= bits <= 8:
            raise ValueError(f"codes have 1 to 8 bits a number, not {bits}")
        dimension = matrix.shape[1]
        rows = np.linspace(0, len(matrix) - 1, min(len(matrix), SAMPLE)).astype(np.int64) if rows is None else rows
        mean = prepared(matrix[rows], norms[rows], metric).mean(axis=0, dtype=np.float64).astype(np.float32)
        width = -(-dimension // LINE) * LINE
        flips = np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (ROUNDS, width))
        return cls(metric, dimension, bits, mean, flips)

    @property
    def width(self) -> int:
        """Numbers of a rotated vector."""
        return self.flips.shape[1]

    @property
    def level_bytes(self) -> int:
        """Bytes of a row's levels."""
        if self.bits == 1:
            return 0
        return self.width // 2 if self.bits <= 4 else self.width

    def empty(self, rows: int) -> Codes:
        """Return room for the codes of so many rows."""
        return Codes(
            np.zeros((-(-rows // BLOCK), self.width // 8, BLOCK), np.uint8),
            np.zeros((3, rows), np.float32),
            np.zeros((rows, self.level_bytes), np.uint8),
            np.zeros((3, rows if self.bits > 1 else 0), np.float32),
        )

    def encode(
        self,
        matrix: Matrix,
        norms: Scores,
        rows: NDArray[Any],
        centres: Floats | None = None,
        of_row: NDArray[np.int32] | None = None,
        *,
        out: Codes | None = None,
        start: int = 0,
    ) -> Codes:
        """Return the codes of matrix[rows], or write them to the places start, start + 1, ... of `out`.

        Two threads may write to one `out` where no block of 32 places is touched by both.

        Args:
            matrix: (n, d).
            norms: (n,) lengths of the rows, read for cosine.
            rows: (m,) row numbers, in the order in which their codes are to stand.
            centres: (l, d) float32; None: the mean alone.
            of_row: (m,) int32, which of the centres each row has; None: the first.
            out: from `empty`, zeros where this writes.
            start: place of the first row.

        """
        codes = self.empty(len(rows)) if out is None else out
        signs = codes.signs, codes.factors
        self.write(matrix, norms, rows, centres, of_row, start, signs, codes.levels, codes.level_factors)
        return codes

    def write(
        self,
        matrix: Matrix,
        norms: Scores,
        rows: NDArray[Any],
        centres: Floats | None,
        of_row: NDArray[np.int32] | None,
        start: int,
        signs: tuple[NDArray[np.uint8], Floats] | None,
        levels: NDArray[np.uint8],
        level_factors: Floats,
    ) -> None:
        """Do what `encode` does, into arrays of a `Codes`; without `signs`, the levels alone."""
        from vecdb_index.kernels.rabitq_encode import encode

        turned = self.rotated(np.zeros((1, self.dimension), np.float32) if centres is None else centres - self.mean)
        mean = self.rotated(self.mean[None])[0]
        of_row = np.zeros(len(rows), np.int32) if of_row is None else of_row
        steps = (_STEPS.get(self.bits, 1.0) * _AROUND).astype(np.float32)
        room = np.empty((2, len(steps)), np.float32)
        outs = *(signs or (np.empty((0, 0, BLOCK), np.uint8), np.empty((3, 0), np.float32))), levels, level_factors
        for first in range(0, len(rows), _PART):
            part = slice(first, first + _PART)
            numbers = self.rotated(prepared(matrix[rows[part]], norms[rows[part]], self.metric) - self.mean)
            given = turned, of_row[part], mean, self.metric == "l2", self.bits, steps, start + first
            encode(numbers, *given, *outs, room)

    def prepare(self, queries: NDArray[Any]) -> Queries:
        """Return (q, d) queries ready for the kernels."""
        from vecdb_index.kernels.rabitq import prepare

        vectors = ready(queries, self.metric)
        count, groups = len(vectors), self.width // 4
        found = Queries(
            vectors,
            np.empty((count, groups, 16), np.uint8),
            np.empty(count, np.float32),
            np.empty(count, np.float32),
            np.empty((count, self.width), np.int16),
            np.empty(count, np.int64),
            np.empty(count, np.float32),
        )
        prepare(self.rotated(vectors - self.mean), *found[1:])
        return found

    def against(self, vectors: Floats, centres: Floats | None = None) -> tuple[Floats, Floats]:
        """Return what `scan` wants for each query and each of the (l, d) centres: adds (q, l), lengths (q, l).

        vectors are those of `prepare`. Without centres: for the mean.
        """
        whole = self.mean[None] if centres is None else centres
        near, centred = vectors - self.mean, whole - self.mean
        squares = np.einsum("ij,ij->i", near, near)[:, None] + np.einsum("ij,ij->i", centred, centred)
        squares = np.maximum(squares - 2 * (near @ centred.T), 0)
        return -squares if self.metric == "l2" else vectors @ whole.T, np.sqrt(squares)

    def deviation(self, epsilon: float = EPSILON) -> float:
        """Return what `scan` wants as width, so that a bound holds for errors up to epsilon standard deviations."""
        return epsilon / (self.width - 1) ** 0.5

    def rotated(self, rows: Floats) -> Floats:
        """Return (n, d) rows as (n, width), turned."""
        from vecdb_index.kernels.rotation import rotate

        out = np.zeros((len(rows), self.width), np.float32)
        out[:, : self.dimension] = rows
        rotate(out, self.flips)
        return out

    def problems(self) -> list[str]:
        """Return what is wrong with the coder's own arrays and settings, a sentence each."""
        if not 1 <= self.bits <= 8:
            return [f"codes have {self.bits} bits a number"]
        if self.dimension < 1:
            return [f"vectors have {self.dimension} numbers"]
        wide = -(-self.dimension // LINE) * LINE
        return mismatches(
            {
                "the mean is": (self.mean, np.float32, (self.dimension,)),
                "flips are": (self.flips, np.int8, (ROUNDS, wide)),
            }
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {"mean": self.mean, "flips": self.flips}

    def settings(self) -> dict[str, str | int | float]:
        """Return what is no array."""
        return {"metric": self.metric, "dimension": self.dimension, "bits": self.bits}

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any]) -> "RaBitQ":
        """Return the coder that `arrays` and `settings` describe."""
        return cls(
            settings["metric"], int(settings["dimension"]), int(settings["bits"]), arrays["mean"], arrays["flips"]
        )


def ready(queries: NDArray[Any], metric: Metric) -> Floats:
    """Return (q, d) queries as float32, for cosine their directions."""
    vectors = np.ascontiguousarray(queries, np.float32)
    if metric != "cosine":
        return vectors
    from vecdb_index.kernels.query import normalise

    directions = np.empty_like(vectors)
    normalise(vectors, directions)
    return directions


def prepared(rows: Matrix, norms: Scores, metric: Metric) -> Floats:
    """Return what is encoded: rows (uint16: bfloat16) as float32, for cosine directions; a zero row stays zero."""
    numbers = decode(rows) if rows.dtype == np.uint16 else rows.astype(np.float32, copy=False)
    if metric != "cosine":
        return numbers
    return np.divide(numbers, norms[:, None], out=np.zeros_like(numbers), where=(norms >= _SMALLEST)[:, None])


def problems(coder: RaBitQ, codes: Codes) -> list[str]:
    """Return what is wrong with the arrays, a sentence each; kernels may only be given arrays without any."""
    if found := coder.problems():
        return found
    rows = codes.factors.shape[-1]
    return mismatches(
        {
            "signs are": (codes.signs, np.uint8, (-(-rows // BLOCK), coder.width // 8, BLOCK)),
            "factors are": (codes.factors, np.float32, (3, rows)),
            "levels are": (codes.levels, np.uint8, (rows, coder.level_bytes)),
            "factors of levels are": (codes.level_factors, np.float32, (3, rows if coder.bits > 1 else 0)),
        }
    )
