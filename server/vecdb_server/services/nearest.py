"""Searches by one vector and nothing else, as most are: read, checked and bound once for all that differ in it.

What is remembered of a request is what it says beside its vector. The caller's rights, the state that is read and the
budget are looked at with every request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vecdb.arguments import effort_of, query_matrix, whole_number
from vecdb.filters import bind
from vecdb.wire import filters, results, values
from vecdb_proto.v1 import search_service_pb2 as pb
from vecdb_server.services.shared import Shared, fields_of, given, is_argument

if TYPE_CHECKING:
    from vecdb.query.effort import Effort
    from vecdb.reads import Snapshot
    from vecdb.schema.fields import Vector
    from vecdb.schema.schema import Column, Schema

MOST = 1024
"""So many are remembered; beyond it all are forgotten."""

LONGEST = 4096
"""A request of more bytes, such as one with a long filter, is not remembered."""

_EFFORT = "recall", "ef", "probes", "plan"


class Nearest:
    """What requests have in common that differ in their vectors only."""

    __slots__ = ("_allow_partial", "_column", "_columns", "_effort", "_k", "_where", "schema")

    def __init__(self, shared: Shared, snapshot: Snapshot, query: Any) -> None:
        """Read a query about such rows, held to the limits of the server.

        Raises:
            InvalidInputError: it does not fit the fields, or asks for too much.

        """
        near, limits, schema = query.arms[0].near, shared.config.limits, snapshot.schema
        shared.check_most("k", query.k, limits.k)
        shared.check_most("ef", near.ef, limits.ef)
        shared.check_most("probes", near.probes, limits.probes)
        self.schema = schema
        self._column: Column[Vector] = schema[near.field]
        self._k = whole_number("k", query.k)
        self._allow_partial: bool = query.allow_partial
        where = filters.from_message(query.filter) if query.HasField("filter") else None
        if where is not None:
            shared.check_filter(where)
        self._where = None if where is None else bind(where, schema)
        self._columns = snapshot._columns(fields_of(query))
        effort = given(near, *_EFFORT)
        self._effort: Effort = effort_of(query.exact, effort["recall"], effort["ef"], effort["plan"], effort["probes"])

    def answer(self, snapshot: Snapshot, data: Any) -> pb.SearchResponse:
        """Return the rows that are nearest to a vector, a message."""
        vector = query_matrix(self._column, values.vector_from_message(data, self._column.name), 1)
        (found,) = snapshot._nearest(
            self._column, vector, self._k, self._where, self._columns, self._effort, self._allow_partial
        )
        response = pb.SearchResponse()
        results.write_hits(response.result, found, self.schema, fields=bool(self._columns))
        return response


class Remembered:
    """Requests that were asked before, by what they say beside their vector."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._known: dict[bytes, Nearest] = {}

    def answer(self, snapshot: Snapshot, request: pb.SearchRequest) -> pb.SearchResponse | None:
        """Return the answer to a request for the rows nearest to a vector; None where it asks for more than that.

        Raises:
            InvalidInputError: it does not fit the fields, or asks for too much.

        """
        query = request.query
        arms = query.arms
        if len(arms) != 1 or query.stages or request.explain or not request.without_cursor:
            return None
        vector = arms[0].near.vector
        numbers = vector.data
        if not numbers:
            return None
        vector.ClearField("data")
        key = request.SerializeToString()
        vector.data = numbers
        found = self._known.get(key)
        if found is None or found.schema is not snapshot.schema:
            if not is_plain(snapshot.schema, query):
                return None
            found = Nearest(self._shared, snapshot, query)
            self._keep(key, found)
        return found.answer(snapshot, vector)

    def _keep(self, key: bytes, found: Nearest) -> None:
        if len(key) > LONGEST:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[key] = found


def is_plain(schema: Schema, query: Any) -> bool:
    """Tell whether a message asks for one vector and nothing else, as `Snapshot.search` does."""
    arms = query.arms
    if len(arms) != 1 or query.stages or query.HasField("fusion") or query.HasField("cursor"):
        return False
    (arm,) = arms
    return (
        arm.WhichOneof("kind") == "near"
        and arm.near.WhichOneof("query") == "vector"
        and is_argument(schema, arm.near.field)
        and not (arm.HasField("fetch") or arm.HasField("where") or arm.HasField("name"))
    )
