"""Choices that are a kind and its parameters, as users write them and as JSON remembers them: of index, of fusion."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Protocol, TypeVar

from vecdb.errors import InvalidInputError
from vecdb.schema.blame import closest, shown


class Kind(Protocol):
    """A frozen dataclass; `kind` is the stable name of the class."""

    kind: ClassVar[str]


K = TypeVar("K", bound=Kind)


def kind_from(what: str, value: Any, base: type[K], kinds: Mapping[str, type[K]]) -> K:
    """Return a choice that a user made by an instance or by its name, or a mapping of `kind` and parameters.

    Raises:
        InvalidInputError: there is no such kind, or a parameter is unknown or out of range.

    """
    if isinstance(value, base):
        return value
    name, given = value, {}
    if isinstance(value, Mapping):
        name, given = value.get("kind"), {key: item for key, item in value.items() if key != "kind"}
    if not isinstance(name, str) or name not in kinds:
        known = ", ".join(map(repr, kinds))
        hint = f": write vecdb.{value.__name__}()" if isinstance(value, type) and issubclass(value, base) else ""
        raise InvalidInputError(
            f"{what} {shown(value)} is not one of {known} or their classes{hint}{closest(name, kinds)}",
            field=what,
            value=value,
        )
    known = [one.name for one in fields(kinds[name])]  # pyright: ignore[reportArgumentType]
    for key in given:
        if key not in known:
            told = f"{what} {name!r} has no {shown(key)}: there are {', '.join(known) or 'no parameters'}"
            raise InvalidInputError(told + closest(key, known), field=what, value=value)
    return kinds[name](**given)


def whole(what: str, one: Kind, name: str, least: int, most: int) -> None:
    """Keep a parameter as an int, NumPy's integers too.

    Raises:
        InvalidInputError: it is no whole number from `least` to `most`.

    """
    value = getattr(one, name)
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or not least <= number <= most:
        raise InvalidInputError(
            f"{name} of {what} {one.kind!r} is {shown(value)}, expected a whole number from {least} to {most}",
            field=name,
            value=value,
        )
    object.__setattr__(one, name, number)
