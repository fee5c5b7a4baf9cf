"""4-bit codes: half a byte for each number, after a random rotation, with an estimate of the score and its bound.

They are RaBitQ's levels of four bits (codes/rabitq.py) without the signs beside them. Other ways to choose the levels
were measured on 60,000 texts of 384 numbers; the share of the ten nearest among the ten best by codes alone:

    one scale for all numbers               0.937 to 0.949; 0.87 when the axes are turned to the principal components
    a scale for each number                 0.944 to 0.951; 0.91
    rotated, a scale for each row           0.947, however the axes lie

With 20 candidates for ten rows each way finds more than 0.999.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.rabitq import EPSILON, SEED, Floats, RaBitQ, ready
from vecdb_index.codes.stored import mismatches
from vecdb_index.types import Matrix, Metric, Scores

BITS = 4


class Queries(NamedTuple):
    """Queries ready for the kernels; see kernels/fourbit.py. Each has a line in every array."""

    vectors: Floats
    numbers: NDArray[np.int8]
    totals: NDArray[np.int32]
    units: Floats
    misses: Floats


@dataclass(frozen=True)
class Codes:
    """The codes of n rows.

    Attributes:
        levels: (n, width / 2) uint8.
        factors: (3, n) float32.

    """

    levels: NDArray[np.uint8]
    factors: Floats

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.levels)

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        return self.levels.nbytes + self.factors.nbytes

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {"levels": self.levels, "factors": self.factors}

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]]) -> "Codes":
        """Return the codes that `arrays` describes."""
        return cls(arrays["levels"], arrays["factors"])


@dataclass(frozen=True)
class FourBit:
    """How vectors become 4-bit codes.

    Attributes:
        coder: RaBitQ of four bits, whose rotation and levels these are.

    """

    coder: RaBitQ

    @classmethod
    def fit(
        cls, matrix: Matrix, metric: Metric, norms: Scores, *, rows: NDArray[Any] | None = None, seed: int = SEED
    ) -> "FourBit":
        """Do what RaBitQ.fit does."""
        return cls(RaBitQ.fit(matrix, metric, norms, bits=BITS, rows=rows, seed=seed))

    @property
    def width(self) -> int:
        """Numbers of a rotated vector."""
        return self.coder.width

    def empty(self, rows: int) -> Codes:
        """Return room for the codes of so many rows."""
        return Codes(np.zeros((rows, self.width // 2), np.uint8), np.zeros((3, rows), np.float32))

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
        """Do what RaBitQ.encode does; threads may write to any places of one `out`."""
        codes = self.empty(len(rows)) if out is None else out
        self.coder.write(matrix, norms, rows, centres, of_row, start, None, codes.levels, codes.factors)
        return codes

    def prepare(self, queries: NDArray[Any]) -> Queries:
        """Return (q, d) queries ready for the kernels."""
        from vecdb_index.kernels.fourbit import prepare

        vectors = ready(queries, self.coder.metric)
        count = len(vectors)
        room = np.empty((count, self.width), np.int8), np.empty(count, np.int32)
        floats = np.empty(count, np.float32), np.empty(count, np.float32)
        prepare(self.coder.rotated(vectors - self.coder.mean), *room, *floats)
        return Queries(vectors, *room, *floats)

    def against(self, queries: Queries, centres: Floats | None = None) -> tuple[Floats, Floats]:
        """Return what `scan` wants for each query and each of the (l, d) centres: adds (q, l), lengths (q, l)."""
        return self.coder.against(queries.vectors, centres)

    def deviation(self, epsilon: float = EPSILON) -> float:
        """Return what `scan` wants as width."""
        return self.coder.deviation(epsilon)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return self.coder.arrays()

    def settings(self) -> dict[str, str | int | float]:
        """Return what is no array."""
        return self.coder.settings()

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any]) -> "FourBit":
        """Return the coder that `arrays` and `settings` describe."""
        return cls(RaBitQ.of(arrays, settings))


def problems(coder: FourBit, codes: Codes) -> list[str]:
    """Return what is wrong with the arrays, a sentence each; kernels may only be given arrays without any."""
    if coder.coder.bits != BITS:
        return [f"codes have {coder.coder.bits} bits a number, not {BITS}"]
    return coder.coder.problems() or mismatches(
        {
            "levels are": (codes.levels, np.uint8, (len(codes), coder.width // 2)),
            "factors are": (codes.factors, np.float32, (3, len(codes))),
        }
    )
