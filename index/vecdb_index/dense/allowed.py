"""Which rows of a matrix may be found: a mask, and what follows from it, worked out once."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vecdb_index.types import Mask, Rows


class Allowed:
    """A mask (n,) of one byte a row, zero where a row may not be found. Immutable: keep it as long as the rows."""

    def __init__(self, mask: Mask) -> None:
        self.mask: NDArray[np.uint8] = np.ascontiguousarray(mask).view(np.uint8)
        self._entries: dict[int, NDArray[np.int32]] = {}

    @classmethod
    def of(cls, mask: "Mask | Allowed | None") -> "Allowed | None":
        """Wrap a mask; None allows every row."""
        return mask if mask is None or isinstance(mask, Allowed) else cls(mask)

    def __len__(self) -> int:
        return len(self.mask)

    @cached_property
    def count(self) -> int:
        """How many rows are allowed."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def rows(self) -> Rows:
        """The allowed rows, ascending."""
        return np.flatnonzero(self.mask).astype(np.uint32)

    def entries(self, size: int) -> NDArray[np.int32]:
        """Return some of the allowed rows, spread evenly over their numbers; the same ones each time."""
        found = self._entries.get(size)
        if found is None:
            at = np.linspace(0, self.count - 1, min(self.count, size)).astype(np.int64)
            found = self._entries[size] = self.rows[at].astype(np.int32)
        return found
