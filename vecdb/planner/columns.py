"""The columns that a query names, and what it brings for them: checked, and refused where they are of another kind."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import numpy as np

from vecdb.arguments import check_terms, query_matrix
from vecdb.errors import InvalidInputError
from vecdb.filters.evaluate import BoundFilter, bind
from vecdb.filters.expression import Expression
from vecdb.planner.bound import Encode
from vecdb.planner.tokens import question_of
from vecdb.query.matrix import Matrix
from vecdb.query.value import Numbers, shown
from vecdb.query.weights import Weights
from vecdb.schema.fields import Sparse, Text, Vector
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column, Schema
from vecdb.text_search import text_column as searched
from vecdb_index.multivector.maxsim import Question

_COMPARABLE = frozenset(("id", "text", "keyword", "bool", "int64", "float64", "timestamp"))


def returned(fields: tuple[str, ...] | None, schema: Schema) -> tuple[Column, ...]:
    """Return the columns of a hit's fields: all but the id and the vectors where none are named."""
    if fields is None:
        return schema.shown
    wanted = [schema[name] for name in dict.fromkeys(fields)]
    return tuple(column for column in wanted if column.field.kind != "id")


@lru_cache(256)
def bound_filter(expression: Expression, schema: Schema) -> BoundFilter:
    """Return a filter checked against the fields. The same one comes again and again."""
    return bind(expression, schema)


def vector_column(schema: Schema, name: str) -> Column[Vector]:
    """Return a vector column by its name.

    Raises:
        UnknownFieldError: there is no such field.
        InvalidInputError: it is of another kind.

    """
    column = schema[name]
    if column.field.kind != "vector":
        known = ", ".join(repr(each.name) for each in schema.vectors) or "none"
        raise InvalidInputError(f"field {name!r} is {column.field.kind}, not a vector (there are: {known})", field=name)
    return cast("Column[Vector]", column)


def text_column(schema: Schema, name: str) -> Column[Text]:
    """Return a text column that is searched by words, by its name.

    Raises:
        UnknownFieldError: there is no such field.
        InvalidInputError: it is of another kind, or not searched by words.

    """
    column = searched(schema, {name: None})
    if column is None:
        kind = schema[name].field.kind
        raise InvalidInputError(f"field {name!r} is {kind}, words are matched in texts", field=name)
    return column


def sparse_column(schema: Schema, name: str) -> Column[Sparse]:
    """Return a column of sparse vectors by its name.

    Raises:
        UnknownFieldError: there is no such field.
        InvalidInputError: it is of another kind.

    """
    column = schema[name]
    if not isinstance(column.field, Sparse):
        known = ", ".join(repr(each.name) for each in schema.sparse) or "none"
        raise InvalidInputError(f"field {name!r} is {column.field.kind}, not sparse (there are: {known})", field=name)
    return cast("Column[Sparse]", column)


def comparable(schema: Schema, name: str, what: str, many: bool = False) -> Column:
    """Return a column whose values have an order, or an equality, by its name; `what` wants to use it.

    Raises:
        UnknownFieldError: there is no such field.
        InvalidInputError: its values are not compared.

    """
    column = schema[name]
    kind: Any = column.field.kind
    lists = bool(getattr(column.field, "many", False))
    if kind not in _COMPARABLE or (lists and not many):
        told = "a list" if lists else kind
        raise InvalidInputError(f"{what} cannot use field {name!r}, which is {told}", field=name)
    return column


def check_ids(schema: Schema, ids: tuple[str | int, ...]) -> None:
    """Refuse ids that no row of the schema can have."""
    column = schema.id
    expected = str if column.field.type == "string" else int
    for one in ids:
        if isinstance(one, str):
            usable = expected is str and one.encode("utf-8", "replace").decode() == one
        else:
            usable = expected is int and -(1 << 63) <= one < 1 << 63
        if not usable:
            raise InvalidInputError(
                f"{shown(one)} is no id: they are {column.field.type}", field=column.name, value=one
            )


def terms_of(column: Column[Sparse], asked: Weights | str, encode: Encode) -> tuple[np.ndarray, np.ndarray]:
    """Return the terms that are sought in a column, and their weights."""
    if isinstance(asked, str):
        return encode(column, asked)
    check_terms(column, asked)
    return asked.terms, asked.weights


def tokens_of(
    column: Column[MultiVector], tokens: Matrix | str, weights: tuple[float, ...] | None, encode: Encode
) -> Question:
    """Return the tokens that are sought in a column."""
    return question_of(column, encode(column, tokens) if isinstance(tokens, str) else tokens, weights)


def vector_of(column: Column[Vector], vector: Numbers | str, encode: Encode) -> np.ndarray:
    """Return the vector that is sought in a column, as a matrix of one row."""
    if isinstance(vector, str):
        return query_matrix(column, encode(column, vector), 1)
    return query_matrix(column, vector.array, 1)
