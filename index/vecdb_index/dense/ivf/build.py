"""Making an inverted file: centroids from a sample, then every row to the list of the nearest one.

The same rows give the same file, with any number of threads.

    cosine  the directions x / |x| are clustered, and the centroids made unit vectors: the longer ones, of tight
            lists, would draw queries that are like no row (recall@10 at 16 of 256 lists .86 rather than .89)
    dot     the directions too, each centroid then made as long as the longest row of its list: about the best that
            a list can offer. To cluster the rows themselves put the long ones into lists of a few rows (on rows
            whose lengths spread by a factor of 1.5: .52 rather than .80)
    l2      the rows themselves
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from vecdb_index.cluster.kmeans import grouped, kmeans
from vecdb_index.dense.ivf.codings import KINDS
from vecdb_index.dense.ivf.codings.coding import Listed
from vecdb_index.dense.ivf.index import Ivf
from vecdb_index.types import Matrix, Metric, Scores

LISTS_PER_ROOT = 1.0
"""Lists per square root of the number of rows. On 60,000 texts of 384 numbers twice as many lists find as much about a
tenth faster (recall@10 .95 at 7,900 queries a second on a busy core), but take more than twice as long to make."""
SAMPLE_PER_LIST = 64
"""Rows that each centroid is made from. There, with 256 lists of which 64 are read, recall@10 is .965 with 64 rows,
.968 with 128 and .969 with all; the index takes 0.9, 1.7 and 2.4 CPU seconds (faiss: 2.0 for IVF256,Flat, 4.6 for
IVF256,PQ192x4fs,RFlat)."""
MOST_ROWS = (1 << 32) - 1
"""A candidate's key has room for so many rows."""
_SMALLEST = np.float32(2.0**-119)

Progress = Callable[[int, int], None]


def default_lists(rows: int) -> int:
    """Return how many lists so many rows get unless told otherwise."""
    return max(1, min(rows, round(LISTS_PER_ROOT * math.sqrt(rows))))


def build(
    matrix: Matrix,
    metric: Metric,
    norms: Scores,
    *,
    lists: int | None = None,
    codes: str = "8bit",
    pool: ThreadPoolExecutor | None = None,
    progress: Progress | None = None,
) -> Ivf:
    """Return the inverted file of all rows of a matrix.

    Args:
        matrix: (n, d) float32, float16 or int8, all finite; n at least 1 and less than 2^32.
        metric: what near means.
        norms: (n,) float32, the rows' lengths.
        lists: how many; at most n are made. None: `default_lists`.
        codes: "8bit", "4bit", "product" or "rabitq": what the lists hold.
        pool: threads that help; None: the calling thread alone.
        progress: called with (work done, all work) now and then; it may raise to stop.

    """
    count = len(matrix)
    if not 1 <= count < MOST_ROWS:
        raise ValueError(f"an inverted file has 1 to {MOST_ROWS - 1} rows, not {count}")
    lists = default_lists(count) if lists is None else min(lists, count)
    scales = None if metric == "l2" else _inverse(norms)
    told = None if progress is None else _Told(progress)
    clusters = kmeans(matrix, lists, sample=SAMPLE_PER_LIST * lists, scales=scales, pool=pool, progress=told)
    order, offsets = grouped(clusters.assignments, lists)
    centres = centroids = clusters.centroids
    if metric != "l2":
        centroids = centres * _inverse(np.linalg.norm(centres, axis=1))[:, None]
    if metric == "dot":
        longest, total = np.zeros(lists, np.float32), np.bincount(clusters.assignments, norms, lists)
        np.maximum.at(longest, clusters.assignments, norms)
        centroids *= longest[:, None]
        centres = centres * (total / np.maximum(np.diff(offsets), 1)).astype(np.float32)[:, None]
    rows = Listed(matrix, metric, norms, order, clusters.assignments[order].astype(np.int32), centres)
    return Ivf(metric, centroids, offsets, order, KINDS[codes].make(rows, pool, told and told.again))


class _Told:
    """Progress that can be told again: codes take long too, and must be able to stop."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._last = progress, (0, 1)

    def __call__(self, done: int, total: int) -> None:
        self._last = done, total
        self._progress(done, total)

    def again(self) -> None:
        self._progress(*self._last)


def _inverse(norms: Scores) -> Scores:
    return np.divide(1, norms, out=np.zeros_like(norms), where=norms >= _SMALLEST)
