"""The graph: named arrays and how to read them."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.packed import PackedCoder
from vecdb_index.codes.scalar import Codes, ScalarCoder
from vecdb_index.dense.calibrate import unmeasured

M = 16
"""Links that a row chooses for itself; with those chosen by others it has up to twice as many."""
EF_CONSTRUCTION = 200
"""Candidates among which a row chooses its links."""
EF = 128
"""Candidates that a search keeps, unless told otherwise: recall@10 of .994 over 60,000 texts."""
ENTRIES = 64
"""Rows, a random sample, that a search starts from. Read in one go, they save several steps through the graph."""
MOST_ROWS = 1 << 31
"""A candidate's key has room for so many rows."""


def unmarked(rows: int) -> NDArray[np.uint32]:
    """Return room for a walk to mark the rows of a graph that it has seen, a bit each."""
    return np.zeros((rows >> 5) + 1, np.uint32)


@dataclass(frozen=True)
class Graph:
    """A finished graph over the rows of one segment.

    Attributes:
        coder: how vectors become codes.
        codes: (n, width) uint8.
        links: (n, 2 m) int32 rows; a shorter list ends with n.
        entries: (e,) int32 rows, a random sample, where a search starts.
        curve: (points, 2) float32: a width of the search, and the recall that it was measured to reach; ascending.
        slack: a walk of width w keeps up to 2 w candidates, but none farther than 1 + slack w / 100 times the last of
            those that are scored exactly; 0: it keeps the w best. Not for dot, which knows no distance.

    """

    coder: ScalarCoder | PackedCoder
    codes: Codes
    links: NDArray[np.int32]
    entries: NDArray[np.int32]
    curve: NDArray[np.float32] = field(default_factory=lambda: unmeasured(EF))
    slack: float = 0.0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything that cannot be said in a few words, by name."""
        return {
            "codes": self.codes,
            "links": self.links,
            "entries": self.entries,
            "centre": self.coder.centre,
            "curve": self.curve,
        }

    def settings(self) -> dict[str, str | int | float]:
        """Return the rest."""
        coder = self.coder
        own = {"noise": coder.noise} if isinstance(coder, PackedCoder) else {}
        own |= {"slack": self.slack} if self.slack else {}
        return {"metric": coder.metric, "dimension": coder.dimension, "scale": coder.scale, **own}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> "Graph":
        """Return the graph that had these arrays and settings. What it holds is checked by `problems`."""
        given = settings["metric"], settings["dimension"], float(settings["scale"]), arrays["centre"]
        coder = PackedCoder(*given, float(settings["noise"])) if "noise" in settings else ScalarCoder(*given)
        return cls(
            coder, arrays["codes"], arrays["links"], arrays["entries"], arrays["curve"], settings.get("slack", 0.0)
        )

    def packed(self, pool: ThreadPoolExecutor | None = None) -> "Graph | None":
        """Return this graph over 4-bit codes; None where it has them, or they would not be shorter."""
        if isinstance(self.coder, PackedCoder):
            return None
        coder = PackedCoder.fit(self.coder, self.codes)
        if coder is None:
            return None
        return replace(self, coder=coder, codes=coder.packed(self.coder, self.codes, pool))

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        return self.codes.nbytes + self.links.nbytes + self.entries.nbytes
