"""The inverted file: named arrays and how to read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense.calibrate import unmeasured
from vecdb_index.dense.ivf.codings import KINDS, Coding
from vecdb_index.dense.ivf.codings.coding import Setting
from vecdb_index.types import Metric, Rows

PROBES = 32
"""Lists that a search reads, unless told otherwise. On 60,000 texts in 256 lists recall@10 grows like this: 4 lists
.75, 8 .83, 16 .89, 32 .93, 64 .965, 128 .991. (The questions are shorter than the texts: their neighbours are
scattered.)"""


@dataclass(frozen=True)
class Ivf:
    """The rows of one segment in lists, each list around its centroid. All arrays may be read-only.

    Attributes:
        metric: what near means.
        centroids: (lists, d) float32, by which a search chooses its lists; see build.py.
        offsets: (lists + 1,) int64: list i is the places offsets[i] to offsets[i + 1].
        order: (n,) uint32, the row at each place; ascending within a list.
        coding: the code at each place.
        curve: (points, 2) float32: a number of lists, and the recall that reading them was measured to reach.

    """

    metric: Metric
    centroids: NDArray[np.float32]
    offsets: NDArray[np.int64]
    order: Rows
    coding: Coding
    curve: NDArray[np.float32] = field(default_factory=lambda: unmeasured(PROBES))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.order)

    @property
    def lists(self) -> int:
        """How many lists there are; some may be empty."""
        return len(self.centroids)

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    @cached_property
    def longest(self) -> int:
        """Rows of the longest list."""
        return int(np.diff(self.offsets).max())

    @cached_property
    def list_bytes(self) -> int:
        """Bytes of a list, about."""
        return max(1, self.bytes // self.lists)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by their names; with `settings`, all that there is to store."""
        own = {"centroids": self.centroids, "offsets": self.offsets, "order": self.order, "curve": self.curve}
        return {**own, **self.coding.arrays()}

    def settings(self) -> dict[str, Setting]:
        """Return what is no array."""
        return {**self.coding.settings(), "codes": self.coding.kind}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Setting]) -> "Ivf":
        """Put an index together again. Only `problems` says whether it may be searched.

        Raises:
            KeyError: an array or a setting is missing.
            ValueError: codes of a kind that this version does not know.

        """
        kind = KINDS.get(str(settings["codes"]))
        if kind is None:
            raise ValueError(f"the lists hold {settings['codes']} codes, which this version cannot read")
        own = arrays["centroids"], arrays["offsets"], arrays["order"]
        return cls(cast(Metric, settings["metric"]), *own, kind.of(arrays, settings), arrays["curve"])
