"""Searches that differ in their vectors only: read, checked and bound once.

Those by one vector and nothing else, as most are, have a way of their own. What is remembered of a request is what it
says beside its vectors. The caller's rights, the state that is read and the budget are looked at with every request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from vecdb.arguments import effort_of, query_matrix, rows_asked
from vecdb.filters import bind
from vecdb.wire import filters, results, values
from vecdb_proto.v1 import search_service_pb2 as pb
from vecdb_server.services.shared import Shared, fields_of, given, is_argument

if TYPE_CHECKING:
    from vecdb.planner.bound import BoundQuery
    from vecdb.query.effort import Effort
    from vecdb.query.query import Query
    from vecdb.reads import Snapshot
    from vecdb.results import SearchResult
    from vecdb.schema.fields import Vector
    from vecdb.schema.schema import Column, Schema

T = TypeVar("T")

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
        self._k = rows_asked(query.k)
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
        if len(found) >= self._k:
            response.result.fetches.append(self._k)
        return response


class Remembered:
    """Requests that were asked before, by what they say beside their vectors."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._plain: dict[bytes, Nearest] = {}
        self._queries: dict[bytes, tuple[Schema, BoundQuery]] = {}

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
        found = self._plain.get(key)
        if found is None or found.schema is not snapshot.schema:
            if not is_plain(snapshot.schema, query):
                return None
            found = Nearest(self._shared, snapshot, query)
            _keep(self._plain, key, found)
        return found.answer(snapshot, vector)

    def run(self, snapshot: Snapshot, request: pb.SearchRequest, read: Callable[[Any], Query]) -> SearchResult:
        """Answer any request; `read` returns its query, held to the limits of the server.

        Raises:
            InvalidInputError: it does not fit the fields, or asks for too much.

        """
        vectors = [arm.near.vector for arm in request.query.arms if arm.WhichOneof("kind") == "near"]
        numbers = [vector.data for vector in vectors]
        if not numbers or not all(numbers):  # none, or one of a text, which an encoder of this state reads
            return snapshot.run(read(request.query))
        for vector in vectors:
            vector.ClearField("data")
        key = request.SerializeToString()
        for vector, data in zip(vectors, numbers, strict=True):
            vector.data = data
        schema, bound = self._queries.get(key, (None, None))
        if bound is not None and schema is snapshot.schema:
            arms = [arm for arm in bound.arms if arm.vectors is not None]
            given = [
                values.vector_from_message(one, arm.columns[0].name) for one, arm in zip(vectors, arms, strict=True)
            ]
            return snapshot._run(bound.with_vectors(given))
        bound = snapshot._bound_query(read(request.query))
        if bound.by_vectors:
            _keep(self._queries, key, (snapshot.schema, bound))
        return snapshot._run(bound)


def _keep(known: dict[bytes, T], key: bytes, found: T) -> None:
    if len(key) > LONGEST:
        return
    if len(known) >= MOST:
        known.clear()
    known[key] = found


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
