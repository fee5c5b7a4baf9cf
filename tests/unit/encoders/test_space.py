"""Spaces: what is the same, what differs, and what is stored."""

from dataclasses import replace
from typing import Any

import pytest

from vecdb.errors import InvalidInputError, SpaceMismatchError
from vecdb.schema import Field, Schema, Text, Vector, field_from_json
from vecdb.schema.fields import Id, Keyword
from vecdb.schema.space import METADATA, Space, space_in

MODEL = Space("mini", 4, True, "sha256:ab", pooling="mean", query_prompt="q: ")
FUNCTION = Space("mine", 4, version="1")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"dimension": 8}, "dimension"),
        ({"normalized": False}, "normalized"),
        ({"weights": "sha256:cd"}, "weights"),
        ({"version": "2"}, "version"),
        ({"pooling": "cls"}, "pooling"),
        ({"query_prompt": ""}, "query prompt"),
        ({"document_prompt": "d: "}, "document prompt"),
    ],
)
def test_spaces_that_differ_in_anything_are_two_and_the_error_names_both_and_what(
    change: dict[str, Any], word: str
) -> None:
    other = replace(MODEL, **change)

    assert other != MODEL
    with pytest.raises(SpaceMismatchError) as caught:
        MODEL.check_same(other, "embedding", "the encoder makes those")
    assert str(MODEL) in str(caught.value)
    assert str(other) in str(caught.value)
    assert str(caught.value).endswith(f"they differ in {word}")
    assert caught.value.field == "embedding"


def test_a_model_is_its_weights_and_a_function_is_its_name() -> None:
    renamed = replace(MODEL, model="another/name")

    assert renamed == MODEL
    assert hash(renamed) == hash(MODEL)
    assert replace(FUNCTION, model="other") != FUNCTION
    assert FUNCTION.differences(replace(FUNCTION, model="other")) == ["model"]
    assert MODEL != "mini"


@pytest.mark.parametrize("space", [MODEL, FUNCTION, Space("x", 1)])
def test_what_is_written_is_read_again(space: Space) -> None:
    metadata = space.metadata()

    assert Space.from_json(space.to_json()) == space
    assert space_in(metadata, "embedding") == space
    assert Space.from_json(space.to_json()).model == space.model


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"model": "x"},
        {"model": "", "dimension": 3},
        {"model": "x", "dimension": "3"},
        {"model": "x", "dimension": 3, "tokenizer": "new"},
        {"model": "x", "dimension": 3, "weights": 5},
    ],
)
def test_what_describes_no_space_is_refused(data: Any) -> None:
    with pytest.raises(InvalidInputError, match="does not describe a space"):
        Space.from_json(data)


def test_metadata_that_is_no_json_is_refused() -> None:
    assert space_in(None, "v") is None
    assert space_in({b"other": b"x"}, "v") is None
    with pytest.raises(InvalidInputError, match=r"field 'v': the metadata 'vecdb.space' is no JSON"):
        space_in({METADATA: b"{"}, "v")


def test_a_field_stores_its_space_and_source_and_nothing_where_it_has_none() -> None:
    field = Vector(4, space=MODEL, source="text")

    assert field.to_json()["space"] == MODEL.to_json()
    assert field.to_json()["source"] == "text"
    assert field_from_json(field.to_json()) == field
    assert Vector(4).to_json().keys() == {"kind", "dimension", "dtype", "metric"}
    assert field != Vector(4, source="text", space=replace(MODEL, pooling="cls"))
    assert eval(repr(field), {"Vector": Vector, "Space": Space}) == field


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": FUNCTION, "dimension": 5}, "not one of 5 values"),
        ({"source": "text"}, "source 'text' needs an encoder"),
        ({"space": FUNCTION, "source": 3}, "source 3"),
        ({"encoder": len}, "expected vecdb.SentenceTransformer"),
        ({"encoder": "all-MiniLM-L6-v2"}, "expected vecdb.SentenceTransformer"),
        ({"space": replace(FUNCTION, normalized=True), "dtype": "int8"}, "not whole numbers"),
        ({"space": "mine"}, "space is 'mine', expected"),
    ],
)
def test_a_field_refuses_a_space_or_source_that_cannot_be_its_own(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Vector(**{"dimension": 4, **options})


def test_code_that_hides_in_stored_json_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="expected vecdb"):
        field_from_json({"kind": "vector", "dimension": 4, "encoder": "os.system"})


@pytest.mark.parametrize(
    ("field", "message"),
    [(None, "no field of the schema"), (Keyword(many=True), "keyword, not a text"), (Vector(3), "vector, not a text")],
)
def test_the_source_of_a_vector_is_a_text_of_the_schema(field: Field | None, message: str) -> None:
    fields = {"id": Id(), "v": Vector(4, space=FUNCTION, source="text")} | ({} if field is None else {"text": field})

    with pytest.raises(InvalidInputError, match=message):
        Schema(**fields)


def test_a_renamed_source_is_followed_and_a_dropped_one_forgotten() -> None:
    schema = Schema(id=Id(), text=Text(), v=Vector(4, space=FUNCTION, source="text"))

    renamed = schema.renamed("text", "body")
    dropped = renamed.without_column("body")

    assert [(vector.name, source.name) for vector, source in renamed.encoded] == [("v", "body")]
    assert Schema.from_json(renamed.to_json()) == renamed
    assert dropped.encoded == ()
    assert dropped["v"].field == Vector(4, space=FUNCTION)
