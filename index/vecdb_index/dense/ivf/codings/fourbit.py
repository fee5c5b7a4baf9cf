"""4-bit codes in lists.

They have the mean of all rows as their centre, not that of their list: at four bits, 20 candidates for ten rows already
find all that the lists hold.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from numpy.typing import NDArray

from vecdb_index.codes import fourbit
from vecdb_index.dense.ivf.codings.coding import Coding, Listed, Scan, Setting, Tell, encode


@dataclass(frozen=True)
class FourBitLists(Coding):
    """Half a byte a number, and three floats a row."""

    coder: fourbit.FourBit
    codes: fourbit.Codes

    kind = "4bit"
    rescored = 2.0
    rescored_least = 20

    @classmethod
    def make(cls, rows: Listed, pool: ThreadPoolExecutor | None, tell: Tell | None = None) -> "FourBitLists":
        """Encode all rows."""
        coder = fourbit.FourBit.fit(rows.matrix, rows.metric, rows.norms)
        codes = coder.empty(len(rows.order))

        def part(first: int, last: int) -> None:
            coder.encode(rows.matrix, rows.norms, rows.order[first:last], out=codes, start=first)

        encode(rows, pool, tell, part)
        return cls(coder, codes)

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Setting]) -> "FourBitLists":
        """Do what `Coding.of` says."""
        return cls(fourbit.FourBit.of(dict(arrays), dict(settings)), fourbit.Codes.of(dict(arrays)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by their names."""
        return {**self.coder.arrays(), **self.codes.arrays()}

    def settings(self) -> dict[str, Setting]:
        """Return what is no array."""
        return self.coder.settings()

    def problems(self, rows: int, lists: int) -> list[str]:
        """Return what is wrong with the arrays, a sentence each."""
        if len(self.codes) != rows:
            return [f"there are codes of {len(self.codes)} rows, not of {rows}"]
        return fourbit.problems(self.coder, self.codes)

    def scan(self, queries: NDArray[Any]) -> Scan:
        """Return the scan for some (q, d) queries."""
        from vecdb_index.kernels.ivf_fourbit import scan

        ready = self.coder.prepare(queries)
        return partial(scan, self.codes.levels, self.codes.factors, ready.numbers, ready.totals, ready.units)
