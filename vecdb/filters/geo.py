"""Where on the earth: distances, circles and boxes over a column of places.

The earth is a sphere here, of the mean radius of the WGS84 ellipsoid, and a distance the length of the shortest way on
it (haversine): within 0.6 % of that on the ellipsoid. Longitudes -180 and 180 are the same line.

The surprise: a circle is looked for in a box around it first, because comparing costs a tenth of a sine.
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecdb.filters.places import checked_degrees
from vecdb.schema.fields import LATITUDES, LONGITUDES

EARTH_KM = 6371.0088
"""Mean radius of WGS84 (2 a + b) / 3, in kilometres."""

_SLACK = 1e-9
"""Degrees by which a box around a circle is larger than it must be: a hundred times the rounding of its edges."""

Degrees = NDArray[np.float64]


def distances(places: pa.Array | pa.ChunkedArray, lat: float, lon: float) -> Degrees:
    """Return how far each place is from a point, in kilometres, (n,) float64; NaN where there is no place.

    Args:
        places: a column of a `Geo` field.
        lat: the point's latitude in degrees.
        lon: its longitude.

    Raises:
        InvalidInputError: lat or lon is not a number in its range.

    """
    lat, lon = checked_degrees(float(lat), float(lon))
    if isinstance(places, pa.ChunkedArray):
        places = places.combine_chunks()
    return _haversine(*degrees_of(places), lat, lon)


def degrees_of(places: pa.Array) -> tuple[Degrees, Degrees]:
    """Return the latitudes and longitudes (n,) of a column; NaN where there is no place."""
    latitudes, longitudes = (np.asarray(half.to_numpy(zero_copy_only=False)) for half in places.flatten())
    return latitudes.astype(np.float64, copy=False), longitudes.astype(np.float64, copy=False)


def within(latitudes: Degrees, longitudes: Degrees, lat: float, lon: float, km: float) -> NDArray[np.bool_]:
    """Return which places are at most km kilometres from a point; one that is NaN is not."""
    around = math.degrees(min(km / EARTH_KM, math.pi))
    south, north = lat - around - _SLACK, lat + around + _SLACK
    near = (latitudes >= south) & (latitudes <= north)
    if north < LATITUDES and south > -LATITUDES:
        # The circle's easternmost point, where its meridian touches it.
        half = math.degrees(math.asin(min(1.0, math.sin(math.radians(around)) / math.cos(math.radians(lat)))))
        near &= _between(longitudes, lon - half - _SLACK, lon + half + _SLACK)
    rows = np.flatnonzero(near)
    near[rows] = _haversine(latitudes[rows], longitudes[rows], lat, lon) <= km
    return near


def in_box(
    latitudes: Degrees, longitudes: Degrees, south: float, west: float, north: float, east: float
) -> NDArray[np.bool_]:
    """Return which places lie in a box, its edges included; from west to east it may cross the line of 180 degrees."""
    crossing = west > east
    inside = (longitudes >= west) | (longitudes <= east) if crossing else _between(longitudes, west, east)
    return inside & (latitudes >= south) & (latitudes <= north)


def _between(longitudes: Degrees, west: float, east: float) -> NDArray[np.bool_]:
    """Return which longitudes lie between two; these may leave -180 to 180 by less than a turn."""
    if east - west >= 2 * LONGITUDES:
        return longitudes == longitudes
    inside = (longitudes >= west) & (longitudes <= east)
    if east >= LONGITUDES:
        inside |= longitudes <= east - 2 * LONGITUDES
    if west <= -LONGITUDES:
        inside |= longitudes >= west + 2 * LONGITUDES
    return inside


def _haversine(latitudes: Degrees, longitudes: Degrees, lat: float, lon: float) -> Degrees:
    up = np.sin(np.radians(latitudes - lat) / 2)
    along = np.sin(np.radians(longitudes - lon) / 2)
    square = up * up + np.cos(np.radians(latitudes)) * math.cos(math.radians(lat)) * along * along
    return 2 * EARTH_KM * np.arcsin(np.minimum(1.0, np.sqrt(square)))
