"""May this caller do that? The one place that decides, for every request.

A collection that the caller may not know of looks like one that does not exist: the same error, in the same words.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from vecdb.errors import NotFoundError, PermissionDeniedError
from vecdb_server.access import Rule
from vecdb_server.auth.grants import Grant, Principal
from vecdb_server.auth.identity import Identities, Peer
from vecdb_server.call import Call
from vecdb_server.callers import Callers
from vecdb_server.config import LimitsSection
from vecdb_server.memory import Memory, RequestBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import grpc

FOREVER = 1e8
"""Seconds; gRPC tells of a call without a deadline by some that are larger than any it takes itself."""
RECHECK = 5.0
"""Seconds after which a stream is asked again whether its key is still valid."""


class Admission:
    """Lets requests in."""

    def __init__(
        self, identities: Identities, limits: LimitsSection, memory: Memory, names: Callable[[], Iterable[str]]
    ) -> None:
        """Take what decides; `names` returns the collections that exist."""
        self._identities = identities
        self._limits = limits
        self._memory = memory
        self._names = names
        # Where nobody is told apart, the server's own limit has to do.
        self._callers = Callers(limits.concurrent_requests if identities.open else limits.requests_per_caller)

    def identify(self, context: grpc.ServicerContext, peer: Peer | None = None) -> Principal:
        """Return who calls; `peer` is whose certificate counts, by default that of the connection.

        Raises:
            UnauthenticatedError: nobody that is known.

        """
        if not self._identities.by_certificate:
            peer = Peer()
        elif peer is None:
            peer = Peer.of(cast("Mapping[str, Iterable[bytes]]", context.auth_context()))
        return self._identities.identify(context.invocation_metadata(), peer)

    def admit(self, method: str, rule: Rule, principal: Principal, request: Any, context: grpc.ServicerContext) -> Call:
        """Return the call, with what the caller's grant allows.

        Raises:
            PermissionDeniedError: the caller may not do it.
            NotFoundError: the caller may not know of the collection.
            ResourceExhaustedError: too many requests of the caller are running.

        """
        grant = self.check(method, rule, principal, request)
        self._callers.begin(principal.name)
        remaining = context.time_remaining()
        if rule.timed:
            unlimited = remaining is None or remaining > FOREVER
            allowed = self._limits.deadline_seconds if unlimited else remaining
            remaining = min(allowed, self._limits.longest_deadline_seconds)
        budget = RequestBudget(remaining, self._limits.query_memory_bytes, self._memory)
        return Call(principal, grant, budget)

    def dismiss(self, call: Call) -> None:
        """Give back what a call held."""
        call.budget.end()
        self._callers.end(call.principal.name)

    def check(self, method: str, rule: Rule, principal: Principal, request: Any) -> Grant | None:
        """Return the grant that counts, None where a method needs none; raises as `admit` does."""
        if not rule.permissions:
            return None
        action = method.rpartition("/")[2]
        needed = " or ".join(rule.permissions)
        collection = None if rule.collection is None else rule.collection(request)
        if collection is None:
            everywhere = rule.everywhere or rule.collection is not None
            for permission in rule.permissions:
                grant = principal.general(permission) if everywhere else principal.any(permission)
                if grant is not None and not (rule.whole and grant.rows is not None):
                    return grant
            where = " on all collections" if everywhere else ""
            raise PermissionDeniedError(f"{action} needs the permission {needed}{where}")
        found = [grant for one in rule.permissions if (grant := principal.grant(one, collection)) is not None]
        if rule.whole and found:
            found = [grant for grant in found if grant.rows is None]
            if not found:
                raise PermissionDeniedError(
                    f"{action} is about all rows of {collection!r}, and the caller sees some of them only"
                )
        if found:
            return found[0]
        if rule.creates or principal.sees(collection):
            raise PermissionDeniedError(f"{action} needs the permission {needed} on collection {collection!r}")
        raise missing(collection, principal, self._names())


def missing(collection: str, principal: Principal, names: Iterable[str]) -> NotFoundError:
    """Return the error of a collection that does not exist, or that the caller may not know of."""
    known = ", ".join(sorted(name for name in names if principal.sees(name))) or "none"
    return NotFoundError(f"no collection {collection!r} (there are: {known})")


class Recheck:
    """Asks again, now and then while a stream goes on, whether its caller may still do what it does."""

    def __init__(self, again: Callable[[], None]) -> None:
        """Take what raises when the caller may not any more."""
        self._again = again
        self._next = time.monotonic() + RECHECK

    def __call__(self) -> None:
        """Ask, when it is time."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + RECHECK
            self._again()
