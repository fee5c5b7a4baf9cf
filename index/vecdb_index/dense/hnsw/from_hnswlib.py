"""A graph whose links were made by hnswlib, to be searched like any other.

Only its lowest level is taken, which holds every row, with our codes and entries. It is slower than `build` and its
links were chosen by exact distances, so it is the referee of what our links lose. Needs the extra `hnswlib`.

hnswlib's Python has no word for its links; `__getstate__`, which it has so that an index can be stored, gives the
memory of the lowest level and where in a record the list, the vector and the label lie.
"""

import importlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.scalar import ScalarCoder
from vecdb_index.dense.hnsw.build import ORDER_SEED, Progress, encode
from vecdb_index.dense.hnsw.graph import EF_CONSTRUCTION, ENTRIES, Graph, M
from vecdb_index.dense.hnsw.reach import connect
from vecdb_index.errors import MissingExtraError
from vecdb_index.types import Matrix, Metric, Scores

_BATCH = 4096
_COUNT = 0xFFFF  # The other half of a list's first four bytes marks deleted rows.


def build(
    matrix: Matrix,
    metric: Metric,
    norms: Scores,
    *,
    m: int = M,
    ef_construction: int = EF_CONSTRUCTION,
    pool: ThreadPoolExecutor | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Graph:
    """Return the graph of all rows of a matrix, n at least 1.

    Only with one thread is it the same each time. Takes the memory of the rows as float32 twice over.

    Args:
        matrix: as for our own build.
        metric: as for our own build.
        norms: as for our own build.
        m: as for our own build.
        ef_construction: as for our own build.
        pool: threads that help to encode.
        threads: that hnswlib starts.
        progress: as for our own build.

    Raises:
        MissingExtraError: hnswlib is not installed.

    """
    count = len(matrix)
    coder = ScalarCoder.fit(matrix, metric, norms)
    codes = np.empty((count, coder.width), np.uint8)
    encode(coder, matrix, norms, 0, codes, pool)
    index = _package().Index(space="l2" if metric == "l2" else "ip", dim=matrix.shape[1])
    index.init_index(max_elements=count, M=m, ef_construction=ef_construction, random_seed=ORDER_SEED)
    for first in range(0, count, _BATCH):
        rows = np.arange(first, min(first + _BATCH, count))
        vectors = matrix[rows].astype(np.float32)
        if metric == "cosine":
            vectors *= np.divide(1, norms[rows], out=np.zeros(len(rows), np.float32), where=norms[rows] > 0)[:, None]
        index.add_items(vectors, rows, num_threads=threads)
        if progress is not None:
            progress(int(rows[-1]) + 1, count)
    links = _lowest_level(index, 2 * m)
    entries = np.random.default_rng(ORDER_SEED).permutation(count)[:ENTRIES].astype(np.int32)
    connect(links, entries)
    return Graph(coder, codes, links, entries)


def _package() -> Any:
    try:
        return importlib.import_module("hnswlib")
    except ImportError as error:
        message = "graphs by hnswlib need the extra: pip install 'vecdb-engine[hnswlib]' (it compiles C++)"
        raise MissingExtraError(message) from error


def _lowest_level(index: Any, width: int) -> NDArray[np.int32]:
    """Return the lists of the lowest level by label: (n, width) int32, a shorter one ends with n."""
    (state,) = index.__getstate__()
    count = state["cur_element_count"]
    records = state["data_level0"].view(np.uint8).reshape(-1, state["size_data_per_element"])[:count]
    label, start = state["label_offset"], state["offset_level0"]
    labels = np.ascontiguousarray(records[:, label : label + 8]).view(np.uint64).ravel().astype(np.int64)
    lists = np.ascontiguousarray(records[:, start : start + 4 * (width + 1)]).view(np.uint32)
    used = np.arange(width) < (lists[:, :1] & _COUNT)
    links = np.full((count, width), count, np.int32)
    links[labels] = np.where(used, labels[np.where(used, lists[:, 1:], 0)], count)
    return links
