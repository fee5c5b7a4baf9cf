"""Product quantisation: a vector is cut into parts, and a byte says which of 256 learnt parts comes nearest.

(Jégou, Douze, Schmid 2011.) Queries are not cut: a table holds what each learnt part adds to a score, and a row's score
is the sum of its bytes' entries. There is no bound of the error; rows that matter are to be scored again exactly.

    cosine  the direction x / |x|
    dot     x itself; parts are learnt to be near in distance, so long rows come out best
    l2      x itself

faiss learns the parts and is imported for nothing else.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.rabitq import prepared, ready
from vecdb_index.codes.stored import mismatches
from vecdb_index.errors import MissingExtraError
from vecdb_index.types import Matrix, Metric, Scores

LEVELS = 256
"""Learnt parts at each place: what a byte can tell apart."""
SAMPLE = 64 * LEVELS
"""Rows that are learnt from; fewer than 39 for each level would make faiss complain."""
SEED = 0xB17
_PART = 4096

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ProductCoder:
    """How vectors become product codes.

    Attributes:
        metric: that of the scores.
        dimension: numbers of a vector.
        parts: (p, 256, size) float32, the learnt ones; p * size is at least the dimension, zeros fill the rest.

    """

    metric: Metric
    dimension: int
    parts: Floats

    @classmethod
    def fit(
        cls,
        matrix: Matrix,
        metric: Metric,
        norms: Scores,
        *,
        parts: int,
        rows: NDArray[Any] | None = None,
        seed: int = SEED,
    ) -> "ProductCoder":
        """Learn from a sample: evenly spread, or the given rows.

        Args:
            matrix: (n, d); n at least 1.
            metric: that of the scores.
            norms: (n,) lengths of the rows, finite.
            parts: bytes of a code, 1 to d.
            rows: what to learn from.
            seed: of the first guess.

        Raises:
            MissingExtraError: faiss is not installed.

        """
        dimension = matrix.shape[1]
        if not 1 <= parts <= dimension:
            raise ValueError(f"vectors of {dimension} numbers have 1 to {dimension} parts, not {parts}")
        rows = np.linspace(0, len(matrix) - 1, min(len(matrix), SAMPLE)).astype(np.int64) if rows is None else rows
        size = -(-dimension // parts)
        sample = _padded(prepared(matrix[rows], norms[rows], metric), parts * size)
        if len(sample) < LEVELS:
            sample = np.resize(sample, (LEVELS, parts * size))
        quantizer = _faiss().ProductQuantizer(parts * size, parts, 8)
        quantizer.cp.seed, quantizer.cp.min_points_per_centroid = seed, 1
        quantizer.train(sample)
        learnt = _faiss().vector_to_array(quantizer.centroids).reshape(parts, LEVELS, size)
        return cls(metric, dimension, np.ascontiguousarray(learnt, np.float32))

    @property
    def width(self) -> int:
        """Bytes of a code."""
        return len(self.parts)

    def encode(self, matrix: Matrix, norms: Scores, rows: NDArray[Any], out: NDArray[np.uint8]) -> None:
        """Write the codes of matrix[rows] to out (len(rows), parts) uint8."""
        count, _, size = self.parts.shape
        halves = (self.parts.astype(np.float64) ** 2).sum(axis=2).astype(np.float32) / 2
        for first in range(0, len(rows), _PART):
            part = rows[first : first + _PART]
            numbers = _padded(prepared(matrix[part], norms[part], self.metric), count * size)
            for p in range(count):
                nearness = numbers[:, p * size : (p + 1) * size] @ self.parts[p].T
                nearness -= halves[p]
                out[first : first + len(part), p] = nearness.argmax(axis=1)

    def tables(self, queries: NDArray[Any]) -> Floats:
        """Return (q, parts, 256): what each code adds to the score of each of the (q, d) queries."""
        count, _, size = self.parts.shape
        vectors = _padded(ready(queries, self.metric), count * size).reshape(-1, count, 1, size)
        if self.metric == "l2":
            # A query at a time: differences of all at once would need much memory.
            return np.stack([-((self.parts - vector) ** 2).sum(axis=2) for vector in vectors])
        return np.ascontiguousarray(np.einsum("qpis,pls->qpl", vectors, self.parts, optimize=True))

    def problems(self, codes: NDArray[np.uint8]) -> list[str]:
        """Return what is wrong with the arrays, a sentence each; kernels may only be given arrays without any."""
        if self.parts.ndim != 3 or self.parts.shape[0] * self.parts.shape[2] < max(1, self.dimension):
            return [f"parts are {self.parts.shape} for vectors of {self.dimension} numbers"]
        count, _, size = self.parts.shape
        return mismatches(
            {
                "parts are": (self.parts, np.float32, (count, LEVELS, size)),
                "codes are": (codes, np.uint8, (len(codes), count)),
            }
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {"parts": self.parts}

    def settings(self) -> dict[str, str | int | float]:
        """Return what is no array."""
        return {"metric": self.metric, "dimension": self.dimension}

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any]) -> "ProductCoder":
        """Return the coder that `arrays` and `settings` describe."""
        return cls(settings["metric"], int(settings["dimension"]), arrays["parts"])


def _padded(numbers: Floats, width: int) -> Floats:
    """Return (n, d) numbers with zeros behind them, n as it was."""
    out = np.zeros((len(numbers), width), np.float32)
    out[:, : numbers.shape[1]] = numbers
    return out


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("product quantisation needs faiss: pip install faiss-cpu") from error
    return faiss
