"""Names in a picture of links: none lies on another, and only those without room are left out."""

from vecdb_client.drawing import HEIGHT, WIDTH, sides_of_names

CORNERS = {"low": (0.0, 0.0), "high": (WIDTH, HEIGHT)}


def test_a_name_stands_above_its_row_where_there_is_room():
    place = {**CORNERS, "one": (200.0, 300.0), "two": (700.0, 300.0)}

    assert sides_of_names(place, [("one", "one"), ("two", "two")]) == {"one": "top center", "two": "top center"}


def test_of_two_rows_close_together_the_second_name_stands_elsewhere():
    place = {**CORNERS, "one": (500.0, 300.0), "two": (530.0, 300.0)}

    sides = sides_of_names(place, [("one", "a long name"), ("two", "a long name")])

    assert sides == {"one": "top center", "two": "bottom center"}


def test_a_name_that_has_no_room_is_left_out_for_those_before_it():
    place = {**CORNERS} | {number: (500.0, 300.0 + number / 100) for number in range(9)}

    sides = sides_of_names(place, [(number, "a long name") for number in range(9)])

    assert list(sides) == [0, 1, 2, 3]
    assert len(set(sides.values())) == 4


def test_one_row_alone_has_its_name():
    assert sides_of_names({"one": (0.0, 0.0)}, [("one", "one")]) == {"one": "top center"}
