"""The rows that an overview is about: all that pass a filter and have a vector, read piece by piece.

What is drawn of them is drawn by hashes of their ids, and what ties is decided by id, so that answers depend on how
rows are spread over parts by no more than the rounding of products. Memory is bounded by PIECE and SAMPLE, but for some
bytes a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.background import hashes
from vecdb.planner.masks import allowed
from vecdb.schema.fields import Vector
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import State
from vecdb_index.cluster.kmeans import KMeans, kmeans

PIECE = 8192
"""Rows that are read at once."""
SAMPLE = 16_384
"""Rows that clusters are made from."""
ROW_BYTES = 32
"""What is kept of each row while an overview is made."""
OVERVIEW = "an overview of all rows"


class Piece(NamedTuple):
    """Some rows: their first place among all, and their vectors as directions, (n, d) float32 of length 1 or 0."""

    first: int
    units: np.ndarray

    @property
    def places(self) -> slice:
        """Their places among all."""
        return slice(self.first, self.first + len(self.units))


@dataclass(frozen=True)
class Rows:
    """All rows that pass, in storage order; a place is a row's number among them."""

    state: State
    column: Column[Vector]
    where: BoundFilter | None
    pool: ThreadPoolExecutor | None

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def _located(self) -> tuple[np.ndarray, np.ndarray]:
        parts, rows = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for number, part in enumerate(self.state.parts):
            self.state.check(OVERVIEW)
            if part.vectors(self.column) is None:
                continue
            mask = allowed(part, self.state.schema, self.where, self.column, self.state.budget)
            found = np.arange(part.rows) if mask is None else mask.rows.astype(np.int64)
            self.state.hold(OVERVIEW, ROW_BYTES * len(found))
            rows.append(found)
            parts.append(np.full(len(found), number))
        return np.concatenate(parts), np.concatenate(rows)

    @property
    def part(self) -> np.ndarray:
        """(n,) the number of each row's part."""
        return self._located[0]

    @property
    def row(self) -> np.ndarray:
        """(n,) the row in it."""
        return self._located[1]

    def pieces(self) -> Iterator[Piece]:
        """Yield all rows in order."""
        for first in range(0, len(self), PIECE):
            self.state.check(OVERVIEW)
            yield Piece(first, self.units(np.arange(first, min(first + PIECE, len(self)))))

    def units(self, places: np.ndarray) -> np.ndarray:
        """Return the directions of some rows, in their order."""
        bits = self.column.field.dtype == "binary"
        out = np.empty((len(places), self.column.field.dimension), np.float32)
        for number in np.unique(self.part[places]).tolist():
            at = np.flatnonzero(self.part[places] == number)
            held = self.state.parts[number].vectors(self.column)
            assert held is not None
            some = held[0][self.row[places[at]]]
            out[at] = np.unpackbits(some, axis=1) * np.float32(2) - 1 if bits else some
        lengths = np.linalg.norm(out, axis=1, keepdims=True)
        np.divide(out, lengths, out=out, where=lengths > 0)
        return out

    @cached_property
    def _hashes(self) -> np.ndarray:
        out = np.empty(len(self), np.uint64)
        for number in np.unique(self.part).tolist():
            here = self.part == number
            out[here] = hashes(self.state.parts[number], self.state.schema)[self.row[here]]
        return out

    def chances(self, seed: int) -> np.ndarray:
        """Return a number between 0 and 1 for each row, which follows from its id and the seed: (n,) float64."""
        mixed = self._hashes ^ np.uint64((seed * 0x9E3779B97F4A7C15) & 0xFFFF_FFFF_FFFF_FFFF)
        with np.errstate(over="ignore"):
            mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
            mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
        return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / (1 << 53)

    def drawn(self, count: int, seed: int) -> np.ndarray:
        """Return the places of so many rows, drawn without repetition, in the order in which they were drawn."""
        chances = self.chances(seed)
        if count < len(chances):
            some = np.argpartition(chances, count)[:count]
            return some[np.argsort(chances[some], kind="stable")]
        return np.argsort(chances, kind="stable")

    def clustered(self, k: int, seed: int) -> KMeans:
        """Return k-means of a sample of the rows; k is at most the number of rows."""
        points = self.units(self.drawn(max(SAMPLE, k), seed))
        return kmeans(points, min(k, len(points)), seed=seed, pool=self.pool)

    def ids(self, places: np.ndarray) -> list[Any]:
        """Return the ids of some rows, in their order."""
        out: list[Any] = [None] * len(places)
        for number in np.unique(self.part[places]).tolist():
            at = np.flatnonzero(self.part[places] == number)
            found = self.state.parts[number].ids_of(self.row[places[at]])
            for place, value in zip(at.tolist(), found, strict=True):
                out[place] = value
        return out


class Middles:
    """For each of k groups the row that scores best, of equal ones that of the smallest id."""

    def __init__(self, rows: Rows, k: int) -> None:
        self._rows = rows
        self.best = np.full(k, -np.inf, np.float64)
        self._tied: list[list[int]] = [[] for _ in range(k)]

    def add(self, first: int, labels: np.ndarray, scores: np.ndarray) -> None:
        """Look at rows from a place on: each one's group, and its score."""
        order = np.lexsort((-scores, labels))
        begins = np.flatnonzero(np.r_[True, labels[order][1:] != labels[order][:-1]]) if len(order) else order
        for group, best in zip(labels[order[begins]].tolist(), scores[order[begins]].tolist(), strict=True):
            if best < self.best[group]:
                continue
            if best > self.best[group]:
                self.best[group], self._tied[group] = best, []
            self._tied[group] += (first + np.flatnonzero((labels == group) & (scores == best))).tolist()

    def places(self) -> np.ndarray:
        """Return the place of each group's row; -1 for a group without rows."""
        out = np.full(len(self._tied), -1)
        for group, tied in enumerate(self._tied):
            if len(tied) == 1:
                out[group] = tied[0]
            elif tied:
                ids = self._rows.ids(np.array(tied))
                out[group] = tied[min(range(len(tied)), key=ids.__getitem__)]
        return out
