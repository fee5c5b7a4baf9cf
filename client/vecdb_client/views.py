"""What requests see of a collection, and what they may take: views, made of filters and limits as users pass them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from vecdb.config import Limits
from vecdb.errors import InvalidInputError
from vecdb_client.asked import filter_of
from vecdb_proto.v1 import view_pb2

if TYPE_CHECKING:
    from vecdb.schema.schema import Schema
    from vecdb_proto.v1 import filter_pb2

UNLIMITED = Limits()

_LARGEST = 2**64 - 1
"""The largest number that a message holds."""


def checked(limits: Limits) -> Limits:
    """Return the limits of calls.

    Raises:
        InvalidInputError: they are none.

    """
    if not isinstance(limits, Limits):
        raise InvalidInputError(f"limits is {limits!r:.200}, expected vecdb.Limits", field="limits", value=limits)
    return limits


def to_message(filters: Sequence[Any], limits: Limits, snapshot: bytes | None = None) -> view_pb2.View | None:
    """Return what requests say of themselves; None: they see all of the latest state, and have no limits of their own.

    Args:
        filters: rows have to pass all of them.
        limits: what each call may hold; its time is told by gRPC.
        snapshot: the state; None: the latest.

    Raises:
        InvalidInputError: a filter is none.

    """
    if snapshot is None and not filters and limits.memory_bytes is None:
        return None
    view = view_pb2.View(restricted=_restrictions(filters))
    if snapshot is not None:
        view.snapshot = snapshot
    if limits.memory_bytes is not None:
        view.memory_bytes = min(limits.memory_bytes, _LARGEST)
    return view


def check_restriction(where: Any, schema: Schema) -> None:
    """Raise where a filter cannot restrict rows of these fields.

    Raises:
        InvalidInputError: it is none, or does not fit the fields.

    """
    from vecdb.filters import bind, parse, resolve

    expression = parse(where) if isinstance(where, str) else resolve(where)
    if expression is None:
        raise InvalidInputError("a snapshot is restricted by a filter, found None", field="where")
    bind(expression, schema)


def _restrictions(filters: Sequence[Any]) -> list[filter_pb2.Filter]:
    found = [filter_of(where) for where in filters]
    if None in found:
        raise InvalidInputError("a snapshot is restricted by a filter, found None", field="where")
    return cast("list[filter_pb2.Filter]", found)
