"""8-bit codes in lists."""

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.scalar import Codes, ScalarCoder
from vecdb_index.codes.stored import mismatches
from vecdb_index.dense.ivf.codings.coding import Coding, Listed, Scan, Setting, Tell, encode
from vecdb_index.types import METRIC_CODES, Metric


@dataclass(frozen=True)
class ScalarLists(Coding):
    """A byte a number: codes (n, width) uint8."""

    coder: ScalarCoder
    codes: Codes

    kind = "8bit"
    rescored = 2.0
    rescored_least = 20
    coarse = False

    @classmethod
    def make(cls, rows: Listed, pool: ThreadPoolExecutor | None, tell: Tell | None = None) -> "ScalarLists":
        """Encode all rows."""
        coder = ScalarCoder.fit(rows.matrix, rows.metric, rows.norms)
        codes = np.empty((len(rows.order), coder.width), np.uint8)

        def part(first: int, last: int) -> None:
            coder.encode(rows.matrix, rows.norms, rows.order[first:last], codes[first:last])

        encode(rows, pool, tell, part)
        return cls(coder, codes)

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Setting]) -> "ScalarLists":
        """Do what `Coding.of` says."""
        metric, dimension = cast(Metric, settings["metric"]), int(settings["dimension"])
        return cls(ScalarCoder(metric, dimension, float(settings["scale"]), arrays["centre"]), arrays["codes"])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by their names."""
        return {"codes": self.codes, "centre": self.coder.centre}

    def settings(self) -> dict[str, Setting]:
        """Return what is no array."""
        return {"metric": self.coder.metric, "dimension": self.coder.dimension, "scale": self.coder.scale}

    def problems(self, rows: int, lists: int) -> list[str]:
        """Return what is wrong with the arrays, a sentence each."""
        coder = self.coder
        if coder.metric not in METRIC_CODES or coder.dimension < 1:
            return [f"its metric is {coder.metric!r}, its dimension {coder.dimension}"]
        if not (math.isfinite(coder.scale) and coder.scale > 0):
            return [f"its codes have the scale {coder.scale}"]
        return mismatches(
            {
                "codes are": (self.codes, np.uint8, (rows, coder.width)),
                "the centre is": (coder.centre, np.float32, (coder.dimension,)),
            }
        )

    def scan(self, queries: NDArray[Any]) -> Scan:
        """Return the scan for some (q, d) queries."""
        from vecdb_index.kernels.ivf_scalar import scan

        return partial(scan, self.codes, *self.coder.queries(queries), self.coder.normed)
