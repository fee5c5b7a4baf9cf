"""The graph of rows that come from several segments: the largest graph is kept, mended, and gets the other rows.

Deletions are a merge of one part. A row that lost nearly all its neighbours is inserted again instead of being mended,
and where too few rows could be kept, the graph is built anew. As with build, the result depends on the rows only, not
on the number of threads.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.packed import PackedCoder
from vecdb_index.codes.scalar import Codes, ScalarCoder
from vecdb_index.dense.hnsw.build import Builder, Progress, build, encode
from vecdb_index.dense.hnsw.graph import EF_CONSTRUCTION, Graph, M
from vecdb_index.slices import Slice, slices_of
from vecdb_index.types import Matrix, Metric, Scores

KEPT_LEAST = 0.1
"""Share of the new rows that a graph must hold to be kept. To keep a smaller one saves next to nothing; recall was as
good at any share."""
SURVIVORS = 0.25
"""A row that keeps a smaller share of its neighbours than this is inserted again."""
SLICE = 256
"""Rows of one call of the kernel: a few milliseconds."""

Part = tuple[Graph | None, NDArray[np.integer]]
"""The graph of a segment, or None, and its live rows: old row numbers, ascending."""


class _Kept(NamedTuple):
    """A graph to go on with: its links, the old numbers of the rows that stay, and the new number of each old row."""

    links: NDArray[np.int32]
    rows: NDArray[np.int32]
    place: NDArray[np.int32]


def merged(
    parts: Sequence[Part],
    matrix: Matrix,
    metric: Metric,
    norms: Scores,
    *,
    m: int = M,
    ef_construction: int = EF_CONSTRUCTION,
    pool: ThreadPoolExecutor | None = None,
    progress: Progress | None = None,
) -> Graph:
    """Return a graph of all rows of a matrix that holds the live rows of each part, part after part.

    Args:
        parts: the segments that were merged. A graph that was made with another metric, dimension or m is not used.
        matrix: as for build.
        metric: as for build.
        norms: as for build.
        m: as for build.
        ef_construction: as for build.
        pool: as for build.
        progress: as for build; rows that are kept count as done from the first call.

    """
    firsts = np.cumsum([0, *(len(rows) for _, rows in parts)])
    usable = [
        at
        for at, (graph, rows) in enumerate(parts)
        if graph is not None and len(rows) and _fits(graph, metric, matrix.shape[1], m)
    ]
    if usable:
        largest = max(usable, key=lambda at: len(parts[at][1]))
        graph, rows = parts[largest]
        assert graph is not None
        kept = _kept(graph, rows, int(firsts[largest]))
        if len(kept.rows) >= KEPT_LEAST * len(matrix) and len(kept.rows):
            coder, codes = _codes(graph, rows, int(firsts[largest]), matrix, norms, pool)
            return _continued(kept, coder, codes, m, ef_construction, pool, progress)
    return build(matrix, metric, norms, m=m, ef_construction=ef_construction, pool=pool, progress=progress)


def _fits(graph: Graph, metric: Metric, dimension: int, m: int) -> bool:
    return (graph.coder.metric, graph.coder.dimension, graph.links.shape[1]) == (metric, dimension, 2 * m)


def _kept(graph: Graph, rows: NDArray[np.integer], first: int) -> _Kept:
    """Leave out the rows that lost nearly all neighbours; the others get numbers from first on, in their order."""
    count = len(graph)
    live = np.zeros(count + 1, bool)
    live[rows] = True
    strong = np.empty(len(rows), bool)
    for start, stop in slices_of(0, len(rows), 1 << 15):
        links = graph.links[rows[start:stop]]
        degrees = (links < count).sum(axis=1)
        strong[start:stop] = live[links].sum(axis=1) >= SURVIVORS * degrees
    place = np.full(count, -1, np.int32)
    place[rows[strong]] = first + np.flatnonzero(strong)
    return _Kept(graph.links, rows[strong].astype(np.int32), place)


def _codes(
    graph: Graph,
    rows: NDArray[np.integer],
    first: int,
    matrix: Matrix,
    norms: Scores,
    pool: ThreadPoolExecutor | None,
) -> tuple[ScalarCoder, Codes]:
    """Return 8-bit codes of all rows: those that the graph has where its coder still fits, else all made anew."""
    count = len(matrix)
    if isinstance(graph.coder, PackedCoder) or not graph.coder.fits(matrix, norms):
        coder = ScalarCoder.fit(matrix, graph.coder.metric, norms)
        codes = np.empty((count, coder.width), np.uint8)
        encode(coder, matrix, norms, 0, codes, pool)
        return coder, codes
    codes, last = np.empty((count, graph.coder.width), np.uint8), first + len(rows)
    np.take(graph.codes, rows, axis=0, out=codes[first:last])
    for start, part in ((0, codes[:first]), (last, codes[last:])):
        encode(graph.coder, matrix, norms, start, part, pool)
    return graph.coder, codes


def _continued(
    kept: _Kept,
    coder: ScalarCoder,
    codes: Codes,
    m: int,
    ef: int,
    pool: ThreadPoolExecutor | None,
    progress: Progress | None,
) -> Graph:
    """Return a graph of all rows of codes, made from what is kept."""
    from vecdb_index.kernels.consolidate import take_over

    builder = Builder(codes, coder.normed, m, ef, pool)

    def work(todo: Iterator[Slice]) -> None:
        visited = np.zeros(len(kept.place) + 1, np.uint16)
        arrays = codes, kept.links, coder.normed, kept.rows, kept.place
        for first, last in todo:
            take_over(*arrays, first, last, visited, builder.links, builder.degrees)

    builder.share(work, slices_of(0, len(kept.rows), SLICE))
    if len(kept.rows):
        held = np.zeros(len(codes), bool)
        held[kept.place[kept.rows]] = True
        builder.start_with(held)
    builder.run(progress)
    return Graph(coder, codes, builder.links, builder.entries)
