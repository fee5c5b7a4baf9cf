"""Conditions on paths into a json column.

Invariant: each row's text is parsed once, however many conditions look into it, and no parsed document outlives
its chunk.

Nothing in a document is an error: a path that leads nowhere, and a value of another type than the one compared
with, are null. Numbers compare with numbers whether whole or not, text with text, true and false with themselves;
a moment compares with text that is ISO 8601.
"""

from __future__ import annotations

import operator as operators
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import orjson
import pyarrow as pa

from vecdb.errors import CorruptionError, InvalidInputError
from vecdb.filters.expression import Condition
from vecdb.filters.values import Value, described, moment_from_text

JsonTest: TypeAlias = Callable[[list[Any]], Iterable[bool | None]]
"""From the values at the end of the path, one per row, to one answer per row; None is unknown."""

# Small enough that a chunk of documents dies before the garbage collector walks over it: three times as fast
# as a chunk of 4,096.
_CHUNK = 256

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
}

_NUMBER = (int, float)
_KINDS: dict[type, str] = {bool: "bool", int: "number", float: "number", str: "text", datetime: "moment"}


def json_test(condition: Condition) -> JsonTest:
    """Return the test of the values at the end of the condition's path.

    Raises:
        InvalidInputError: no JSON value has what is asked for, the condition orders by true or false, or mixes values
            that no value equals together.

    """
    operator, values = condition.operator, condition.values
    if operator == "is null":
        return lambda found: [value is None for value in found]
    if operator in ("matches", "within", "in box"):
        kind = "text" if operator == "matches" else "geo"
        raise InvalidInputError(
            f"'{operator}' does not look into JSON: it takes a field of kind {kind}",
            field=condition.path.field,
        )
    if operator in ("contains", "any of", "all of"):
        return _list_test(operator, values)
    if operator == "in":
        return _in_test(values)
    if operator == "startswith":
        prefix = str(values[0])
        return lambda found: [value.startswith(prefix) if type(value) is str else None for value in found]
    if operator == "between":
        low, high = values
        if _KINDS[type(low)] != _KINDS[type(high)]:
            raise InvalidInputError(
                f"{condition.path} between takes two values of one type, found {described(low)} and {described(high)}",
                field=condition.path.field,
            )
        _check_order(condition)
        return _typed(low, lambda value: low <= value <= high)
    if operator not in ("=", "!="):
        _check_order(condition)
    compare, wanted = _COMPARE[operator], values[0]
    return _typed(wanted, lambda value: compare(value, wanted))


def answers(texts: pa.Array, tests: Sequence[tuple[tuple[str | int, ...], JsonTest]], field: str) -> list[pa.Array]:
    """Return one boolean array per test, of the length of texts, from one reading of texts.

    texts is a string array of JSON documents; a null has no value at any path.

    Raises:
        CorruptionError: a text is not JSON; the message names field.

    """
    collected: list[list[bool | None]] = [[] for _ in tests]
    for start in range(0, len(texts), _CHUNK):
        documents = _parsed(texts.slice(start, _CHUNK), field)
        found: dict[tuple[str | int, ...], list[Any]] = {}
        for answer, (keys, test) in zip(collected, tests, strict=True):
            if keys not in found:
                found[keys] = _followed(documents, keys)
            answer.extend(test(found[keys]))
    return [pa.array(answer, pa.bool_()) for answer in collected]


def _parsed(texts: pa.Array, field: str) -> list[Any]:
    try:
        return [None if text is None else orjson.loads(text) for text in texts.to_numpy(zero_copy_only=False)]
    except orjson.JSONDecodeError as error:
        raise CorruptionError(f"the json field {field!r} holds text that is not JSON: {error}") from error


def _followed(documents: list[Any], keys: tuple[str | int, ...]) -> list[Any]:
    """Return what lies at the end of keys in each document, None where keys lead nowhere."""
    for key in keys:
        if isinstance(key, str):
            documents = [value.get(key) if type(value) is dict else None for value in documents]
        else:
            documents = [
                value[key] if type(value) is list and -len(value) <= key < len(value) else None for value in documents
            ]
    return documents


def _typed(wanted: Value, test: Callable[[Any], bool]) -> JsonTest:
    """Return test for the values that compare with wanted, None for all others."""
    kind = type(wanted)
    if kind in _NUMBER:
        return lambda found: [test(value) if type(value) in _NUMBER else None for value in found]
    if kind is datetime:
        return lambda found: [None if (moment := _moment(value)) is None else test(moment) for value in found]
    return lambda found: [test(value) if type(value) is kind else None for value in found]


def _in_test(values: tuple[Value, ...]) -> JsonTest:
    by_kind = _by_kind(values)
    moments = by_kind.get("moment")

    def test(value: Any) -> bool | None:
        known = by_kind.get(_KINDS.get(type(value), ""))
        answer = None if known is None else value in known
        if not answer and moments and (moment := _moment(value)) is not None:
            answer = moment in moments
        return answer

    if not values:
        return lambda found: [None if value is None else False for value in found]
    return lambda found: [test(value) for value in found]


def _list_test(operator: str, values: tuple[Value, ...]) -> JsonTest:
    wanted = {(_KINDS[type(value)], value) for value in values}
    with_moments = any(kind == "moment" for kind, _ in wanted)

    def elements(value: list[Any]) -> set[tuple[str, Any]]:
        present = {(kind, element) for element in value if (kind := _KINDS.get(type(element)))}
        if with_moments:
            present |= {("moment", moment) for element in value if (moment := _moment(element)) is not None}
        return present

    if operator == "all of":
        return lambda found: [wanted <= elements(value) if type(value) is list else None for value in found]
    return lambda found: [not wanted.isdisjoint(elements(value)) if type(value) is list else None for value in found]


def _by_kind(values: tuple[Value, ...]) -> dict[str, set[Value]]:
    groups: dict[str, set[Value]] = {}
    for value in values:
        groups.setdefault(_KINDS[type(value)], set()).add(value)
    return groups


def _moment(value: Any) -> datetime | None:
    if type(value) is not str:
        return None
    try:
        return moment_from_text(value)
    except ValueError:
        return None


def _check_order(condition: Condition) -> None:
    if any(isinstance(value, bool) for value in condition.values):
        raise InvalidInputError(
            f"true and false have no order: compare {condition.path} by = or !=, not by '{condition.operator}'",
            field=condition.path.field,
        )
