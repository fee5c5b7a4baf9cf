"""8-bit scalar codes with one scale for all dimensions, so that rows can be compared with each other too.

    cosine  the direction x / |x|
    dot     x itself: near is what has a large inner product (Morozov, Babenko 2018). To make all rows equally long by
            more numbers (Bachrach et al. 2014) was tried: rows of uneven length were found far less often
    l2      x less the mean; the row's squared length, as an int32, is kept behind it

A row is padded to whole cache lines. How kernels read codes: kernels/codes.py.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.types import Matrix, Metric, Scores

LINE = 64
NORM_BYTES = 4
SAMPLE = 4096
"""Rows from which the scale and the mean are taken."""
CLIPPED = 1e-4
"""Share of the sample's numbers that lie outside the codes' range and are clipped to it."""
CLIPPED_MOST = 10 * CLIPPED
"""Where a larger share of a sample is clipped, a coder does not fit these rows."""
COARSEST = 1.2
"""Nor does it where a new coder's scale would be finer by more than this factor: to encode anew costs little."""
_BLOCK = 4096
_SMALLEST, _LARGEST = 2.0**-119, 2.0**127

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class ScalarCoder:
    """How vectors become codes.

    Attributes:
        metric: what the codes order rows by.
        dimension: numbers of a vector.
        scale: code units per unit of the (prepared) vector.
        centre: (d,) float32, subtracted from rows and queries; zeros unless l2.

    """

    metric: Metric
    dimension: int
    scale: float
    centre: NDArray[np.float32]

    @classmethod
    def fit(cls, matrix: Matrix, metric: Metric, norms: Scores, rows: NDArray[Any] | None = None) -> "ScalarCoder":
        """Choose the scale from a sample: evenly spread, or the given rows.

        norms are the rows' lengths (n,); every one of them must be finite and the matrix must not be empty.
        """
        rows = _sample(len(matrix)) if rows is None else rows
        sample = matrix[rows].astype(np.float32)
        centre = (
            sample.mean(axis=0, dtype=np.float64).astype(np.float32)
            if metric == "l2"
            else np.zeros(matrix.shape[1], np.float32)
        )
        coder = cls(metric, matrix.shape[1], 1.0, centre)
        magnitudes = np.abs(coder._prepared(sample, norms[rows])).ravel()
        kept = max(0, int(len(magnitudes) * (1 - CLIPPED)) - 1)
        reach = float(np.partition(magnitudes, kept)[kept]) or float(magnitudes.max(initial=0))
        # Within float32's range, so that no product below is 0 * infinity.
        reach = min(max(reach, _SMALLEST), _LARGEST)
        return cls(metric, matrix.shape[1], 127 / reach, centre)

    def fits(self, matrix: Matrix, norms: Scores) -> bool:
        """Whether rows may be added to those that the scale was chosen for, judged by a sample of all of them."""
        rows = _sample(len(matrix))
        magnitudes = np.abs(self._prepared(matrix[rows].astype(np.float32), norms[rows]))
        clipped = np.count_nonzero(magnitudes * self.scale > 127.5) / magnitudes.size
        return bool(clipped <= CLIPPED_MOST) and self.fit(matrix, self.metric, norms).scale <= COARSEST * self.scale

    @property
    def noise(self) -> float:
        """Mean squared error of a number of a row, in code units: that of rounding."""
        return 1 / 12

    @property
    def normed(self) -> bool:
        """Whether rows end with their squared length."""
        return self.metric == "l2"

    @property
    def width(self) -> int:
        """Bytes of a row."""
        numbers = self.dimension + (NORM_BYTES if self.normed else 0)
        return -(-numbers // LINE) * LINE

    def encode(self, matrix: Matrix, norms: Scores, rows: NDArray[Any], out: Codes) -> None:
        """Write the codes of matrix[rows] to out (len(rows), width) uint8."""
        for start in range(0, len(rows), _BLOCK):
            part = rows[start : start + _BLOCK]
            signed = self._signed(self._prepared(matrix[part].astype(np.float32, copy=False), norms[part]))
            block = out[start : start + len(part)]
            block[:, : signed.shape[1]] = (signed + np.int16(128)).astype(np.uint8)
            block[:, signed.shape[1] :] = 128
            if self.normed:
                wide = signed.astype(np.int32)
                squares = np.einsum("ij,ij->i", wide, wide)
                block[:, -NORM_BYTES:] = squares.astype("<i4").view(np.uint8).reshape(-1, NORM_BYTES)

    def queries(self, queries: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
        """Return (q, width) int8 queries and (q,) shifts, which kernels subtract from each product."""
        from vecdb_index.kernels.codes import encode_queries

        numbers = np.ascontiguousarray(queries, np.float32)
        out, shifts = np.empty((len(numbers), self.width), np.int8), np.empty(len(numbers), np.int32)
        encode_queries(numbers, self.centre, self.scale, self.normed, out, shifts)
        return out, shifts

    def _prepared(self, rows: NDArray[np.float32], norms: Scores) -> NDArray[np.float32]:
        if self.metric == "l2":
            return rows - self.centre
        if self.metric == "dot":
            return rows
        return rows * np.divide(1, norms, out=np.zeros_like(norms), where=norms >= _SMALLEST)[:, None]

    def _signed(self, prepared: NDArray[np.float32]) -> NDArray[np.int16]:
        return np.clip(np.rint(prepared * np.float32(self.scale)), -127, 127).astype(np.int16)


def _sample(count: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64)
