"""The end of every approximate search: exact scores for a short list of candidates."""

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense import flat
from vecdb_index.types import Matrix, Metric, Rows, Scores, TopK


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
