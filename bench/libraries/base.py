"""What the workload `ann` asks of an index that is used as a library: a matrix in, row numbers out.

Life: build into a folder in one process; load, search, close in others. A library that cannot be used on this machine,
or with this metric, raises UnsupportedError.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench import pagecache
from bench.systems.base import Graph

# A point of a sweep: the width of the search, or a pair where a library has two settings.
Width = int | tuple[int, int]
WIDTHS: tuple[Width, ...] = (10, 16, 24, 36, 54, 80, 120, 180, 280, 440)


class Library:
    """Base of all libraries.

    Attributes:
        widths: what a sweep tries, from fast to exact.
        stores_raw: whether the files hold the raw float32 vectors; they are then not counted as index.
        threads: those that `batch` will be told, set before `load` for what must know them when it opens.

    """

    name: ClassVar[str]
    widths: tuple[Width, ...] = WIDTHS
    stores_raw: bool = True
    threads: int = 2

    def build(self, rows: np.ndarray, metric: str, graph: Graph, folder: Path) -> None:
        """Build the index of float32 rows (n, d); rows of cosine have unit length.

        In memory, except for databases, which build in `folder`, empty, where `save` will leave the index.
        """
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Write the index into the folder that `build` was told."""
        raise NotImplementedError

    def load(self, folder: Path, rows: np.ndarray, metric: str) -> None:
        """Read what `save` wrote; rows is the matrix, mapped, for libraries that need it."""
        raise NotImplementedError

    def set_width(self, width: Width) -> None:
        """Choose the point of the sweep for the calls that follow."""
        raise NotImplementedError

    def one(self, query: np.ndarray, k: int) -> Any:
        """Return the k best rows of one query, on one thread, as the library gives them."""
        raise NotImplementedError

    def batch(self, queries: np.ndarray, k: int, threads: int) -> Any:
        """Return the k best rows of every query in one call, as the library gives them."""
        raise NotImplementedError

    def numbers(self, answer: Any) -> Sequence[int]:
        """Turn what `one` gave, or one element of what `batch` gave, into row numbers. Not timed."""
        return [int(row) for row in answer]

    def cost(self, queries: np.ndarray, k: int) -> dict[str, float]:
        """Return "distances" and "bytes" a query, as far as the library tells."""
        return {}

    def index_bytes(self, folder: Path, rows: np.ndarray) -> int:
        """Return the bytes of the saved index beside one copy of the raw vectors."""
        return pagecache.allocated_bytes(folder) - (rows.size * 4 if self.stores_raw else 0)

    def close(self) -> None:
        """Release what is open."""
