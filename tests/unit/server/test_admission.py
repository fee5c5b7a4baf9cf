"""How long a request may take: what its client says, else the usual time, and never more than the longest."""

import time
from typing import Any

import pytest

from vecdb.errors import DeadlineExceededError
from vecdb_proto.v1.record_service_pb2 import CountRequest
from vecdb_server.access import RULES
from vecdb_server.admission import Admission
from vecdb_server.auth.grants import ANYBODY
from vecdb_server.auth.identity import Identities
from vecdb_server.config import AuthSection, LimitsSection
from vecdb_server.memory import Memory

METHOD = "/vecdb.v1.RecordService/Count"
WITHOUT = 9.2e18
"""What gRPC says is left of a call without a deadline."""


class Context:
    def __init__(self, remaining: float | None) -> None:
        self._remaining = remaining

    def time_remaining(self) -> float | None:
        return self._remaining


def refused(remaining: float | None, seconds_later: float, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Tell whether a request has run out of time so many seconds after it came."""
    limits = LimitsSection(deadline_seconds=10, longest_deadline_seconds=60)
    admission = Admission(Identities(AuthSection()), limits, Memory(limits.server_memory_bytes), list)
    context: Any = Context(remaining)
    call = admission.admit(METHOD, RULES[METHOD], ANYBODY, CountRequest(collection="docs"), context)
    now = time.monotonic()
    with monkeypatch.context() as later:
        later.setattr(time, "monotonic", lambda: now + seconds_later)
        try:
            call.budget.check("counting")
        except DeadlineExceededError:
            return True
        return False


@pytest.mark.parametrize("remaining", [None, WITHOUT])
def test_a_request_without_a_deadline_gets_the_usual_one(
    remaining: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not refused(remaining, 9, monkeypatch)
    assert refused(remaining, 11, monkeypatch)


def test_a_deadline_of_the_client_holds_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not refused(30, 29, monkeypatch)
    assert refused(30, 31, monkeypatch)
    assert not refused(3600, 59, monkeypatch)
    assert refused(3600, 61, monkeypatch)
