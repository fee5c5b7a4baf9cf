"""Naming the culprit: every refusal of a value says its field, its row and itself."""

import reprlib
from dataclasses import dataclass
from typing import Any, TypeVar

from vecdb.errors import InvalidInputError

E = TypeVar("E", bound=InvalidInputError)

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80


def shown(value: Any) -> str:
    """Return a repr of bounded length, whatever the size of the value."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        value = value.item()
    return _REPR.repr(value)


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
