"""What queries do with links, as messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vecdb.errors import InvalidInputError
from vecdb.query.graph import KINDS, Expand, Linked, PathPooling
from vecdb.query.value import EXAMPLES
from vecdb.wire import filters
from vecdb.wire.values import id_from_message, id_to_message
from vecdb_proto.v1 import graph_pb2 as pb


def linked_to_message(arm: Linked) -> pb.Linked:
    """Return an arm over links as a message."""
    return pb.Linked(ids=map(id_to_message, arm.ids), walking=_walking(arm), hops=arm.hops, path=arm.path)


def linked_from_message(message: pb.Linked, reading: filters.Reading) -> dict[str, Any]:
    """Return what the arm of a message is made of.

    Raises:
        InvalidInputError: it has too many ids, or as many weights as types it does not have.

    """
    if len(message.ids) > EXAMPLES:
        raise InvalidInputError(f"linked has {len(message.ids)} ids, at most {EXAMPLES}", field="ids")
    told = {"ids": tuple(map(id_from_message, message.ids)), "hops": message.hops, "path": tuple(message.path)}
    return told | _walked(message.walking, reading)


def expand_to_message(stage: Expand) -> pb.Expand:
    """Return an expansion as a message."""
    return pb.Expand(
        walking=_walking(stage),
        hops=stage.hops,
        method=stage.method,
        damping=stage.damping,
        seeds=stage.seeds,
        hub=stage.hub,
        balanced=stage.balanced,
        half_life=stage.half_life,
        aged_by=stage.aged_by,
        fan_out=stage.fan_out,
        epsilon=stage.epsilon,
        gate=stage.gate,
    )


def expand_from_message(message: pb.Expand, reading: filters.Reading) -> Expand:
    """Return the expansion of a message.

    Raises:
        InvalidInputError: it is none.

    """
    given: dict[str, Any] = {
        name: getattr(message, name)
        for name in ("method", "damping", "seeds", "hub", "balanced", "fan_out", "epsilon", "gate")
    }
    optional = {name: getattr(message, name) for name in ("hops", "half_life", "aged_by") if message.HasField(name)}
    return Expand(**given, **optional, **_walked(message.walking, reading))


def pooling_to_message(stage: PathPooling) -> pb.PathPooling:
    """Return a pooling of paths as a message."""
    entities = map(id_to_message, stage.entities)
    return pb.PathPooling(head=stage.head, tail=stage.tail, entities=entities, top=stage.top, bonus=stage.bonus)


def pooling_from_message(message: pb.PathPooling) -> PathPooling:
    """Return the pooling of a message.

    Raises:
        InvalidInputError: it is none.

    """
    if len(message.entities) > EXAMPLES:
        told = f"pool_paths has {len(message.entities)} entities, at most {EXAMPLES}"
        raise InvalidInputError(told, field="entities")
    entities = tuple(map(id_from_message, message.entities))
    top = message.top if message.HasField("top") else None
    return PathPooling(message.head, message.tail, entities, top, message.bonus)


def _walking(part: Linked | Expand) -> pb.Walking:
    assert isinstance(part.links, Mapping)
    message = pb.Walking(
        links=pb.LinkTypes(types=part.links.keys(), weights=part.links.values()), direction=part.direction
    )
    if part.links_where is not None:
        message.links_where.CopyFrom(filters.to_message(part.links_where))
    if part.through is not None:
        message.through.CopyFrom(filters.to_message(part.through))
    return message


def _walked(message: pb.Walking, reading: filters.Reading) -> dict[str, Any]:
    types, weights = message.links.types, message.links.weights
    if len(types) != len(weights) or len(types) > KINDS:
        raise InvalidInputError(f"{len(types)} types of links have {len(weights)} weights", field="links")
    return {
        "links": dict(zip(types, weights, strict=True)),
        "direction": message.direction,
        "links_where": reading.read(message.links_where) if message.HasField("links_where") else None,
        "through": reading.read(message.through) if message.HasField("through") else None,
    }
