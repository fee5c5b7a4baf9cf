import copy
import json
import pickle
from typing import Any

import pyarrow as pa
import pytest

from vecdb.errors import InvalidInputError, UnknownFieldError
from vecdb.schema import RESERVED, Bool, Field, Id, Int64, Keyword, Schema, Text, Vector


def articles() -> Schema:
    return Schema(id=Id(), title=Text(), section=Keyword(), embedding=Vector(4), size=Int64(), code=Vector(8, "int8"))


def test_columns_are_numbered_from_zero_in_order() -> None:
    schema = articles()

    assert [(column.name, column.id) for column in schema.columns] == [
        ("id", 0),
        ("title", 1),
        ("section", 2),
        ("embedding", 3),
        ("size", 4),
        ("code", 5),
    ]
    assert schema.next_id == 6
    assert list(schema) == list(schema.columns)
    assert len(schema) == 6


def test_columns_are_sorted_into_id_vectors_and_scalars() -> None:
    schema = articles()

    assert schema.id.name == "id"
    assert [column.name for column in schema.vectors] == ["embedding", "code"]
    assert [column.name for column in schema.scalars] == ["title", "section", "size"]
    assert [column.field.dimension for column in schema.vectors] == [4, 8]


def test_a_column_is_found_by_name() -> None:
    schema = articles()

    assert schema["size"].field == Int64()
    assert "size" in schema
    assert "sizes" not in schema


def test_an_unknown_name_is_refused_with_the_known_names_and_the_closest() -> None:
    with pytest.raises(UnknownFieldError) as caught:
        articles()["titel"]

    assert "'id', 'title', 'section'" in str(caught.value)
    assert str(caught.value).endswith("did you mean 'title'?")
    assert caught.value.field == "titel"


@pytest.mark.parametrize(
    ("fields", "found"),
    [({"title": Text()}, "found none"), ({"a": Id(), "b": Id("int64")}, "found 'a' and 'b'"), ({}, "found none")],
)
def test_a_schema_has_exactly_one_id(fields: dict[str, Field], found: str) -> None:
    with pytest.raises(InvalidInputError, match=found):
        Schema(**fields)


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "ä", "a" * 129, "a\n"])
def test_a_malformed_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot name a field"):
        Schema(id=Id(), **{name: Text()})


def test_the_longest_name_is_accepted() -> None:
    assert "a" * 128 in Schema(id=Id(), **{"a" * 128: Text()})


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_reserved_name_is_refused_wherever_a_name_is_given(name: str) -> None:
    schema = articles()

    for make in (
        lambda: Schema(id=Id(), **{name: Text()}),
        lambda: schema.with_column(name, Text()),
        lambda: schema.renamed("title", name),
    ):
        with pytest.raises(InvalidInputError, match="a word of search itself"):
            make()


def test_the_words_of_search_are_reserved() -> None:
    expected = "k where fields recall ef nprobe text_query filter score distance query limit offset"
    expected += " allow_partial explain timeout exact batch self"

    assert frozenset(expected.split()) <= RESERVED


@pytest.mark.parametrize(
    ("field", "hint"), [(Text, "write Text()"), ("text", "not a field"), (None, "not a field"), (Field(), "not a")]
)
def test_what_is_no_field_is_refused(field: Any, hint: str) -> None:
    with pytest.raises(InvalidInputError, match="is declared as") as caught:
        Schema(id=Id(), title=field)

    assert hint in str(caught.value)


def test_only_the_id_may_be_called_id() -> None:
    with pytest.raises(InvalidInputError, match="'id' can only name the Id field"):
        Schema(key=Id(), id=Text())
    with pytest.raises(InvalidInputError, match="'id' can only name the Id field"):
        Schema(key=Id(), title=Text()).renamed("title", "id")


def test_a_schema_cannot_be_changed() -> None:
    schema = articles()

    with pytest.raises(AttributeError, match="immutable"):
        schema.next_id = 9
    with pytest.raises(AttributeError, match="immutable"):
        del schema.columns


def test_a_new_column_comes_last_under_a_new_number_and_leaves_the_old_schema_alone() -> None:
    schema = articles()

    grown = schema.with_column("draft", Bool())

    assert grown["draft"].id == 6
    assert grown.columns[-1].name == "draft"
    assert "draft" not in schema


def test_the_number_of_a_dropped_column_is_never_used_again() -> None:
    schema = Schema(id=Id(), title=Text())

    again = schema.without_column("title").with_column("title", Text())

    assert again["title"].id == 2
    assert again.next_id == 3
    assert again != schema
    assert again.fields == schema.fields


def test_a_renamed_column_keeps_its_place_and_number() -> None:
    renamed = articles().renamed("section", "topic")

    assert [column.name for column in renamed][2] == "topic"
    assert renamed["topic"].id == 2
    assert "section" not in renamed
    assert renamed.storage_schema() == articles().storage_schema()


def test_the_id_may_be_renamed() -> None:
    assert articles().renamed("id", "key").id.name == "key"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda schema: schema.with_column("title", Text()), "already has a field 'title'"),
        (lambda schema: schema.with_column("other", Id()), "cannot be an Id"),
        (lambda schema: schema.with_column("1", Text()), "cannot name a field"),
        (lambda schema: schema.with_column("other", Text), "write Text"),
        (lambda schema: schema.without_column("id"), "cannot be dropped"),
        (lambda schema: schema.renamed("title", "size"), "already has a field 'size'"),
        (lambda schema: schema.renamed("title", "title"), "already has a field 'title'"),
        (lambda schema: schema.renamed("title", "a b"), "cannot name a field"),
    ],
)
def test_a_change_that_breaks_the_schema_is_refused(change: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        change(articles())


@pytest.mark.parametrize(
    "change", [lambda schema: schema.without_column("sice"), lambda schema: schema.renamed("sice", "weight")]
)
def test_changing_an_unknown_column_is_refused(change: Any) -> None:
    with pytest.raises(UnknownFieldError, match="did you mean 'size'"):
        change(articles())


def test_a_schema_has_a_largest_number_of_fields() -> None:
    fields: dict[str, Field] = {f"c{number}": Bool() for number in range(1023)}
    schema = Schema(id=Id(), **fields)

    with pytest.raises(InvalidInputError, match="at most 1024 fields, found 1025"):
        schema.with_column("one_more", Bool())


def test_a_schema_comes_back_from_json_text() -> None:
    schema = articles().without_column("title").renamed("size", "bytes").with_column("draft", Bool())

    back = Schema.from_json(json.loads(json.dumps(schema.to_json())))

    assert back == schema
    assert hash(back) == hash(schema)
    assert back.next_id == schema.next_id


def test_a_stored_name_that_was_reserved_later_is_still_read() -> None:
    stored = {
        "columns": [
            {"id": 0, "name": "id", "field": {"kind": "id", "type": "string"}},
            {"id": 1, "name": "limit", "field": {"kind": "text"}},
        ],
        "next_id": 2,
    }

    assert "limit" in Schema.from_json(stored)


ID = {"id": 0, "name": "id", "field": {"kind": "id", "type": "string"}}


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"columns": None, "next_id": 0},
        {"columns": [], "next_id": 0},
        {"columns": [ID]},
        {"columns": [ID], "next_id": 0},
        {"columns": [ID], "next_id": "1"},
        {"columns": [ID], "next_id": True},
        {"columns": [ID], "next_id": 1, "owner": "x"},
        {"columns": [ID, ID], "next_id": 1},
        {"columns": [ID, {"id": 0, "name": "a", "field": {"kind": "text"}}], "next_id": 2},
        {"columns": [ID, {"id": 1, "name": "id", "field": {"kind": "text"}}], "next_id": 2},
        {"columns": [ID, {"id": -1, "name": "a", "field": {"kind": "text"}}], "next_id": 2},
        {"columns": [ID, {"id": 1, "name": "../a", "field": {"kind": "text"}}], "next_id": 2},
        {"columns": [ID, {"id": 1, "name": None, "field": {"kind": "text"}}], "next_id": 2},
        {"columns": [ID, {"id": 1, "name": "a", "field": {"kind": "link"}}], "next_id": 2},
        {"columns": [ID, {"id": 1, "name": "a", "field": "text"}], "next_id": 2},
        [],
    ],
)
def test_damaged_json_is_refused(stored: Any) -> None:
    with pytest.raises(InvalidInputError):
        Schema.from_json(stored)


def test_arrow_schemas_are_by_name_and_by_number() -> None:
    schema = Schema(id=Id(), title=Text(), embedding=Vector(2)).without_column("title").renamed("embedding", "e")

    assert schema.arrow_schema() == pa.schema([("id", pa.string()), ("e", pa.list_(pa.float32(), 2))])
    assert schema.storage_schema() == pa.schema([("f0", pa.string()), ("f2", pa.list_(pa.float32(), 2))])
    assert schema["e"].storage_name == "f2"


def test_schemas_are_equal_by_value_and_copy_by_every_means() -> None:
    schema = articles()
    schema.arrow_schema()

    assert schema == articles()
    assert schema != articles().with_column("draft", Bool())
    assert schema != "schema"
    assert pickle.loads(pickle.dumps(schema)) == schema
    assert copy.deepcopy(schema) == schema


def test_the_repr_reads_like_the_call() -> None:
    assert repr(Schema(id=Id(), e=Vector(2))) == (
        "Schema(id=Id(type='string'), e=Vector(dimension=2, dtype='float32', metric='cosine'))"
    )
