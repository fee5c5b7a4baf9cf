"""What the parts of a query have in common: they are frozen, comparable, and can be written as JSON and read back.

A part's JSON form is its kind and the attributes that differ from their defaults. Constructors take what JSON has (a
filter as text, numbers as a list), so reading a part is calling its constructor, which checks everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from vecdb.errors import InvalidInputError
from vecdb.schema.blame import unknown_part
from vecdb.schema.given import listed

if TYPE_CHECKING:
    import numpy as np

    from vecdb.filters import Expression

P = TypeVar("P")

EXAMPLES = 1024
"""The most ids that one argument of a query may name."""
LONGEST = 65_536
"""The most numbers of one vector in a query."""


class QueryPart:
    """Base of arms, fusions and stages. `kind` is the stable name under which JSON remembers the class."""

    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Return the kind, and each attribute that is not the default, as JSON knows them."""
        told: dict[str, Any] = {"kind": self.kind}
        for name, value in attributes(self):
            told[name] = plain(value)
        return told

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the part that `to_json` described.

        Raises:
            InvalidInputError: an attribute is unknown, missing or wrong.

        """
        given = {name: value for name, value in data.items() if name != "kind"}
        known = {attribute.name for attribute in fields(cls)}  # pyright: ignore[reportArgumentType]
        unknown = given.keys() - known
        if unknown:
            raise unknown_part(f"{cls.kind} of a query has no", unknown)
        lacking = [
            one.name
            for one in fields(cls)  # pyright: ignore[reportArgumentType]
            if one.default is MISSING and one.default_factory is MISSING and one.name not in given
        ]
        if lacking:
            raise InvalidInputError(f"{cls.kind} of a query lacks {' and '.join(map(repr, lacking))}")
        try:
            return cls(**given)
        except TypeError as error:
            raise InvalidInputError(f"{cls.kind} of a query cannot be read: {error}") from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={shown(value)}' for name, value in attributes(self))})"


def altered(part: P, **checked: Any) -> P:
    """Return a copy of a frozen dataclass with other attributes, which were checked: nothing is checked again."""
    made = object.__new__(type(part))
    made.__dict__.update(part.__dict__, **checked)
    return made


def attributes(part: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of a dataclass that differ from their defaults."""
    for name, default in _defaults(type(part)):
        value = getattr(part, name)
        if default is MISSING or type(value) is not type(default) or value != default:
            yield name, value


@cache
def _defaults(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    """Return the attributes of a class and their defaults; asked for each cursor, so it is remembered."""
    return tuple((attribute.name, attribute.default) for attribute in fields(kind))


class Numbers:
    """A vector inside a query: read-only, equal when the numbers and their type are."""

    __slots__ = ("array",)

    def __init__(self, array: np.ndarray) -> None:
        """Keep a copy that nobody can change."""
        self.array = array.copy()
        self.array.setflags(write=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Numbers):
            return NotImplemented
        one, two = self.array, other.array
        return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()

    def __hash__(self) -> int:
        return hash(self.array.tobytes())

    def __len__(self) -> int:
        return len(self.array)

    def __repr__(self) -> str:
        first = ", ".join(f"{number:.4g}" for number in self.array[:3].tolist())
        more = f", … {len(self.array)} numbers" if len(self.array) > 3 else ""
        return f"[{first}{more}]"


def has_rows(value: Any) -> bool:
    """Tell whether a user passed several vectors: an array of two axes, or a list whose first item is a vector."""
    if isinstance(value, list | tuple):
        return bool(value) and not isinstance(value[0], str) and hasattr(value[0], "__len__")
    return getattr(value, "ndim", 1) == 2


def numbers(name: str, value: Any) -> Numbers:
    """Return a vector that a user passed as one that does not change; what its field asks of it is checked later.

    Raises:
        InvalidInputError: it is no list of finite numbers.

    """
    import numpy as np

    if isinstance(value, Numbers):
        return value
    try:
        array = np.frombuffer(value, np.uint8) if isinstance(value, bytes | bytearray) else np.asarray(value)
    except (TypeError, ValueError):
        array = np.empty(0, object)
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind not in "fiu" or array.ndim != 1 or not 0 < len(array) <= LONGEST:
        told = f"shape {array.shape}" if array.dtype.kind in "fiu" else f"{shown(value)}"
        raise InvalidInputError(f"{name} is {told}, expected a list of 1 to {LONGEST} numbers", field=name, value=value)
    if array.dtype.kind == "f":
        if array.dtype != np.float32:
            with np.errstate(over="ignore"):
                array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise InvalidInputError(f"{name} holds NaN or infinity, or is too large for float32", field=name)
    return Numbers(array)


def field_name(name: Any) -> str:
    """Return the name of a field.

    Raises:
        InvalidInputError: it is no text, or an empty one.

    """
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"a field's name is a text, found {shown(name)}", field="field", value=name)
    return name


def ids_given(what: str, ids: Any) -> tuple[str | int, ...]:
    """Return one id, or several, each once; whether a collection has such ids is checked later.

    Raises:
        InvalidInputError: they are no ids, or too many.

    """
    if hasattr(ids, "tolist"):
        ids = ids.tolist()
    given = (ids,) if isinstance(ids, str | int) else listed(what, ids, "ids")
    for one in given:
        if not isinstance(one, str | int) or isinstance(one, bool):
            raise InvalidInputError(f"{what} holds {shown(one)}, which is no id", field=what, value=one)
    if len(given) > EXAMPLES:
        raise InvalidInputError(f"{what} has {len(given)} ids, at most {EXAMPLES}", field=what)
    return tuple(dict.fromkeys(given))


def filter_of(value: Any) -> Expression | None:
    """Return a filter given as text or as a tree.

    Raises:
        FilterSyntaxError: the text is no filter.
        InvalidInputError: the value is neither.

    """
    if value is None:
        return None
    from vecdb.filters import resolve

    return resolve(value)


def plain(value: Any) -> Any:
    """Return a value of a query as JSON has it."""
    if isinstance(value, Numbers):
        import orjson

        # The shortest decimals that read back as the same float32, which tolist() does not give.
        return orjson.loads(orjson.dumps(value.array, option=orjson.OPT_SERIALIZE_NUMPY))
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    told = getattr(value, "to_json", None)
    return str(value) if told is None else told()


def shown(value: Any) -> str:
    """Return a value as a person wants to read it: long ones shortened, filters as text."""
    from vecdb.filters.expression import Expression
    from vecdb.filters.values import shortened
    from vecdb.schema.blame import printed

    if isinstance(value, Expression):
        return shortened(repr(str(value)), 200)
    return shortened(printed(value), 200)
