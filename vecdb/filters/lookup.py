"""A filter answered through the scalar indexes of a part: which rows make it true, or which make it false.

    rows of `not a` true   = rows of a false          rows of `a and b` true  = both true
    rows of `not a` false  = rows of a true           rows of `a and b` false = either false

So nothing is ever negated but conditions, and of these the rows that are false are those that are known and not true:
SQL's three-valued logic with two-valued arrays. The exact twin is evaluate.py, over columns; the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vecdb.filters.columns import element_tests, test_of
from vecdb.filters.expression import And, Condition, Expression, Not, Or
from vecdb.filters.intervals import intervals_of
from vecdb.filters.ordered import Ordered
from vecdb.filters.postings import Postings
from vecdb.filters.texts import TextWords
from vecdb.schema.arrays import true_of
from vecdb.schema.fields import Field, Text
from vecdb.schema.schema import Schema

Mask = NDArray[np.bool_]
ScalarIndex: TypeAlias = Ordered | Postings | TextWords

_WITH_INDEX = frozenset({"id", "keyword", "int64", "float64", "timestamp"})
"""Kinds of field that may have an index, beside the words of texts."""

_compute: Any = pc  # pyarrow builds its functions at import, where no type checker sees them


class Asked(Protocol):
    """A filter or a part of one, by its text and the columns that it names."""

    @property
    def key(self) -> str:
        """Its text."""
        ...

    @property
    def columns(self) -> frozenset[str]:
        """The names of the columns that it needs."""
        ...


class Source(Protocol):
    """The rows of one part of a collection, as filters see them."""

    @property
    def rows(self) -> int:
        """How many there are."""
        ...

    def column(self, name: str) -> pa.Array:
        """Return a column; of a vector field, which rows have a vector."""
        ...

    def take(self, name: str, rows: NDArray[np.int64]) -> pa.Array:
        """Return some rows of it."""
        ...

    def index(self, name: str) -> ScalarIndex | None:
        """Return the index of a column, made now if need be; None where there is none."""
        ...

    def has_words(self, name: str) -> bool:
        """Say whether the index of a text column's words is at hand and need not be made."""
        ...

    def check(self) -> None:
        """Return when the call that filters may go on; asked between slices of rows. Else it raises."""
        ...

    def remembered(self, asked: Asked) -> Mask | None:
        """Return the rows for which a filter, or a part of one, is true, not to be changed, if they are known."""
        ...

    def remember(self, asked: Asked, rows: Mask) -> None:
        """Keep these rows; they are not changed any more."""
        ...


Answer: TypeAlias = Callable[[Source], Mask]
"""Returns a new array, bool (n,)."""


def lookup(node: Expression, schema: Schema, truth: bool = True) -> Answer:
    """Return the function that says for which rows node, which fits the schema, is true, or false."""
    if isinstance(node, Not):
        return lookup(node.part, schema, not truth)
    if isinstance(node, And | Or):
        parts = [lookup(part, schema, truth) for part in node.parts]
        return _both(parts) if isinstance(node, And) is truth else _either(parts)
    assert isinstance(node, Condition)
    return _condition(node, schema, truth)


def _both(parts: list[Answer]) -> Answer:
    def answer(source: Source) -> Mask:
        found = parts[0](source)
        for part in parts[1:]:
            if not found.any():
                break
            found &= part(source)
        return found

    return answer


def _either(parts: list[Answer]) -> Answer:
    def answer(source: Source) -> Mask:
        found = parts[0](source)
        for part in parts[1:]:
            found |= part(source)
        return found

    return answer


def _condition(condition: Condition, schema: Schema, truth: bool) -> Answer:
    name = condition.path.field
    field = schema[name].field
    # Each is made at most once, and only if it is needed: a list may have thousands of values to be converted.
    test, question = cache(partial(test_of, condition, field)), cache(partial(_question, condition, field))
    has_index = condition.operator != "is null" and _indexed(condition, field)

    def answer(source: Source) -> Mask:
        index = source.index(name) if has_index else None
        if isinstance(index, TextWords) and not index.can_answer(str(condition.values[0])):
            index = None
        if index is None:
            answers = test()(source.column(name))
            return true_rows(answers if truth else _compute.invert(answers))
        found = question()(index)
        if truth:
            return found
        np.logical_not(found, out=found)
        if index.known is not None:
            found &= index.known
        return found

    return answer


def _indexed(condition: Condition, field: Field) -> bool:
    """Say whether an index of the field, if there is one, answers the condition."""
    return condition.operator == "matches" if isinstance(field, Text) else field.kind in _WITH_INDEX


def _question(condition: Condition, field: Field) -> Callable[[Any], Mask]:
    """Return what is asked of the index of a field."""
    if condition.operator == "matches":
        return lambda index: index.rows(str(condition.values[0]))
    intervals = intervals_of(condition, field)
    if intervals is not None:
        return lambda index: index.rows(intervals)
    if pa.types.is_list(field.arrow_type):
        tests = element_tests(condition.operator, condition.values)
        return lambda index: index.rows_of_all(tests)
    test = test_of(condition, field)
    return lambda index: index.rows(test)


def true_rows(answers: Any) -> Mask:
    """Return a writable array that is true where answers, a pa.BooleanArray with nulls, are."""
    return true_of(answers)
