"""The inverted file: named arrays and how to read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.scalar import Codes, ScalarCoder
from vecdb_index.types import Metric, Rows

Setting = str | int | float


@dataclass(frozen=True)
class Ivf:
    """The rows of one segment in lists, each list around its centroid. All arrays may be read-only.

    Attributes:
        coder: how vectors become codes.
        centroids: (lists, d) float32.
        offsets: (lists + 1,) int64: list i is the places offsets[i] to offsets[i + 1].
        order: (n,) uint32, the row at each place; ascending within a list.
        codes: (n, width) uint8, the code at each place.

    """

    coder: ScalarCoder
    centroids: NDArray[np.float32]
    offsets: NDArray[np.int64]
    order: Rows
    codes: Codes

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

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by their names; with `settings`, all that there is to store."""
        return {
            "centroids": self.centroids,
            "offsets": self.offsets,
            "order": self.order,
            "codes": self.codes,
            "centre": self.coder.centre,
        }

    def settings(self) -> dict[str, Setting]:
        """Return what is no array."""
        coder = self.coder
        return {"codes": "8bit", "metric": coder.metric, "dimension": coder.dimension, "scale": coder.scale}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Setting]) -> "Ivf":
        """Put an index together again. Only `problems` says whether it may be searched.

        Raises:
            KeyError: an array or a setting is missing.
            ValueError: codes of a kind that this version does not know.

        """
        if settings["codes"] != "8bit":
            raise ValueError(f"the lists hold {settings['codes']} codes, which this version cannot read")
        coder = ScalarCoder(
            cast(Metric, settings["metric"]), int(settings["dimension"]), float(settings["scale"]), arrays["centre"]
        )
        return cls(coder, arrays["centroids"], arrays["offsets"], arrays["order"], arrays["codes"])
