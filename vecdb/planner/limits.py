"""The limits of a selection, worked out for the candidates at hand: groups of quotas and grids, and costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vecdb.errors import InvalidInputError
from vecdb.planner.candidates import Candidates, comparable
from vecdb.query.selection import Axis, Budget, Quota, Select
from vecdb.query.value import shown
from vecdb.schema.schema import Column
from vecdb_index.selection.limits import UNLIMITED, Attribute, Limits

TOKEN_BYTES = 4
"""Bytes of UTF-8 that count as one token. English text has about so many in each of a language model's."""


class Told:
    """The limits, and what their groups are called.

    Attributes:
        limits: as `vecdb_index.selection` takes them.
        names: for each attribute the field and the value of each group.

    """

    def __init__(self, stage: Select, columns: dict[str, Column], candidates: Candidates) -> None:
        self.names: list[tuple[str, list[Any]]] = []
        attributes = []
        for field in dict.fromkeys(one.field for one in stage.quotas):
            quotas = [one for one in stage.quotas if one.field == field]
            attribute, values = _quota(quotas, candidates.take(columns[field]))
            attributes.append(attribute)
            self.names.append((field, values))
        if stage.grid:
            attributes.append(_grid(stage.grid, columns, candidates))
            self.names.append(("grid", []))
        self.limits = Limits(
            attributes,
            None if stage.budget is None else costs(stage.budget, columns[stage.budget.field], candidates),
            np.inf if stage.budget is None else stage.budget.limit,
            2.0 if stage.distinct is None else stage.distinct,
            stage.min_gain,
        )

    def lower(self) -> list[tuple[np.ndarray, int]]:
        """Return for each lower bound the places of the candidates that may meet it, and how many there have to be."""
        return [
            (np.flatnonzero(one.codes == group), int(one.low[group]))
            for one in self.limits.attributes
            for group in np.flatnonzero(one.low > 0).tolist()
        ]

    def unmet(self, picks: np.ndarray) -> str:
        """Return which lower bounds a set does not meet, as a sentence."""
        lacking = []
        for one, (field, values) in zip(self.limits.attributes, self.names, strict=True):
            have = np.bincount(one.codes[picks][one.codes[picks] >= 0], minlength=len(one.low))
            for group in np.flatnonzero(have < one.low).tolist():
                there = int(np.count_nonzero(one.codes == group))
                named = f"at least {one.low[group]} rows with {field} = {shown(values[group])}"
                lacking.append(f"{named}, and {there} of the rows that may be chosen have it")
        told = "; ".join(lacking[:4])
        return f"the quotas cannot be met together with the other limits: they ask for {told}"


def costs(budget: Budget, column: Column, candidates: Candidates) -> np.ndarray:
    """Return what each candidate costs, (n,) float64; nothing where it has no value.

    Raises:
        InvalidInputError: a row costs less than nothing.

    """
    values: Any = candidates.take(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(pa.string())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        length: Any = pc.binary_length(values)  # pyright: ignore[reportAttributeAccessIssue]
        sizes = length.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
        return sizes if budget.unit == "bytes" else np.ceil(sizes / TOKEN_BYTES)
    cost = values.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
    if len(cost) and not cost.min() >= 0:
        at = int(np.flatnonzero(~(cost >= 0))[0])
        id_ = candidates.some(slice(at, at + 1)).ids()[0]
        raise InvalidInputError(f"the row {shown(id_)} costs {cost[at]:g}: a cost is at least 0", field=column.name)
    return cost


def _coded(values: Any) -> tuple[np.ndarray, list[Any]]:
    """Return the code of each value, -1 where there is none, and what they stand for."""
    coded = comparable(values).dictionary_encode()
    return coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32), coded.dictionary.to_pylist()


def _quota(quotas: list[Quota], taken: Any) -> tuple[Attribute, list[Any]]:
    codes, values = _coded(taken)
    place = {value: at for at, value in enumerate(values)}
    for one in quotas:
        if one.value is not None and one.value not in place:
            place[one.value] = len(values)
            values.append(one.value)
    low, high = np.zeros(len(values), np.int32), np.full(len(values), UNLIMITED, np.int32)
    for one in sorted(quotas, key=lambda quota: quota.value is not None):  # what is named overrules what is not
        at = slice(None) if one.value is None else place[one.value]
        low[at] = one.low
        high[at] = UNLIMITED if one.high is None else one.high
    return Attribute(codes, low, high), values


def _grid(axes: tuple[Axis, ...], columns: dict[str, Column], candidates: Candidates) -> Attribute:
    """Return the cells of a grid as groups of which each has one row at most; rows without a value are in none."""
    cells, outside = np.zeros(len(candidates), np.int64), np.zeros(len(candidates), bool)
    for axis in axes:
        values: Any = candidates.take(columns[axis.field])
        whole = axis.bins is None and not axis.edges
        codes = _coded(values)[0].astype(np.int64) if whole else _binned(axis, values)
        outside |= codes < 0
        cells = cells * (int(codes.max(initial=0)) + 1) + codes
    cells[outside] = -1
    names, codes = np.unique(cells, return_inverse=True)
    codes = np.where(outside, -1, codes).astype(np.int32)
    return Attribute(codes, np.zeros(len(names), np.int32), np.ones(len(names), np.int32))


def _binned(axis: Axis, values: Any) -> np.ndarray:
    null = values.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    numbers = values.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
    null |= np.isnan(numbers)
    edges = np.asarray(axis.edges)
    if axis.bins is not None and not null.all():
        least, greatest = numbers[~null].min(), numbers[~null].max()
        edges = np.linspace(least, greatest, axis.bins + 1)[1:-1]
    return np.where(null, -1, np.searchsorted(edges, numbers, side="right"))
