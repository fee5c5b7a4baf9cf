"""One request on its way through the server: who asked, what the grant allows, and how long it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vecdb_server.auth.grants import Grant, Principal
from vecdb_server.memory import RequestBudget

if TYPE_CHECKING:
    from vecdb.filters import Expression


class Call:
    """What services get beside the request; made by the guard when the caller may do what is asked.

    Attributes:
        principal: who asks.
        rows: the filter of rows of the grant that counts; None: all rows.
        budget: memory, and time but for a method that takes what it takes.

    """

    __slots__ = ("budget", "principal", "rows")

    def __init__(self, principal: Principal, grant: Grant | None, budget: RequestBudget) -> None:
        self.principal = principal
        self.rows: Expression | None = None if grant is None else grant.rows
        self.budget = budget
