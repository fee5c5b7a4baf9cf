"""A selection bound to the fields, and how many candidates it needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from vecdb.errors import InvalidInputError
from vecdb.query.arms import Like, Match, Near
from vecdb.query.selection import Axis, Budget, Cells, Coverage, Mmr, Quota, Select
from vecdb.schema.fields import Vector
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column, Schema
from vecdb_index.selection.greedy import Rule

if TYPE_CHECKING:
    from vecdb.planner.bound import BoundArm

LEAST = 64
"""Candidates at least, where a set is chosen from them."""
MOST = 2_000
"""Candidates at most, unless more are asked for, or twice k are more."""
FOR_BALANCE = 28
"""With balance 1 there are so many candidates for each row beside itself: 150 for 10 rows with a balance of 0.5."""
_NUMBERS = "int64", "float64"
_GROUPS = "text", "keyword", "bool", "int64", "float64", "timestamp"


class Selecting(NamedTuple):
    """What a selection needs beside its own attributes.

    Attributes:
        k: rows that it chooses.
        column: the vector field, or one of multi-vectors; None where similarities come from links or a function.
        cosine: whether scores are cosines of that field.
        near: the arm that looks for a vector, where scores are its scores; what a fixed row is scored by.
        words: the arm whose words a set covers, where it is judged by that.
        region: the arm around whose vector the cells of a universe lie.

    """

    k: int
    column: Column[Vector] | Column[MultiVector] | None
    cosine: bool
    near: BoundArm | None
    words: BoundArm | None = None
    region: BoundArm | None = None

    @property
    def tokens(self) -> Column[MultiVector] | None:
        """The field of multi-vectors, where these tell how similar rows are."""
        held = self.column is not None and isinstance(self.column.field, MultiVector)
        return cast("Column[MultiVector]", self.column) if held else None


def selecting(stage: Select, k: int, arms: Sequence[BoundArm], scored: bool, schema: Schema) -> Selecting:
    """Return what a selection needs; `scored` says that a stage before it makes other scores.

    Raises:
        UnknownFieldError: a name is no field.
        InvalidInputError: a field is of another kind than it has to be, or bounds contradict k.

    """
    _check(stage, k, schema)
    near = arms[0] if len(arms) == 1 and isinstance(arms[0].arm, Near) and not scored else None
    if stage.similarity is not None:
        return Selecting(k, None, False, near, _words(stage, arms))
    column = _vectors(stage, arms, schema)
    cosine = near is not None and near.columns[0] is column and near.columns[0].field.metric == "cosine"
    return Selecting(k, column, cosine, near, _words(stage, arms), _region(stage, arms))


def columns_of(stage: Select, schema: Schema) -> tuple[Column, ...]:
    """Return the fields that a selection reads, but for vectors."""
    named = [one.field for one in (*stage.quotas, *stage.grid)]
    named += list(stage.fields) if stage.budget is None else [stage.budget.field, *stage.fields]
    return tuple(schema[name] for name in dict.fromkeys(named) if schema[name].field.kind != "id")


def rule_of(stage: Select) -> Rule:
    """Return how a set is judged, as `vecdb_index.selection` knows it."""
    method = stage.method
    if isinstance(method, Coverage):
        if method.form == "graph_cut":
            usual = "two_thirds" if method.baseline is None else method.baseline
            return Rule("cut", method.balance, method.sharpness or 6, usual)
        usual = "median" if method.baseline is None else method.baseline
        if method.form in ("words", "communities"):
            return Rule("facility", method.balance)
        name = "facility" if method.form == "facility_location" else "saturated"
        return Rule(name, method.balance, method.sharpness or 2, usual)
    if isinstance(method, Mmr):
        return Rule("mmr", method.balance)
    return Rule("dpp" if method.kind == "dpp" else "dispersion", method.balance)


def pool_of(stage: Select, k: int) -> int:
    """Return how many of the best candidates a selection chooses from."""
    if stage.pool is not None:
        return max(stage.pool, k)
    balance = stage.method.balance
    if balance == 0 and not stage.limited:
        return k
    return max(k, min(max(LEAST, math.ceil(k * (1 + FOR_BALANCE * balance))), max(MOST, 2 * k)))


def needed(stage: Select, k: int) -> int:
    """Return how many candidates a selection asks for at first."""
    universe = stage.universe if isinstance(stage.universe, int) else 0
    return max(pool_of(stage, k), universe) + len(stage.forbidden)


def _vectors(stage: Select, arms: Sequence[BoundArm], schema: Schema) -> Column[Vector] | Column[MultiVector]:
    if stage.field is not None:
        from vecdb.planner.columns import vector_column

        column = schema[stage.field]
        if isinstance(column.field, MultiVector):
            return cast("Column[MultiVector]", column)
        return vector_column(schema, stage.field)
    for arm in arms:
        if isinstance(arm.arm, Near | Like):
            return cast("Column[Vector]", arm.columns[0])
    fields = schema.vectors or schema.multivectors
    if len(fields) != 1:
        known = ", ".join(repr(each.name) for each in fields) or "none"
        raise InvalidInputError(f"select needs the vector field to compare rows by (there are: {known})", field="field")
    return cast("Column[Vector]", fields[0])


def _region(stage: Select, arms: Sequence[BoundArm]) -> BoundArm | None:
    if not isinstance(stage.universe, Cells):
        return None
    for arm in arms:
        if isinstance(arm.arm, Near):
            return arm
    told = "a universe of cells lies around a vector, and the query looks for none: it needs an arm that does"
    raise InvalidInputError(told, field="universe", value=stage.universe)


def _words(stage: Select, arms: Sequence[BoundArm]) -> BoundArm | None:
    if not (isinstance(stage.method, Coverage) and stage.method.form == "words"):
        return None
    for arm in arms:
        if isinstance(arm.arm, Match):
            return arm
    told = "the form 'words' covers the words of a question, and the query looks for none: it needs an arm that does"
    raise InvalidInputError(told, field="form", value="words")


def _check(stage: Select, k: int, schema: Schema) -> None:
    for one in (*stage.quotas, *stage.grid):
        _check_group(one, schema)
    if stage.budget is not None:
        _check_budget(stage.budget, schema)
    named: dict[str, int] = {}
    for one in stage.quotas:
        named[one.field] = named.get(one.field, 0) + one.low
    for name, low in named.items():
        if low > k:
            told = f"the quotas of {name!r} ask for {low} rows at least, and the answer has {k}"
            raise InvalidInputError(told, field="quotas", value=low)
    if len(stage.fixed) > k:
        raise InvalidInputError(f"there are {len(stage.fixed)} fixed rows, and the answer has {k}", field="fixed")
    for one in stage.fields:
        schema[one]


def _check_group(one: Quota | Axis, schema: Schema) -> None:
    what = "a quota" if isinstance(one, Quota) else "a grid"
    kind: str = schema[one.field].field.kind
    if kind not in _GROUPS or getattr(schema[one.field].field, "many", False):
        told = "a list" if getattr(schema[one.field].field, "many", False) else kind
        raise InvalidInputError(f"{what} cannot use field {one.field!r}, which is {told}", field=one.field)
    if isinstance(one, Quota) and not _may_be(one.value, kind):
        told = f"the quota of {one.field!r} names {one.value!r}, which no row can have: the field is {kind}"
        raise InvalidInputError(told, field="quotas", value=one.value)
    if isinstance(one, Axis) and (one.bins is not None or one.edges) and kind not in (*_NUMBERS, "timestamp"):
        raise InvalidInputError(f"only numbers fall into bins: field {one.field!r} is {kind}", field=one.field)


def _may_be(value: Any, kind: str) -> bool:
    """Tell whether a field of a kind may have a value; a timestamp is given as a text or as microseconds."""
    if value is None:
        return True
    if isinstance(value, bool) or kind == "bool":
        return isinstance(value, bool) and kind == "bool"
    if isinstance(value, str):
        return kind in ("text", "keyword", "timestamp")
    return kind in (*_NUMBERS, "timestamp")


def _check_budget(budget: Budget, schema: Schema) -> None:
    kind = schema[budget.field].field.kind
    text, number = kind in ("text", "keyword"), kind in _NUMBERS
    if not (text or number) or getattr(schema[budget.field].field, "many", False):
        told = f"a budget counts the size of a text, or a number: field {budget.field!r} is {kind}"
        raise InvalidInputError(told, field=budget.field)
    if budget.unit is not None and (budget.unit == "value") != number:
        raise InvalidInputError(f"field {budget.field!r} is {kind}: it has no {budget.unit}", field="unit")
