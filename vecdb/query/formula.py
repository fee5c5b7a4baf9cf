"""Formulas: a score made of the score, of fields and of how near they are to something, as a typed expression.

    from vecdb import formula as f

    f.score * 0.7 + f.decay("added", origin="2026-01-01", scale="30d") * 0.3 + f.when("section = 'games'", 0.1)

Built with Python's operators from `score`, `value`, `arm`, `decay`, `when` and the functions below, and written as
nested lists, `["+", ["*", "score", 0.7], ...]`. A formula is a value: it is immutable, and equal ones compare equal.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from vecdb.errors import InvalidInputError
from vecdb.query.value import filter_of, shown
from vecdb.schema.fields import LATITUDES, LONGITUDES
from vecdb.schema.given import choice, finite
from vecdb.schema.timestamps import timestamp_micros

if TYPE_CHECKING:
    from vecdb.filters import Expression

DEPTH = 32
"""The most levels of a formula."""
NODES = 256
"""The most parts of a formula."""
OPERATORS = "+", "-", "*", "/", "min", "max", "pow"
FUNCTIONS = "log1p", "sqrt", "abs", "exp", "neg"
SHAPES = "exp", "gauss", "linear"
NOW = "now"
"""The origin of a decay that means the moment at which the query runs."""

_UNITS = {"km": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(km|[smhdw])\s*")


@dataclass(frozen=True)
class Formula:
    """Base of all parts of a formula; combine with + - * / and **."""

    depth: ClassVar[int] = 1
    nodes: ClassVar[int] = 1

    def __add__(self, other: Any) -> Formula:
        return Operation("+", (self, formula_of(other)))

    def __radd__(self, other: Any) -> Formula:
        return Operation("+", (formula_of(other), self))

    def __sub__(self, other: Any) -> Formula:
        return Operation("-", (self, formula_of(other)))

    def __rsub__(self, other: Any) -> Formula:
        return Operation("-", (formula_of(other), self))

    def __mul__(self, other: Any) -> Formula:
        return Operation("*", (self, formula_of(other)))

    def __rmul__(self, other: Any) -> Formula:
        return Operation("*", (formula_of(other), self))

    def __truediv__(self, other: Any) -> Formula:
        return Operation("/", (self, formula_of(other)))

    def __rtruediv__(self, other: Any) -> Formula:
        return Operation("/", (formula_of(other), self))

    def __pow__(self, other: Any) -> Formula:
        return Operation("pow", (self, formula_of(other)))

    def __neg__(self) -> Formula:
        return Function("neg", self)

    def __bool__(self) -> NoReturn:
        raise InvalidInputError("a formula is not true or false: write formula.when(filter, then, otherwise) for if")

    def to_json(self) -> Any:
        """Return the formula as nested lists, as `formula_of` reads it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return _text(self.to_json())


@dataclass(frozen=True, repr=False)
class Constant(Formula):
    """A number."""

    number: float

    def to_json(self) -> Any:
        """Return the number."""
        return self.number


@dataclass(frozen=True, repr=False)
class Score(Formula):
    """The score that a candidate has before the formula."""

    def to_json(self) -> Any:
        """Return the word."""
        return "score"


@dataclass(frozen=True, repr=False)
class Value(Formula):
    """A field's value as a number: bools are 0 and 1, timestamps seconds since 1970."""

    field: str
    missing: float = 0.0

    def __post_init__(self) -> None:
        """Check the name and the number."""
        _name(self.field)
        object.__setattr__(self, "missing", finite("missing", self.missing))

    def to_json(self) -> Any:
        """Return the name and what a row without a value has."""
        return ["value", self.field, self.missing]


@dataclass(frozen=True, repr=False)
class Arm(Formula):
    """The score that one arm of the query gave a candidate."""

    name: str
    missing: float = 0.0

    def __post_init__(self) -> None:
        """Check the name and the number."""
        _name(self.name)
        object.__setattr__(self, "missing", finite("missing", self.missing))

    def to_json(self) -> Any:
        """Return the name and what a row that the arm did not find has."""
        return ["arm", self.name, self.missing]


@dataclass(frozen=True, repr=False)
class Operation(Formula):
    """Two formulas joined by an operator."""

    operator: str
    parts: tuple[Formula, ...]

    def __post_init__(self) -> None:
        """Check the operator and the size."""
        if self.operator not in OPERATORS:
            raise InvalidInputError(f"{self.operator!r} is none of {', '.join(OPERATORS)}", field="formula")
        if len(self.parts) != 2:
            raise InvalidInputError(f"{self.operator!r} joins two formulas, found {len(self.parts)}", field="formula")
        _count(self, self.parts)

    def to_json(self) -> Any:
        """Return the operator and the parts."""
        return [self.operator, *(part.to_json() for part in self.parts)]


@dataclass(frozen=True, repr=False)
class Function(Formula):
    """A function of a formula."""

    name: str
    part: Formula

    def __post_init__(self) -> None:
        """Check the name and the size."""
        if self.name not in FUNCTIONS:
            raise InvalidInputError(f"{self.name!r} is none of {', '.join(FUNCTIONS)}", field="formula")
        _count(self, (self.part,))

    def to_json(self) -> Any:
        """Return the name and the part."""
        return [self.name, self.part.to_json()]


@dataclass(frozen=True, repr=False)
class When(Formula):
    """One formula for rows that pass a filter, another for all others."""

    where: Expression
    then: Formula
    otherwise: Formula

    def __post_init__(self) -> None:
        """Check the size."""
        _count(self, (self.then, self.otherwise))

    def to_json(self) -> Any:
        """Return the filter as text, and both formulas."""
        return ["when", str(self.where), self.then.to_json(), self.otherwise.to_json()]


@dataclass(frozen=True, repr=False)
class Decay(Formula):
    """1 where a field is within `offset` of `origin`, `at_scale` where it is `scale` further, and falling.

    The shape is "exp", "gauss" or "linear" (which ends at 0). For a number all are numbers; for a timestamp the origin
    is a moment as seconds since 1970 or "now", and spans are seconds; for a place it is (latitude, longitude), and
    spans are kilometres.
    """

    field: str
    origin: float | str | tuple[float, float]
    scale: float
    offset: float = 0.0
    at_scale: float = 0.5
    shape: str = "exp"
    missing: float = 0.0

    def __post_init__(self) -> None:
        """Read moments and spans, and check all numbers."""
        _name(self.field)
        choice("shape", self.shape, SHAPES)
        keep = object.__setattr__
        keep(self, "origin", _origin(self.origin))
        for name in ("scale", "offset"):
            keep(self, name, _span(name, getattr(self, name)))
        for name in ("at_scale", "missing"):
            keep(self, name, finite(name, getattr(self, name)))
        if self.scale <= 0:
            raise InvalidInputError(f"scale is {self.scale!r}, expected a number above 0", field="scale")
        if self.offset < 0:
            raise InvalidInputError(f"offset is {self.offset!r}, expected a number of at least 0", field="offset")
        if not 0 < self.at_scale < 1:
            raise InvalidInputError(
                f"at_scale is {self.at_scale!r}, expected a number above 0 and below 1", field="at_scale"
            )

    def to_json(self) -> Any:
        """Return all of it, in order."""
        return ["decay", self.field, self.origin, self.scale, self.offset, self.at_scale, self.shape, self.missing]


@dataclass(frozen=True, repr=False)
class Away(Formula):
    """The kilometres from a place to a field of places."""

    field: str
    latitude: float
    longitude: float
    missing: float = 0.0

    def __post_init__(self) -> None:
        """Check the place."""
        _name(self.field)
        latitude, longitude = _place((self.latitude, self.longitude))
        object.__setattr__(self, "latitude", latitude)
        object.__setattr__(self, "longitude", longitude)
        object.__setattr__(self, "missing", finite("missing", self.missing))

    def to_json(self) -> Any:
        """Return the field, the place, and what a row without one has."""
        return ["away", self.field, self.latitude, self.longitude, self.missing]


score = Score()
"""The score that a candidate has before the formula."""


def value(field: str, missing: float = 0.0) -> Formula:
    """Return a number, bool or timestamp field as part of a formula; `missing` where a row has none."""
    return Value(field, missing)


def arm(name: str, missing: float = 0.0) -> Formula:
    """Return the score that an arm of this name gave; `missing` where it did not find the row."""
    return Arm(name, missing)


def decay(
    field: str,
    origin: float | str | datetime | date | tuple[float, float],
    scale: float | str,
    *,
    offset: float | str = 0.0,
    at_scale: float = 0.5,
    shape: str = "exp",
    missing: float = 0.0,
) -> Formula:
    """Return how near a number, a timestamp or a place is to an origin, from 1 down to 0; see `Decay`.

    Spans of time may be written "30d", with s, m, h, d or w, distances "5km"; moments as ISO 8601 or datetimes.
    """
    return Decay(field, origin, scale, offset, at_scale, shape, missing)  # pyright: ignore[reportArgumentType]


def away(field: str, latitude: float, longitude: float, missing: float = 0.0) -> Formula:
    """Return the kilometres from a place to a field of places; `missing` where a row has none."""
    return Away(field, latitude, longitude, missing)


def when(where: Any, then: Any, otherwise: Any = 0.0) -> Formula:
    """Return one formula for rows that pass a filter, given as text or as a tree, and another for all others."""
    tree = filter_of(where)
    if tree is None:
        raise InvalidInputError("when() needs a filter", field="formula")
    return When(tree, formula_of(then), formula_of(otherwise))


def least(one: Any, other: Any) -> Formula:
    """Return the smaller of two."""
    return Operation("min", (formula_of(one), formula_of(other)))


def greatest(one: Any, other: Any) -> Formula:
    """Return the larger of two."""
    return Operation("max", (formula_of(one), formula_of(other)))


def log1p(part: Any) -> Formula:
    """Return the natural logarithm of 1 and a formula."""
    return Function("log1p", formula_of(part))


def sqrt(part: Any) -> Formula:
    """Return the square root of a formula."""
    return Function("sqrt", formula_of(part))


def exp(part: Any) -> Formula:
    """Return e to the power of a formula."""
    return Function("exp", formula_of(part))


def absolute(part: Any) -> Formula:
    """Return a formula without its sign."""
    return Function("abs", formula_of(part))


def formula_of(part: Any) -> Formula:
    """Return a formula, a number or nested lists as a formula.

    Raises:
        InvalidInputError: it is none of them.

    """
    if isinstance(part, Formula):
        return part
    if isinstance(part, numbers.Real) and not isinstance(part, bool):
        return Constant(finite("a number of a formula", part))
    if isinstance(part, str) and part == "score":
        return score
    if isinstance(part, Sequence) and not isinstance(part, str | bytes):
        return _from_lists(part, 1)
    raise InvalidInputError(f"{shown(part)} is no part of a formula: use numbers, formula.score, formula.value(...)")


def _from_lists(part: Any, depth: int) -> Formula:
    if isinstance(part, str) or not isinstance(part, Sequence):
        return formula_of(part)
    if depth > DEPTH:
        raise InvalidInputError(f"a formula has at most {DEPTH} levels", field="formula")
    name, *rest = part if part else [None]
    try:
        if name in OPERATORS:
            return Operation(name, tuple(_from_lists(one, depth + 1) for one in rest))
        if name in FUNCTIONS:
            return Function(name, *(_from_lists(one, depth + 1) for one in rest))
        if name == "when":
            where, then, otherwise = rest
            return when(where, _from_lists(then, depth + 1), _from_lists(otherwise, depth + 1))
        if name in _LEAVES:
            return _LEAVES[name](*rest)
    except (TypeError, ValueError):
        told = f"{shown(part)} is no formula: {name!r} is followed by {_expected(str(name))}"
        raise InvalidInputError(told, field="formula", value=part) from None
    raise InvalidInputError(f"{shown(name)} begins no formula", field="formula", value=name)


_LEAVES: dict[Any, type[Formula]] = {"value": Value, "arm": Arm, "decay": Decay, "away": Away}


def _expected(name: str) -> str:
    """Return what follows the name of a part in nested lists."""
    if name == "when":
        return "a filter and two formulas"
    if name not in _LEAVES:
        return "one formula"
    return ", ".join(one.name if one.default is MISSING else f"{one.name} (or not)" for one in fields(_LEAVES[name]))


def _count(formula: Formula, parts: Sequence[Formula]) -> None:
    """Set depth and nodes, and hold the formula to the limits."""
    for part in parts:
        if not isinstance(part, Formula):
            raise InvalidInputError(f"{shown(part)} is no part of a formula", field="formula", value=part)
    depth, nodes = 1 + max(part.depth for part in parts), 1 + sum(part.nodes for part in parts)
    if depth > DEPTH or nodes > NODES:
        raise InvalidInputError(
            f"a formula has at most {DEPTH} levels and {NODES} parts, found {depth} and {nodes}", field="formula"
        )
    object.__setattr__(formula, "depth", depth)
    object.__setattr__(formula, "nodes", nodes)


def _name(name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"a name in a formula is a text, found {shown(name)}", field="formula", value=name)


def _origin(origin: Any) -> float | str | tuple[float, float]:
    if isinstance(origin, list | tuple):
        return _place(origin)
    return NOW if isinstance(origin, str) and origin == NOW else _moment(origin)


def _place(place: Sequence[Any]) -> tuple[float, float]:
    if len(place) != 2:
        raise InvalidInputError(f"{shown(place)} is no place: a latitude and a longitude", field="origin")
    latitude, longitude = finite("latitude", place[0]), finite("longitude", place[1])
    if abs(latitude) > LATITUDES or abs(longitude) > LONGITUDES:
        told = f"{shown(place)} is no place: latitudes go to {LATITUDES} degrees, longitudes to {LONGITUDES}"
        raise InvalidInputError(told, field="origin", value=place)
    return latitude, longitude


def _moment(origin: Any) -> float:
    if not isinstance(origin, str | date):
        return finite("origin", origin)
    try:
        micros = timestamp_micros(origin)
    except ValueError as error:
        raise InvalidInputError(
            f"origin {shown(origin)} is no moment: it {error}", field="origin", value=origin
        ) from error
    if micros is None:
        raise InvalidInputError(f"origin is {shown(origin)}, expected a moment", field="origin", value=origin)
    return micros / 10**6


def _span(name: str, span: Any) -> float:
    if isinstance(span, str):
        match = _SPAN.fullmatch(span)
        if match is None:
            raise InvalidInputError(
                f"{name} {shown(span)} is no span such as '30d', with s, m, h, d or w, or '5km'", field=name, value=span
            )
        return float(match[1]) * _UNITS[match[2]]
    return finite(name, span)


def _text(part: Any) -> str:
    """Return nested lists as one would write them."""
    if not isinstance(part, list):
        return part if part == "score" else repr(part)
    name, *rest = part
    if name in "+-*/":
        return f"({_text(rest[0])} {name} {_text(rest[1])})"
    if name in _LEAVES:
        return f"{name}({', '.join(map(repr, rest))})"
    if name == "when":
        return f"when({rest[0]!r}, {_text(rest[1])}, {_text(rest[2])})"
    return f"{name}({', '.join(map(_text, rest))})"
