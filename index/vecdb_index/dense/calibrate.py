"""What recall an index reaches at which width of the search, measured when it is built.

A width is what makes a search better and slower: candidates that a walk through a graph keeps, or lists that are read.

The questions are made from the rows: each is a row with half of another one added. Rows themselves would be too easy
(recall .993 where real questions had .931, over 60,000 texts); these had .933, and at every width at most .006 more
than the real ones.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense import flat
from vecdb_index.types import Matrix, Metric, Scores, TopK

QUESTIONS = 200
SAMPLE = 6400
"""Rows that they are made of, at most; of equal ones only one."""
K = 10
OTHER = 0.5
"""The share of another row in a question, before both are weighed to one."""
ENOUGH = 0.999
"""Wider searches than the first that finds so much are not tried."""
FASTER, LOST = 1.25, 0.01
"""How much wider a walk over codes of half the length may be, to take no longer (1.3 to 1.5 over texts and images); and
the recall that it may miss by chance. Among rows far closer together than to all others it misses nearly all."""
WIDEST = 1 << 20
"""No curve leads so far."""

Curve = NDArray[np.float32]
"""(points, 2): a width, and the recall at it; both ascending."""

Ask = Callable[[Matrix, int], Sequence[TopK]]
"""(questions, width) -> the K best rows of each."""


def unmeasured(width: int) -> Curve:
    """Return the curve of an index that no question was asked: always the same width."""
    return np.array([[width, 1]], np.float32)


def questions(matrix: Matrix, norms: Scores, other: float = OTHER) -> Matrix:
    """Return questions for a matrix of rows, of its type; the same ones each time."""
    some = np.flatnonzero(norms > 0)
    if len(some) == 0:
        return matrix[:0]
    rng = np.random.default_rng(len(matrix))
    if len(some) > SAMPLE:
        some = np.sort(rng.choice(some, SAMPLE, replace=False))
    some = some[distinct(matrix[some])]
    pairs = some[rng.integers(0, len(some), (2, QUESTIONS))]
    asked = mixed(matrix[pairs[0]], matrix[pairs[1]], other)
    return asked[asked.any(axis=1)]


def distinct(rows: Matrix) -> NDArray[np.intp]:
    """Return the places of the rows that no row before them equals, ascending.

    Thousands of rows may be the same one, of an empty text for example. Questions made of those would be all alike.
    """
    whole = np.ascontiguousarray(rows)
    numbers = whole.view(np.dtype((np.void, whole.dtype.itemsize * whole.shape[1]))).ravel()
    return np.sort(np.unique(numbers, return_index=True)[1])


def mixed(rows: Matrix, others: Matrix, other: float = OTHER) -> Matrix:
    """Return each row with a share of another one added: float32, or int8 for rows of int8."""
    # Weighed before they are added: the sum of two very long rows would overflow.
    own, share = np.float32(1 / (1 + other)), np.float32(other / (1 + other))
    sums = own * rows.astype(np.float32) + share * others.astype(np.float32)
    return np.rint(sums).astype(np.int8) if rows.dtype == np.int8 else sums


class Measured(NamedTuple):
    """A curve, and how many codes a search read on average at each of its points."""

    curve: Curve
    reads: Sequence[float]


def reads_for(measured: Measured, recall: float) -> float:
    """Return how many codes a search reads for a recall that the curve reaches."""
    return float(np.interp(recall, measured.curve[:, 1], measured.reads))


@dataclass(frozen=True)
class Exam:
    """Questions, (q, d), and the K best rows for each."""

    asked: Matrix
    exact: Sequence[TopK]

    @classmethod
    def of(
        cls,
        matrix: Matrix,
        metric: Metric,
        norms: Scores,
        other: float = OTHER,
        pool: ThreadPoolExecutor | None = None,
    ) -> "Exam | None":
        """Return one whose questions have such a share of another row; None where no question can be asked."""
        asked = questions(matrix, norms, other)
        if len(asked) == 0:
            return None
        return cls(asked, flat.search_batch(matrix, asked, K, metric, norms=norms, pool=pool))

    def curve(self, ask: Ask, widths: Sequence[int], misses: float = 1.0) -> Curve:
        """Return the curve of an index. misses is how many rows real questions miss for one that these do."""
        points: list[tuple[float, float]] = []
        for width in widths:
            found = ask(self.asked, width)
            # Of rows that are equally good any will do.
            shares = [
                np.count_nonzero(one.scores >= best.scores[-1]) / len(best.rows)
                for one, best in zip(found, self.exact, strict=True)
            ]
            share = float(np.mean(shares))
            points.append((width, max(1 - misses * (1 - share), points[-1][1] if points else 0.0)))
            if points[-1][1] >= ENOUGH:
                break
        return np.array(points, np.float32)


def as_good(curve: Curve, other: Curve) -> bool:
    """Whether searches FASTER with this curve find, in the same time, all but LOST of what those with the other do."""
    return bool((np.interp(FASTER * other[:, 0], curve[:, 0], curve[:, 1]) >= other[:, 1] - LOST).all())


def width_for(curve: Curve, recall: float) -> int:
    """Return the least width that promises a recall of the K best, or the widest that was measured."""
    widths, reached = curve[:, 0], curve[:, 1]
    at = int(np.searchsorted(reached, np.float32(recall)))
    if at == 0:
        width = widths[0]
    elif at == len(widths):
        width = widths[-1]
    else:
        part = (recall - reached[at - 1]) / (reached[at] - reached[at - 1])
        width = widths[at - 1] + part * (widths[at] - widths[at - 1])
    return int(np.ceil(width))


def problems(curve: Curve) -> Iterator[str]:
    """Yield what is wrong with a curve."""
    if curve.dtype != np.float32 or curve.ndim != 2 or curve.shape[1] != 2 or len(curve) == 0:
        yield f"the curve is {curve.dtype} {curve.shape}, not float32 (points, 2)"
    elif not (np.diff(curve, axis=0) >= 0).all() or not 0 <= curve.min() <= curve.max() <= WIDEST:
        yield "the curve's widths or recalls do not ascend"
