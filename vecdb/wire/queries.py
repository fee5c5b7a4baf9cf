"""Queries as messages. A search waits for these functions twice, so they are written for speed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from vecdb.errors import InvalidInputError
from vecdb.query.arms import Arm, Like, Match, Near, Nested, Strategy, Terms, Tokens
from vecdb.query.fusion import AutoFusion, Fusion, Interleave, Rrf, WeightedSum
from vecdb.query.graph import Linked
from vecdb.query.query import ARM_COUNT, DEPTH, Query
from vecdb.query.value import EXAMPLES, Numbers
from vecdb.query.weights import Weights
from vecdb.wire import filters, graph
from vecdb.wire.stages import stage_from_message, stage_to_message
from vecdb.wire.tokens import tokens_from_message, tokens_to_message
from vecdb.wire.values import (
    id_from_message,
    id_to_message,
    packed,
    sought_text,
    vector_from_message,
    vector_to_message,
    writable,
)
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
        message.stages.append(stage_to_message(stage))
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
    write = _ARMS.get(type(arm))
    if write is None:
        raise InvalidInputError(f"{type(arm).__name__} is no arm that can be sent", field="arms")
    message = write(arm)
    if arm.fetch is not None:
        message.fetch = arm.fetch
    if arm.where is not None:
        message.where.CopyFrom(filters.to_message(arm.where))
    if arm.name is not None:
        message.name = arm.name
    return message


_ARMS: dict[type[Arm], Callable[[Any], pb.Arm]] = {
    Near: lambda arm: pb.Arm(near=_near_message(arm)),
    Match: lambda arm: pb.Arm(match=_match_message(arm)),
    Terms: lambda arm: pb.Arm(terms=_terms_message(arm)),
    Tokens: lambda arm: pb.Arm(tokens=tokens_to_message(arm)),
    Like: lambda arm: pb.Arm(like=_like_message(arm)),
    Linked: lambda arm: pb.Arm(linked=graph.linked_to_message(arm)),
    Nested: lambda arm: pb.Arm(nested=_query_message(arm.query)),
}


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
    vector: Any = vector_from_message(message.vector, field) if kind == "vector" else sought_text(message, kind)
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
        return {"field": message.field, "terms": sought_text(message, kind)}
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
            tuple([stage_from_message(stage, self.filters) for stage in stages]),
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
        if kind == "tokens":
            return Tokens(**tokens_from_message(message.tokens), **common)
        if kind == "like":
            return Like(**_like(message.like), **common)
        if kind == "linked":
            return Linked(**graph.linked_from_message(message.linked, self.filters), **common)
        if kind == "nested":
            return Nested(self.query(message.nested, depth + 1), **common)
        raise InvalidInputError("an arm is of no known kind: was the query made by a newer vecdb?", field="arms")
