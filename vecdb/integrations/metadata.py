"""Metadata of documents: values of any shape, stored as JSON, and filters of two-valued logic over them.

The frameworks' filters know no unknown: a document without a number is different from 3, and so is one whose number is
a text. A condition is therefore built with its complement, which holds wherever the condition itself does not.
"""

from __future__ import annotations

import operator as operators
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Any, Literal

from vecdb.filters import col
from vecdb.filters.expression import Expression
from vecdb.filters.operand import Operand

ID = "id"
TEXT = "text"
METADATA = "metadata"
EMBEDDING = "embedding"
OWN_FIELDS = (ID, TEXT, METADATA, EMBEDDING)
"""The fields of every collection of documents; whatever else it has are metadata in columns of their own."""

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in", "contains", "any", "all", "matches", "exists"]

_HOLDS: dict[Operator, Callable[[Operand, Any], Expression]] = {
    "==": operators.eq,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
    "in": Operand.isin,
    "contains": Operand.contains,
    "any": Operand.any_of,
    "all": Operand.all_of,
    "matches": Operand.matches,
}
_NEGATED: dict[Operator, Operator] = {"!=": "==", "not in": "in"}


class Metadata:
    """Builds filters over the metadata in a collection of documents."""

    def __init__(self, columns: Iterable[str]) -> None:
        """Take the keys that have a column of their own."""
        self.columns = frozenset(columns)

    def condition(self, keys: Sequence[str | int], operator: Operator, value: Any, negated: bool = False) -> Expression:
        """Return the filter of documents whose value fulfils a condition, or with negated of all others.

        Args:
            keys: the key of the metadata, and those inside its value.
            operator: "exists" takes no value; a value that is missing or null does not exist.
            value: what is compared with; None under "==" and "!=" asks for existence.
            negated: the complement, exactly.

        """
        if keys[0] in self.columns:
            return condition(col(str(keys[0])), operator, value, negated)
        path = reduce(lambda operand, key: operand[key], keys, col(METADATA))
        return condition(path, operator, value, negated, kinds=True)

    def empty(self, key: str, negated: bool = False) -> Expression:
        """Return the filter of documents without a value or with an empty list, or with negated of all others."""
        if key in self.columns:
            return self.condition([key], "exists", None, not negated)
        path = col(METADATA)[key]
        if negated:
            return either([*_of_other_kinds(path, "contains", None), path[0].is_not_null()])
        return path.is_null() | (path.all_of([]) & path[0].is_null())


def condition(
    operand: Operand, operator: Operator, value: Any, negated: bool = False, kinds: bool = False
) -> Expression:
    """Return the filter of rows that fulfil a condition, or with negated of all others.

    Args:
        operand: a field, or a path into a JSON field.
        operator: see `Metadata.condition`.
        value: what is compared with.
        negated: the complement, exactly.
        kinds: the values may be of any kind, as those of JSON.

    """
    if operator in _NEGATED:
        operator, negated = _NEGATED[operator], not negated
    if operator == "==" and value is None:
        operator, negated = "exists", not negated
    if operator == "exists":
        return operand.is_null() if negated else operand.is_not_null()
    holds = _HOLDS[operator](operand, value)
    if not negated:
        return holds
    return either([~holds, operand.is_null(), *(_of_other_kinds(operand, operator, value) if kinds else ())])


def both(parts: Iterable[Expression]) -> Expression:
    """Return the filter of what passes all of one or more filters."""
    return reduce(lambda left, right: left & right, parts)


def either(parts: Iterable[Expression]) -> Expression:
    """Return the filter of what passes one of one or more filters."""
    return reduce(lambda left, right: left | right, parts)


def everything() -> Expression:
    """Return the filter that all documents pass."""
    return col(ID).is_not_null()


def nothing() -> Expression:
    """Return the filter that no document passes."""
    return col(ID).isin([])


def _of_other_kinds(operand: Operand, operator: Operator, value: Any) -> list[Expression]:
    """Return conditions that hold for JSON values which a value is not compared with: to the filter they are unknown.

    An object inside is of no kind, and so in neither a condition nor its complement.
    """
    kinds = {
        str: operand.startswith(""),
        float: (operand < 0) | (operand >= 0),
        bool: operand.isin([True, False]),
        list: operand.all_of([]),
    }
    if operator in ("contains", "any", "all"):
        compared = {list}
    else:
        compared = {_kind(one) for one in (value if operator == "in" else [value])}
    return [holds for kind, holds in kinds.items() if kind not in compared]


def _kind(value: Any) -> type:
    """Return which kind of JSON value is compared with one; a moment is compared with texts."""
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, int | float) else str


def moment(text: str) -> datetime | None:
    """Return the moment that a text in ISO 8601 names, in UTC where it names no zone; None where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
