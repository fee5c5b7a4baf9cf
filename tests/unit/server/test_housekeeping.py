"""Housekeeping goes on whatever it meets."""

import threading

import pytest

from vecdb_server import housekeeping
from vecdb_server.housekeeping import Housekeeping


def test_a_look_that_fails_ends_neither_the_others_nor_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "INTERVAL", 0.001)
    rounds = threading.Semaphore(0)

    def fail() -> None:
        raise ValueError("a defect")

    keeping = Housekeeping(fail, rounds.release)
    try:
        for _ in range(3):
            rounds.acquire()
    finally:
        keeping.close()
