"""The machine's own limits, measured beside the subject: memory read bandwidth, and single-precision matrix product.

A fraction of the limit is worth quoting only when both were measured in the same seconds, so these are objects whose
`sample` is called between the subject's calls.
"""

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from bench import machine, measure


@numba.njit(fastmath={"reassoc", "contract"}, nogil=True, cache=True)
def _total(values: np.ndarray) -> np.float32:
    """Read every value once; the sum keeps the compiler from leaving the loop out."""
    total = np.float32(0)
    for i in range(values.shape[0]):
        total += values[i]
    return total


class ReadBandwidth:
    """Reads an array far larger than the last cache with one thread per core."""

    def __init__(self, size_bytes: int = 512 * 1024**2) -> None:
        self._threads = machine.cores()
        self._values = np.ones(size_bytes // 4, dtype=np.float32)
        self._slices = np.array_split(self._values, self._threads)
        self._pool = ThreadPoolExecutor(self._threads)
        self.sample()

    def sample(self, passes: int = 3) -> float:
        """Return the best of `passes` readings, in GB/s (10⁹ bytes)."""
        best = min(measure.timed(self._read).wall_s for _ in range(passes))
        return self._values.nbytes / best / 1e9

    def _read(self) -> None:
        list(self._pool.map(_total, self._slices))


class MatrixProduct:
    """NumPy's float32 matrix product (OpenBLAS on all cores): a square one, the peak, and one shaped like a batch."""

    def __init__(self, dimension: int, queries: int) -> None:
        rng = np.random.default_rng(5)
        self._square = _operands(rng, 4096, 1024, 1024)
        self._batch = _operands(rng, 16_384, dimension, queries)
        self.sample()

    def sample(self, passes: int = 2) -> float:
        """Return the best of `passes` products of the square, in GFLOP/s (two operations per multiply-add)."""
        return self._rate(self._square, passes)

    def sample_batch_shape(self, passes: int = 2) -> float:
        """Return the same for 16,384 rows x dimension by dimension x queries."""
        return self._rate(self._batch, passes)

    def _rate(self, operands: tuple[np.ndarray, np.ndarray, np.ndarray], passes: int) -> float:
        left, right, out = operands
        best = min(measure.timed(lambda: np.matmul(left, right, out=out)).wall_s for _ in range(passes))
        return 2 * left.shape[0] * left.shape[1] * right.shape[1] / best / 1e9


def _operands(
    rng: np.random.Generator, rows: int, inner: int, columns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    left = rng.standard_normal((rows, inner), dtype=np.float32)
    right = rng.standard_normal((inner, columns), dtype=np.float32)
    return left, right, np.empty((rows, columns), dtype=np.float32)
