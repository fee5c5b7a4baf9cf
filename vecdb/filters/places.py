"""The numbers of `within` and `in box`, as a filter takes them: degrees and kilometres.

Apart from geo.py, because that loads NumPy's and Arrow's parts and a filter is built without them.
"""

from __future__ import annotations

from typing import Any

from vecdb.errors import InvalidInputError
from vecdb.schema.fields import LATITUDES, LONGITUDES


def checked_circle(values: tuple[Any, ...]) -> tuple[float, float, float]:
    """Return latitude, longitude and kilometres as floats.

    Raises:
        InvalidInputError: one of them is not a number in its range.

    """
    lat, lon, km = values
    if not _is_number(km) or not km >= 0:
        raise InvalidInputError(f"within takes a distance in kilometres of 0 or more, found {km!r}", value=km)
    return *checked_degrees(lat, lon), float(km)


def checked_box(values: tuple[Any, ...]) -> tuple[float, float, float, float]:
    """Return south, west, north and east as floats; west may be larger than east.

    Raises:
        InvalidInputError: one of them is not a number in its range, or south is larger than north.

    """
    south, west, north, east = values
    (south, west), (north, east) = checked_degrees(south, west), checked_degrees(north, east)
    if south > north:
        raise InvalidInputError(
            f"in box takes (south, west, north, east), and {south} is north of {north}", value=(south, north)
        )
    return south, west, north, east


def checked_degrees(lat: Any, lon: Any) -> tuple[float, float]:
    """Return a point as floats.

    Raises:
        InvalidInputError: one of them is not a number in its range.

    """
    return _degrees("latitude", lat, LATITUDES), _degrees("longitude", lon, LONGITUDES)


def _degrees(name: str, value: Any, limit: int) -> float:
    number = _is_number(value)
    if not number or not abs(value) <= limit:
        hint = ": the latitude comes first" if number and name == "latitude" and abs(value) <= LONGITUDES else ""
        raise InvalidInputError(f"the {name} {value!r} is not a number from -{limit} to {limit}{hint}", value=value)
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
