"""Schemas, fields and indexes as messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, cast

from vecdb.errors import InvalidInputError
from vecdb.schema.fields import (
    Bool,
    Field,
    Float64,
    Geo,
    Id,
    Int64,
    Json,
    Keyword,
    Sparse,
    Text,
    Timestamp,
    Vector,
)
from vecdb.schema.fulltext import FullText
from vecdb.schema.indexes import Auto, Binary, Flat, Funnel, Hnsw, IndexSpec, Ivf, Muvera
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import COLUMNS, Schema
from vecdb.schema.space import Space
from vecdb.wire.values import writable
from vecdb_proto.v1 import schema_pb2 as pb

_BARE: dict[str, type[Field]] = {cls.kind: cls for cls in (Bool, Int64, Float64, Timestamp, Json, Geo)}
"""The kinds of field without attributes; their messages have their names."""


# -- schemas -----------------------------------------------------------------------------------------------------------


def to_message(schema: Schema) -> pb.Schema:
    """Return a schema as a message, without the encoders of its vectors."""
    with writable():
        columns = [
            pb.Column(id=column.id, name=column.name, field=field_to_message(column.field)) for column in schema.columns
        ]
        return pb.Schema(columns=columns, next_id=schema.next_id)


def from_message(message: pb.Schema) -> Schema:
    """Return the schema of a message.

    Raises:
        InvalidInputError: it is none.

    """
    if len(message.columns) > COLUMNS:
        raise InvalidInputError(f"a schema has at most {COLUMNS} fields, found {len(message.columns)}")
    columns = [
        {"id": column.id, "name": column.name, "field": field_from_message(column.field).to_json()}
        for column in message.columns
    ]
    return Schema.from_json({"columns": columns, "next_id": message.next_id})


def new_from_message(message: pb.Schema) -> Schema:
    """Return the schema of a message that asks for a new collection: names that are reserved now are refused.

    Raises:
        InvalidInputError: it is none, or a name is reserved.

    """
    schema = from_message(message)
    Schema(**schema.fields)  # refuses what a stored schema may have and a new one may not
    return schema


# -- fields ------------------------------------------------------------------------------------------------------------


def field_to_message(field: Field) -> pb.Field:
    """Return a field as a message, without its encoder."""
    message = pb.Field()
    if isinstance(field, Id):
        message.id.type = field.type
    elif isinstance(field, Text):
        message.text.SetInParent()
        if field.fulltext is not None:
            message.text.search.CopyFrom(fulltext_to_message(field.fulltext))
    elif isinstance(field, Keyword):
        message.keyword.SetInParent()
        message.keyword.many = field.many
    elif isinstance(field, Vector):
        space = None if field.space is None else space_to_message(field.space)
        message.vector.CopyFrom(
            pb.VectorField(
                dimension=field.dimension,
                dtype=field.dtype,
                metric=field.metric,
                index=index_to_message(field.spec),
                source=field.source,
                space=space,
            )
        )
    elif isinstance(field, Sparse):
        space = None if field.space is None else space_to_message(field.space)
        message.sparse.CopyFrom(pb.SparseField(dimension=field.dimension, space=space))
    elif isinstance(field, MultiVector):
        message.multivector.CopyFrom(_multivector_message(field))
    elif field.kind in _BARE:
        getattr(message, field.kind).SetInParent()
    else:
        raise InvalidInputError(f"{type(field).__name__} is no field that can be sent")
    return message


def field_from_message(message: pb.Field) -> Field:
    """Return the field of a message.

    Raises:
        InvalidInputError: it is none.

    """
    kind = message.WhichOneof("kind")
    if kind in _BARE:
        return _BARE[kind]()
    if kind == "id":
        return Id(cast("Any", message.id.type))
    if kind == "text":
        return Text(fulltext_from_message(message.text.search) if message.text.HasField("search") else False)
    if kind == "keyword":
        return Keyword(message.keyword.many)
    if kind == "vector":
        return _vector(message.vector)
    if kind == "multivector":
        return _multivector(message.multivector)
    if kind == "sparse":
        sparse = message.sparse
        return Sparse(
            sparse.dimension if sparse.HasField("dimension") else None,
            space=space_from_message(sparse.space) if sparse.HasField("space") else None,
        )
    raise InvalidInputError("a field is of no known kind: was the request made by a newer vecdb?")


def _vector(message: pb.VectorField) -> Vector:
    return Vector(
        message.dimension,
        cast("Any", message.dtype),
        cast("Any", message.metric),
        index_from_message(message.index) if message.HasField("index") else Auto(),
        source=message.source if message.HasField("source") else None,
        space=space_from_message(message.space) if message.HasField("space") else None,
    )


def _multivector_message(field: MultiVector) -> pb.MultiVectorField:
    return pb.MultiVectorField(
        dimension=field.dimension,
        dtype=field.dtype,
        pool_factor=field.pool_factor,
        pooling=field.pooling,
        protect=field.protect,
        fixed=field.fixed,
        normalise=field.normalise,
        index=index_to_message(field.spec),
        source=field.source,
        space=None if field.space is None else space_to_message(field.space),
    )


def _multivector(message: pb.MultiVectorField) -> MultiVector:
    return MultiVector(
        message.dimension,
        cast("Any", message.dtype),
        message.pool_factor,
        cast("Any", message.pooling),
        message.protect,
        message.fixed if message.HasField("fixed") else None,
        message.normalise,
        index_from_message(message.index) if message.HasField("index") else Auto(),
        source=message.source if message.HasField("source") else None,
        space=space_from_message(message.space) if message.HasField("space") else None,
    )


def fulltext_to_message(spec: FullText) -> pb.FullText:
    """Return how a text is searched as a message."""
    message = pb.FullText(
        language=spec.language, k1=spec.k1, b=spec.b, positions=spec.positions, shortest=spec.shortest
    )
    if isinstance(spec.stop_words, bool):
        message.usual_stop_words = spec.stop_words
    else:
        message.stop_words.CopyFrom(pb.FullText.Words(words=spec.stop_words))
    return message


def fulltext_from_message(message: pb.FullText) -> FullText:
    """Return how a text is searched.

    Raises:
        InvalidInputError: a value is out of range.

    """
    named = message.WhichOneof("stop") == "stop_words"
    return FullText(
        message.language if message.HasField("language") else None,
        list(message.stop_words.words) if named else message.usual_stop_words,
        message.k1,
        message.b,
        message.positions,
        message.shortest,
    )


def space_to_message(space: Space) -> pb.Space:
    """Return a space as a message."""
    return pb.Space(
        model=space.model,
        dimension=space.dimension,
        normalized=space.normalized,
        weights=space.weights,
        version=space.version,
        pooling=space.pooling,
        query_prompt=space.query_prompt,
        document_prompt=space.document_prompt,
    )


def space_from_message(message: pb.Space) -> Space:
    """Return the space of a message.

    Raises:
        InvalidInputError: it has no model.

    """
    perhaps = {
        name: getattr(message, name) if message.HasField(name) else None for name in ("weights", "version", "pooling")
    }
    return Space(
        message.model,
        message.dimension,
        message.normalized,
        query_prompt=message.query_prompt,
        document_prompt=message.document_prompt,
        **perhaps,
    )


# -- indexes -----------------------------------------------------------------------------------------------------------


def index_to_message(index: IndexSpec) -> pb.Index:
    """Return a kind of index as a message."""
    message = pb.Index()
    if isinstance(index, Hnsw):
        message.hnsw.CopyFrom(pb.HnswIndex(**{part.name: getattr(index, part.name) for part in fields(index)}))
    elif isinstance(index, Ivf):
        message.ivf.CopyFrom(pb.IvfIndex(lists=index.lists, codes=index.codes))
    elif isinstance(index, Funnel):
        message.funnel.CopyFrom(pb.FunnelIndex(dimensions=index.dimensions, rotate=index.rotate))
    elif isinstance(index, Muvera):
        message.muvera.CopyFrom(pb.MuveraIndex(**{part.name: getattr(index, part.name) for part in fields(index)}))
    elif isinstance(index, Auto | Flat | Binary):
        getattr(message, index.kind).SetInParent()
    else:
        raise InvalidInputError(f"{type(index).__name__} is no index that can be sent")
    return message


_INDEXES: dict[str | None, Callable[[pb.Index], IndexSpec]] = {
    "auto": lambda _: Auto(),
    "flat": lambda _: Flat(),
    "binary": lambda _: Binary(),
    "hnsw": lambda message: Hnsw(
        message.hnsw.m,
        message.hnsw.ef_construction,
        message.hnsw.codes if message.hnsw.HasField("codes") else None,
        message.hnsw.slack if message.hnsw.HasField("slack") else None,
    ),
    "ivf": lambda message: Ivf(
        message.ivf.lists if message.ivf.HasField("lists") else None,
        message.ivf.codes,
    ),
    "funnel": lambda message: Funnel(
        message.funnel.dimensions if message.funnel.HasField("dimensions") else None, message.funnel.rotate
    ),
    "muvera": lambda message: _muvera(message.muvera),
}


def _muvera(message: pb.MuveraIndex) -> Muvera:
    chosen = {"repetitions", "bits", "projection", "final", "lists"}
    names = [part.name for part in fields(Muvera)]
    given: dict[str, Any] = {
        n: getattr(message, n) for n in names if n not in chosen or message.HasField(cast("Any", n))
    }
    given["codes"] = message.codes or None
    return Muvera(**given)


def index_from_message(message: pb.Index) -> IndexSpec:
    """Return the kind of index of a message.

    Raises:
        InvalidInputError: it is none, or a parameter is out of range.

    """
    read = _INDEXES.get(message.WhichOneof("kind"))
    if read is None:
        raise InvalidInputError("an index is of no known kind: was the request made by a newer vecdb?")
    return read(message)
