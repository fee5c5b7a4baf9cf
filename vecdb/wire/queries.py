"""Queries as messages. A search waits for these functions twice, so they are written for speed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from vecdb.errors import InvalidInputError
from vecdb.query.arms import EXAMPLES, Arm, Like, Match, Near, Nested, Strategy, Terms
from vecdb.query.cascade import MARGIN, STEPS, Cascade
from vecdb.query.fusion import AutoFusion, Fusion, Interleave, Rrf, WeightedSum
from vecdb.query.query import ARM_COUNT, DEPTH, Query
from vecdb.query.relevance import Relevance
from vecdb.query.stages import Collapse, GroupBy, MinScore, OrderBy, Rank, Rescore, Stage
from vecdb.query.value import Numbers
from vecdb.query.weights import Weights
from vecdb.wire import filters, formulas, relevance
from vecdb.wire.values import id_from_message, id_to_message, packed, vector_from_message, vector_to_message, writable
from vecdb_proto.v1 import query_pb2 as pb
from vecdb_proto.v1.values_pb2 import Fields, SparseVector

if TYPE_CHECKING:
    from vecdb.filters import Expression

MAX_ARMS = 1_024
"""The most arms, and the most stages, of a query and those nested in it together."""


def to_message(query: Query) -> pb.Query:
    """Return a query as a message.

    Raises:
        InvalidInputError: it holds what cannot be sent: a Python function, or half of a surrogate pair.

    """
    with writable():
        return _query_message(query)


def from_message(message: pb.Query) -> Query:
    """Return the query of a message.

    Raises:
        InvalidInputError: it is none, or larger than queries may be.

    """
    return _Reading().query(message, 1)


def _query_message(query: Query) -> pb.Query:
    message = pb.Query(k=query.k, arms=[_arm_message(arm) for arm in query.arms])
    if query.fusion is not None:
        _write_fusion(query.fusion, message.fusion)
    if query.filter is not None:
        message.filter.CopyFrom(filters.to_message(query.filter))
    for stage in query.stages:
        _write_stage(stage, message.stages.add())
    if query.fields is not None:
        message.fields.CopyFrom(Fields(names=query.fields))
    if query.exact:
        message.exact = True
    if query.cursor is not None:
        message.cursor = query.cursor
    if query.allow_partial:
        message.allow_partial = True
    return message


# -- arms --------------------------------------------------------------------------------------------------------------


def _arm_message(arm: Arm) -> pb.Arm:
    if isinstance(arm, Near):
        message = pb.Arm(near=_near_message(arm))
    elif isinstance(arm, Match):
        message = pb.Arm(match=_match_message(arm))
    elif isinstance(arm, Terms):
        message = pb.Arm(terms=_terms_message(arm))
    elif isinstance(arm, Like):
        message = pb.Arm(like=_like_message(arm))
    elif isinstance(arm, Nested):
        message = pb.Arm(nested=_query_message(arm.query))
    else:
        raise InvalidInputError(f"{type(arm).__name__} is no arm that can be sent", field="arms")
    if arm.fetch is not None:
        message.fetch = arm.fetch
    if arm.where is not None:
        message.where.CopyFrom(filters.to_message(arm.where))
    if arm.name is not None:
        message.name = arm.name
    return message


def _near_message(arm: Near) -> pb.Near:
    if isinstance(arm.vector, Numbers):
        message = pb.Near(field=arm.field, vector=vector_to_message(arm.vector.array))
    else:
        message = pb.Near(field=arm.field, text=arm.vector)
    if arm.recall is not None:
        message.recall = arm.recall
    if arm.ef is not None:
        message.ef = arm.ef
    if arm.probes is not None:
        message.probes = arm.probes
    if arm.plan is not None:
        message.plan = arm.plan
    return message


def _match_message(arm: Match) -> pb.Match:
    if isinstance(arm.field, str):
        return pb.Match(field=arm.field, text=arm.text)
    boosts = pb.Match.Boosts(fields=arm.field.keys(), boosts=arm.field.values())
    return pb.Match(boosts=boosts, text=arm.text)


def _terms_message(arm: Terms) -> pb.Terms:
    if isinstance(arm.terms, Weights):
        sparse = SparseVector(terms=arm.terms.terms.tobytes(), weights=arm.terms.weights.tobytes())
        return pb.Terms(field=arm.field, terms=sparse)
    return pb.Terms(field=arm.field, text=arm.terms)


def _like_message(arm: Like) -> pb.Like:
    return pb.Like(
        field=arm.field,
        like=map(id_to_message, arm.like),
        unlike=map(id_to_message, arm.unlike),
        strategy=arm.strategy,
        recall=arm.recall,
    )


def _near(message: pb.Near, fetch: int | None, where: Expression | None, name: str | None) -> Near:
    kind = message.WhichOneof("query")
    field = message.field
    vector: Any = vector_from_message(message.vector, field) if kind == "vector" else _text(message, kind)
    return Near(
        field,
        vector,
        message.recall if message.HasField("recall") else None,
        message.ef if message.HasField("ef") else None,
        message.probes if message.HasField("probes") else None,
        message.plan if message.HasField("plan") else None,
        fetch=fetch,
        where=where,
        name=name,
    )


def _match(message: pb.Match) -> dict[str, Any]:
    if message.WhichOneof("where") != "boosts":
        return {"field": message.field, "text": message.text}
    fields, boosts = message.boosts.fields, message.boosts.boosts
    if len(fields) != len(boosts):
        raise InvalidInputError(f"match has {len(fields)} fields and {len(boosts)} boosts", field="field")
    return {"field": dict(zip(fields, boosts, strict=True)), "text": message.text}


def _terms(message: pb.Terms) -> dict[str, Any]:
    kind = message.WhichOneof("query")
    if kind != "terms":
        return {"field": message.field, "terms": _text(message, kind)}
    what = f"the query for {message.field!r}"
    sparse = packed(message.terms.terms, "<u4", what), packed(message.terms.weights, "<f4", what)
    return {"field": message.field, "terms": sparse}


def _like(message: pb.Like) -> dict[str, Any]:
    for ids in (message.like, message.unlike):
        if len(ids) > EXAMPLES:
            raise InvalidInputError(f"like has {len(ids)} ids, at most {EXAMPLES}", field="like")
    return {
        "field": message.field,
        "like": tuple(map(id_from_message, message.like)),
        "unlike": tuple(map(id_from_message, message.unlike)),
        "strategy": cast("Strategy", message.strategy),
        "recall": message.recall if message.HasField("recall") else None,
    }


def _text(message: pb.Near | pb.Terms | pb.Rescore, kind: str | None) -> str:
    if kind is None:
        raise InvalidInputError(f"nothing is sought in {message.field!r}", field=message.field)
    return message.text


# -- fusion ------------------------------------------------------------------------------------------------------------


def _write_fusion(fusion: Fusion, message: pb.Fusion) -> None:
    if isinstance(fusion, Rrf):
        message.rrf.CopyFrom(pb.RrfFusion(k=fusion.k, weights=fusion.weights))
    elif isinstance(fusion, Interleave):
        message.interleave.CopyFrom(pb.InterleaveFusion(weights=fusion.weights))
    elif isinstance(fusion, WeightedSum):
        message.weighted.CopyFrom(pb.WeightedFusion(weights=fusion.weights, normalise=fusion.normalise))
    elif isinstance(fusion, AutoFusion):
        message.auto.SetInParent()
    else:
        raise InvalidInputError(f"{type(fusion).__name__} is no fusion that can be sent", field="fusion")


def _fusion(message: pb.Fusion) -> Fusion:
    kind = message.WhichOneof("kind")
    if kind == "rrf":
        return Rrf(message.rrf.k, tuple(message.rrf.weights) or None)
    if kind == "interleave":
        return Interleave(tuple(message.interleave.weights) or None)
    if kind == "weighted":
        return WeightedSum(tuple(message.weighted.weights) or None, message.weighted.normalise)
    if kind == "auto":
        return AutoFusion()
    raise InvalidInputError("the fusion is of no known kind: was the query made by a newer vecdb?", field="fusion")


# -- stages ------------------------------------------------------------------------------------------------------------


def _write_stage(stage: Stage, message: pb.Stage) -> None:
    if isinstance(stage, MinScore):
        message.min_score.CopyFrom(pb.MinScore(score=stage.score))
    elif isinstance(stage, Collapse):
        message.collapse.CopyFrom(pb.Collapse(field=stage.field, similarity=stage.similarity))
    elif isinstance(stage, GroupBy):
        message.group_by.CopyFrom(pb.GroupBy(field=stage.field, per_group=stage.per_group))
    elif isinstance(stage, OrderBy):
        message.order_by.CopyFrom(pb.OrderBy(keys=sort_keys_to_message(stage)))
    elif isinstance(stage, Rank):
        message.rank.CopyFrom(pb.Rank(formula=formulas.to_message(stage.formula), top=stage.top))
    elif isinstance(stage, Rescore):
        if isinstance(stage.vector, Numbers):
            sought: dict[str, Any] = {"vector": vector_to_message(stage.vector.array)}
        else:
            sought = {"text": stage.vector}
        message.rescore.CopyFrom(pb.Rescore(field=stage.field, top=stage.top, **sought))
    else:
        _write_wider(stage, message)


def _write_wider(stage: Stage, message: pb.Stage) -> None:
    """Write a stage that looks at all candidates together, or refuse."""
    if isinstance(stage, Relevance):
        message.cut.CopyFrom(relevance.to_message(stage))
    elif isinstance(stage, Cascade):
        message.cascade.keep = stage.keep
        message.cascade.exact = stage.exact
        message.cascade.margin = stage.margin
        if stage.top is not None:
            message.cascade.top = stage.top
        for step in stage.steps:
            _write_stage(step, message.cascade.steps.add())
    else:
        stage.to_json()  # a stage that cannot be written down says so itself
        raise InvalidInputError(f"{type(stage).__name__} is no stage that can be sent", field="stages")


def sort_keys_to_message(order: OrderBy) -> list[pb.SortKey]:
    """Return what an order is by as messages."""
    return [pb.SortKey(field=field, descending=descending) for field, descending in order.parts]


def sort_keys_from_message(keys: Any) -> OrderBy:
    """Return the order by some keys.

    Raises:
        InvalidInputError: there are too many, or one names no field.

    """
    return OrderBy(tuple(f"{key.field} {'desc' if key.descending else 'asc'}" for key in keys[:ARM_COUNT]))


def _rescore(message: pb.Rescore) -> Rescore:
    kind = message.WhichOneof("query")
    sought: Any = vector_from_message(message.vector, message.field) if kind == "vector" else _text(message, kind)
    return Rescore(message.field, sought, message.top if message.HasField("top") else None)


_STAGES: dict[str | None, Callable[[pb.Stage, filters.Reading], Stage]] = {
    "min_score": lambda message, _: MinScore(message.min_score.score),
    "collapse": lambda message, _: Collapse(message.collapse.field, message.collapse.similarity),
    "group_by": lambda message, _: GroupBy(message.group_by.field, message.group_by.per_group),
    "order_by": lambda message, _: sort_keys_from_message(message.order_by.keys),
    "rank": lambda message, reading: Rank(
        formulas.from_message(message.rank.formula, reading), message.rank.top if message.rank.HasField("top") else None
    ),
    "rescore": lambda message, _: _rescore(message.rescore),
    "cut": lambda message, _: relevance.from_message(message.cut),
    "cascade": lambda message, reading: _cascade(message.cascade, reading),
}


def _cascade(message: pb.Cascade, reading: filters.Reading) -> Cascade:
    if len(message.steps) > STEPS or any(step.WhichOneof("kind") == "cascade" for step in message.steps):
        raise InvalidInputError(f"a cascade has 1 to {STEPS} steps, and no cascade inside", field="steps")
    return Cascade(
        tuple(_stage(step, reading) for step in message.steps),
        message.keep,
        message.margin if message.HasField("margin") else MARGIN,
        message.exact,
        message.top if message.HasField("top") else None,
    )


def _stage(message: pb.Stage, reading: filters.Reading) -> Stage:
    read = _STAGES.get(message.WhichOneof("kind"))
    if read is None:
        raise InvalidInputError("a stage is of no known kind: was the query made by a newer vecdb?", field="stages")
    return read(message, reading)


class _Reading:
    """A query being read, and those nested in it. Arms and stages are counted before they are looked at."""

    def __init__(self) -> None:
        self.left = MAX_ARMS
        self.filters = filters.Reading()

    def query(self, message: pb.Query, depth: int) -> Query:
        """Read a query that lies so deep in others."""
        if depth > DEPTH:
            raise InvalidInputError(f"queries lie more than {DEPTH} deep inside each other", field="arms")
        arms, stages = message.arms, message.stages
        if len(arms) > ARM_COUNT or len(stages) > ARM_COUNT:
            told = f"a query has {len(arms)} arms and {len(stages)} stages, at most {ARM_COUNT} of each"
            raise InvalidInputError(told, field="arms")
        self.left -= len(arms) + len(stages)
        if self.left < 0:
            raise InvalidInputError(f"a query has more than {MAX_ARMS} arms and stages", field="arms")
        return Query(
            message.k,
            tuple([self.arm(arm, depth) for arm in arms]),
            _fusion(message.fusion) if message.HasField("fusion") else None,
            self.filters.read(message.filter) if message.HasField("filter") else None,
            tuple([_stage(stage, self.filters) for stage in stages]),
            tuple(message.fields.names) if message.HasField("fields") else None,
            message.exact,
            message.cursor if message.HasField("cursor") else None,
            message.allow_partial,
        )

    def arm(self, message: pb.Arm, depth: int) -> Arm:
        """Read an arm."""
        kind = message.WhichOneof("kind")
        fetch = message.fetch if message.HasField("fetch") else None
        where = self.filters.read(message.where) if message.HasField("where") else None
        name = message.name if message.HasField("name") else None
        if kind == "near":
            return _near(message.near, fetch, where, name)
        common: dict[str, Any] = {"fetch": fetch, "where": where, "name": name}
        if kind == "match":
            return Match(**_match(message.match), **common)
        if kind == "terms":
            return Terms(**_terms(message.terms), **common)
        if kind == "like":
            return Like(**_like(message.like), **common)
        if kind == "nested":
            return Nested(self.query(message.nested, depth + 1), **common)
        raise InvalidInputError("an arm is of no known kind: was the query made by a newer vecdb?", field="arms")
