"""Making a graph, in parallel and yet always the same.

Rows are inserted in a random order that the seed fixes, in batches that double, into an empty graph or one that holds
some rows (merge.py). First each new row searches the graph as it was before its batch, and chooses its links; then each
row that was chosen gets its links back. Either step writes only what belongs to the row it works on, so the graph does
not depend on the number of threads.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.scalar import Codes, ScalarCoder
from vecdb_index.dense import flat
from vecdb_index.dense.hnsw.graph import EF_CONSTRUCTION, ENTRIES, MOST_ROWS, Graph, M, unmarked
from vecdb_index.dense.hnsw.reach import connect
from vecdb_index.slices import HELPER_BYTES, Slice, shared, slices_of
from vecdb_index.types import Matrix, Metric, Scores

BATCH = 2048
"""Rows inserted at once, at most: more would know too little of each other."""
PIVOTS = 128
"""Rows of a batch that the others are compared with, to find which lie near each other: they walk through the same
codes, so those are in the cache. A row took 0.83 of the time."""
SLICE = 64
"""Rows of one call of a kernel: at most a few tens of milliseconds."""
ORDER_SEED = 0x5EED
NEAREST_EF = 32
"""Candidates of the search for a reachable row near a lost one."""

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
    encode(coder, matrix, norms, 0, codes, pool)
    builder = Builder(codes, coder.normed, m, ef_construction, pool)
    builder.run(progress)
    return Graph(coder, codes, builder.links, builder.entries)


def encode(
    coder: ScalarCoder,
    matrix: Matrix,
    norms: Scores,
    start: int,
    codes: Codes,
    pool: ThreadPoolExecutor | None,
) -> None:
    """Write the codes of the rows from start on to codes (k, width), with the threads of the pool."""

    def work(todo: Iterator[Slice]) -> None:
        for first, last in todo:
            coder.encode(matrix, norms, np.arange(start + first, start + last), codes[first:last])

    shared(work, slices_of(0, len(codes), 4096), matrix.nbytes, pool)


class Builder:
    """Inserts the rows of a matrix of codes that its graph does not hold yet.

    Attributes:
        codes: (n, width) uint8, of all rows.
        links: (n, 2 m) int32, as in Graph.
        degrees: (n,) int32, how long each list is.
        entries: the first rows of the random order that the graph holds, at most ENTRIES.

    """

    def __init__(self, codes: Codes, normed: bool, m: int, ef: int, pool: ThreadPoolExecutor | None) -> None:
        """Start with a graph of one row, the first of the order."""
        count = len(codes)
        self.codes, self.normed, self.m, self.ef, self.pool = codes, normed, m, ef, pool
        self.links = np.full((count, 2 * m), count, np.int32)
        self.degrees = np.zeros(count, np.int32)
        self.order = np.random.default_rng(ORDER_SEED).permutation(count).astype(np.int32)
        self._idle: list[NDArray[np.uint32]] = []
        held = np.zeros(count, bool)
        held[self.order[0]] = True
        self.start_with(held)

    def start_with(self, held: NDArray[np.bool_]) -> None:
        """Take links and degrees, as they are now, for the graph of these rows (n,), at least one."""
        self.left = self.order[~held[self.order]]
        self.entries = self.order[held[self.order]][:ENTRIES]
        self._place = np.empty(len(self.order), np.int32)
        self._place[self.order] = np.arange(len(self.order), dtype=np.int32)

    def run(self, progress: Progress | None) -> None:
        """Insert all rows that are left, and make every row reachable."""
        count, done = len(self.codes), 0
        first = count - len(self.left)
        while done < len(self.left):
            batch = self.left[done : done + min(done + 1, BATCH)]
            self._insert(self._side_by_side(batch))
            done += len(batch)
            self.entries = self._earliest(np.concatenate([self.entries, batch]))
            if progress is not None:
                progress(first + done, count)
        connect(self.links, self.entries, lambda rows: self.find(rows, NEAREST_EF, 1)[0][:, 0])

    def _side_by_side(self, rows: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the rows in another order, near ones next to each other: they walk through the same codes."""
        if len(rows) < PIVOTS:
            return rows
        numbers = self.codes[rows].astype(np.float32) - 128
        nearest = np.array([found.rows for found in flat.search_batch(numbers[:PIVOTS], numbers, 3, "dot")])
        return rows[np.lexsort(nearest.T[::-1])]

    def find(self, rows: NDArray[np.int32], ef: int, most: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Choose links for rows that no link leads to: (k, most) rows, how many (k,), from ef candidates."""
        from vecdb_index.kernels import graph as kernels

        chosen, counts = np.empty((len(rows), most), np.int32), np.empty(len(rows), np.int32)
        base = len(self.entries)
        order = np.concatenate([self.entries, rows])

        def work(todo: Iterator[Slice]) -> None:
            visited = self._idle.pop() if self._idle else unmarked(len(self.codes))
            for first, last in todo:
                graph = self.codes, self.links, self.normed, order, base, ef
                kernels.find_links(*graph, base, first, last, visited, chosen, counts)
            self._idle.append(visited)

        self.share(work, slices_of(base, base + len(rows), SLICE))
        return chosen, counts

    def _insert(self, rows: NDArray[np.int32]) -> None:
        from vecdb_index.kernels import graph as kernels

        chosen, counts = self.find(rows, self.ef, self.m)
        used = np.arange(self.m) < counts[:, None]
        targets, sources = chosen[used], np.repeat(rows, counts)
        self.links[rows, : self.m] = np.where(used, chosen, len(self.codes))
        self.degrees[rows] = counts
        by_target = np.argsort(targets, kind="stable")
        targets, sources = targets[by_target], sources[by_target]
        starts = np.flatnonzero(np.r_[True, targets[1:] != targets[:-1], True])

        def work(todo: Iterator[Slice]) -> None:
            for first, last in todo:
                kernels.link_back(
                    self.codes, self.links, self.degrees, self.normed, targets, sources, starts, first, last
                )

        self.share(work, slices_of(0, len(starts) - 1, SLICE))

    def _earliest(self, rows: NDArray[np.int32]) -> NDArray[np.int32]:
        return rows[np.argsort(self._place[rows])[:ENTRIES]]

    def share(self, work: Callable[[Iterator[Slice]], None], todo: list[Slice]) -> None:
        """Let all threads take slices of this work."""
        shared(work, todo, len(todo) * HELPER_BYTES, self.pool)
