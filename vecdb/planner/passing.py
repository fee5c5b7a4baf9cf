"""Which live rows of each part of a state pass a filter: worked out once for a state, and not for each question."""

from __future__ import annotations

from typing import Literal

from vecdb.errors import CorruptionError
from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.masks import filter_mask, remembered
from vecdb.storage.snapshot import Part, State
from vecdb_index.budget import Budget
from vecdb_index.dense.allowed import Allowed

MISSING: Literal["missing"] = "missing"


class PassingRows:
    """The rows that pass one filter, part by part as they are asked for."""

    def __init__(self, state: State, where: BoundFilter | None, allow_partial: bool) -> None:
        self._schema, self._where, self._allow_partial = state.schema, where, allow_partial
        self._known: dict[int, Allowed | Literal["missing"] | None] = {}

    def of(self, number: int, part: Part, budget: Budget | None = None) -> Allowed | Literal["missing"] | None:
        """Return the rows of a part, None for all; MISSING for a damaged part that is left out."""
        try:
            return self._known[number]
        except KeyError:
            pass
        try:
            found = Allowed.of(filter_mask(part, self._schema, self._where, budget))
        except CorruptionError:
            if not self._allow_partial or part.uuid is None:
                raise
            found = MISSING
        self._known[number] = found
        return found


def passing_rows(state: State, where: BoundFilter | None, allow_partial: bool) -> PassingRows:
    """Return what a state knows of the rows that pass a filter."""
    key = "filtered", None if where is None else where.key, allow_partial
    known = state.routes.get(key)
    return remembered(state.routes, key, PassingRows(state, where, allow_partial)) if known is None else known
