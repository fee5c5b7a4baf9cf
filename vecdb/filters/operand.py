"""`col`: the door to filters from Python, `(col("size") > 3) & col("tags").contains("new")`.

The surprise: `==` on an `Operand` does not answer, it builds an Expression. So every way in which Python could
ask it a question by accident (`and`, `in`, a chain of comparisons, iteration) raises and says what to write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NoReturn

from vecdb.errors import InvalidInputError
from vecdb.filters.expression import Condition, Expression, FieldPath, Not, Operator
from vecdb.filters.values import shortened
from vecdb.schema.blame import printed

_DOTTED = re.compile(r"([^\W\d]\w*)((?:\.[^\W\d]\w*|\[-?[0-9]{1,9}\])*)")
_KEY = re.compile(r"\.([^\W\d]\w*)|\[(-?[0-9]+)\]")


class Operand:
    """The left side of a condition, made by `col`: comparing it gives an Expression.

    `==`, `!=`, `<`, `<=`, `>` and `>=` compare with one value. `[key]` leads into a json field.
    """

    __slots__ = ("path",)

    # Without it a NumPy scalar on the left would compare element by element and ask for the truth of the result.
    __array_ufunc__ = None

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # == builds a filter, so no set can hold it

    def __init__(self, path: FieldPath) -> None:
        """Keep the path."""
        self.path = path

    def __getitem__(self, key: str | int) -> Operand:
        return Operand(FieldPath(self.path.field, (*self.path.keys, key)))

    def __eq__(self, other: Any) -> Expression:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compared("=", other)

    def __ne__(self, other: Any) -> Expression:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compared("!=", other)

    def __lt__(self, other: Any) -> Expression:
        return self._compared("<", other)

    def __le__(self, other: Any) -> Expression:
        return self._compared("<=", other)

    def __gt__(self, other: Any) -> Expression:
        return self._compared(">", other)

    def __ge__(self, other: Any) -> Expression:
        return self._compared(">=", other)

    def isin(self, values: Iterable[Any]) -> Expression:
        """True where the value is one of values; with no values, nowhere."""
        return Condition(self.path, "in", _listed(values))

    def between(self, low: Any, high: Any) -> Expression:
        """True where low <= value <= high."""
        return Condition(self.path, "between", (low, high))

    def is_null(self) -> Expression:
        """True where there is no value; for a path, also where the path leads nowhere."""
        return Condition(self.path, "is null")

    def is_not_null(self) -> Expression:
        """True where there is a value."""
        return Not(self.is_null())

    def contains(self, value: Any) -> Expression:
        """True where the value is a list that has value as an element."""
        return Condition(self.path, "contains", (value,))

    def any_of(self, values: Iterable[Any]) -> Expression:
        """True where the value is a list that has at least one of values."""
        return Condition(self.path, "any of", _listed(values))

    def all_of(self, values: Iterable[Any]) -> Expression:
        """True where the value is a list that has every one of values; with no values, every list."""
        return Condition(self.path, "all of", _listed(values))

    def startswith(self, prefix: str) -> Expression:
        """True where the value is text that begins with prefix, compared letter by letter."""
        return Condition(self.path, "startswith", (prefix,))

    def matches(self, text: str) -> Expression:
        """True where a text field has the words of text, all of them: `col("body").matches("chess engine")`.

        `"in quotes"` words stand side by side, `OR` between words asks for either, `-word` for none, and `engin*`
        for a word that begins so. Words are compared as the field's search compares them: stems, without case.

        Raises:
            FilterSyntaxError: a quote or parenthesis is left open, or a sign stands where none belongs.

        """
        return Condition(self.path, "matches", (text,))

    def within(self, lat: float, lon: float, *, km: float) -> Expression:
        """True where a place is at most km kilometres from a point, by the shortest way on a sphere."""
        return Condition(self.path, "within", (lat, lon, km))

    def in_box(self, south: float, west: float, north: float, east: float) -> Expression:
        """True where a place lies between two latitudes and, going east from west, two longitudes, edges included.

        West may be larger than east: the box then crosses the line of 180 degrees.
        """
        return Condition(self.path, "in box", (south, west, north, east))

    def _compared(self, operator: Operator, other: object) -> Expression:
        if other is None:
            test = {"=": ".is_null()", "!=": ".is_not_null()"}.get(operator, ".is_null()")
            raise InvalidInputError(f"null compares with nothing: write col({str(self.path)!r}){test}")
        if isinstance(other, Operand):
            raise InvalidInputError(f"a filter compares a field with a value, not {self.path} with {other.path}")
        if isinstance(other, list | tuple | set | frozenset):
            raise InvalidInputError(
                f"{self.path} {operator} takes one value, found {shortened(printed(other))}: use .isin(...), or for"
                " lists .contains(...), .any_of(...), .all_of(...)"
            )
        return Condition(self.path, operator, (other,))  # pyright: ignore[reportArgumentType]

    def _not_a_filter(self, *_: object) -> NoReturn:
        raise InvalidInputError(
            f"{self.path} is a field, not a filter: compare it first, as in col({str(self.path)!r}) == True,"
            " and put parentheses around each comparison, as in (col('a') == 1) & (col('b') == 2)"
        )

    __and__ = __rand__ = __or__ = __ror__ = __invert__ = __bool__ = _not_a_filter

    def __iter__(self) -> NoReturn:
        raise InvalidInputError(f"{self.path} is a field of many rows and cannot be iterated over")

    def __contains__(self, value: object) -> NoReturn:
        raise InvalidInputError(f"write col({str(self.path)!r}).contains({value!r}) instead of 'in'")

    def __repr__(self) -> str:
        return f"col({str(self.path)!r})"


def col(name: str) -> Operand:
    """Name a field, or a path into a json field: `col("size")`, `col("extra.authors[0].name")`.

    A key that is no word is reached by brackets: `col("extra")["odd key"]`.

    Raises:
        InvalidInputError: name is not of this form.

    """
    match = _DOTTED.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise InvalidInputError(
            f"{shortened(printed(name))} is not a field name or a path such as 'extra.authors[0].name':"
            " reach other keys by brackets, as in col('extra')['odd key']"
        )
    keys = (key or int(position) for key, position in _KEY.findall(match[2]))
    return Operand(FieldPath(match[1], tuple(keys)))


def _listed(values: Iterable[Any]) -> tuple[Any, ...]:
    try:
        if not isinstance(values, str | bytes):
            return tuple(values)
    except TypeError:
        pass
    raise InvalidInputError(f"expected a list of values, found {shortened(printed(values))}", value=values)
