"""When a call is made again, and how long to wait before: pure functions of what happened.

Only a method that can be repeated without doing anything twice is called again: a read, or a write with a request id,
which the server recognises. What the server itself decided is not asked again; only that it could not be reached, that
it was shutting down, or that it had too much to do.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from vecdb_client.settings import Settings

TRANSIENT = frozenset((grpc.StatusCode.UNAVAILABLE,))
"""Codes that say that the next attempt may go through."""


@dataclass(frozen=True)
class Failure:
    """A call that failed.

    Attributes:
        code: what gRPC says.
        decided: whether an error of vecdb came with it: then the request was looked at.
        retry_after: seconds after which the server wants to be asked again; None where it does not say.

    """

    code: grpc.StatusCode
    decided: bool = False
    retry_after: float | None = None


def wait(
    settings: Settings, failure: Failure, repeatable: bool, attempt: int, left: float, chance: float
) -> float | None:
    """Return the seconds to wait before a call is made again; None: tell the failure.

    Args:
        settings: the client's.
        failure: what happened.
        repeatable: whether the method may be called again.
        attempt: how many attempts there were, from 1.
        left: seconds before the deadline.
        chance: a random number from 0 to 1, so that clients which failed together do not come back together.

    """
    transient = failure.code in TRANSIENT and not failure.decided
    if not repeatable or attempt >= settings.attempts or not (transient or failure.retry_after is not None):
        return None
    backoff = min(settings.first_wait * 2 ** min(attempt - 1, 64), settings.longest_wait) * (0.5 + chance / 2)
    pause = max(backoff, failure.retry_after or 0.0)
    return pause if pause < left else None
