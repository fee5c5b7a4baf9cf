"""The values that a filter compares with: conversion from Python, and back to the text of a filter.

Invariant: a value in a tree has exactly one of the types str, int, float, bool and datetime, never a
subclass; a datetime is in UTC; a float is finite. So the type of a value is its meaning, and `1`, `1.0` and
`True` stay three values although Python calls them equal.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import TypeAlias

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.schema.blame import printed

Value: TypeAlias = str | int | float | bool | datetime

# What orjson reads as an integer: beyond this range JSON numbers become floats.
SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**64 - 1

SHOWN_CHARACTERS = 60
"""Messages show at most so much of a value that came from the caller."""

_NAMES = {str: "text", int: "integer", float: "float", bool: "bool", datetime: "timestamp"}


def value_of(raw: object) -> Value:
    """Return raw as one of the five types.

    NumPy scalars and subclasses (an IntEnum, a pandas Timestamp) become the plain type. A datetime or date
    without a zone is taken as UTC; a date is its midnight. Digits beyond microseconds are dropped.

    Raises:
        InvalidInputError: raw is null, not finite, out of range, not valid Unicode or of another type.

    """
    if isinstance(raw, np.generic):
        raw = raw.astype("datetime64[us]").item() if isinstance(raw, np.datetime64) else raw.item()
    if raw is None:
        raise InvalidInputError("null is not a value to compare with: use .is_null(), or 'is null' in text")
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str):
        return _text(raw)
    if isinstance(raw, int):
        return _integer(raw)
    if isinstance(raw, float):
        return _finite(raw)
    if isinstance(raw, date):
        return _moment(raw)
    raise InvalidInputError(
        f"a filter cannot compare with {shortened(printed(raw))} ({type(raw).__name__}):"
        " use text, an integer, a float, a bool, a datetime or a date",
        value=raw,
    )


def moment_from_text(text: str) -> datetime:
    """Return the moment that ISO 8601 text names, in UTC; text without a zone is UTC, a date its midnight.

    Raises:
        ValueError: text is not ISO 8601, or outside the years 1 to 9999.

    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is outside the years 1 to 9999 in UTC") from error


def value_text(value: Value) -> str:
    """Return value as it is written in a filter: reading it again gives the same value of the same type."""
    kind = type(value)
    if kind is str:
        return "'" + str(value).replace("'", "''") + "'"
    if kind is bool:
        return "true" if value else "false"
    if isinstance(value, datetime):
        return f"timestamp '{value.replace(tzinfo=None).isoformat()}Z'"
    return repr(value)


def described(value: Value) -> str:
    """Return value and its type for a message: `'large' (text)`."""
    return f"{shortened(value_text(value))} ({_NAMES[type(value)]})"


def shortened(text: str, length: int = SHOWN_CHARACTERS) -> str:
    """Return text, cut to length characters with a mark where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _text(raw: str) -> str:
    text = str.__str__(raw)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"the text {shortened(ascii(text))} is not valid Unicode: character {error.start} is half of a"
            " surrogate pair",
            value=text,
        ) from None
    return text


def _integer(raw: int) -> int:
    if not SMALLEST_INTEGER <= raw <= LARGEST_INTEGER:
        # Not the number itself: printing one of more than 4,300 digits is an error of its own.
        raise InvalidInputError(
            f"an integer of {raw.bit_length()} bits is too large for a filter, which takes -2**63 to 2**64 - 1:"
            " write it as a float",
            value=raw,
        )
    return int(raw)


def _finite(raw: float) -> float:
    if not math.isfinite(raw):
        raise InvalidInputError(
            f"a filter cannot compare with {raw}: stored numbers are finite; a missing value is null", value=raw
        )
    return float(raw)


def _moment(raw: date) -> datetime:
    if not isinstance(raw, datetime):
        return datetime(raw.year, raw.month, raw.day, tzinfo=UTC)
    if raw != raw:
        raise InvalidInputError("a filter cannot compare with NaT: use .is_null()")
    try:
        moment = raw.replace(tzinfo=UTC) if raw.tzinfo is None else raw.astimezone(UTC)
    except OverflowError:
        raise InvalidInputError(f"the moment {raw} is outside the years 1 to 9999 in UTC", value=raw) from None
    # Rebuilt from its parts, so that no subclass remains (pandas keeps nanoseconds in one).
    return datetime(
        moment.year,
        moment.month,
        moment.day,
        moment.hour,
        moment.minute,
        moment.second,
        moment.microsecond,
        tzinfo=UTC,
    )
