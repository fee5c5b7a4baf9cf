"""Places in every form in which people have them."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from vecdb.errors import InvalidInputError
from vecdb.schema import Geo, Id, Schema, validated_batch

SCHEMA = Schema(id=Id(), place=Geo())
BERLIN = {"lat": 52.5, "lon": 13.4}


def places(column: Any, count: int = 2) -> list[Any]:
    """Return what a column of places is stored as."""
    batch = validated_batch({"id": [str(row) for row in range(count)], "place": column}, SCHEMA)
    batch.validate(full=True)
    return batch.column("place").to_pylist()


@pytest.mark.parametrize(
    "form",
    [
        BERLIN,
        {"lon": 13.4, "lat": 52.5},
        {"latitude": 52.5, "longitude": 13.4},
        {"lat": np.float64(52.5), "lng": 13.4},
        (52.5, 13.4),
        [52.5, 13.4],
        np.array([52.5, 13.4]),
        {"type": "Point", "coordinates": [13.4, 52.5]},
    ],
)
def test_a_place_is_read_from_every_form(form: Any) -> None:
    assert places([form, None]) == [BERLIN, None]
    assert validated_batch({"id": "a", "place": form}, SCHEMA).column("place").to_pylist() == [BERLIN]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([BERLIN, None], Geo().arrow_type),
        pa.array([{"longitude": 13.4, "latitude": 52.5}, None]),
        pa.array([None, BERLIN, None], Geo().arrow_type).slice(1),
        pa.chunked_array(
            [pa.array([BERLIN]), pa.array([None], pa.struct([("lat", pa.float64()), ("lon", pa.float64())]))]
        ),
        pa.array([[52.5, 13.4], None]),
        pa.array([[52.5, 13.4], None], pa.list_(pa.float64(), 2)),
        pa.array([{"type": "Point", "coordinates": [13.4, 52.5]}, None]),
        pd.Series([BERLIN, None]),
        pl.Series([BERLIN, None]),
    ],
)
def test_columns_of_any_origin_give_the_same_places(column: Any) -> None:
    assert places(column) == [BERLIN, None]


def test_a_matrix_of_degrees_is_copied() -> None:
    matrix = np.array([[52.5, 13.4], [-90, 180]])
    batch = validated_batch({"id": ["a", "b"], "place": matrix}, SCHEMA)
    matrix[:] = 0

    assert batch.column("place").to_pylist() == [BERLIN, {"lat": -90.0, "lon": 180.0}]


def test_a_column_of_nulls_has_no_places() -> None:
    assert places([None, None]) == [None, None]
    assert places(pa.nulls(2)) == [None, None]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            (91.0, 0.0),
            "latitude 91.0, which is not between -90 and 90: a pair is .latitude, longitude.; GeoJSON's order",
        ),
        ((52.5, 181), "longitude 181.0, which is not between -180 and 180"),
        ({"lat": 91, "lon": 0}, "latitude 91.0, which is not between -90 and 90$"),
        ({"lat": 52.5}, "is not a place: a place is"),
        ({"lat": 1, "lon": 2, "alt": 3}, "is not a place"),
        ({"type": "LineString", "coordinates": [[1, 2]]}, "is not a place"),
        ([1, 2, 3], "is not a place"),
        ("52.5, 13.4", "is not a place"),
        ((1, None), "has None where a number of degrees is expected"),
        ((1, True), "has True where"),
        ((float("nan"), 1), "has nan where"),
        ((10**400, 1), "where a number of degrees is expected"),
        (5, "is not a place"),
    ],
)
def test_what_is_no_place_is_refused_with_its_row(value: Any, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason) as caught:
        validated_batch([{"id": "a", "place": None}, {"id": "b", "place": value}], SCHEMA)

    assert (caught.value.field, caught.value.row) == ("place", 1)
    with pytest.raises(InvalidInputError, match=reason):
        validated_batch({"id": "b", "place": value}, SCHEMA)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (pa.array([{"lat": 1.0, "lon": None}, BERLIN]), "has None where a number"),
        (pa.array([{"lat": float("nan"), "lon": 1.0}, BERLIN]), "has nan where a number"),
        (pa.array([{"lat": 13.4, "lon": 252.5}, BERLIN]), "longitude 252.5"),
        (pa.array([{"lat": "1", "lon": "2"}, BERLIN | {"lat": "3", "lon": "4"}]), "has '1' where a number"),
        (pa.array([1.0, 2.0]), "in a column of double is not a place"),
        (pa.array(["1", "2"]), "in a column of string is not a place"),
        (np.zeros((2, 3)), r"shape \(2, 3\)"),
        (np.array([[99.0, 1], [1, 1]]), "latitude 99.0"),
    ],
)
def test_columns_that_hold_no_places_are_refused(column: Any, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        places(column)
