"""Moments as microseconds since 1970 in UTC, from everything that can mean one.

A moment without a zone is taken as UTC. Digits below a microsecond are dropped towards the past. Years outside 1
to 9999 are refused, because Python could not give such a moment back.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BELOW_MICROS = frozenset({"ns", "ps", "fs", "as"})
FIRST_MICROS = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z."""
LAST_MICROS = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z."""


def timestamp_micros(value: Any) -> int | None:
    """Return the moment that value means, or None for None and the missing times of pandas and NumPy.

    Args:
        value: a datetime, date, ISO-8601 str, `numpy.datetime64` or `pandas.Timestamp`.

    Raises:
        ValueError: with a sentence: it means no moment, or one outside the years 1 to 9999 of UTC.

    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("is not an ISO-8601 time such as 2024-05-01T12:30:00Z") from None
    if isinstance(value, datetime):
        # pandas' NaT calls itself a datetime and equals nothing.
        if value != value:
            return None
        moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
    elif value is None:
        return None
    else:
        return _numpy_micros(value)
    since = moment - EPOCH
    return _checked((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def array_micros(values: NDArray[np.datetime64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return microseconds (n,) int64 and where they are missing (n,) bool; missing ones are 0.

    Raises:
        ValueError: with a sentence and, as second argument, the first row outside the years 1 to 9999.

    """
    import numpy as np

    missing = np.isnat(values)
    if np.datetime_data(values.dtype)[0] in _BELOW_MICROS:
        values = values.astype("datetime64[us]")
    # Years first: they are the coarsest unit, so unlike microseconds they cannot overflow.
    years = np.where(missing, 0, values.astype("datetime64[Y]").astype(np.int64)) + 1970
    outside = (years < 1) | (years > 9999)
    if outside.any():
        raise ValueError("is outside the years 1 to 9999", int(outside.argmax()))
    micros = np.where(missing, np.datetime64(0, "us"), values.astype("datetime64[us]"))
    return micros.astype(np.int64), missing


def _numpy_micros(value: Any) -> int | None:
    import numpy as np

    if not isinstance(value, np.datetime64):
        raise ValueError(f"is a {type(value).__name__}, not a datetime, a date or an ISO-8601 str")
    try:
        micros, missing = array_micros(np.array([value]))
    except ValueError as error:
        raise ValueError(error.args[0]) from None
    return None if missing[0] else int(micros[0])


def _checked(micros: int) -> int:
    if not FIRST_MICROS <= micros <= LAST_MICROS:
        raise ValueError("is outside the years 1 to 9999 of UTC")
    return micros
