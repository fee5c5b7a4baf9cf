"""How long the server keeps a snapshot."""

from types import SimpleNamespace
from typing import Any

import pytest

from vecdb.errors import NotFoundError, ResourceExhaustedError
from vecdb_server import leases

STATE: Any = SimpleNamespace(name="docs")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that stands still until it is set."""
    now = SimpleNamespace(at=0.0)
    monkeypatch.setattr(leases, "time", SimpleNamespace(monotonic=lambda: now.at))
    return now


def test_a_lease_ends_when_nobody_reads_or_renews_it(clock: Any) -> None:
    held = leases.Leases(10)
    read, renewed, left = (held.open(STATE, "maria", 60) for _ in range(3))

    for clock.at in (50.0, 100.0, 150.0):
        assert held.read(read, "docs", "maria") is STATE
        assert held.renew(renewed, "docs", "maria") == 60

    with pytest.raises(NotFoundError, match="is not open"):
        held.renew(left, "docs", "maria")
    held.expire()
    assert len(held) == 2


def test_a_lease_is_renewed_by_its_owner_for_its_collection_alone(clock: Any) -> None:
    held = leases.Leases(10)
    token = held.open(STATE, "maria", 60)

    for collection, owner in (("docs", "otto"), ("other", "maria")):
        with pytest.raises(NotFoundError, match="is not open"):
            held.renew(token, collection, owner)


def test_there_are_so_many_leases_and_those_that_are_over_make_room(clock: Any) -> None:
    held = leases.Leases(1)
    held.open(STATE, "maria", 60)
    with pytest.raises(ResourceExhaustedError, match="1 snapshots are open"):
        held.open(STATE, "otto", 60)

    clock.at = 61.0

    assert held.open(STATE, "otto", 60)
