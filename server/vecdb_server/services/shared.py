"""What the services share: the database, the snapshots that clients hold, and the limits that requests are held to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vecdb.errors import InvalidInputError
from vecdb.query.arms import Nested
from vecdb.schema.schema import RESERVED, Schema
from vecdb.wire import filters, queries
from vecdb.wire.rows import Bounds
from vecdb_server.call import Call
from vecdb_server.config import Config
from vecdb_server.leases import Leases
from vecdb_server.metrics import Metrics
from vecdb_server.served import Served

if TYPE_CHECKING:
    from vecdb.filters import Expression
    from vecdb.query.query import Query
    from vecdb.reads import Snapshot
    from vecdb.view import View


@dataclass(frozen=True)
class Shared:
    """Everything that a service needs."""

    served: Served
    config: Config
    leases: Leases
    metrics: Metrics

    @property
    def bounds(self) -> Bounds:
        """How much one message of rows may hold."""
        limits = self.config.limits
        return Bounds(limits.rows_per_request, limits.expanded_bytes, limits.expansion_ratio)

    def snapshot(self, request: Any, call: Call) -> Snapshot:
        """Return the state that a request reads, as its caller may see it.

        Raises:
            NotFoundError: there is no such collection, version, tag or open snapshot.

        """
        if not request.HasField("view"):
            return self.served.seen(self.state(request.collection, request, call), call)
        _narrow(request.view, call)
        seen = self.served.seen(self.state(request.collection, request, call), call)
        for where in self._restricted(request):
            seen = seen.restricted(where)
        return seen

    def writable(self, request: Any, call: Call) -> View:
        """Return the collection that a request writes to, as its caller may see it.

        Raises:
            InvalidInputError: the request names an older state.

        """
        view = self.served.view(request.collection, call)
        if not request.HasField("view"):
            return view
        if request.view.WhichOneof("at") is not None:
            raise InvalidInputError("a write goes to the latest state, the request names another one", field="view")
        _narrow(request.view, call)
        for where in self._restricted(request):
            view = view.restricted(where)
        return view

    def _restricted(self, request: Any) -> list[Expression]:
        """Return what the rows have to pass that a request sees, beside what its caller is held to."""
        found = [filters.from_message(one) for one in request.view.restricted]
        for one in found:
            self.check_filter(one)
        return found

    def state(self, name: str, request: Any, call: Call) -> Snapshot:
        """Return the state that a request reads, whole."""
        collection = self.served.collection(name, call)
        if not request.HasField("view"):
            return collection.snapshot()
        view = request.view
        kind = view.WhichOneof("at")
        if kind is None:
            return collection.snapshot()
        if kind == "snapshot":
            return self.leases.read(view.snapshot, name, call.principal.name)
        return collection.at(**{kind: getattr(view, kind)})

    def where(self, message: Any, name: str = "where") -> Expression | None:
        """Return the filter of a message that may have one.

        Raises:
            InvalidInputError: it is none, or larger than the server takes.

        """
        if not message.HasField(name):
            return None
        found = filters.from_message(getattr(message, name))
        self.check_filter(found)
        return found

    def query(self, message: Any) -> Query:
        """Return the query of a message.

        Raises:
            InvalidInputError: it is none, or asks for more than the server takes.

        """
        found = queries.from_message(message)
        self._check(found)
        return found

    def _check(self, query: Query) -> None:
        limits = self.config.limits
        self.check_most("k", query.k, limits.k)
        for where in (query.filter, *(arm.where for arm in query.arms)):
            if where is not None:
                self.check_filter(where)
        for arm in query.arms:
            if isinstance(arm, Nested):
                self._check(arm.query)
            else:
                self.check_most("ef", getattr(arm, "ef", None) or 0, limits.ef)
                self.check_most("probes", getattr(arm, "probes", None) or 0, limits.probes)

    def check_filter(self, found: Expression) -> None:
        """Refuse a filter that is larger than the server takes."""
        limits = self.config.limits
        if found.depth > limits.filter_depth or found.nodes > limits.filter_nodes:
            raise InvalidInputError(
                f"the filter has {found.nodes} nodes in {found.depth} levels, the server takes {limits.filter_nodes} "
                f"in {limits.filter_depth}",
                field="where",
            )

    def check_most(self, name: str, value: int, most: int) -> None:
        """Refuse a number that is larger than the server takes."""
        if value > most:
            raise InvalidInputError(f"{name} is {value}, the server takes at most {most}", field=name, value=value)


def _narrow(view: Any, call: Call) -> None:
    """Hold a call to the memory that its client gives it."""
    if view.HasField("memory_bytes"):
        call.budget.narrow(view.memory_bytes)


def fields_of(message: Any) -> tuple[str, ...] | None:
    """Return the names of the fields that are asked for, None for the usual ones."""
    return tuple(message.fields.names) if message.HasField("fields") else None


def given(message: Any, *names: str) -> dict[str, Any]:
    """Return optional attributes of a message by name, None for those that are not there."""
    return {name: getattr(message, name) if message.HasField(name) else None for name in names}


def is_argument(schema: Schema, name: str) -> bool:
    """Tell whether a name that a client sent is a field, and none of the other arguments of searches."""
    return name in schema and name not in RESERVED
