"""Filters as messages."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from vecdb.errors import InvalidInputError
from vecdb.filters.expression import MAX_LIST, MAX_NODES, And, Condition, Expression, FieldPath, Not, Operator, Or
from vecdb.wire.values import micros, moment, value_from_message, value_to_message, writable
from vecdb_proto.v1 import filter_pb2 as pb

MAX_VALUES = 100_000
"""The most values of all lists of one query's filters together."""

OPERATORS: dict[Operator, pb.Operator.ValueType] = {
    "=": pb.OPERATOR_EQUAL,
    "!=": pb.OPERATOR_NOT_EQUAL,
    "<": pb.OPERATOR_LESS,
    "<=": pb.OPERATOR_LESS_OR_EQUAL,
    ">": pb.OPERATOR_GREATER,
    ">=": pb.OPERATOR_GREATER_OR_EQUAL,
    "in": pb.OPERATOR_IN,
    "between": pb.OPERATOR_BETWEEN,
    "is null": pb.OPERATOR_IS_NULL,
    "contains": pb.OPERATOR_CONTAINS,
    "any of": pb.OPERATOR_ANY_OF,
    "all of": pb.OPERATOR_ALL_OF,
    "startswith": pb.OPERATOR_STARTSWITH,
    "matches": pb.OPERATOR_MATCHES,
    "within": pb.OPERATOR_WITHIN,
    "in box": pb.OPERATOR_IN_BOX,
}
_OPERATORS: dict[pb.Operator.ValueType, Operator] = {number: operator for operator, number in OPERATORS.items()}

_LARGEST = (1 << 63) - 1

_CACHED = 4_096
"""Filters of more bytes are rarely sent again and would fill the cache with their lists."""


def to_message(expression: Expression) -> pb.Filter:
    """Return a filter as a message.

    Raises:
        InvalidInputError: a text in it is not valid Unicode, or its lists are too long together.

    """
    message = pb.Filter()
    with writable():
        _write(expression, message)
    return message


def from_message(message: pb.Filter) -> Expression:
    """Return the filter of a message.

    Raises:
        InvalidInputError: it is none, or larger than filters may be; FilterSyntaxError is a kind of it.

    """
    return Reading().read(message)


class Reading:
    """The filters of one request being read, whose lists may be only so long together."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values = MAX_VALUES

    def read(self, message: pb.Filter) -> Expression:
        """Return the filter of a message.

        Raises:
            InvalidInputError: it is none, or larger than filters may be.

        """
        small = message.ByteSize() <= _CACHED
        tree, values = _cached(message.SerializeToString()) if small else _read(message, self.values)
        self.values -= values
        if self.values < 0:
            raise _too_many_values()
        return tree


@lru_cache(512)
def _cached(data: bytes) -> tuple[Expression, int]:
    """Return a small filter. The same one comes again and again, and reading it takes longer than a look here."""
    return _read(pb.Filter.FromString(data), MAX_VALUES)


def _read(message: pb.Filter, most: int) -> tuple[Expression, int]:
    """Return a filter and how many values it has, at most so many."""
    tree = _Tree(most)
    return tree.filter(message), most - tree.values


def _too_many_values() -> InvalidInputError:
    return InvalidInputError(f"the lists of all filters of a request have more than {MAX_VALUES} values together")


def optional_to_message(expression: Expression | None) -> pb.Filter | None:
    """Return a filter as a message, None for None."""
    return None if expression is None else to_message(expression)


def _write(expression: Expression, message: pb.Filter) -> None:
    if isinstance(expression, Condition):
        _write_condition(expression, message.condition)
    elif isinstance(expression, Not):
        message.connective = pb.CONNECTIVE_NOT
        _write(expression.part, message.parts.add())
    elif isinstance(expression, And | Or):
        message.connective = pb.CONNECTIVE_AND if isinstance(expression, And) else pb.CONNECTIVE_OR
        for part in expression.parts:
            _write(part, message.parts.add())
    else:
        raise InvalidInputError(f"{type(expression).__name__} is no filter that can be sent")


def _write_condition(condition: Condition, message: pb.Condition) -> None:
    message.field = condition.path.field
    for key in condition.path.keys:
        if isinstance(key, str):
            message.keys.add().name = key
        else:
            message.keys.add().position = key
    message.operator = OPERATORS[condition.operator]
    values: Any = condition.values
    kinds = set(condition.types)
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is str:
        message.texts.extend(values)
    elif kind is int and max(values) <= _LARGEST:
        message.integers.extend(values)
    elif kind is float:
        message.numbers.extend(values)
    elif kind is bool:
        message.booleans.extend(values)
    elif kind is not None and kind is not int:
        message.timestamps.extend(map(micros, values))
    else:
        message.mixed.extend(map(value_to_message, values))


class _Tree:
    """A filter being read. What it may hold is counted down before parts are looked at."""

    def __init__(self, values: int) -> None:
        self.nodes = MAX_NODES
        self.values = values

    def filter(self, message: pb.Filter) -> Expression:
        """Read one level."""
        connective, parts = message.connective, message.parts
        if not connective:
            condition = _condition(message)
            self.values -= len(condition.values)
            if self.values < 0:
                raise _too_many_values()
            return condition
        if message.HasField("condition"):
            raise InvalidInputError("a filter is both a condition and a connective of parts")
        self.nodes -= len(parts)
        if self.nodes < 0:
            raise InvalidInputError(f"the filter has more than {MAX_NODES} conditions and connectives")
        if connective == pb.CONNECTIVE_NOT:
            if len(parts) != 1:
                raise InvalidInputError(f"'not' negates one filter, found {len(parts)}")
            return Not(self.filter(parts[0]))
        if connective == pb.CONNECTIVE_AND:
            return And(tuple(map(self.filter, parts)))
        if connective == pb.CONNECTIVE_OR:
            return Or(tuple(map(self.filter, parts)))
        raise InvalidInputError(f"the connective {connective} of a filter is unknown: was it made by a newer vecdb?")


def _condition(message: pb.Filter) -> Condition:
    if message.parts or not message.HasField("condition"):
        raise InvalidInputError("a filter is neither a condition nor a connective of parts")
    condition = message.condition
    operator = _OPERATORS.get(condition.operator)
    if operator is None:
        raise InvalidInputError(
            f"the operator {condition.operator} of a filter is unknown: was it made by a newer vecdb?"
        )
    keys = tuple(map(_key, condition.keys)) if condition.keys else ()
    return Condition(FieldPath(condition.field, keys), operator, _values(condition))


def _key(message: pb.Key) -> str | int:
    kind = message.WhichOneof("kind")
    if kind is None:
        raise InvalidInputError("a step of a JSON path is neither a name nor a position")
    return getattr(message, kind)


def _values(condition: pb.Condition) -> tuple[Any, ...]:
    """Return the values of a condition, which stand in one of its lists."""
    given: list[tuple[Any, Any]] = []
    if condition.texts:
        given.append((condition.texts, None))
    if condition.integers:
        given.append((condition.integers, None))
    if condition.numbers:
        given.append((condition.numbers, None))
    if condition.booleans:
        given.append((condition.booleans, None))
    if condition.timestamps:
        given.append((condition.timestamps, moment))
    if condition.mixed:
        given.append((condition.mixed, value_from_message))
    if not given:
        return ()
    if len(given) > 1:
        raise InvalidInputError("the values of a condition stand in several lists: 'mixed' takes values of all types")
    ((values, read),) = given
    if len(values) > MAX_LIST:
        raise InvalidInputError(f"a list of a filter has {len(values)} values, more than {MAX_LIST}")
    return tuple(values) if read is None else tuple(map(read, values))
