"""One request on its way through the server: who asked, what the grant allows, and how long it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vecdb_server.auth.grants import Grant, Principal
from vecdb_server.memory import RequestBudget

if TYPE_CHECKING:
    import grpc

    from vecdb.filters import Expression


class Call:
    """What services get beside the request; made by the guard when the caller may do what is asked.

    Attributes:
        principal: who asks.
        rows: the filter of rows of the grant that counts; None: all rows.
        budget: time and memory; None where a method takes what it takes.
        peer_active: returns whether the client still waits.

    """

    __slots__ = ("_context", "budget", "principal", "rows")

    def __init__(
        self,
        principal: Principal,
        grant: Grant | None,
        budget: RequestBudget,
        context: grpc.ServicerContext,
    ) -> None:
        self.principal = principal
        self.rows: Expression | None = None if grant is None else grant.rows
        self.budget = budget
        self._context = context

    def is_active(self) -> bool:
        """Return whether the client still waits for the answer."""
        return self._context.is_active()
