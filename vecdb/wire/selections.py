"""Selections as messages: the stage of a query, and what is told of the hits."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, cast

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.query.selection import (
    BOUNDS,
    Axis,
    Budget,
    Cells,
    Coverage,
    Dispersion,
    Dpp,
    Form,
    Method,
    Mmr,
    Quota,
    Select,
    Unit,
)
from vecdb.query.value import EXAMPLES
from vecdb.results import Member, Pick, Selected
from vecdb.wire.values import (
    id_from_message,
    id_to_message,
    ids_from_message,
    ids_to_message,
    packed,
    value_from_message,
    value_to_message,
)
from vecdb_proto.v1 import selection_pb2 as pb

_PLAIN: dict[str, type[Method]] = {"mmr": Mmr, "dpp": Dpp, "dispersion": Dispersion}


def to_message(stage: Select) -> pb.Select:
    """Return a selection as a message.

    Raises:
        InvalidInputError: similarities come from a Python function.

    """
    if not stage.portable:
        stage.to_json()  # it says so itself
    message = pb.Select(
        field=stage.field,
        quotas=map(_quota_message, stage.quotas),
        grid=[pb.Axis(field=one.field, bins=one.bins, edges=one.edges) for one in stage.grid],
        fixed=map(id_to_message, stage.fixed),
        forbidden=map(id_to_message, stage.forbidden),
        distinct=stage.distinct,
        min_gain=stage.min_gain,
        pool=stage.pool,
        similarity=cast("str | None", stage.similarity),
    )
    method = stage.method
    if isinstance(method, Coverage):
        told = pb.Coverage(
            balance=method.balance, form=method.form, sharpness=method.sharpness, baseline=method.baseline
        )
        message.coverage.CopyFrom(told)
    else:
        getattr(message, method.kind).SetInParent()
        getattr(message, method.kind).balance = method.balance
    if stage.budget is not None:
        budget = stage.budget
        message.budget.CopyFrom(pb.Budget(limit=budget.limit, field=budget.field, unit=budget.unit))
    if isinstance(stage.universe, int):
        message.candidates = stage.universe
    elif isinstance(stage.universe, Cells):
        message.probes = stage.universe.probes
    elif stage.universe is not None:
        message.rows.CopyFrom(pb.Select.Rows(ids=map(id_to_message, stage.universe)))
    return message


def from_message(message: pb.Select) -> Select:
    """Return the selection of a message.

    Raises:
        InvalidInputError: it is none, or names too much.

    """
    for name, most in (("quotas", BOUNDS), ("grid", BOUNDS), ("fixed", EXAMPLES), ("forbidden", EXAMPLES)):
        if len(getattr(message, name)) > most:
            raise InvalidInputError(f"{name} has {len(getattr(message, name))} entries, at most {most}", field=name)
    universe: int | tuple[str | int, ...] | Cells | None = None
    if message.WhichOneof("universe") == "candidates":
        universe = message.candidates
    elif message.WhichOneof("universe") == "probes":
        universe = Cells(message.probes)
    elif message.WhichOneof("universe") == "rows":
        universe = tuple(map(id_from_message, message.rows.ids[: EXAMPLES + 1]))
    return Select(
        _method(message),
        message.field if message.HasField("field") else None,
        tuple(map(_quota, message.quotas)),
        tuple(Axis(one.field, one.bins if one.HasField("bins") else None, tuple(one.edges)) for one in message.grid),
        tuple(map(id_from_message, message.fixed)),
        tuple(map(id_from_message, message.forbidden)),
        message.distinct if message.HasField("distinct") else None,
        _budget(message.budget) if message.HasField("budget") else None,
        message.min_gain,
        message.pool if message.HasField("pool") else None,
        universe,
        cast("Any", message.similarity) if message.HasField("similarity") else None,
    )


def _quota_message(one: Quota) -> pb.Quota:
    value = None if one.value is None else value_to_message(one.value)
    return pb.Quota(field=one.field, low=one.low, high=one.high, value=value)


def _quota(message: pb.Quota) -> Quota:
    high = message.high if message.HasField("high") else None
    value = value_from_message(message.value) if message.HasField("value") else None
    return Quota(message.field, message.low, high, value)


def _budget(message: pb.Budget) -> Budget:
    unit = cast("Unit", message.unit) if message.HasField("unit") else None
    return Budget(message.limit, message.field, unit)


def _method(message: pb.Select) -> Method:
    kind = message.WhichOneof("method")
    if kind == "coverage":
        told = message.coverage
        sharpness = told.sharpness if told.HasField("sharpness") else None
        baseline = told.baseline if told.HasField("baseline") else None
        return Coverage(told.balance, cast("Form", told.form), sharpness, baseline)
    if kind in _PLAIN:
        return cast("Any", _PLAIN[kind])(getattr(message, kind).balance)
    raise InvalidInputError("a selection is of no known kind: was the query made by a newer vecdb?", field="select")


# -- what is told of hits ----------------------------------------------------------------------------------------------


def told_to_message(about: Selected, picks: list[Pick], id_type: str) -> pb.Selection:
    """Return what a selection says of its hits as a message."""
    members = [member for pick in picks for member in pick.members]
    return pb.Selection(
        method=about.method,
        pool=about.pool,
        coverage=about.coverage,
        ended=about.ended,
        order=np.array([pick.order for pick in picks], "<u4").tobytes(),
        gains=np.array([pick.gain for pick in picks], "<f8").tobytes(),
        counts=np.array([len(pick.members) for pick in picks], "<u4").tobytes(),
        members=ids_to_message([member.id for member in members], id_type),
        similarities=np.array([member.similarity for member in members], "<f4").tobytes(),
    )


def about_from_message(message: pb.Selection) -> Selected:
    """Return what a message says of all hits together."""
    return Selected(message.method, message.pool, message.coverage, message.ended)


def picks_from_message(message: pb.Selection, count: int) -> list[Pick]:
    """Return what a message says of each of so many hits.

    Raises:
        InvalidInputError: its numbers do not fit.

    """
    order, gains = packed(message.order, "<u4", "the order"), packed(message.gains, "<f8", "the gains")
    counts = packed(message.counts, "<u4", "the list of counts").astype(np.int64)
    similarities = packed(message.similarities, "<f4", "the similarities")
    ids = ids_from_message(message.members)
    if not len(order) == len(gains) == len(counts) == count or not counts.sum() == len(ids) == len(similarities):
        told = f"a selection tells of {len(order)} hits and {len(ids)} members, found {count} hits"
        raise InvalidInputError(told, field="selection")
    members = list(map(Member, ids, similarities.tolist()))
    ends = list(accumulate(counts.tolist()))
    return [
        Pick(place, gain, tuple(members[end - size : end]))
        for place, gain, size, end in zip(order.tolist(), gains.tolist(), counts.tolist(), ends, strict=True)
    ]
