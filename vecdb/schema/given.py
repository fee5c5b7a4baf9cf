"""Single values as users give them, checked: whole and finite numbers, truth values, choices, names and other lists."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Collection
from typing import Any

from vecdb.errors import InvalidInputError
from vecdb.schema.blame import shown


def whole_number(name: str, value: Any, least: int = 1, most: int | None = None, field: str | None = None) -> int:
    """Return a count given by a user, NumPy's integers too; `field` is the culprit where it is not called `name`.

    Raises:
        InvalidInputError: it is no whole number, or out of range.

    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise InvalidInputError(
            f"{name} is {shown(value)}, expected a whole number of at least {least}", field=field or name, value=value
        )
    if most is not None and number > most:
        raise InvalidInputError(f"{name} is {shown(number)}, at most {most}", field=field or name, value=value)
    return number


def is_finite(value: Any) -> bool:
    """Tell whether a value is a finite number that a float can come near to, NumPy's too; True is none."""
    try:
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def finite(what: str, value: Any, field: str | None = None) -> float:
    """Return a number given by a user, NumPy's too, as a float; `field` is the culprit where it is not called `what`.

    Raises:
        InvalidInputError: it is none, not finite, or too large for a float.

    """
    if not is_finite(value):
        told = f"{what} is {shown(value)}, expected a finite number"
        raise InvalidInputError(told, field=field or what, value=value)
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Return True or False as a user gave it: what merely counts as true is more often a slip than a wish.

    Raises:
        InvalidInputError: it is neither.

    """
    if not isinstance(value, bool):
        raise InvalidInputError(f"{name} is {shown(value)}, not True or False", field=name, value=value)
    return value


def listed(what: str, value: Any, of: str) -> tuple[Any, ...]:
    """Return what a user gave in anything that can be gone through, but a text.

    Raises:
        InvalidInputError: it cannot.

    """
    try:
        if not isinstance(value, str | bytes):
            return tuple(value)
    except TypeError:
        pass
    raise InvalidInputError(f"{what} is {shown(value)}, expected a list of {of}", field=what, value=value)


def name(what: str, value: Any) -> str:
    """Return a name given by a user.

    Raises:
        InvalidInputError: it is no text.

    """
    if not isinstance(value, str):
        raise InvalidInputError(f"{what} is {shown(value)}, expected a name", field=what, value=value)
    return value


def names(what: str, value: Any) -> tuple[str, ...]:
    """Return a list of names given by a user.

    Raises:
        InvalidInputError: it is none.

    """
    given = listed(what, value, "names")
    for one in given:
        if not isinstance(one, str):
            raise InvalidInputError(f"{what} holds {shown(one)}, which is no name", field=what, value=one)
    return given


def choice(name: str, value: Any, known: Collection[Any]) -> None:
    """Refuse what is none of some values, by equality and type (1 is not True).

    Raises:
        InvalidInputError: it is none of them.

    """
    if not any(type(value) is type(one) and value == one for one in known):
        among = ", ".join(map(repr, known))
        raise InvalidInputError(f"{name} {shown(value)} is not one of {among}", field=name, value=value)
