"""The candidates of a query on their way through its stages: rows of several parts, best first, as columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vecdb.planner import dense
from vecdb.planner.chosen import Chosen
from vecdb.planner.found import Found, take
from vecdb.planner.paths import PathColumn
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import Part

NOTHING_TOLD: Mapping[str, Any] = MappingProxyType({})
ROW_BITS = 40
"""A key is a part's number above so many bits, and a row's below."""


class ArmColumn(NamedTuple):
    """What one arm says of each candidate: its rank from 1, 0 where the arm did not find it, and its score or NaN."""

    name: str
    ranks: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows that compete, in order.

    Attributes:
        parts: of the state.
        part: (n,) the number of each row's part.
        row: (n,) the row in it.
        score: (n,) float32, or float64 where a formula or a function made it; higher is better, and after `OrderBy` no
            longer descending.
        arms: what each arm says of them.
        groups: the groups that `GroupBy` made: (value, first, last) of each; None without it.
        told: what the stage that left them has to say, for `explain`; the next stage forgets it.
        paths: how links led to them; None where none did.
        chosen: what a selection says of them; None without one.

    """

    parts: Sequence[Part]
    part: np.ndarray
    row: np.ndarray
    score: np.ndarray
    arms: tuple[ArmColumn, ...] = ()
    groups: tuple[tuple[Any, int, int], ...] | None = None
    told: Mapping[str, Any] = field(default_factory=lambda: NOTHING_TOLD)
    paths: PathColumn | None = None
    chosen: Chosen | None = None

    def __len__(self) -> int:
        return self.row.shape[0]

    @classmethod
    def of(cls, found: Found) -> Candidates:
        """Return what one arm found; `alone` adds what it says of each."""
        part = np.zeros(len(found.row), np.int64) if found.part is None else found.part.astype(np.int64)
        return cls(found.parts, part, found.row.astype(np.int64), found.score, paths=found.paths)

    def alone(self, label: str) -> Candidates:
        """Return them as those of the only arm, best first."""
        return replace(self, arms=(ArmColumn(label, np.arange(1, len(self) + 1, dtype=np.int32), self.score),))

    @property
    def keys(self) -> np.ndarray:
        """(n,) int64, equal for the same row of the same part."""
        if len(self.parts) == 1:
            return self.row
        return (self.part << ROW_BITS) | self.row

    def some(self, at: Any) -> Candidates:
        """Return the candidates at these places, or of a slice."""
        arms = tuple(ArmColumn(arm.name, arm.ranks[at], arm.scores[at]) for arm in self.arms)
        paths = None if self.paths is None else self.paths.some(at)
        chosen = None if self.chosen is None else self.chosen.some(at)
        where = self.part[at], self.row[at], self.score[at]
        return Candidates(self.parts, *where, arms, paths=paths, chosen=chosen)

    def scored(self, score: np.ndarray) -> Candidates:
        """Return them with other scores, in their order; equal scores by id."""
        return replace(self, score=score).ranked()

    def ranked(self, k: int | None = None) -> Candidates:
        """Return them by score, equal scores by id; only the k best where k is given."""
        score = self.score
        order = np.argsort(-score, kind="stable")
        if k is not None and k < len(score):
            # Ids decide among those that are as good as the k-th, and among no others behind it.
            order = order[: np.count_nonzero(score >= score[order[k - 1]])]
        sorted_score = score[order]
        equal = sorted_score[1:] == sorted_score[:-1]
        if equal.any():
            order = self._ties_by_id(order, equal)
        return self.some(order if k is None else order[:k])

    def _ties_by_id(self, order: np.ndarray, equal: np.ndarray) -> np.ndarray:
        tied = np.zeros(len(order), bool)
        tied[1:] |= equal
        tied[:-1] |= equal
        at = np.flatnonzero(tied)
        there = order[at]
        ids = Found(self.parts, self.part[there], self.row[there], score := self.score[there]).ids()
        scores = score.tolist()
        sequence = sorted(range(len(at)), key=lambda one: (-scores[one], ids[one]))
        order = order.copy()
        order[at] = order[at[sequence]]
        return order

    def ids(self) -> list[Any]:
        """Return the ids of the rows, in their order."""
        return Found(self.parts, self.part, self.row, self.score).ids()

    def take(self, column: Column) -> pa.Array:
        """Return the values of an id or scalar column, in their order."""
        return self.each(lambda part, rows: part.take(column, rows), column.field.arrow_type)

    def each(self, values: Callable[[Part, np.ndarray], pa.Array], empty: pa.DataType) -> pa.Array:
        """Return one value per row: values(part, rows) gives those of one part."""
        if len(self) == 0:
            return pa.array([], empty)
        return take(self.parts, self.part, self.row, values)

    def by_part(self) -> list[tuple[Part, np.ndarray, np.ndarray]]:
        """Return each part with the places of its candidates and their rows."""
        if len(self) and (self.part == self.part[0]).all():
            return [(self.parts[self.part[0]], np.arange(len(self)), self.row)]
        out = []
        for number in np.unique(self.part).tolist():
            at = np.flatnonzero(self.part == number)
            out.append((self.parts[number], at, self.row[at]))
        return out

    def scores_by(self, column: Column, vector: np.ndarray) -> np.ndarray:
        """Return the exact score of each by a vector field, (n,) float32; NaN where it has no vector."""
        scores = np.full(len(self), np.nan, np.float32)
        for part, at, rows in self.by_part():
            held = part.vectors(column)
            if held is None:
                continue
            matrix, present, norms = held
            if present is not None:
                at, rows = at[present[rows]], rows[present[rows]]
            scores[at] = dense.score_rows(matrix, vector, rows, column.field.metric, norms)
        return scores

    def found(self) -> Found:
        """Return them as ranked rows."""
        return Found(self.parts, self.part, self.row, self.score)


def comparable(values: pa.Array) -> Any:
    """Return values in which those that are equal look equal: a zero has no sign."""
    add: Any = pc.add  # pyright: ignore[reportAttributeAccessIssue]
    return add(values, 0.0) if pa.types.is_floating(values.type) else values


def nothing(parts: Sequence[Part], labels: Sequence[str] = ()) -> Candidates:
    """Return no candidates."""
    arms = tuple(ArmColumn(label, np.empty(0, np.int32), np.empty(0, np.float32)) for label in labels)
    return Candidates(parts, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), arms)
