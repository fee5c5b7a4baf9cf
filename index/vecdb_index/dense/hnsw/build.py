"""Making a graph, in parallel and yet always the same.

Rows are inserted in a random order that the seed fixes, in batches that double. First each new row searches the graph
as it was before its batch, and chooses its links; then each row that was chosen gets its links back. Either step writes
only what belongs to the row it works on, so the graph does not depend on the number of threads.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.scalar import Codes, ScalarCoder
from vecdb_index.dense.hnsw.graph import EF_CONSTRUCTION, ENTRIES, MOST_ROWS, Graph, M
from vecdb_index.dense.hnsw.reach import connect
from vecdb_index.slices import HELPER_BYTES, Slice, shared
from vecdb_index.types import Matrix, Metric, Scores

BATCH = 2048
"""Rows inserted at once, at most: more would know too little of each other."""
SLICE = 64
"""Rows of one call of a kernel: at most a few tens of milliseconds."""
ORDER_SEED = 0x5EED

Progress = Callable[[int, int], None]


def build(
    matrix: Matrix,
    metric: Metric,
    norms: Scores,
    *,
    m: int = M,
    ef_construction: int = EF_CONSTRUCTION,
    pool: ThreadPoolExecutor | None = None,
    progress: Progress | None = None,
) -> Graph:
    """Return the graph of all rows of a matrix.

    Args:
        matrix: (n, d) float32, float16 or int8; n at least 1 and less than 2^31.
        metric: what near means.
        norms: (n,) float32, the rows' lengths.
        m: links that each row chooses; rows keep up to 2 m.
        ef_construction: candidates among which they are chosen.
        pool: threads that help; None: the calling thread alone.
        progress: called with (rows done, rows) now and then; it may raise to stop.

    """
    count = len(matrix)
    if not 1 <= count < MOST_ROWS:
        raise ValueError(f"a graph has 1 to {MOST_ROWS - 1} rows, not {count}")
    coder = ScalarCoder.fit(matrix, metric, norms)
    codes = np.empty((count, coder.width), np.uint8)
    _encode(coder, matrix, norms, codes, pool)
    builder = _Builder(codes, coder.normed, m, ef_construction, pool)
    links = builder.run(progress)
    return Graph(coder, codes, links, builder.entries)


def _encode(coder: ScalarCoder, matrix: Matrix, norms: Scores, codes: Codes, pool: ThreadPoolExecutor | None) -> None:
    def work(todo: Iterator[Slice]) -> None:
        for first, last in todo:
            coder.encode(matrix, norms, np.arange(first, last), codes[first:last])

    shared(work, _slices(0, len(codes), 4096), matrix.nbytes, pool)


class _Builder:
    def __init__(self, codes: Codes, normed: bool, m: int, ef: int, pool: ThreadPoolExecutor | None) -> None:
        self.codes, self.normed, self.m, self.ef, self.pool = codes, normed, m, ef, pool
        self.links = np.full((len(codes), 2 * m), len(codes), np.int32)
        self.degrees = np.zeros(len(codes), np.int32)
        self.order = np.random.default_rng(ORDER_SEED).permutation(len(codes)).astype(np.int32)
        self.entries = self.order[:ENTRIES].copy()
        self._idle: list[NDArray[np.uint16]] = []

    def run(self, progress: Progress | None) -> NDArray[np.int32]:
        done, count = 1, len(self.codes)
        while done < count:
            size = min(count - done, done, BATCH)
            self._insert(done, size)
            done += size
            if progress is not None:
                progress(done, count)
        connect(self.links, self.entries)
        return self.links

    def _insert(self, base: int, size: int) -> None:
        from vecdb_index.kernels import graph as kernels

        chosen, counts = np.empty((size, self.m), np.int32), np.empty(size, np.int32)

        def find(todo: Iterator[Slice]) -> None:
            visited = self._idle.pop() if self._idle else np.zeros(len(self.codes) + 1, np.uint16)
            for first, last in todo:
                graph = self.codes, self.links, self.normed, self.order, ENTRIES, self.ef
                kernels.find_links(*graph, base, first, last, visited, chosen, counts)
            self._idle.append(visited)

        self._share(find, _slices(base, base + size, SLICE))
        used = np.arange(self.m) < counts[:, None]
        targets = chosen[used]
        rows = self.order[base : base + size]
        sources = np.repeat(rows, counts)
        self.links[rows, : self.m] = np.where(used, chosen, len(self.codes))
        self.degrees[rows] = counts
        by_target = np.argsort(targets, kind="stable")
        targets, sources = targets[by_target], sources[by_target]
        starts = np.flatnonzero(np.r_[True, targets[1:] != targets[:-1], True])

        def link(todo: Iterator[Slice]) -> None:
            for first, last in todo:
                kernels.link_back(
                    self.codes, self.links, self.degrees, self.normed, targets, sources, starts, first, last
                )

        self._share(link, _slices(0, len(starts) - 1, SLICE))

    def _share(self, work: Callable[[Iterator[Slice]], None], todo: list[Slice]) -> Any:
        return shared(work, todo, len(todo) * HELPER_BYTES, self.pool)


def _slices(first: int, last: int, step: int) -> list[Slice]:
    return [(start, min(start + step, last)) for start in range(first, last, step)]
