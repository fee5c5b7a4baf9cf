"""Naming the culprit: every refusal of a value says its field, its row and itself."""

import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from vecdb.errors import InvalidInputError

E = TypeVar("E", bound=InvalidInputError)

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80

LONGEST_NAME = 256
"""Longer texts are not compared with names: that takes time, and nobody meant one."""


def shown(value: Any) -> str:
    """Return a repr of bounded length, whatever the size of the value."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        value = value.item()
    try:
        return _REPR.repr(value)
    except Exception:
        return printed(value)


def printed(value: Any) -> str:
    """Return the whole repr of a value, or what it is where it has none."""
    try:
        return repr(value)
    except Exception:  # an integer of more digits than Python prints, or an object whose author slipped
        return f"<{type(value).__name__} that cannot be shown>"


def closest(name: object, known: Iterable[str]) -> str:
    """Return a hint at the name that was probably meant, to end a sentence with; empty without one."""
    close = get_close_matches(name, list(known), n=1) if isinstance(name, str) and len(name) < LONGEST_NAME else []
    return f"; did you mean {close[0]!r}?" if close else ""


def unknown_part(whole: str, names: Iterable[object]) -> InvalidInputError:
    """Return the error about parts of JSON that this version does not know; `whole` begins the sentence."""
    return InvalidInputError(f"{whole} {shown(min(names, key=str))}: was it written by a newer vecdb?")


@dataclass(frozen=True, slots=True)
class Blame:
    """Makes errors about one field. `first_row` is where the batch begins in the whole input."""

    field: str
    first_row: int = 0

    def error(self, row: int, sentence: str, value: Any = None, kind: type[E] = InvalidInputError) -> E:
        """Return (not raise) an error about the value in a row of the batch."""
        row = int(row) + self.first_row
        return kind(f"field {self.field!r}, row {row}: {sentence}", field=self.field, row=row, value=value)

    def column(self, sentence: str) -> InvalidInputError:
        """Return an error about the column as a whole."""
        return InvalidInputError(f"field {self.field!r}: {sentence}", field=self.field)


class AskedBlame(Blame):
    """Makes errors about queries."""

    __slots__ = ()

    def error(self, row: int, sentence: str, value: Any = None, kind: type[E] = InvalidInputError) -> E:
        """Return (not raise) an error about one of the queries."""
        return kind(f"query {row} for {self.field!r}: {sentence}", field=self.field, row=int(row), value=value)

    def column(self, sentence: str) -> InvalidInputError:
        """Return an error about all of the queries."""
        return InvalidInputError(f"the query for {self.field!r}: {sentence}", field=self.field)
