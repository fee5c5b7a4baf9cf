"""Stages <-> messages: one line for each kind, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from vecdb.errors import InvalidInputError
from vecdb.query.cascade import MARGIN, STEPS, Cascade
from vecdb.query.graph import Expand, PathPooling
from vecdb.query.query import ARM_COUNT
from vecdb.query.relevance import Relevance
from vecdb.query.selection import Select
from vecdb.query.stages import Collapse, GroupBy, MaxSim, MinScore, OrderBy, Rank, Rescore, Stage
from vecdb.query.value import Numbers
from vecdb.wire import filters, formulas, graph, relevance, selections
from vecdb.wire.tokens import max_sim_from_message, max_sim_to_message
from vecdb.wire.values import sought_text, vector_from_message, vector_to_message
from vecdb_proto.v1 import query_pb2 as pb


class _Form(NamedTuple):
    """How a kind of stage is sent: the name of its message, how that is written, and read."""

    name: str
    write: Callable[[Any], Any]
    read: Callable[[Any, filters.Reading], Stage]


def stage_to_message(stage: Stage) -> pb.Stage:
    """Return a stage as a message.

    Raises:
        InvalidInputError: it cannot be sent, as a function of the caller cannot.

    """
    form = _FORMS.get(type(stage))
    if form is None:
        stage.to_json()  # a stage that cannot be written down says so itself
        raise InvalidInputError(f"{type(stage).__name__} is no stage that can be sent", field="stages")
    message = pb.Stage()
    getattr(message, form.name).CopyFrom(form.write(stage))
    return message


def stage_from_message(message: pb.Stage, reading: filters.Reading) -> Stage:
    """Return the stage of a message.

    Raises:
        InvalidInputError: it is of no known kind, or its values are refused.

    """
    name = message.WhichOneof("kind")
    form = _NAMED.get(name)
    if form is None:
        raise InvalidInputError("a stage is of no known kind: was the query made by a newer vecdb?", field="stages")
    return form.read(getattr(message, form.name), reading)


def sort_keys_to_message(order: OrderBy) -> list[pb.SortKey]:
    """Return what an order is by as messages."""
    return [pb.SortKey(field=field, descending=descending) for field, descending in order.parts]


def sort_keys_from_message(keys: Any) -> OrderBy:
    """Return the order by some keys.

    Raises:
        InvalidInputError: there are too many, or one names no field.

    """
    return OrderBy(tuple(f"{key.field} {'desc' if key.descending else 'asc'}" for key in keys[:ARM_COUNT]))


def _rescore_to_message(stage: Rescore) -> pb.Rescore:
    if isinstance(stage.vector, Numbers):
        return pb.Rescore(field=stage.field, top=stage.top, vector=vector_to_message(stage.vector.array))
    return pb.Rescore(field=stage.field, top=stage.top, text=stage.vector)


def _rescore_from_message(message: pb.Rescore) -> Rescore:
    kind = message.WhichOneof("query")
    sought: Any = vector_from_message(message.vector, message.field) if kind == "vector" else sought_text(message, kind)
    return Rescore(message.field, sought, message.top if message.HasField("top") else None)


def _rank_from_message(message: pb.Rank, reading: filters.Reading) -> Rank:
    return Rank(formulas.from_message(message.formula, reading), message.top if message.HasField("top") else None)


def _cascade_to_message(stage: Cascade) -> pb.Cascade:
    steps = [stage_to_message(step) for step in stage.steps]
    return pb.Cascade(steps=steps, keep=stage.keep, margin=stage.margin, exact=stage.exact, top=stage.top)


def _cascade_from_message(message: pb.Cascade, reading: filters.Reading) -> Cascade:
    if len(message.steps) > STEPS or any(step.WhichOneof("kind") == "cascade" for step in message.steps):
        raise InvalidInputError(f"a cascade has 1 to {STEPS} steps, and no cascade inside", field="steps")
    return Cascade(
        tuple(stage_from_message(step, reading) for step in message.steps),
        message.keep,
        message.margin if message.HasField("margin") else MARGIN,
        message.exact,
        message.top if message.HasField("top") else None,
    )


_FORMS: dict[type[Stage], _Form] = {
    MinScore: _Form(
        "min_score", lambda stage: pb.MinScore(score=stage.score), lambda message, _: MinScore(message.score)
    ),
    Collapse: _Form(
        "collapse",
        lambda stage: pb.Collapse(field=stage.field, similarity=stage.similarity),
        lambda message, _: Collapse(message.field, message.similarity),
    ),
    GroupBy: _Form(
        "group_by",
        lambda stage: pb.GroupBy(field=stage.field, per_group=stage.per_group),
        lambda message, _: GroupBy(message.field, message.per_group),
    ),
    OrderBy: _Form(
        "order_by",
        lambda stage: pb.OrderBy(keys=sort_keys_to_message(stage)),
        lambda message, _: sort_keys_from_message(message.keys),
    ),
    Rank: _Form(
        "rank",
        lambda stage: pb.Rank(formula=formulas.to_message(stage.formula), top=stage.top),
        _rank_from_message,
    ),
    Rescore: _Form("rescore", _rescore_to_message, lambda message, _: _rescore_from_message(message)),
    MaxSim: _Form("max_sim", max_sim_to_message, lambda message, _: max_sim_from_message(message)),
    Select: _Form("select", selections.to_message, lambda message, _: selections.from_message(message)),
    Relevance: _Form("cut", relevance.to_message, lambda message, _: relevance.from_message(message)),
    Cascade: _Form("cascade", _cascade_to_message, _cascade_from_message),
    Expand: _Form("expand", graph.expand_to_message, graph.expand_from_message),
    PathPooling: _Form(
        "path_pooling", graph.pooling_to_message, lambda message, _: graph.pooling_from_message(message)
    ),
}
_NAMED: dict[str | None, _Form] = {form.name: form for form in _FORMS.values()}
