"""Stages checked against the fields: a function for each kind that needs more than its own values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from vecdb.errors import InvalidInputError
from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.bound import SCORING, BoundArm, BoundStage, Encode
from vecdb.planner.columns import bound_filter, check_ids, comparable, returned, tokens_of, vector_column, vector_of
from vecdb.planner.selecting import columns_of, selecting
from vecdb.planner.tokens import multivector_column
from vecdb.query.arms import Like, Near
from vecdb.query.cascade import Cascade
from vecdb.query.formula import Away, Decay, Formula, Function, Operation, Value, When
from vecdb.query.graph import Expand, PathPooling
from vecdb.query.query import Query
from vecdb.query.relevance import Relevance
from vecdb.query.scorer import Scorer
from vecdb.query.selection import Select
from vecdb.query.stages import Collapse, GroupBy, MaxSim, OrderBy, Rank, Rescore, Stage
from vecdb.schema.schema import Column, Schema


class Around(NamedTuple):
    """What a stage may need of the query around it; `before` are the stages before it."""

    query: Query
    schema: Schema
    encode: Encode
    arms: tuple[BoundArm, ...]
    where: BoundFilter | None
    before: tuple[Stage, ...] = ()

    @property
    def scored(self) -> bool:
        """Whether a stage before gave new scores, so that those of the arms no longer count."""
        return any(isinstance(stage, SCORING) for stage in self.before)


def bound_stages(around: Around) -> tuple[BoundStage, ...]:
    """Check the stages of a query.

    Raises:
        UnknownFieldError: a name is no field.
        InvalidInputError: a field is of another kind, a vector or a filter does not fit.

    """
    stages = around.query.stages
    return tuple(_bound(stage, around._replace(before=stages[:at])) for at, stage in enumerate(stages))


def _bound(stage: Stage, around: Around) -> BoundStage:
    bind = _BIND.get(type(stage))
    return BoundStage(stage) if bind is None else bind(stage, around)


def _rescore(stage: Rescore, around: Around) -> BoundStage:
    column = vector_column(around.schema, stage.field)
    return BoundStage(stage, (column,), vector_of(column, stage.vector, around.encode))


def _max_sim(stage: MaxSim, around: Around) -> BoundStage:
    column = multivector_column(around.schema, stage.field)
    asked = tokens_of(column, stage.tokens, stage.weights, around.encode)
    return BoundStage(stage, (column,), question=asked, k=around.query.k, exact=around.query.exact)


def _order_by(stage: OrderBy, around: Around) -> BoundStage:
    names = [name for name, _ in stage.parts if name != "score"]
    return BoundStage(stage, tuple(comparable(around.schema, name, "order_by") for name in names))


def _collapse(stage: Collapse, around: Around) -> BoundStage:
    column = around.schema[stage.field]
    if column.field.kind != "vector":
        column = comparable(around.schema, stage.field, "collapse")
    return BoundStage(stage, (column,))


def _path_pooling(stage: PathPooling, around: Around) -> BoundStage:
    ends = stage.head, stage.tail
    return BoundStage(stage, tuple(comparable(around.schema, name, "pool_paths") for name in ends))


def _expand(stage: Expand, around: Around) -> BoundStage:
    """Check an expansion; links are judged by the field of vectors that is searched, else by the first there is."""
    if stage.through is not None:
        bound_filter(stage.through, around.schema)
    searched = [arm.columns[0] for arm in around.arms if isinstance(arm.arm, Near | Like)]
    columns = tuple([*searched, *around.schema.vectors][:1])
    arms = () if around.scored else around.arms
    return BoundStage(stage, columns, arms=arms, where=around.where, exact=around.query.exact)


def _select(stage: Select, around: Around) -> BoundStage:
    universe = stage.universe if isinstance(stage.universe, tuple) else ()
    check_ids(around.schema, (*stage.fixed, *stage.forbidden, *universe))
    needs = selecting(stage, around.query.k, list(around.arms), around.scored, around.schema)
    return BoundStage(stage, columns_of(stage, around.schema), selecting=needs)


def _cut(stage: Relevance, around: Around) -> BoundStage:
    """Check a cut: it must have an arm to judge by."""
    if stage.arm is not None and stage.arm not in [one.label for one in around.arms]:
        known = ", ".join(repr(one.label) for one in around.arms) or "none"
        told = f"cut judges by the arm {stage.arm!r}, which the query does not have (there are: {known})"
        raise InvalidInputError(told, field="arm", value=stage.arm)
    usable = [one for one in around.arms if stage.arm is None or one.label == stage.arm]
    if stage.method != "gap" and not any(isinstance(one.arm, Near) for one in usable):
        raise InvalidInputError(f"cut by {stage.method} needs an arm that looks for a vector", field="arm")
    return BoundStage(stage, arms=around.arms)


def _cascade(stage: Cascade, around: Around) -> BoundStage:
    *cheap, last = (_bound(step, around) for step in stage.all_of_them)
    # How far cheap steps are off is measured for every query, whatever the reason.
    return BoundStage(stage, steps=(*(step._replace(rough=True) for step in cheap), last))


def _counted(formula: Formula, schema: Schema) -> Iterator[Column]:
    """Yield the columns whose values a formula needs, and check its filters."""
    if isinstance(formula, When):
        bound_filter(formula.where, schema)
        inside = [formula.then, formula.otherwise]
    elif isinstance(formula, Operation):
        inside = list(formula.parts)
    else:
        inside = [formula.part] if isinstance(formula, Function) else []
    for part in inside:
        yield from _counted(part, schema)
    if isinstance(formula, Value | Decay | Away):
        column = schema[formula.field]
        place = isinstance(formula, Away) or (isinstance(formula, Decay) and isinstance(formula.origin, tuple))
        if column.field.kind not in (("geo",) if place else ("bool", "int64", "float64", "timestamp")):
            raise InvalidInputError(
                f"a formula cannot count with field {formula.field!r}, which is {column.field.kind}",
                field=formula.field,
            )
        yield column


_BIND: Mapping[type[Stage], Callable[[Any, Around], BoundStage]] = {
    Cascade: _cascade,
    Collapse: _collapse,
    Expand: _expand,
    GroupBy: lambda stage, around: BoundStage(stage, (comparable(around.schema, stage.field, "group_by", many=True),)),
    MaxSim: _max_sim,
    OrderBy: _order_by,
    PathPooling: _path_pooling,
    Rank: lambda stage, around: BoundStage(stage, tuple(_counted(stage.formula, around.schema))),
    Relevance: _cut,
    Rescore: _rescore,
    Scorer: lambda stage, around: BoundStage(stage, returned(stage.fields, around.schema)),
    Select: _select,
}
