"""Text fields that are searched by words: what may be asked for, and how it is stored."""

from typing import Any

import pytest

import vecdb
from vecdb.errors import InvalidInputError
from vecdb.schema import Schema, field_from_json
from vecdb.schema.fulltext import FullText


def test_a_text_that_is_not_searched_is_stored_as_ever() -> None:
    assert vecdb.Text().to_json() == {"kind": "text"}
    assert field_from_json({"kind": "text"}) == vecdb.Text() == vecdb.Text(search=False)
    assert repr(vecdb.Text()) == "Text()"


@pytest.mark.parametrize(
    "spec",
    [
        FullText(),
        FullText(language="german", stop_words=["Der", "die", "der"], k1=0.9, b=1, positions=False, shortest=3),
        FullText(language=None, stop_words=False),
    ],
)
def test_how_it_is_searched_survives_json(spec: FullText) -> None:
    field = vecdb.Text(search=spec)

    assert field_from_json(field.to_json()) == field
    assert hash(field_from_json(field.to_json())) == hash(field)
    assert field.fulltext == spec


def test_true_means_the_usual_and_stop_words_are_sorted_in_lower_case() -> None:
    assert vecdb.Text(search=True) == vecdb.Text(search=FullText())
    assert repr(vecdb.Text(search=True)) == "Text(search=True)"
    assert FullText(stop_words=["B", "a", "b"]).stop_words == ("a", "b")
    assert repr(FullText(stop_words=False, b=0)) == "FullText(stop_words=False, b=0.0)"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"language": "klingon"}, "language 'klingon' is not one of .*german"),
        ({"language": 3}, "language 3"),
        ({"stop_words": "the"}, "stop_words is 'the'"),
        ({"stop_words": [1]}, r"stop_words is \[1\]"),
        ({"stop_words": None}, "stop_words is None"),
        ({"k1": -1}, "k1 is -1"),
        ({"k1": float("nan")}, "k1 is nan"),
        ({"b": 1.5}, "b is 1.5"),
        ({"b": True}, "b is True"),
        ({"positions": 1}, "positions is 1"),
        ({"shortest": 0}, "shortest is 0"),
        ({"shortest": 2.0}, "shortest is 2.0"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        FullText(**given)
    with pytest.raises(InvalidInputError):
        vecdb.Text(search=given)


@pytest.mark.parametrize("given", ["english", 1, FullText, {"colour": "red"}])
def test_what_does_not_say_how_to_search_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInputError, match="search"):
        vecdb.Text(search=given)


def test_a_schema_turns_search_on_and_off() -> None:
    schema = Schema(id=vecdb.Id(), body=vecdb.Text(), n=vecdb.Int64(), v=vecdb.Vector(2))

    on = schema.with_index("body", FullText(k1=2))

    assert [column.name for column in on.texts] == ["body"]
    assert on["body"].id == schema["body"].id
    assert on.with_index("body", False).texts == schema.texts == ()
    assert Schema.from_json(on.to_json()) == on
    with pytest.raises(InvalidInputError, match="only vectors and texts have an index"):
        schema.with_index("n", True)
    with pytest.raises(InvalidInputError, match="index"):
        schema.with_index("v", FullText())  # pyright: ignore[reportArgumentType]
