"""A query checked against the fields of a state: every name looked up, every vector and filter ready to be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, cast

import numpy as np

from vecdb.arguments import check_terms, effort_of, query_matrix
from vecdb.errors import InvalidInputError
from vecdb.filters.evaluate import BoundFilter, bind
from vecdb.filters.expression import Expression
from vecdb.query.arms import Arm, Like, Match, Near, Nested, Terms
from vecdb.query.cascade import Cascade
from vecdb.query.effort import Effort
from vecdb.query.formula import Away, Decay, Formula, Function, Operation, Value, When
from vecdb.query.fusion import Fusion, Rrf
from vecdb.query.query import Query
from vecdb.query.relevance import Relevance
from vecdb.query.scorer import Scorer
from vecdb.query.stages import Collapse, GroupBy, OrderBy, Rank, Rescore, Stage
from vecdb.query.value import Numbers, shown
from vecdb.query.weights import Weights
from vecdb.schema.fields import Sparse, Text, Vector
from vecdb.schema.schema import Column, Schema
from vecdb.text_search import text_column as searched

Encode = Callable[[Column[Any], str], Any]
"""Makes a vector of a text, or terms and their weights, by the encoder of a column."""


_USUAL = Rrf()
"""How several arms are fused where the query does not say."""


class BoundArm(NamedTuple):
    """An arm, and what it needs of the schema."""

    arm: Arm
    label: str
    columns: tuple[Column, ...]
    where: BoundFilter | None
    effort: Effort
    vectors: np.ndarray | None = None
    inner: BoundQuery | None = None
    terms: tuple[np.ndarray, np.ndarray] | None = None


class BoundStage(NamedTuple):
    """A stage, the columns that it reads, its query vector where it has one, and what it needs of the query.

    `arms` are those of the query, where the stage asks what they say; `steps` are stages inside the stage.
    """

    stage: Stage
    columns: tuple[Column, ...] = ()
    vectors: np.ndarray | None = None
    arms: tuple[BoundArm, ...] = ()
    steps: tuple[BoundStage, ...] = ()


class BoundQuery(NamedTuple):
    """A query that can be run."""

    query: Query
    arms: tuple[BoundArm, ...]
    where: BoundFilter | None
    stages: tuple[BoundStage, ...]
    fusion: Fusion
    columns: tuple[Column, ...]

    @property
    def matched(self) -> list[tuple[Column[Text], str]]:
        """The text columns that words are matched in, and the words, of nested queries too."""
        found: list[tuple[Column[Text], str]] = []
        for bound in self.arms:
            if bound.inner is not None:
                found += bound.inner.matched
            if isinstance(bound.arm, Match):
                found += [(cast("Column[Text]", column), bound.arm.text) for column in bound.columns]
        return found

    @property
    def metric(self) -> str | None:
        """The metric that scores follow, where they are those of one vector field."""
        scoring = [one for one in self.stages if isinstance(one.stage, Cascade | Rank | Rescore | Scorer)]
        if scoring:
            last = scoring[-1].steps[-1] if scoring[-1].steps else scoring[-1]
            return last.columns[0].field.metric if isinstance(last.stage, Rescore) else None
        if len(self.arms) != 1:
            return None
        arm = self.arms[0]
        if arm.inner is not None:
            return arm.inner.metric
        return arm.columns[0].field.metric if isinstance(arm.arm, Near) else None


def bind_query(query: Query, schema: Schema, encode: Encode) -> BoundQuery:
    """Check a query against the fields.

    Raises:
        UnknownFieldError: a name is no field.
        InvalidInputError: a field is of another kind, a vector or a filter does not fit.

    """
    where = None if query.filter is None else bound_filter(query.filter, schema)
    labels: list[str] = []
    arms = []
    for arm in query.arms:
        label, number = arm.label, 2
        while label in labels:
            label, number = f"{arm.label}#{number}", number + 1
        labels.append(label)
        arms.append(_bound_arm(arm, label, query, schema, encode))
    fusion = _USUAL if query.fusion is None else query.fusion
    if len(arms) > 1:
        fusion.check(len(arms))
    stages = tuple(_bound_stage(stage, schema, encode, tuple(arms)) for stage in query.stages)
    return BoundQuery(query, tuple(arms), where, stages, fusion, returned(query.fields, schema))


def _bound_arm(arm: Arm, label: str, query: Query, schema: Schema, encode: Encode) -> BoundArm:
    both = query.filter
    if arm.where is not None:
        both = arm.where if both is None else both & arm.where
    where = None if both is None else bound_filter(both, schema)
    usual = effort_of(query.exact, None, None, None)
    if isinstance(arm, Near):
        column = vector_column(schema, arm.field)
        effort = usual if query.exact else effort_of(False, arm.recall, arm.ef, arm.plan, arm.probes)
        return BoundArm(arm, label, (column,), where, effort, _vector(column, arm.vector, encode))
    if isinstance(arm, Like):
        _check_ids(schema, (*arm.like, *arm.unlike))
        effort = usual if query.exact else effort_of(False, arm.recall, None, None)
        return BoundArm(arm, label, (vector_column(schema, arm.field),), where, effort)
    if isinstance(arm, Match):
        return BoundArm(arm, label, tuple(text_column(schema, name) for name in arm.fields), where, usual)
    if isinstance(arm, Terms):
        column = sparse_column(schema, arm.field)
        return BoundArm(arm, label, (column,), where, usual, terms=_terms(column, arm.terms, encode))
    assert isinstance(arm, Nested)
    inner = arm.query.exactly(arm.query.exact or query.exact)
    inner = inner if both is None else inner.where(both)
    return BoundArm(arm, label, (), where, usual, inner=bind_query(inner, schema, encode))


def _check_ids(schema: Schema, ids: tuple[str | int, ...]) -> None:
    """Refuse ids that no row of the schema can have."""
    column = schema.id
    expected = str if column.field.type == "string" else int
    for one in ids:
        if isinstance(one, str):
            usable = expected is str and one.encode("utf-8", "replace").decode() == one
        else:
            usable = expected is int and -(1 << 63) <= one < 1 << 63
        if not usable:
            raise InvalidInputError(
                f"{shown(one)} is no id: they are {column.field.type}", field=column.name, value=one
            )


def _bound_stage(stage: Stage, schema: Schema, encode: Encode, arms: tuple[BoundArm, ...] = ()) -> BoundStage:
    if isinstance(stage, Relevance):
        _check_judged(stage, arms)
        return BoundStage(stage, arms=arms)
    if isinstance(stage, Cascade):
        return BoundStage(stage, steps=tuple(_bound_stage(step, schema, encode) for step in stage.all_of_them))
    if isinstance(stage, Rescore):
        column = vector_column(schema, stage.field)
        return BoundStage(stage, (column,), _vector(column, stage.vector, encode))
    if isinstance(stage, Scorer):
        return BoundStage(stage, returned(stage.fields, schema))
    if isinstance(stage, Rank):
        return BoundStage(stage, tuple(_ranked_by(stage.formula, schema)))
    if isinstance(stage, OrderBy):
        names = [name for name, _ in stage.parts if name != "score"]
        return BoundStage(stage, tuple(_comparable(schema, name, "order_by") for name in names))
    if isinstance(stage, GroupBy):
        return BoundStage(stage, (_comparable(schema, stage.field, "group_by", many=True),))
    if isinstance(stage, Collapse):
        column = schema[stage.field]
        if column.field.kind != "vector":
            column = _comparable(schema, stage.field, "collapse")
        return BoundStage(stage, (column,))
    return BoundStage(stage)


def _check_judged(stage: Relevance, arms: tuple[BoundArm, ...]) -> None:
    """Refuse a cut that has no arm to judge by.

    Raises:
        InvalidInputError: there is no such arm, or it looks for no vector.

    """
    if stage.arm is not None and stage.arm not in [one.label for one in arms]:
        known = ", ".join(repr(one.label) for one in arms) or "none"
        told = f"cut judges by the arm {stage.arm!r}, which the query does not have (there are: {known})"
        raise InvalidInputError(told, field="arm", value=stage.arm)
    usable = [one for one in arms if stage.arm is None or one.label == stage.arm]
    if stage.method != "gap" and not any(isinstance(one.arm, Near) for one in usable):
        raise InvalidInputError(f"cut by {stage.method} needs an arm that looks for a vector", field="arm")


def _ranked_by(formula: Formula, schema: Schema) -> Iterator[Column]:
    """Yield the columns whose values a formula needs, and check its filters."""
    if isinstance(formula, When):
        bound_filter(formula.where, schema)
        inside = [formula.then, formula.otherwise]
    elif isinstance(formula, Operation):
        inside = list(formula.parts)
    else:
        inside = [formula.part] if isinstance(formula, Function) else []
    for part in inside:
        yield from _ranked_by(part, schema)
    if isinstance(formula, Value | Decay | Away):
        column = schema[formula.field]
        place = isinstance(formula, Away) or (isinstance(formula, Decay) and isinstance(formula.origin, tuple))
        if column.field.kind not in (("geo",) if place else ("bool", "int64", "float64", "timestamp")):
            raise InvalidInputError(
                f"a formula cannot count with field {formula.field!r}, which is {column.field.kind}",
                field=formula.field,
            )
        yield column


def returned(fields: tuple[str, ...] | None, schema: Schema) -> tuple[Column, ...]:
    """Return the columns of a hit's fields: all but the id and the vectors where none are named."""
    if fields is None:
        return schema.shown
    wanted = [schema[name] for name in dict.fromkeys(fields)]
    return tuple(column for column in wanted if column.field.kind != "id")


@lru_cache(256)
def bound_filter(expression: Expression, schema: Schema) -> BoundFilter:
    """Return a filter checked against the fields. The same one comes again and again."""
    return bind(expression, schema)


def vector_column(schema: Schema, name: str) -> Column[Vector]:
    """Return a vector column by its name.

    Raises:
        UnknownFieldError: there is no such field.
        InvalidInputError: it is of another kind.

    """
    column = schema[name]
    if column.field.kind != "vector":
        known = ", ".join(repr(each.name) for each in schema.vectors) or "none"
        raise InvalidInputError(f"field {name!r} is {column.field.kind}, not a vector (there are: {known})", field=name)
    return cast("Column[Vector]", column)


def text_column(schema: Schema, name: str) -> Column[Text]:
    """Return a text column that is searched by words, by its name.

    Raises:
        UnknownFieldError: there is no such field.
        InvalidInputError: it is of another kind, or not searched by words.

    """
    column = searched(schema, {name: None})
    if column is None:
        kind = schema[name].field.kind
        raise InvalidInputError(f"field {name!r} is {kind}, words are matched in texts", field=name)
    return column


def sparse_column(schema: Schema, name: str) -> Column[Sparse]:
    """Return a column of sparse vectors by its name.

    Raises:
        UnknownFieldError: there is no such field.
        InvalidInputError: it is of another kind.

    """
    column = schema[name]
    if not isinstance(column.field, Sparse):
        known = ", ".join(repr(each.name) for each in schema.sparse) or "none"
        raise InvalidInputError(f"field {name!r} is {column.field.kind}, not sparse (there are: {known})", field=name)
    return cast("Column[Sparse]", column)


def _terms(column: Column[Sparse], asked: Weights | str, encode: Encode) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(asked, str):
        return encode(column, asked)
    check_terms(column, asked)
    return asked.terms, asked.weights


def _vector(column: Column[Vector], vector: Numbers | str, encode: Encode) -> np.ndarray:
    if isinstance(vector, str):
        return query_matrix(column, encode(column, vector), 1)
    return query_matrix(column, vector.array, 1)


_COMPARABLE = frozenset(("id", "text", "keyword", "bool", "int64", "float64", "timestamp"))


def _comparable(schema: Schema, name: str, what: str, many: bool = False) -> Column:
    column = schema[name]
    kind: Any = column.field.kind
    lists = bool(getattr(column.field, "many", False))
    if kind not in _COMPARABLE or (lists and not many):
        told = "a list" if lists else kind
        raise InvalidInputError(f"{what} cannot use field {name!r}, which is {told}", field=name)
    return column
