"""The tree of a filter.

    Expression
    ├── And, Or      two or more parts; nested ones of the same kind are flattened
    ├── Not
    └── Condition    a path, an operator and its values: size between 1 and 5

Invariant: a tree is immutable, hashable and within the limits below. `str(tree)` is a filter in text form, and
reading it gives an equal tree.

Logic is SQL's: a condition on a null is unknown, `not` unknown is unknown, and only rows that are true match.
So `size != 3` leaves out rows without a size; add `or size is null` to have them.

The surprise: trees are equal when values and their types are: `a = 1`, `a = 1.0` and `a = true` differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NoReturn, TypeAlias

from vecdb.errors import InvalidInputError
from vecdb.filters import words
from vecdb.filters.places import checked_box, checked_circle
from vecdb.filters.values import Value, shortened, value_of, value_text
from vecdb.schema.blame import printed

MAX_DEPTH = 32
MAX_NODES = 1_024
MAX_LIST = 10_000
MAX_KEYS = 64

Operator: TypeAlias = Literal[
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "in",
    "between",
    "is null",
    "contains",
    "any of",
    "all of",
    "startswith",
    "matches",
    "within",
    "in box",
]

LISTS: frozenset[Operator] = frozenset(("in", "any of", "all of"))
"""The operators that take any number of values."""

RESERVED_WORDS = frozenset(("and", "or", "not", "in", "is", "null", "true", "false", "between", "like"))
"""Words that name a field only inside double quotes; other keywords are understood by their place."""

_WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, repr=False)
class FieldPath:
    """A field, and for a json field the keys and positions that lead into its value.

    A negative position counts from the end of a list, as in Python.
    """

    field: str
    keys: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse keys that no JSON value has."""
        if not isinstance(self.field, str) or not self.field:
            raise InvalidInputError(f"a field name is a non-empty text, found {self.field!r}")
        for key in self.keys:
            if not isinstance(key, str | int) or isinstance(key, bool):
                raise InvalidInputError(f"a JSON path takes text keys and integer positions, found {key!r}")
            value_of(key)
        if len(self.keys) > MAX_KEYS:
            raise InvalidInputError(f"a JSON path has at most {MAX_KEYS} keys, found {len(self.keys)}")

    def __str__(self) -> str:
        name = self.field
        plain = _WORD.fullmatch(name) and name.lower() not in RESERVED_WORDS
        return (name if plain else _quoted(name)) + "".join(map(_key_text, self.keys))

    def __repr__(self) -> str:
        return f"<FieldPath {self}>"


class Expression:
    """A filter: combine with `&` and `|`, negate with `~`, print with `str`.

    `depth` counts the levels of the tree and `nodes` its nodes, both from 1; a list of values is part of its
    node.
    """

    depth: int = 1
    nodes: int = 1

    # NotImplemented lets an Operand on the right explain itself.
    def __and__(self, other: Expression) -> Expression:
        return And((self, other)) if isinstance(other, Expression) else NotImplemented

    def __or__(self, other: Expression) -> Expression:
        return Or((self, other)) if isinstance(other, Expression) else NotImplemented

    def __invert__(self) -> Expression:
        return Not(self)

    def __bool__(self) -> NoReturn:
        raise InvalidInputError(
            "a filter is not true or false by itself: combine filters with & and | instead of 'and' and 'or',"
            " negate with ~ instead of 'not', and write col('a').between(1, 5) instead of 1 <= col('a') <= 5"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {shortened(str(self), 500)}>"


@dataclass(frozen=True, repr=False)
class Condition(Expression):
    """One test of one path.

    `values` holds none (`is null`), one, two (`between`: both ends belong), three (`within`: latitude, longitude,
    kilometres), four (`in box`: south, west, north, east) or, for the operators in `LISTS`, up to `MAX_LIST`; they
    are converted by `value_of`. `types` tells equal values of different types apart.
    """

    path: FieldPath
    operator: Operator
    values: tuple[Value, ...] = ()
    # Not hashed: equal trees have equal values already, and the hash of a long list is then one of its texts.
    types: tuple[type, ...] = field(init=False, hash=False)

    _COUNTS: ClassVar[dict[Operator, int]] = {"is null": 0, "between": 2, "within": 3, "in box": 4}

    def __post_init__(self) -> None:
        """Convert the values and check how many there are."""
        if self.operator in LISTS:
            if len(self.values) > MAX_LIST:
                raise InvalidInputError(
                    f"the list after '{self.path} {self.operator}' has {len(self.values)} values, more than {MAX_LIST}"
                )
        elif len(self.values) != self._COUNTS.get(self.operator, 1):
            raise InvalidInputError(
                f"'{self.operator}' takes {self._COUNTS.get(self.operator, 1)} values, found {len(self.values)}"
            )
        values = tuple(map(value_of, self.values))
        if self.operator == "startswith" and not isinstance(values[0], str):
            raise InvalidInputError(f"{self.path} startswith takes text, found {values[0]!r}", value=values[0])
        if self.operator == "matches":
            words.parse(values[0])
        elif self.operator == "within":
            values = checked_circle(values)
        elif self.operator == "in box":
            values = checked_box(values)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "types", tuple(map(type, values)))

    def __str__(self) -> str:
        return self.text()

    def text(self, negated: str = "") -> str:
        """Return the filter text; negated is put where `not` stands inside a condition."""
        path, operator = self.path, self.operator
        texts = [value_text(value) for value in self.values]
        if operator == "is null":
            return f"{path} is {negated}null"
        if operator == "between":
            return f"{path} {negated}between {texts[0]} and {texts[1]}"
        if operator == "within":
            return f"{path} {negated}within {texts[2]} km of ({texts[0]}, {texts[1]})"
        if operator in LISTS or operator == "in box":
            return f"{path} {negated}{operator} ({', '.join(texts)})"
        return f"{path} {negated}{operator} {texts[0]}"


@dataclass(frozen=True, repr=False)
class Not(Expression):
    """True where the part is false; unknown stays unknown."""

    part: Expression
    depth: int = field(init=False, compare=False)
    nodes: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Count."""
        _count(self, (_expression(self.part),))

    def __str__(self) -> str:
        part = self.part
        if isinstance(part, Condition):
            inside = part.operator in ("in", "in box", "between", "is null")
            return part.text("not ") if inside else f"not {part}"
        return f"not ({part})"


@dataclass(frozen=True, repr=False)
class _Junction(Expression):
    """Two or more parts, none of which is of the same class: those are taken apart."""

    parts: tuple[Expression, ...]
    depth: int = field(init=False, compare=False)
    nodes: int = field(init=False, compare=False)

    word: ClassVar[str]

    def __post_init__(self) -> None:
        """Flatten, then count."""
        flat: list[Expression] = []
        for part in self.parts:
            flat.extend(part.parts if isinstance(part, _Junction) and type(part) is type(self) else [_expression(part)])
        if len(flat) < 2:
            raise InvalidInputError(f"'{self.word}' joins two or more filters, found {len(flat)}")
        object.__setattr__(self, "parts", tuple(flat))
        _count(self, self.parts)

    def __str__(self) -> str:
        # Parentheses that precedence does not need: few readers remember which of the two binds tighter.
        return f" {self.word} ".join(f"({part})" if isinstance(part, _Junction) else str(part) for part in self.parts)


@dataclass(frozen=True, repr=False)
class And(_Junction):
    """True where every part is true, false where one is false, else unknown."""

    word: ClassVar[str] = "and"


@dataclass(frozen=True, repr=False)
class Or(_Junction):
    """True where a part is true, false where every part is false, else unknown."""

    word: ClassVar[str] = "or"


def _expression(part: object) -> Expression:
    if not isinstance(part, Expression):
        raise InvalidInputError(f"a filter is made of filters, found {shortened(printed(part))}", value=part)
    return part


def _count(tree: Not | _Junction, parts: tuple[Expression, ...]) -> None:
    """Set depth and nodes of tree, and hold it to the limits."""
    depth = 1 + max(part.depth for part in parts)
    nodes = 1 + sum(part.nodes for part in parts)
    if depth > MAX_DEPTH:
        raise InvalidInputError(f"the filter is nested {depth} levels deep, more than {MAX_DEPTH}")
    if nodes > MAX_NODES:
        raise InvalidInputError(
            f"the filter has {nodes} conditions and connectives, more than {MAX_NODES}:"
            " many values of one field fit in one list, as in id in ('a', 'b')"
        )
    object.__setattr__(tree, "depth", depth)
    object.__setattr__(tree, "nodes", nodes)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _key_text(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if _WORD.fullmatch(key) else f".{_quoted(key)}"
