"""Product codes in lists (Jégou, Douze, Schmid 2011).

A row less the centre of its list is cut into parts of four numbers, and a byte says which of 256 learnt parts comes
nearest.

With r the row, c the centre of its list, e what the bytes stand for, c + e about r, and m the mean of the centres:

    cosine, dot    <q, c> + <q, e>                  (cosine: r is a direction)
    l2             -|q - c|² + 2 <q - m, e> - s     s = |e|² + 2 <c - m, e>, a float beside each row's bytes

So a query has one table for all lists. m changes nothing but the rounding: far from the origin the terms with e would
be large, and cancel.

With parts of eight numbers they would be smaller than RaBitQ's signs, but found less: .929 of the ten nearest among 60
candidates, signs .950, parts of four .954 (60,000 texts of 384 numbers, 64 of 256 lists).

Parts are learnt by our own k-means. On 60,000 texts of 384 numbers the squares left over are .0568 of .5767 where faiss
leaves .0562 (.1822 and .1812 with parts of eight numbers): too near for a dependency.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from vecdb_index.cluster.kmeans import kmeans
from vecdb_index.cluster.panels import Panels
from vecdb_index.codes.rabitq import prepared, ready
from vecdb_index.codes.stored import mismatches
from vecdb_index.dense.ivf.codings.coding import Coding, Listed, Scan, Setting, Tell, each, encode
from vecdb_index.types import METRIC_CODES, Metric

LEVELS = 256
"""Learnt parts at each place: what a byte can tell apart."""
SIZE = 4
"""Numbers of a part."""
SAMPLE = 32 * LEVELS
"""Rows that parts are learnt from."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ProductLists(Coding):
    """A byte for four numbers.

    Attributes:
        metric: that of the scores.
        parts: (p, 4, 256) float32, the learnt ones; zeros fill the last.
        codes: (n, p) uint8.
        squares: (n,) float32, s above; (0,) unless the metric is l2.
        centres: (lists, d) float32.

    """

    metric: Metric
    parts: Floats
    codes: NDArray[np.uint8]
    squares: Floats
    centres: Floats

    kind = "product"
    rescored = 4.0
    rescored_least = 40
    group = 32

    @classmethod
    def make(cls, rows: Listed, pool: ThreadPoolExecutor | None, tell: Tell | None = None) -> "ProductLists":
        """Learn the parts from a sample, and encode all rows."""
        count, parts = len(rows.order), learnt(rows, pool, tell)
        panels = [Panels.of(np.ascontiguousarray(part.T)) for part in parts]
        codes = np.empty((count, len(parts)), np.uint8)
        squares = np.empty(count if rows.metric == "l2" else 0, np.float32)
        made = cls(rows.metric, parts, codes, squares, rows.centres)
        centred = rows.centres - made.middle

        def part(first: int, last: int) -> None:
            left = _left(rows, np.arange(first, last))
            meant = np.empty_like(left)
            for at, panel in enumerate(panels):
                numbers = slice(at * SIZE, (at + 1) * SIZE)
                chosen = panel.nearest(np.ascontiguousarray(left[:, numbers]))[0]
                codes[first:last, at] = chosen
                meant[:, numbers] = parts[at].T[chosen]
            if len(squares):
                meant = meant[:, : rows.matrix.shape[1]]
                twice = meant + 2 * centred[rows.of_place[first:last]]
                squares[first:last] = np.einsum("ij,ij->i", meant, twice)

        encode(rows, pool, tell, part)
        return made

    @cached_property
    def middle(self) -> Floats:
        """The mean of the centres."""
        return self.centres.mean(axis=0, dtype=np.float64).astype(np.float32)

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Setting]) -> "ProductLists":
        """Do what `Coding.of` says."""
        own = arrays["parts"], arrays["codes"], arrays["squares"], arrays["centres"]
        return cls(cast(Metric, settings["metric"]), *own)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by their names."""
        return {"parts": self.parts, "codes": self.codes, "squares": self.squares, "centres": self.centres}

    def settings(self) -> dict[str, Setting]:
        """Return what is no array."""
        return {"metric": self.metric, "dimension": self.centres.shape[-1]}

    def problems(self, rows: int, lists: int) -> list[str]:
        """Return what is wrong with the arrays, a sentence each."""
        dimension = self.centres.shape[-1]
        if self.metric not in METRIC_CODES or dimension < 1:
            return [f"its metric is {self.metric!r}, its dimension {dimension}"]
        count = -(-dimension // SIZE)
        return mismatches(
            {
                "parts are": (self.parts, np.float32, (count, SIZE, LEVELS)),
                "codes are": (self.codes, np.uint8, (rows, count)),
                "squares are": (self.squares, np.float32, (rows if self.metric == "l2" else 0,)),
                "centres are": (self.centres, np.float32, (lists, dimension)),
            }
        )

    def scan(self, queries: NDArray[Any]) -> Scan:
        """Return the scan for some (q, d) queries."""
        from vecdb_index.kernels.ivf_product import prepare, scan

        vectors, squared = ready(queries, self.metric), self.metric == "l2"
        tables = np.empty((len(vectors), len(self.parts), LEVELS), np.float32)
        prepare(_padded(vectors - self.middle if squared else vectors), self.parts, 2.0 if squared else 1.0, tables)
        return partial(scan, self.codes, self.squares, tables, vectors, self.centres, squared)


def learnt(rows: Listed, pool: ThreadPoolExecutor | None, tell: Tell | None = None) -> Floats:
    """Return parts (p, 4, 256) for rows less the centres of their lists, learnt from a sample, evenly spread."""
    count = len(rows.order)
    sample = _left(rows, np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64))
    out = np.zeros((sample.shape[1] // SIZE, SIZE, LEVELS), np.float32)
    levels = min(LEVELS, len(sample))

    def part(at: int, _: int) -> None:
        out[at, :, :levels] = kmeans(sample[:, at * SIZE : (at + 1) * SIZE], levels).centroids.T

    each([(at, at + 1) for at in range(len(out))], sample.nbytes * LEVELS, pool, tell, part)
    return out


def _left(rows: Listed, places: NDArray[np.int64]) -> Floats:
    """Return the rows at some places less the centres of their lists, padded to whole parts."""
    which = rows.order[places]
    return _padded(prepared(rows.matrix[which], rows.norms[which], rows.metric) - rows.centres[rows.of_place[places]])


def _padded(numbers: Floats) -> Floats:
    """Return (n, d) numbers with zeros behind them, up to whole parts."""
    out = np.zeros((len(numbers), -(-numbers.shape[1] // SIZE) * SIZE), np.float32)
    out[:, : numbers.shape[1]] = numbers
    return out
