from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vecdb.schema.timestamps import FIRST_MICROS, LAST_MICROS, array_micros, timestamp_micros

NOON = 1_714_564_800_000_000
"""2024-05-01T12:00:00Z: 19,844.5 days of 86,400 seconds after 1970."""


@pytest.mark.parametrize(
    "value",
    [
        datetime(2024, 5, 1, 12, tzinfo=UTC),
        datetime(2024, 5, 1, 12),
        datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        "2024-05-01T12:00:00Z",
        "2024-05-01 12:00",
        "2024-05-01T07:00:00-05:00",
        "20240501T120000",
        pd.Timestamp("2024-05-01T12:00"),
        pd.Timestamp("2024-05-01T14:00", tz="Europe/Berlin"),
        np.datetime64("2024-05-01T12", "h"),
        np.datetime64("2024-05-01T12:00:00.000000000"),
    ],
)
def test_one_moment_in_many_forms_is_one_number(value: Any) -> None:
    assert timestamp_micros(value) == NOON


@pytest.mark.parametrize("value", [date(2024, 5, 1), "2024-05-01", np.datetime64("2024-05-01")])
def test_a_day_is_its_first_moment(value: Any) -> None:
    assert timestamp_micros(value) == NOON - 12 * 3_600_000_000


@pytest.mark.parametrize("value", [None, pd.NaT, np.datetime64("NaT")])
def test_a_missing_time_is_none(value: Any) -> None:
    assert timestamp_micros(value) is None


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        (datetime.min, FIRST_MICROS),
        (datetime.max, LAST_MICROS),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999), -1),
        (np.datetime64(-1, "ns"), -1),
        (np.datetime64(-1_001, "ns"), -2),
        (np.datetime64("0001-01-01"), FIRST_MICROS),
        (np.datetime64("9999-12-31T23:59:59.999999"), LAST_MICROS),
    ],
)
def test_the_ends_of_the_range_and_of_1970_are_exact(value: Any, micros: int) -> None:
    assert timestamp_micros(value) == micros


@pytest.mark.parametrize(
    "value",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))),
        np.datetime64("0000-12-31"),
        np.datetime64("10000-01-01"),
        np.datetime64(2**62, "Y"),
        np.datetime64(-(2**62), "s"),
    ],
)
def test_a_moment_that_python_could_not_give_back_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="outside the years 1 to 9999"):
        timestamp_micros(value)


@pytest.mark.parametrize("value", ["", "May", "2024-13-01", "12:00", "2024-05-01T25:00", "1714564800"])
def test_text_that_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not an ISO-8601 time"):
        timestamp_micros(value)


@pytest.mark.parametrize("value", [0, 1.5, True, b"2024-05-01", [2024], timedelta(1)])
def test_a_value_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not a datetime, a date or an ISO-8601 str"):
        timestamp_micros(value)


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "as", "25ns"])
def test_an_array_of_every_unit_agrees_with_its_values_one_by_one(unit: str) -> None:
    values = np.array([-7, 0, 7, "NaT"], dtype=f"datetime64[{unit}]")

    micros, missing = array_micros(values)

    assert missing.tolist() == [False, False, False, True]
    assert micros.tolist()[:3] == [timestamp_micros(value) for value in values[:3]]
    assert micros[3] == 0


def test_an_array_names_the_first_row_outside_the_range() -> None:
    with pytest.raises(ValueError, match="outside the years") as caught:
        array_micros(np.array(["2024", "NaT", "10000", "20000"], dtype="datetime64[Y]"))

    assert caught.value.args[1] == 2
