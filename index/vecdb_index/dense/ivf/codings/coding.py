"""What every kind of code in the lists can do."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.slices import Slice, shared
from vecdb_index.types import Matrix, Metric, Rows, Scores

Setting = str | int | float
Tell = Callable[[], None]
"""Called now and then by the thread that encodes, between its pieces of work; may raise to stop."""
Scan = Callable[..., None]
"""A kernel of kernels/ivf.py, with the arguments that belong to the codes and the queries."""

STEP = 4096
"""Rows encoded at once: whole blocks of RaBitQ's signs."""


class Listed(NamedTuple):
    """Rows in lists, about to be encoded.

    Attributes:
        matrix: (n, d), the rows.
        metric: what near means.
        norms: (n,) their lengths.
        order: (n,) the row at each place.
        of_place: (n,) the list of each place.
        centres: (lists, d) the mean of each list, of directions for cosine.

    """

    matrix: Matrix
    metric: Metric
    norms: Scores
    order: Rows
    of_place: NDArray[np.int32]
    centres: NDArray[np.float32]


class Coding(ABC):
    """Codes of all rows, list by list."""

    kind: ClassVar[str]
    """As it is named in settings."""
    rescored: ClassVar[float]
    """Candidates that are scored exactly, per row asked for."""
    rescored_least: ClassVar[int]
    coarse: ClassVar[bool] = True
    """Whether the codes of rows that are all far from a query say too little of which is the nearest. (Of the ten
    nearest among the farthest fifth of 6,828 texts 8 bits find nine, 4 bits three or four, signs two.)"""

    group: ClassVar[int] = 256
    """Queries that read lists together: more read the codes less often, and need more room for what they are ready
    with."""

    @classmethod
    @abstractmethod
    def make(cls, rows: Listed, pool: ThreadPoolExecutor | None, tell: Tell | None = None) -> "Coding":
        """Encode all rows."""

    @classmethod
    @abstractmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Setting]) -> "Coding":
        """Put codes together again that `arrays` and `settings` describe."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by their names."""

    @abstractmethod
    def settings(self) -> dict[str, Setting]:
        """Return what is no array: the metric, the dimension and what belongs to the kind."""

    @abstractmethod
    def problems(self, rows: int, lists: int) -> list[str]:
        """Return what is wrong with the arrays, a sentence each; kernels may only be given arrays without any."""

    @abstractmethod
    def scan(self, queries: NDArray[Any]) -> Scan:
        """Return the scan for some (q, d) queries."""


def encode(rows: Listed, pool: ThreadPoolExecutor | None, tell: Tell | None, part: Callable[[int, int], None]) -> None:
    """Call part(first, last) for all places, in the threads of the pool."""
    todo = [(first, min(first + STEP, len(rows.order))) for first in range(0, len(rows.order), STEP)]
    each(todo, rows.matrix.nbytes, pool, tell, part)


def each(
    todo: list[Slice], size: int, pool: ThreadPoolExecutor | None, tell: Tell | None, part: Callable[[int, int], None]
) -> None:
    """Call part(first, last) for all slices, in the threads of the pool; size is as in `shared`."""
    caller = threading.get_ident()

    def work(todo: Iterator[Slice]) -> None:
        for first, last in todo:
            part(first, last)
            if tell is not None and threading.get_ident() == caller:
                tell()

    shared(work, todo, size, pool)
