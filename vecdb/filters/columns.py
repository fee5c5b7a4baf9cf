"""Conditions on typed columns, as functions from an Arrow array to a boolean Arrow array.

`test_of` does once per filter what does not depend on the data: it checks the operator and the values against
the field, converts them and picks the Arrow function. The function it returns is null exactly where the
column is null, except for `is null`.

The surprise: an integer column is compared with a float exactly, although Arrow would round the column to floats:
`size < 1.5` becomes `size < 2`, and a float column is compared with an integer that no float equals in the same way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vecdb.errors import InvalidInputError
from vecdb.filters import geo
from vecdb.filters.expression import Condition, Operator
from vecdb.filters.values import Value, described, moment_from_text, shortened, value_text
from vecdb.schema.arrays import array_of, bools_array, bools_of, numbers_of, scalar_of, true_of
from vecdb.schema.fields import Field, Geo, Keyword, Text, Vector
from vecdb.schema.known import VECTORS

Test: TypeAlias = Callable[[Any], Any]
"""From a pa.Array of the column to a pa.BooleanArray of the same length."""

_compute: Any = pc  # pyarrow builds its functions at import, where no type checker sees them

_EQUALITY: tuple[Operator, ...] = ("=", "!=", "in")
_ORDER: tuple[Operator, ...] = ("<", "<=", ">", ">=", "between")
_MEMBERS: tuple[Operator, ...] = ("contains", "any of", "all of")

_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")

_INT64 = (-(2**63), 2**63 - 1)


def test_of(condition: Condition, field: Field) -> Test:
    """Return the function that evaluates condition on a column of field, which is not a json field.

    For a vector field the array is not the vectors but booleans: true where the row has one.

    Raises:
        InvalidInputError: the operator does not apply to the field, or a value is of another type.

    """
    if condition.operator == "is null":
        return _compute.invert if field.kind in VECTORS else _compute.is_null
    kind = kind_of(field)
    _check_operator(condition, kind, field)
    if isinstance(field, Geo):
        return _place_test(condition)
    if condition.operator == "matches" and isinstance(field, Text):
        from vecdb.filters.matching import text_test  # loads numba, which other filters do without

        return text_test(str(condition.values[0]), field)
    values = list(condition.values)
    if not _AS_THEY_ARE[kind].issuperset(condition.types):
        values = [converted(value, kind, condition) for value in values]
    if kind == "list":
        return _list_test(condition.operator, values)
    if condition.operator == "startswith":
        return lambda array: _compute.starts_with(array, pattern=values[0])
    if condition.operator == "in":
        return _is_in(values, kind, field.arrow_type)
    if condition.operator == "between":
        low = _comparison(">=", values[0], kind, field.arrow_type)
        high = _comparison("<=", values[1], kind, field.arrow_type)
        return lambda array: _compute.and_(low(array), high(array))
    return _comparison(condition.operator, values[0], kind, field.arrow_type)


def kind_of(field: Field) -> str:
    """Return what the values of field are: like its kind, with ids and keywords seen as what they hold."""
    if isinstance(field, Keyword) and field.many:
        return "list"
    if isinstance(field, Vector | Geo):
        return field.kind
    return "text" if pa.types.is_string(field.arrow_type) else {"id": "int64"}.get(field.kind, field.kind)


_APPLY: dict[str, tuple[Operator, ...]] = {
    "text": (*_EQUALITY, *_ORDER, "startswith"),
    "int64": (*_EQUALITY, *_ORDER),
    "float64": (*_EQUALITY, *_ORDER),
    "timestamp": (*_EQUALITY, *_ORDER),
    "bool": _EQUALITY,
    "list": _MEMBERS,
    "vector": (),
    "sparse": (),
    "multivector": (),
    "geo": ("within", "in box"),
}

_AS_THEY_ARE: dict[str, set[type]] = {
    "text": {str},
    "list": {str},
    "int64": {int, float},
    "float64": {int, float},
    "bool": {bool},
    "timestamp": {datetime},
}
"""Values that need no conversion, which for thousands of them is felt."""

_NOUNS = {
    "text": "text",
    "int64": "integers",
    "float64": "numbers",
    "timestamp": "timestamps",
    "bool": "true or false",
    "list": "lists of text",
    "vector": "vectors",
    "sparse": "sparse vectors",
    "multivector": "multi-vectors",
    "geo": "places",
}


def _check_operator(condition: Condition, kind: str, field: Field) -> None:
    takes = (*_APPLY[kind], "matches") if isinstance(field, Text) else _APPLY[kind]
    if condition.operator in takes:
        return
    path, operator = condition.path, condition.operator
    if operator in ("matches", "within", "in box"):
        what = "words in a Text field" if operator == "matches" else "places of a Geo field"
        raise InvalidInputError(
            f"'{operator}' looks for {what}, and {path.field!r} is a field of kind {field.kind}"
            f" (it takes: {', '.join((*takes, 'is null'))})",
            field=path.field,
        )
    example = shortened(value_text(condition.values[0])) if condition.values else ""
    hint = ""
    if kind == "list" and operator in ("=", "startswith"):
        hint = f": {path} contains {example} looks for an element"
    elif kind == "list" and operator == "in":
        hint = f": {path} any of (...) looks for one of several elements"
    elif kind == "text" and operator == "contains":
        hint = f": it looks for elements of lists; {path} startswith {example} compares the beginning"
    elif kind == "text" and operator in ("any of", "all of"):
        hint = f": it looks for elements of lists; {path} in (...) compares with several values"
    operators = ", ".join((*takes, "is null"))
    raise InvalidInputError(
        f"'{operator}' does not apply to field {path.field!r}, which holds {_NOUNS[kind]}{hint}"
        f" (it takes: {operators})",
        field=path.field,
    )


def converted(value: Value, kind: str, condition: Condition) -> Value:
    """Return value as the column compares it; text becomes a moment where the column holds moments."""
    field = condition.path.field
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in ("text", "list") and isinstance(value, str):
        return value
    if kind in ("int64", "float64") and numeric:
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "timestamp" and isinstance(value, datetime):
        return value
    if kind == "timestamp" and isinstance(value, str):
        try:
            return moment_from_text(value)
        except ValueError:
            raise InvalidInputError(
                f"field {field!r} holds timestamps, and {described(value)} is not one in ISO 8601,"
                " such as '2024-05-01' or '2024-05-01T12:30:00Z'",
                field=field,
                value=value,
            ) from None
    raise InvalidInputError(
        f"field {field!r} holds {_NOUNS[kind]} and cannot be compared with {described(value)}{_hint(value, kind)}",
        field=field,
        value=value,
    )


def _hint(value: Value, kind: str) -> str:
    """Return how the value was probably meant, or nothing."""
    if kind in ("text", "list") and isinstance(value, int | float):
        return f": put it in quotes, '{value_text(value)}'"
    if kind in ("int64", "float64") and isinstance(value, str):
        return f": leave the quotes out, {value}" if _NUMBER.fullmatch(value) else ""
    if kind == "bool":
        return ": write true or false"
    if kind == "timestamp":
        return ": write it as in timestamp '2024-05-01T12:30:00Z'"
    return ""


def _place_test(condition: Condition) -> Test:
    numbers: Any = condition.values
    within = condition.operator == "within"

    def test(array: Any) -> Any:
        where = geo.degrees_of(array)
        return _null_where_null(array, geo.within(*where, *numbers) if within else geo.in_box(*where, *numbers))

    return test


def _comparison(operator: Operator, value: Value, kind: str, arrow_type: Any) -> Test:
    """Return `column operator value`; the order of texts is that of their code points."""
    exact: tuple[Operator, Value] | bool = (operator, value)
    if kind == "int64" and isinstance(value, int | float):
        exact = on_integers(operator, value)
    elif kind == "float64" and isinstance(value, int):
        exact = on_floats(operator, value)
    if isinstance(exact, bool):
        constant = exact
        return lambda array: _where_valid(array, constant)
    operator, value = exact
    name = {"=": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}
    function = getattr(_compute, name[operator])
    scalar = scalar_of(value, arrow_type)
    return lambda array: function(array, scalar)


def on_integers(operator: Operator, value: float) -> tuple[Operator, int] | bool:
    """Return the comparison with a 64-bit integer that holds for the same integers, or the answer for all."""
    whole = math.floor(value)
    if whole != value:
        if operator in ("=", "!="):
            return operator == "!="
        # Between whole and whole + 1 lies no integer, so both bounds say the same.
        operator = "<=" if operator in ("<", "<=") else ">"
    if whole < _INT64[0]:
        return operator in ("!=", ">", ">=")
    if whole > _INT64[1]:
        return operator in ("!=", "<", "<=")
    return operator, whole


def on_floats(operator: Operator, value: int) -> tuple[Operator, float] | bool:
    """Return the comparison with a float that holds for the same floats, or the answer for all."""
    nearest = float(value)
    if nearest != value:
        if operator in ("=", "!="):
            return operator == "!="
        # value lies beside nearest, and no float lies between the two.
        if operator in ("<", "<="):
            return ("<" if nearest > value else "<="), nearest
        return (">" if nearest < value else ">="), nearest
    return operator, nearest


def _is_in(values: Sequence[Value], kind: str, arrow_type: Any) -> Test:
    value_set = array_of(members_of(values, kind), arrow_type)

    def test(array: Any) -> Any:
        found = _compute.is_in(array, value_set=value_set)
        return found if array.null_count == 0 else _compute.if_else(_compute.is_valid(array), found, pa.NA)

    return test


def members_of(values: Sequence[Value], kind: str) -> Sequence[Value]:
    """Return those of values that a column of this kind can hold, as it holds them."""
    if kind == "int64":
        numbers = _numbers(values)
        if set(map(type, numbers)) == {int} and _fits(min(numbers)) and _fits(max(numbers)):
            return numbers
        return [int(value) for value in _numbers(values) if value == math.floor(value) and _fits(value)]
    if kind == "float64":
        # Arrow looks values up by their bits, in which the two zeros differ.
        floats = [float(value) for value in _numbers(values) if float(value) == value]
        return [*floats, 0.0, -0.0] if 0.0 in floats else floats
    return values


def _numbers(values: Sequence[Value]) -> list[int | float]:
    """Return the values of a condition on numbers, which were checked."""
    return cast("list[int | float]", values)


def _fits(value: float) -> bool:
    return _INT64[0] <= value <= _INT64[1]


def element_tests(operator: Operator, values: Sequence[Value]) -> list[Test]:
    """Return tests of the elements of lists, each of which must be passed by some element."""
    if operator == "any of" and len(set(values)) != 1:
        return [_is_in(values, "text", pa.string())]
    return [_comparison("=", value, "text", pa.string()) for value in dict.fromkeys(values)]


def _list_test(operator: Operator, values: list[Value]) -> Test:
    """Return the test of a list column; elements that are null equal nothing."""
    tests = element_tests(operator, values)

    def test(array: Any) -> Any:
        offsets = numbers_of(array.offsets)
        elements = array.values.slice(offsets[0], offsets[-1] - offsets[0])
        matched = np.ones(len(array), dtype=np.bool_)
        for element_test in tests:
            hit = true_of(element_test(elements))
            hits_before = np.concatenate(([0], np.cumsum(hit, dtype=np.int64)))
            matched &= np.diff(hits_before[offsets - offsets[0]]) > 0
        return _null_where_null(array, matched)

    return test


def _null_where_null(array: Any, answers: np.ndarray) -> Any:
    if array.null_count == 0:
        return bools_array(answers)
    return bools_array(answers, bools_of(array.is_null()))


def _where_valid(array: Any, answer: bool) -> Any:
    return _null_where_null(array, np.full(len(array), answer, dtype=np.bool_))
