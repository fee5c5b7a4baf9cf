import pytest

import vecdb
from vecdb.errors import InvalidInputError
from vecdb.schema.indexes import INDEXES
from vecdb.schema.known import KINDS
from vecdb.wire import schemas
from vecdb_proto.v1 import schema_pb2 as pb


def test_every_kind_of_field_and_index_has_a_message() -> None:
    assert {field.name for field in pb.Field.DESCRIPTOR.oneofs_by_name["kind"].fields} == set(KINDS)
    assert {field.name for field in pb.Index.DESCRIPTOR.oneofs_by_name["kind"].fields} == set(INDEXES)


def test_every_attribute_of_a_field_and_an_index_has_a_place() -> None:
    """What a message leaves out would be lost without a word: the encoder is, on purpose."""
    from dataclasses import fields

    for kinds, whole in ((KINDS, pb.Field), (INDEXES, pb.Index)):
        for kind, cls in kinds.items():
            message = whole.DESCRIPTOR.fields_by_name[kind].message_type
            assert message is not None
            assert {part.name for part in fields(cls)} - {"encoder"} == {field.name for field in message.fields}


def test_an_encoder_stays_where_it_is() -> None:
    encoder = vecdb.Encoder(lambda texts: [[0.0] * 3 for _ in texts], "thirds")
    field = vecdb.Vector(3, encoder=encoder, source="text")

    found = schemas.field_from_message(schemas.field_to_message(field))

    assert found == field.described()
    assert isinstance(found, vecdb.Vector)
    assert found.encoder is None
    assert found.space == field.space


def test_numbers_of_columns_arrive_also_where_some_were_dropped() -> None:
    schema = vecdb.Schema(id=vecdb.Id(), a=vecdb.Int64(), b=vecdb.Text()).without_column("a")

    found = schemas.new_from_message(schemas.to_message(schema))

    assert found == schema
    assert [column.id for column in found] == [0, 2]
    assert found.next_id == 3


def test_a_stored_name_that_is_reserved_now_arrives_and_a_new_one_is_refused() -> None:
    message = schemas.to_message(vecdb.Schema(id=vecdb.Id(), a=vecdb.Int64()))
    message.columns[1].name = "where"

    assert "where" in schemas.from_message(message)
    with pytest.raises(InvalidInputError, match="a word of search itself"):
        schemas.new_from_message(message)


ID = pb.Column(id=0, name="id", field=pb.Field(id=pb.IdField(type="string")))


def vector(**parts: object) -> pb.Field:
    given = {"dimension": 8, "dtype": "float32", "metric": "cosine"} | parts
    return pb.Field(vector=pb.VectorField(**given))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (pb.Field(), "no known kind"),
        (pb.Field(id=pb.IdField(type="uuid")), "type 'uuid'"),
        (vector(dimension=0), "dimension 0"),
        (vector(dimension=2**32 - 1), "dimension 4294967295"),
        (vector(dtype="float64"), "dtype 'float64'"),
        (vector(metric=""), "metric ''"),
        (vector(metric="hamming"), "does not go with"),
        (vector(index=pb.Index()), "an index is of no known kind"),
        (vector(index=pb.Index(hnsw=pb.HnswIndex())), "m of index 'hnsw'"),
        (vector(index=pb.Index(ivf=pb.IvfIndex(codes="x"))), "codes 'x'"),
        (vector(source="text"), "needs an encoder"),
        (vector(space=pb.Space()), "does not describe a space"),
        (vector(space=pb.Space(model="m", dimension=9)), "not one of 8 values"),
        (pb.Field(sparse=pb.SparseField(dimension=0)), "dimension 0"),
        (pb.Field(sparse=pb.SparseField(dimension=2**33)), "dimension 8589934592"),
        (pb.Field(text=pb.TextField(search=pb.FullText())), "shortest is 0"),
        (pb.Field(text=pb.TextField(search=pb.FullText(shortest=1, k1=float("nan")))), "k1 is nan"),
        (pb.Field(text=pb.TextField(search=pb.FullText(shortest=1, language="klingon"))), "language 'klingon'"),
    ],
)
def test_a_message_that_is_no_field_is_refused(field: pb.Field, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        schemas.field_from_message(field)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (pb.Schema(), "exactly one field of kind Id"),
        (pb.Schema(columns=[ID], next_id=0), "already used"),
        (pb.Schema(columns=[ID, ID], next_id=5), "repeat"),
        (pb.Schema(columns=[ID] * 1025, next_id=5), "at most 1024 fields"),
        (pb.Schema(columns=[pb.Column(name="a b", field=ID.field)], next_id=5), "malformed"),
    ],
)
def test_a_message_that_is_no_schema_is_refused(message: pb.Schema, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        schemas.from_message(message)
