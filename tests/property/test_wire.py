"""What is sent is what arrives; and whatever arrives is a value or an InvalidInputError."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from support import wired
from vecdb import errors
from vecdb.errors import InvalidInputError
from vecdb.filters import Expression
from vecdb.query.formula import Formula
from vecdb.query.query import Query
from vecdb.schema.fields import Field
from vecdb.schema.schema import Schema
from vecdb.wire import errors as wire_errors
from vecdb.wire import filters, formulas, queries, reports, results, rows, schemas, values
from vecdb_proto.v1 import filter_pb2, formula_pb2, query_pb2, result_pb2, schema_pb2, search_service_pb2, values_pb2

M = TypeVar("M", bound=Message)


def sent(message: M) -> M:
    """Return a message as it comes out at the other end."""
    return type(message).FromString(message.SerializeToString())


@given(wired.scalars | st.floats())
def test_a_scalar_arrives_as_it_was(value: Any) -> None:
    found = values.value_from_message(sent(values.value_to_message(value)))

    assert type(found) is type(value)
    assert found == value or (math.isnan(found) and math.isnan(value))


@given(wired.filters)
def test_a_filter_arrives_as_it_was(tree: Expression) -> None:
    assert filters.from_message(sent(filters.to_message(tree))) == tree


@given(wired.formulas)
def test_a_formula_arrives_as_it_was(formula: Formula) -> None:
    assert formulas.from_message(sent(formulas.to_message(formula))) == formula


@given(wired.queries)
def test_a_query_arrives_as_it_was(query: Query) -> None:
    assert queries.from_message(sent(queries.to_message(query))) == query


@given(wired.fields)
def test_a_field_arrives_as_it_was(field: Field) -> None:
    assert schemas.field_from_message(sent(schemas.field_to_message(field))) == field


@given(wired.schemas)
def test_a_schema_arrives_as_it_was(schema: Schema) -> None:
    assert schemas.from_message(sent(schemas.to_message(schema))) == schema
    assert schemas.new_from_message(sent(schemas.to_message(schema))) == schema


@given(st.lists(st.integers(-(2**63), 2**63 - 1)) | st.lists(st.text()))
def test_ids_arrive_as_they_were(ids: list[Any]) -> None:
    kind = "int64" if ids and isinstance(ids[0], int) else "string"

    assert values.ids_from_message(sent(values.ids_to_message(ids, kind))) == ids


@given(
    st.sampled_from([errors.InvalidInputError, errors.UnknownFieldError, errors.DuplicateIdError]),
    st.text(max_size=100),
    st.none() | st.text(max_size=50),
    st.none() | st.integers(0, 2**40),
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=50),
    st.lists(st.text(max_size=50), max_size=3),
)
def test_an_error_arrives_as_it_was(
    kind: type[InvalidInputError], text: str, field: str | None, row: int | None, value: Any, notes: list[str]
) -> None:
    error = kind(text, field=field, row=row, value=value)
    for note in notes:
        error.add_note(note)

    found = wire_errors.from_message(sent(wire_errors.to_message(error)))

    assert type(found) is kind
    assert str(found) == text
    assert vars(found) == vars(error)


READERS: list[tuple[type[Message], Callable[[Any], Any], Callable[[Any], Any] | None]] = [
    (query_pb2.Query, queries.from_message, queries.to_message),
    (filter_pb2.Filter, filters.from_message, filters.to_message),
    (formula_pb2.Formula, formulas.from_message, formulas.to_message),
    (schema_pb2.Schema, schemas.from_message, schemas.to_message),
    (schema_pb2.Field, schemas.field_from_message, schemas.field_to_message),
    (schema_pb2.Index, schemas.index_from_message, schemas.index_to_message),
    (schema_pb2.FullText, schemas.fulltext_from_message, schemas.fulltext_to_message),
    (schema_pb2.Space, schemas.space_from_message, schemas.space_to_message),
    (values_pb2.Value, values.value_from_message, None),
    (values_pb2.Ids, values.ids_from_message, None),
    (values_pb2.Vector, lambda message: values.vector_from_message(message, "a"), None),
    (values_pb2.Matrix, lambda message: values.matrix_from_message(message, "a"), None),
    (values_pb2.Rows, rows.from_message, None),
    (result_pb2.SearchResult, lambda message: read_whole(results.from_message(message)), None),
    (result_pb2.SearchResults, lambda message: list(map(read_whole, results.alike_from_message(message))), None),
    (result_pb2.Facets, lambda message: repr(reports.facets_from_message(message)), None),
    (result_pb2.Explanation, lambda message: reports.explanation_from_message(message, Query()).steps, None),
    (result_pb2.Highlight, reports.highlight_from_message, None),
    (result_pb2.RecallReport, reports.recall_from_message, None),
    (result_pb2.TuneReport, reports.tune_from_message, None),
    (result_pb2.CheckReport, reports.check_from_message, None),
    (
        search_service_pb2.FacetsRequest,
        lambda message: reports.facet_fields_from_message(message.fields),
        None,
    ),
]


def read_whole(result: Any) -> Any:
    """Look at everything that a result has."""
    return (list(result), result.to_arrow(), result.groups, result.cursor, result.explain, result.missing)


@pytest.mark.parametrize(("kind", "read", "write"), READERS, ids=[kind.DESCRIPTOR.name for kind, _, _ in READERS])
@settings(max_examples=50)
@given(data=st.data())
def test_any_content_is_a_value_that_can_be_sent_on_or_an_input_error(
    kind: type[Message], read: Callable[[Any], Any], write: Callable[[Any], Any] | None, data: st.DataObject
) -> None:
    message = data.draw(wired.any_of(kind.DESCRIPTOR, 4))
    try:
        value = read(message)
    except InvalidInputError:
        return

    if write is not None:
        assert read(sent(write(value))) == value


CHANGED: list[tuple[str, st.SearchStrategy[Message]]] = [
    ("Query", wired.queries.map(queries.to_message)),
    ("Filter", wired.filters.map(filters.to_message)),
    ("Formula", wired.formulas.map(formulas.to_message)),
    ("Schema", wired.schemas.map(schemas.to_message)),
]


@pytest.mark.parametrize(("name", "messages"), CHANGED, ids=[name for name, _ in CHANGED])
@given(data=st.data())
def test_a_changed_message_is_a_value_that_can_be_sent_on_or_an_input_error(
    name: str, messages: st.SearchStrategy[Message], data: st.DataObject
) -> None:
    read, write = next((read, write) for kind, read, write in READERS if kind.DESCRIPTOR.name == name)
    assert write is not None
    message = data.draw(wired.changed(messages))
    try:
        value = read(message)
    except InvalidInputError:
        return

    assert read(sent(write(value))) == value


@pytest.mark.parametrize(("kind", "read", "write"), READERS, ids=[kind.DESCRIPTOR.name for kind, _, _ in READERS])
@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_an_input_error(
    kind: type[Message], read: Callable[[Any], Any], write: Callable[[Any], Any] | None, content: bytes
) -> None:
    try:
        read(values.read(kind, content))
    except InvalidInputError:
        return


@given(wired.queries, st.data())
def test_a_query_with_wrong_bytes_is_a_query_or_an_input_error(query: Query, data: st.DataObject) -> None:
    content = bytearray(queries.to_message(query).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))

    try:
        queries.from_message(values.read(query_pb2.Query, bytes(content)))
    except InvalidInputError:
        return
