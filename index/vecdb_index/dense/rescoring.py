"""The end of every approximate search: exact scores for a short list of candidates, and whether it was too short.

Candidates come in the order of their codes. As long as many of the best by their exact scores stand in the second half
of the list, the codes tell these rows apart too little, and a longer list would find more. That is so where a filter
leaves only rows that are all far from the query, and for any query where vectors have few numbers.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense import flat
from vecdb_index.dense.allowed import Allowed
from vecdb_index.types import Matrix, Metric, Rows, Scores, TopK

LATE = 0.05
"""The share of the best that may stand in the second half of a list that is long enough."""
DEEPER = 4
"""So many times as long is the list that follows one that was too short."""

FILTERED_SHARE = 16
"""A filtered search that would score one in so many of its rows anywhere scans all of them instead."""

NOTHING = TopK(np.empty(0, np.uint32), np.empty(0, np.float32), False)


def best(
    matrix: Matrix,
    queries: Matrix,
    k: int,
    metric: Metric,
    rows: Rows,
    counts: NDArray[np.int32],
    norms: Scores | None,
) -> list[TopK]:
    """Return the k best candidates of each query with their exact scores; a line of candidates may be shorter than k.

    Args:
        matrix: (n, d), as in `flat.search`.
        queries: (q, d).
        k: at least 1.
        metric: as in `flat.search`.
        rows: (q, c) uint32, C-contiguous; put in the order of their scores.
        counts: (q,) int32, how many of a line are meant.
        norms: as in `flat.search`.

    """
    scores = flat.rank_lists(matrix, queries, rows, counts, metric, norms)
    found = []
    for row, score, count in zip(rows, scores, counts.tolist(), strict=True):
        kept = min(k, count)
        found.append(TopK(row[:kept], score[:kept], count > k and bool(score[k] == score[k - 1])))
    return found


class Asked(NamedTuple):
    """What is looked for: the arguments of `flat.search_batch`."""

    matrix: Matrix
    queries: Matrix
    k: int
    metric: Metric
    norms: Scores | None
    allowed: Allowed | None
    pool: ThreadPoolExecutor | None


class Gathered(NamedTuple):
    """Candidates of each query by their codes, the best first.

    Attributes:
        rows: (q, c) uint32.
        counts: (q,) int32, how many of a line are meant.
        poor: (q,) bool, whether no number of candidates would do: only a scan finds the best.
        reads: (q,) int32, how many codes were compared.

    """

    rows: Rows
    counts: NDArray[np.int32]
    poor: NDArray[np.bool_]
    reads: NDArray[np.int32]


class Rescored(NamedTuple):
    """The best rows of each query, how many codes were compared (q,) and how many rows were scored (q,), int32."""

    found: list[TopK]
    reads: NDArray[np.int32]
    scored: NDArray[np.int32]


def deepened(gather: Callable[[NDArray[np.intp], int], Gathered], asked: Asked, size: int, most: int) -> Rescored:
    """Return the best candidates of each query; lists of them that are too short are followed by longer ones.

    Where candidates are poor, and under a filter where the longest lists are too short, all allowed rows are scored.

    Args:
        gather: (numbers of queries, how many) -> so many candidates of each.
        asked: what is looked for.
        size: candidates of each query to begin with.
        most: lists become no longer than this.

    """
    count = len(asked.queries)
    out = Rescored([NOTHING] * count, np.zeros(count, np.int32), np.zeros(count, np.int32))
    left, lost = np.arange(count), [np.arange(0)]
    while len(left):
        gathered = gather(left, size)
        coded = gathered.rows.copy()
        given = asked.matrix, asked.queries[left], asked.k, asked.metric
        found = best(*given, gathered.rows, gathered.counts, asked.norms)
        for at, one in zip(left.tolist(), found, strict=True):
            out.found[at] = one
        out.reads[left] += gathered.reads
        out.scored[left] += gathered.counts
        lost.append(left[gathered.poor])
        left = left[~gathered.poor]
        if size >= most and asked.allowed is None:
            break
        left = left[_short(coded, gathered.counts, found)[~gathered.poor]]
        if size >= most:
            lost.append(left)
            break
        size = min(DEEPER * size, most)
    _scan(asked, np.concatenate(lost), out)
    return out


def scanned(asked: Asked) -> Rescored:
    """Answer all queries by all allowed rows."""
    matrix, queries, k, metric, norms, allowed, pool = asked
    found = flat.search_batch(matrix, queries, k, metric, allowed=allowed, norms=norms, pool=pool)
    total = len(matrix) if allowed is None else allowed.count
    return Rescored(found, np.zeros(len(queries), np.int32), np.full(len(queries), total, np.int32))


def _scan(asked: Asked, some: NDArray[np.intp], out: Rescored) -> None:
    """Answer some queries by all allowed rows."""
    matrix, queries, k, metric, norms, allowed, pool = asked
    total = len(matrix) if allowed is None else allowed.count
    for at in some.tolist():
        out.found[at] = flat.search(matrix, queries[at], k, metric, allowed=allowed, norms=norms, pool=pool)
        out.scored[at] += total


def _short(rows: Rows, counts: NDArray[np.int32], found: Sequence[TopK]) -> NDArray[np.bool_]:
    """Tell of each list of candidates, in the order of their codes, whether it was too short for what it found."""
    out = np.zeros(len(found), bool)
    for at, (row, count, one) in enumerate(zip(rows, counts.tolist(), found, strict=True)):
        behind = np.isin(one.rows, row[count // 2 : count], assume_unique=True)
        out[at] = np.count_nonzero(behind) > LATE * len(one.rows)
    return out
