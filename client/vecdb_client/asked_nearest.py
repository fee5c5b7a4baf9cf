"""The request of a search by one vector, and of a query with one vector and no stages but expansions.

Searches that differ in nothing but their vectors have requests that differ in those bytes alone. So the request is made
and checked as a message once; later ones are the bytes before the vector, the vector, and those behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vecdb.arguments import effort_of, names_of, query_matrix, rows_asked
from vecdb.query.arms import Near
from vecdb.query.effort import USUAL
from vecdb.query.graph import Expand
from vecdb.query.value import Numbers, altered
from vecdb.wire import filters
from vecdb.wire.values import vector_to_message
from vecdb_proto.v1 import search_service_pb2 as searches

if TYPE_CHECKING:
    import numpy as np

    from vecdb.query.query import Query
    from vecdb.schema.schema import Column, Schema
    from vecdb_client.asked import Place

MOST = 256
"""So many templates are kept of a collection; beyond it all are dropped."""

_NOTHING = type(None)
_KINDS: dict[str, tuple[type, ...]] = {
    "k": (int,), "where": (str, _NOTHING), "fields": (tuple, list, _NOTHING), "exact": (bool,),
    "recall": (float, _NOTHING), "ef": (int, _NOTHING), "probes": (int, _NOTHING), "plan": (str, _NOTHING),
    "allow_partial": (bool,),
}  # fmt: skip
"""The options that a template is of, and their usual types: only values of these are the same when they are equal."""


class Written:
    """A request that is bytes already, in place of a `SearchRequest`."""

    __slots__ = ("_data",)

    without_cursor = True

    def __init__(self, data: bytes) -> None:
        self._data = data

    def SerializeToString(self) -> bytes:  # noqa: N802  the name that messages have
        """Return the bytes."""
        return self._data

    def message(self) -> searches.SearchRequest:
        """Return the request as a message."""
        return searches.SearchRequest.FromString(self._data)


class Templates:
    """Requests about one collection without their vectors, by everything else that they say."""

    __slots__ = ("_known", "schema")

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._known: dict[Any, tuple[bytes, bytes]] = {}

    def filled(self, key: Any, vector: np.ndarray) -> Written | None:
        """Return a request with a vector; None while there is no template."""
        found = self._known.get(key)
        return None if found is None else Written(b"".join((found[0], vector.tobytes(), found[1])))

    def keep(self, key: Any, request: searches.SearchRequest, vector: np.ndarray) -> None:
        """Keep a request's bytes but for its vector."""
        data, numbers = request.SerializeToString(), vector.tobytes()
        if data.count(numbers) != 1:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        head, _, tail = data.partition(numbers)
        self._known[key] = head, tail


def nearest(
    place: Place, column: Column[Any], sought: Any, explain: bool, **options: Any
) -> searches.SearchRequest | Written:
    """Return the request of a search by a vector.

    Raises:
        InvalidInputError: an argument is wrong.

    """
    vector = query_matrix(column, sought, 1)[0]
    key = None if place.view is not None else _key(column, explain, options)
    if key is None:
        return _message(place, column, vector, explain, **options)
    found = place.templates.filled(key, vector)
    if found is not None:
        return found
    request = _message(place, column, vector, explain, **options)
    place.templates.keep(key, request, vector)
    return request


def parted(asked: Query) -> tuple[Query | None, np.ndarray | None]:
    """Return a query without its vector, and that; None of one that has not one vector, or what is not told exactly.

    Only of expansions two that are equal are written alike.
    """
    if len(asked.arms) != 1 or asked.cursor is not None or not all(type(stage) is Expand for stage in asked.stages):
        return None, None
    (arm,) = asked.arms
    if type(arm) is not Near or not isinstance(arm.vector, Numbers):
        return None, None
    vector = arm.vector.array
    return altered(asked, arms=(altered(arm, vector=(vector.dtype, len(vector))),)), vector


def as_message(request: searches.SearchRequest | Written) -> searches.SearchRequest:
    """Return a request as a message, whichever way it was made."""
    return request.message() if isinstance(request, Written) else request


def _key(column: Column[Any], explain: bool, options: dict[str, Any]) -> Any:
    """Return what a request says beside its vector; None where it has to be looked at more closely."""
    key: list[Any] = [column.name, explain]
    for name, kinds in _KINDS.items():
        value = options[name]
        if type(value) not in kinds:
            return None
        if value.__class__ is list or value.__class__ is tuple:
            if not all(type(one) is str for one in value):
                return None
            value = tuple(value)
        key.append(value)
    return tuple(key)


def _message(
    place: Place,
    column: Column[Any],
    vector: np.ndarray,
    explain: bool,
    *,
    k: int,
    where: Any,
    fields: Any,
    exact: bool,
    recall: float | None,
    ef: int | None,
    probes: int | None,
    plan: str | None,
    allow_partial: bool,
    **_: Any,
) -> searches.SearchRequest:
    from vecdb.filters import resolve

    effort = effort_of(exact, recall, ef, plan, probes)
    request = searches.SearchRequest(collection=place.name, view=place.view, explain=explain, without_cursor=True)
    message = request.query
    message.k, message.exact, message.allow_partial = rows_asked(k), bool(exact), bool(allow_partial)
    near = message.arms.add().near
    near.field = column.name
    near.vector.CopyFrom(vector_to_message(vector))
    if effort is not USUAL:
        write_effort(near, recall, ef, probes, plan)
    passing = None if where is None else filters.optional_to_message(resolve(where))
    if passing is not None:
        message.filter.CopyFrom(passing)
    if fields is not None:
        message.fields.SetInParent()
        message.fields.names.extend(place.schema[name].name for name in names_of(fields) or ())
    return request


def write_effort(message: Any, recall: float | None, ef: int | None, probes: int | None, plan: str | None) -> None:
    """Write what a search may take, as far as it is given."""
    for name, value in (("recall", recall), ("ef", ef), ("probes", probes), ("plan", plan)):
        if value is not None:
            setattr(message, name, value)
