"""The signs of vectors as an index: one bit a number, compared by Hamming distance, then exact scores.

    cosine, dot  the signs of the directions x / |x| less their mean
    l2           the signs of the rows less their mean

The number of bits in which two rows differ grows with the angle between them, as seen from the mean. Of their lengths
it says nothing: for dot and l2, rows of uneven length need more candidates, as the measured curve then shows.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.rabitq import prepared, ready
from vecdb_index.codes.stored import mismatches
from vecdb_index.dense import binary, calibrate
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.binary import MOST_BYTES, WORD, Bits, binarise
from vecdb_index.dense.calibrate import unmeasured
from vecdb_index.dense.sample import sampled
from vecdb_index.slices import Progress, Slice, reported
from vecdb_index.types import METRIC_CODES, Matrix, Metric, Rows, Scores

KEPT = 256
"""Rows that a search scores exactly where nothing was measured."""


@dataclass(frozen=True)
class Signs:
    """The signs of n rows. All arrays may be read-only.

    Attributes:
        metric: what near means.
        centre: (d,) float32, the mean from which signs are taken.
        bits: (n, bytes) uint8 of `binarise`, bytes a multiple of eight.
        curve: (points, 2) float32: rows that are scored exactly, and the recall that this was measured to reach.

    """

    metric: Metric
    centre: NDArray[np.float32]
    bits: Bits
    curve: NDArray[np.float32] = field(default_factory=lambda: unmeasured(KEPT))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.bits)

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by their names; with `settings`, all that there is to store."""
        return {"centre": self.centre, "bits": self.bits, "curve": self.curve}

    def settings(self) -> dict[str, str | int | float]:
        """Return what is no array."""
        return {"metric": self.metric}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> "Signs":
        """Put an index together again. Only `problems` says whether it may be searched.

        Raises:
            KeyError: an array or a setting is missing.

        """
        return cls(settings["metric"], arrays["centre"], arrays["bits"], arrays["curve"])

    def candidates(
        self,
        queries: NDArray[Any],
        size: int,
        allowed: Allowed | None = None,
        pool: ThreadPoolExecutor | None = None,
    ) -> Rows:
        """Return for each of the (q, d) queries the allowed rows whose signs differ least: (q, size) uint32.

        At least `size` rows must be allowed.
        """
        asked = binarise(ready(queries, self.metric if self.metric == "l2" else "cosine"), self.centre)
        found = binary.search_batch(self.bits, asked, size, allowed=allowed, pool=pool)
        return np.stack([one.rows for one in found])


def build(
    matrix: Matrix,
    metric: Metric,
    norms: Scores,
    *,
    pool: ThreadPoolExecutor | None = None,
    progress: Progress | None = None,
) -> Signs:
    """Return the signs of all rows of a matrix; the same ones for any number of threads.

    Args:
        matrix: (n, d) float32, float16 or int8, all finite; n at least 1.
        metric: what near means.
        norms: (n,) float32, the rows' lengths.
        pool: threads that help; None: the calling thread alone.
        progress: called with (rows done, rows) now and then; it may raise to stop.

    """
    count, dimension = matrix.shape
    if count == 0:
        raise ValueError("an index of signs has at least 1 row, not 0")
    seen: Metric = "l2" if metric == "l2" else "cosine"
    sample = sampled(norms, dimension)
    centre = prepared(matrix[sample], norms[sample], seen).mean(axis=0, dtype=np.float64).astype(np.float32)
    index = Signs(metric, centre, np.empty((count, _bytes(dimension)), np.uint8))

    def work(todo: Iterator[Slice]) -> None:
        for first, last in todo:
            rows = prepared(matrix[first:last], norms[first:last], seen)
            index.bits[first:last] = binarise(rows, centre)

    reported(work, count, 4 * dimension, pool, progress)
    return index


def problems(index: Signs) -> list[str]:
    """Return what is wrong with an index's arrays, a sentence each; one may only be searched without any."""
    rows, dimension = len(index.bits), index.centre.size
    if index.metric not in METRIC_CODES or rows == 0:
        return [f"it has {rows} rows, and its metric is {index.metric!r}"]
    if not 1 <= dimension <= 8 * MOST_BYTES:
        return [f"it is of vectors of {dimension} numbers"]
    found = mismatches(
        {
            "the centre is": (index.centre, np.float32, (dimension,)),
            "bits are": (index.bits, np.uint8, (rows, _bytes(dimension))),
        }
    )
    if not found and not np.isfinite(index.centre).all():
        found.append("the centre is not finite")
    return [*found, *calibrate.problems(index.curve)]


def _bytes(dimension: int) -> int:
    """Return the bytes of a row's signs."""
    return -(-dimension // (8 * WORD)) * WORD
