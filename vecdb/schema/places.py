"""Places on the earth: from any form in which people have them to latitude and longitude in degrees.

A place comes as `{"lat": 52.5, "lon": 13.4}`, as a pair (latitude, longitude), or as a GeoJSON point. The trap: GeoJSON
has the longitude first. So only what says of itself that it is GeoJSON, `{"type": "Point", "coordinates": [13.4,
52.5]}`, is read in that order, and a pair that would be a place only the other way round is refused with a hint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecdb.schema.arrow import is_list, pc, python_value
from vecdb.schema.blame import Blame, shown
from vecdb.schema.fields import LATITUDES, LONGITUDES, Geo

_FORMS = "a place is {'lat': 52.5, 'lon': 13.4}, a pair (latitude, longitude) or a GeoJSON point"
_ORDER = "a pair is (latitude, longitude); GeoJSON's order is read from {'type': 'Point', 'coordinates': [...]} alone"
_LATITUDE_NAMES = "lat", "latitude"
_LONGITUDE_NAMES = "lon", "lng", "longitude"


def place_of(value: Any) -> tuple[float, float]:
    """Return latitude and longitude of a place in any form.

    Raises:
        ValueError: with the rest of a sentence: the value is no place.

    """
    if isinstance(value, Mapping):
        latitude, longitude = _of_mapping(value)
    else:
        latitude, longitude = _of_pair(value)
    latitude, longitude = _number(latitude), _number(longitude)
    if not abs(latitude) <= LATITUDES:
        turned = not isinstance(value, Mapping) and abs(longitude) <= LATITUDES and abs(latitude) <= LONGITUDES
        hint = f": {_ORDER}" if turned else ""
        raise ValueError(f"has the latitude {latitude}, which is not between -{LATITUDES} and {LATITUDES}{hint}")
    if not abs(longitude) <= LONGITUDES:
        raise ValueError(f"has the longitude {longitude}, which is not between -{LONGITUDES} and {LONGITUDES}")
    return latitude, longitude


def _of_mapping(value: Mapping[Any, Any]) -> tuple[Any, Any]:
    if value.get("type") == "Point" and len(value) == 2:
        pair = value.get("coordinates")
        if isinstance(pair, list | tuple | np.ndarray) and len(pair) == 2:
            return pair[1], pair[0]
    elif len(value) == 2:
        latitudes = [value[name] for name in _LATITUDE_NAMES if name in value]
        longitudes = [value[name] for name in _LONGITUDE_NAMES if name in value]
        if latitudes and longitudes:
            return latitudes[0], longitudes[0]
    raise ValueError(f"is not a place: {_FORMS}")


def _of_pair(value: Any) -> tuple[Any, Any]:
    listed = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)
    if not listed or len(value) != 2:
        raise ValueError(f"is not a place: {_FORMS}")
    return value[0], value[1]


def _number(value: Any) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"has {shown(value)} where a number of degrees is expected")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"has {shown(value)} where a number of degrees is expected")
    return number


def places_from_python(values: list[Any], blame: Blame) -> pa.StructArray:
    """Return a place for each value, null for None.

    Raises:
        InvalidInputError: a value is no place.

    """
    degrees = np.zeros((len(values), 2))
    missing = np.zeros(len(values), np.bool_)
    for row, value in enumerate(values):
        if value is None:
            missing[row] = True
            continue
        try:
            degrees[row] = place_of(value)
        except ValueError as error:
            raise blame.error(row, f"{shown(value)} {error}", value) from error
    return _array(degrees, missing)


def places_from_numpy(source: NDArray[Any], blame: Blame) -> pa.StructArray:
    """Return a place for each row of an (n, 2) array of latitudes and longitudes.

    Raises:
        InvalidInputError: the array has another shape or holds something else.

    """
    if source.dtype == object and source.ndim == 1:
        return places_from_python(source.tolist(), blame)
    if source.ndim != 2 or source.shape[1] != 2 or source.dtype.kind not in "fiu":
        raise blame.column(f"an array of shape {source.shape} and dtype {source.dtype} is not (n, 2) degrees")
    return _checked(source.astype(np.float64), np.zeros(len(source), np.bool_), blame)


def places_from_arrow(source: pa.Array, _: Geo, blame: Blame) -> pa.StructArray:
    """Return the places of a column of structs, of lists of two numbers, or of what has a place in another form.

    Raises:
        InvalidInputError: a value is no place.

    """
    names = [field.name for field in source.type] if pa.types.is_struct(source.type) else []
    latitudes = [name for name in names if name in _LATITUDE_NAMES]
    longitudes = [name for name in names if name in _LONGITUDE_NAMES]
    if len(names) == 2 and latitudes and longitudes:
        columns = [pc.struct_field(source, latitudes[0]), pc.struct_field(source, longitudes[0])]
        if all(pa.types.is_floating(one.type) or pa.types.is_integer(one.type) for one in columns):
            return _from_columns(source, columns, blame)
    if not (names or is_list(source.type)):
        row = int(np.flatnonzero(np.asarray(source.is_valid()))[0])
        value = python_value(source, row)
        raise blame.error(row, f"{shown(value)} in a column of {source.type} is not a place: {_FORMS}", value)
    return places_from_python(source.to_pylist(), blame)


def _from_columns(source: pa.Array, columns: list[pa.Array], blame: Blame) -> pa.StructArray:
    missing = np.asarray(source.is_null())
    degrees = np.zeros((len(source), 2))
    for place, column in enumerate(columns):
        half = np.flatnonzero(np.asarray(column.is_null()) & ~missing)
        if len(half):
            row = int(half[0])
            value = source[row].as_py()
            raise blame.error(row, f"{shown(value)} has None where a number of degrees is expected", value)
        degrees[:, place] = np.asarray(pc.fill_null(column.cast(pa.float64(), safe=False), 0.0))
    return _checked(degrees, missing, blame)


def _checked(degrees: NDArray[np.float64], missing: NDArray[np.bool_], blame: Blame) -> pa.StructArray:
    # NaN is not between anything.
    good = (np.abs(degrees[:, 0]) <= LATITUDES) & (np.abs(degrees[:, 1]) <= LONGITUDES)
    bad = np.flatnonzero(~(good | missing))
    if len(bad):
        row = int(bad[0])
        pair = tuple(degrees[row].tolist())
        try:
            place_of(pair)
        except ValueError as error:
            raise blame.error(row, f"{pair} {error}", pair) from error
    degrees[missing] = 0.0
    return _array(degrees, missing)


def _array(degrees: NDArray[np.float64], missing: NDArray[np.bool_]) -> pa.StructArray:
    mask = pa.array(missing) if missing.any() else None
    columns = [pa.array(np.ascontiguousarray(degrees[:, place])) for place in (0, 1)]
    return pa.StructArray.from_arrays(columns, fields=list(Geo().arrow_type), mask=mask)
