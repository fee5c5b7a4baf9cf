"""When a call is made again."""

from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb.errors import InvalidInputError
from vecdb_client.retries import Failure, wait
from vecdb_client.settings import Settings

GONE = Failure(grpc.StatusCode.UNAVAILABLE)
USUAL: dict[str, Any] = {"attempt": 1, "left": 60.0, "chance": 0.5}


def test_a_server_that_was_not_reached_is_called_again() -> None:
    assert wait(Settings(), GONE, True, **USUAL) == pytest.approx(0.075)


def test_what_could_happen_twice_is_not_called_again() -> None:
    assert wait(Settings(), GONE, False, **USUAL) is None


def test_what_the_server_decided_is_not_asked_again() -> None:
    for failure in (
        Failure(grpc.StatusCode.UNAVAILABLE, decided=True),
        Failure(grpc.StatusCode.INVALID_ARGUMENT),
        Failure(grpc.StatusCode.DEADLINE_EXCEEDED),
        Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, decided=True),
    ):
        assert wait(Settings(), failure, True, **USUAL) is None


def test_a_server_that_says_when_is_asked_then() -> None:
    busy = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, decided=True, retry_after=3.0)

    assert wait(Settings(), busy, True, **USUAL) == 3.0


def test_the_thousandth_attempt_waits_no_longer_than_the_longest() -> None:
    assert wait(Settings(attempts=10_000), GONE, True, attempt=5_000, left=60.0, chance=1.0) == 2.0


@given(attempt=st.integers(1, 40), chance=st.floats(0, 1), left=st.floats(0, 10))
def test_waits_grow_to_the_longest_and_end_before_the_deadline(attempt: int, chance: float, left: float) -> None:
    settings = Settings(attempts=20, first_wait=0.1, longest_wait=2.0)

    pause = wait(settings, GONE, True, attempt, left, chance)

    if pause is None:
        assert attempt >= 20 or left <= min(0.1 * 2 ** (attempt - 1), 2.0)
    else:
        assert attempt < 20
        assert 0.05 <= pause <= 2.0
        assert pause < left


@pytest.mark.parametrize(
    "wrong", [{"timeout": 0}, {"connections": 0}, {"attempts": 1.5}, {"explain": 1}, {"longest_wait": "x"}], ids=str
)
def test_what_is_no_setting_is_refused_by_name(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(InvalidInputError) as caught:
        Settings(**wrong)
    assert caught.value.field == name
