"""Distances, circles and boxes on the earth."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from vecdb import col
from vecdb.errors import FilterSyntaxError, InvalidInputError
from vecdb.filters import bind, distances, geo, parse
from vecdb.schema import Geo, Id, Int64, Json, Schema, Text

SCHEMA = Schema(id=Id(), place=Geo(), size=Int64(), extra=Json(), body=Text())


def places(*pairs: tuple[float, float] | None) -> pa.Array:
    return pa.array([None if pair is None else {"lat": pair[0], "lon": pair[1]} for pair in pairs], Geo().arrow_type)


BERLIN, PARIS, FIJI, SAMOA = (52.52, 13.405), (48.8566, 2.3522), (-17.8, 178.0), (-13.8, -172.1)


def test_distances_are_great_circles_and_nan_where_there_is_no_place() -> None:
    column = places(BERLIN, PARIS, None, (-52.52, -166.595), (90.0, 77.0))

    found = distances(column, *BERLIN)

    assert found[0] == 0
    assert found[1] == pytest.approx(877.5, abs=0.5)
    assert math.isnan(found[2])
    assert found[3] == pytest.approx(math.pi * geo.EARTH_KM)
    assert found[4] == pytest.approx(math.radians(90 - 52.52) * geo.EARTH_KM)
    assert distances(column.slice(1, 2), *BERLIN).tolist()[:1] == found[1:2].tolist()
    np.testing.assert_array_equal(distances(pa.chunked_array([column]), *BERLIN), found)


def test_a_circle_is_what_all_distances_say_near_poles_and_across_the_line_of_180_degrees() -> None:
    rng = np.random.default_rng(1)
    latitudes = np.degrees(np.arcsin(rng.uniform(-1, 1, 20_000)))
    longitudes = rng.uniform(-180, 180, 20_000)
    longitudes[:200] = np.where(np.arange(200) % 2, -180.0, 180.0)

    for lat, lon in [(0, 0), (89.5, 10), (-90, 0), (30, 180), (30, -179.9), (-60, 179), (52.5, 13.4)]:
        away = geo._haversine(latitudes, longitudes, lat, lon)
        for km in (0, 10, 300, 5_000, 9_900, 15_000, 20_000, 30_000):
            found = geo.within(latitudes, longitudes, lat, lon, km)

            np.testing.assert_array_equal(found, away <= km, err_msg=f"{lat} {lon} {km}")


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((-20, 170, -10, -170), [True, True, False, False]),
        ((-20, 170, -10, 180), [True, False, False, False]),
        ((-20, -180, -10, -170), [False, True, False, False]),
        ((40, 0, 60, 20), [False, False, True, False]),
        ((-90, -180, 90, 180), [True, True, True, False]),
        ((40, 20, 60, 0), [False, False, False, False]),
    ],
)
def test_a_box_goes_east_from_west(box: tuple[float, ...], inside: list[bool]) -> None:
    column = places(FIJI, SAMOA, PARIS, None)
    text = f"place in box {box}"

    assert bind(parse(text), SCHEMA).mask({"place": column}, 4).tolist() == inside
    assert bind(col("place").in_box(*box), SCHEMA).mask({"place": column}, 4).tolist() == inside


def test_the_two_names_of_the_line_of_180_degrees_are_one() -> None:
    column = places((0, 180), (0, -180))

    for text in ("place in box (-1, 170, 1, 180)", "place in box (-1, -180, 1, -170)", "place within 1 m of (0, 180)"):
        assert bind(parse(text), SCHEMA).mask({"place": column}, 2).tolist() == [True, True], text


def test_not_leaves_out_rows_without_a_place() -> None:
    column = places(BERLIN, PARIS, None)

    assert bind(parse("not place within 100 km of (52.5, 13.4)"), SCHEMA).mask({"place": column}, 3).tolist() == [
        False,
        True,
        False,
    ]
    assert bind(parse("place is null"), SCHEMA).mask({"place": column}, 3).tolist() == [False, False, True]


def test_spellings_of_a_circle() -> None:
    tree = col("place").within(52.5, 13.4, km=0.5)

    assert parse("place within 0.5 km of (52.5, 13.4)") == tree
    assert parse("place WITHIN 500m OF (+52.5,13.4)") == tree
    assert parse("place not within .5KM of (52.5, 13.4)") == ~tree
    assert parse(str(~tree)) == ~tree
    numbers: Any = np.float32(1), np.int64(3)
    assert col("place").within(numbers[0], 2, km=numbers[1]) == col("place").within(1.0, 2.0, km=3.0)


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("place within 5 of (1, 2)", 13, "a distance such as 5 km or 500 m"),
        ("place within 5 miles of (1, 2)", 13, "a distance"),
        ("place within -5 km of (1, 2)", 13, "a distance"),
        ("place within 5 km of (100, 2)", 22, "latitude 100 is not a number from -90 to 90: the latitude comes first"),
        ("place within 5 km of (1, 181)", 22, "longitude 181"),
        ("place in box (1, 2, 3)", 21, "expected ','"),
        ("place in box (3, 2, 1, 4)", 14, "3.0 is north of 1.0"),
        ("place in (1, 2, 3, 4) box", 22, "found box"),
    ],
)
def test_a_mistake_is_placed_and_explained(text: str, position: int, reason: str) -> None:
    with pytest.raises(FilterSyntaxError, match=reason) as caught:
        parse(text)

    assert caught.value.position == position


@pytest.mark.parametrize("km", [-1, float("nan"), float("inf"), True, "5"])
def test_a_distance_is_a_finite_number_of_kilometres(km: object) -> None:
    with pytest.raises(InvalidInputError):
        col("place").within(1, 2, km=km)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("size within 5 km of (1, 2)", "places of a Geo field, and 'size' is a field of kind int64"),
        ("place = 'x'", "'=' does not apply to field 'place', which holds places"),
        ("place matches 'x'", "words in a Text field, and 'place' is a field of kind geo"),
        ("id matches 'x'", "words in a Text field, and 'id' is a field of kind id"),
        ("extra.a matches 'x'", "does not look into JSON: it takes a field of kind text"),
        ("extra.a in box (1, 2, 3, 4)", "does not look into JSON: it takes a field of kind geo"),
        ("body within 1 km of (1, 2)", "places of a Geo field.*it takes: =.*matches, is null"),
        ("place.lat > 3", "only json fields have paths"),
    ],
)
def test_what_does_not_fit_a_field_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        bind(parse(text), SCHEMA)
