"""The words that indexes and their callers share."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Metric: TypeAlias = Literal["dot", "cosine", "l2"]
"""How a query and a row become a score. Higher is always better: the l2 score is minus the squared distance."""

METRIC_CODES: dict[Metric, int] = {"dot": 0, "cosine": 1, "l2": 2}
"""Numbers of the metrics in compiled kernels."""

Matrix: TypeAlias = NDArray[Any]
"""(n, d) float32, float16 or int8, C-contiguous, aligned; may be read-only (a mapped file).

The exact scan also takes bfloat16, as the uint16 numbers of its bits."""

Vector: TypeAlias = NDArray[Any]
"""(d,) values of a query: the dtype of the matrix, or float32 for a float16 matrix."""

Mask: TypeAlias = NDArray[np.bool_] | NDArray[np.uint8]
"""(n,) one byte per row; zero leaves the row out."""

Rows: TypeAlias = NDArray[np.uint32]
"""Row numbers, dense from 0."""

Scores: TypeAlias = NDArray[np.float32]
"""One score per row; never NaN and never -0.0."""


class TopK(NamedTuple):
    """The best rows, best first; equal scores in row order.

    `cut` is True when an allowed row outside the result has exactly the score of the last one inside.
    """

    rows: Rows
    scores: Scores
    cut: bool


class Answers(NamedTuple):
    """What an index found for each of q queries: a line each, best first.

    Attributes:
        rows: (q, r) uint32.
        scores: (q, r) float32.
        met: (q,) int32, how many candidates there were; the first min(met, r) of a line are meant.
        reads: (q,) int32, how many codes were compared with the query.
        scored: (q,) int32, how many rows were scored exactly after that.

    """

    rows: NDArray[np.uint32]
    scores: Scores
    met: NDArray[np.int32]
    reads: NDArray[np.int32]
    scored: NDArray[np.int32]

    @classmethod
    def empty(cls, queries: int, room: int) -> "Answers":
        """Return answers to be filled."""
        shape = queries, room
        told = np.empty((3, queries), np.int32)
        return cls(np.empty(shape, np.uint32), np.empty(shape, np.float32), told[0], told[1], told[2])

    @classmethod
    def of(cls, found: Sequence[TopK]) -> "Answers":
        """Return what an exact scan found, or an index that counts no codes."""
        out = cls.empty(len(found), max((len(one.rows) for one in found), default=0))
        out.reads[:] = out.scored[:] = 0
        for at, one in enumerate(found):
            out.rows[at, : len(one.rows)], out.scores[at, : len(one.rows)] = one.rows, one.scores
            out.met[at] = len(one.rows)
        return out

    def put(self, at: NDArray[Any], others: "Answers") -> None:
        """Replace some lines by those of others; the codes that were read and the rows that were scored add up."""
        width = min(self.rows.shape[1], others.rows.shape[1])
        self.rows[at, :width], self.scores[at, :width] = others.rows[:, :width], others.scores[:, :width]
        # Where the others have shorter lines, what they met is no more than what stands in them.
        self.met[at] = others.met
        self.reads[at] += others.reads
        self.scored[at] += others.scored

    def lines(self, k: int) -> list[tuple[Rows, Scores]]:
        """Return rows and scores of the k best of each line."""
        most = min(k, self.rows.shape[1])
        if len(self.met) == 1:
            count = min(most, int(self.met[0]))
            return [(self.rows[0, :count], self.scores[0, :count])]
        return [
            (rows[: min(most, met)], scores[: min(most, met)])
            for rows, scores, met in zip(self.rows, self.scores, self.met.tolist(), strict=True)
        ]

    def top(self, k: int) -> list[TopK]:
        """Return the k best of each line."""
        found = []
        for row, score, met in zip(self.rows, self.scores, self.met.tolist(), strict=True):
            count = min(met, len(row))
            kept = min(k, count)
            found.append(TopK(row[:kept], score[:kept], count > k > 0 and bool(score[k] == score[k - 1])))
        return found
