"""Links as messages: which of them are asked for, and what is counted of them. Links themselves are rows of Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vecdb.errors import InvalidInputError
from vecdb.filters import Expression
from vecdb.wire import filters
from vecdb.wire.values import packed
from vecdb_proto.v1 import link_service_pb2 as pb
from vecdb_proto.v1 import values_pb2

DIRECTIONS: dict[str, pb.LinkDirection.ValueType] = {
    "out": pb.LINK_DIRECTION_OUT,
    "in": pb.LINK_DIRECTION_IN,
    "both": pb.LINK_DIRECTION_BOTH,
}
_BY_NUMBER: dict[int, str] = {number: name for name, number in DIRECTIONS.items()}
_COUNTS = "links", "nodes", "dangling_ids", "dangling_links"
_DEGREES = "out_degree", "in_degree"


def direction_from_message(number: int) -> str:
    """Return "out", "in" or "both".

    Raises:
        InvalidInputError: it is none.

    """
    if number not in _BY_NUMBER:
        raise InvalidInputError(f"there is no direction of the number {number}", field="direction", value=number)
    return _BY_NUMBER[number]


def filter_to_message(types: Sequence[str] | None, where: Expression | None) -> pb.LinkFilter | None:
    """Return which links count; None: all."""
    if types is None and where is None:
        return None
    given = None if types is None else values_pb2.Texts(values=types)
    return pb.LinkFilter(types=given, where=filters.optional_to_message(where))


def types_from_message(message: pb.LinkFilter) -> list[str] | None:
    """Return the types that count, None for all."""
    return list(message.types.values) if message.HasField("types") else None


def stats_to_message(stats: dict[str, Any]) -> pb.GetLinkStatsResponse:
    """Return what `link_stats` tells."""
    told: dict[str, Any] = {name: stats[name] for name in (*_COUNTS, "types")}
    told |= {name: pb.GetLinkStatsResponse.Spread(**stats[name]) for name in _DEGREES}
    return pb.GetLinkStatsResponse(**told)


def stats_from_message(message: pb.GetLinkStatsResponse) -> dict[str, Any]:
    """Return what `link_stats` told."""
    told: dict[str, Any] = {name: getattr(message, name) for name in _COUNTS}
    told["types"] = dict(sorted(message.types.items()))
    for name in _DEGREES:
        spread = getattr(message, name)
        told[name] = {part: getattr(spread, part) for part in ("mean", "p50", "p90", "p99", "max")}
    return told


def degrees_from_message(message: pb.DegreesResponse, count: int) -> tuple[Any, Any]:
    """Return how many links go out of each id, and come in, int64 (count,) each.

    Raises:
        InvalidInputError: the answer is about another number of ids.

    """
    out, incoming = packed(message.out, "<i8", "the degrees"), packed(message.incoming, "<i8", "the degrees")
    if len(out) != count or len(incoming) != count:
        raise InvalidInputError(f"the server answered about {len(out)} and {len(incoming)} ids, asked for {count}")
    return out, incoming
