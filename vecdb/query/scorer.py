"""Scores by somebody else's function: any Python callable, or a `CrossEncoder`.

Such a stage lives in one process: it is not written as JSON, and its answers have no pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from vecdb.arguments import rows_asked
from vecdb.errors import InvalidInputError
from vecdb.query.stages import Stage, top_of
from vecdb.query.value import shown
from vecdb.schema.given import finite, names

BUDGET = 100
"""Candidates that are scored, unless told otherwise: such a function often takes a millisecond for each, or more."""


@dataclass(frozen=True, repr=False)
class Scorer(Stage):
    """Scores the best `top` candidates by a function; all others are left out.

    What the function raises comes as the cause of a `ScorerError`, but for errors of vecdb, which come as they are.

    Attributes:
        function: takes a list of records, each a dict of the id and `fields`, and returns a number for each; higher is
            better. Candidates for which it returns NaN or infinity are left out.
        fields: the fields that the records have.
        top: how many candidates; the answer has no more.
        batch: how many records the function gets at once.
        deadline: seconds; when they are over, no further batch is begun, and candidates that have no score yet are left
            out. `explain` says how many were scored.

    """

    kind: ClassVar[str] = "scorer"
    portable: ClassVar[bool] = False
    function: Callable[[list[dict[str, Any]]], Sequence[float]]
    fields: tuple[str, ...] = ()
    top: int = BUDGET
    batch: int = 32
    deadline: float | None = None

    def __post_init__(self) -> None:
        """Check everything but what the function does."""
        if not callable(self.function):
            raise InvalidInputError(f"{shown(self.function)} is no function", field="function", value=self.function)
        named = (self.fields,) if isinstance(self.fields, str) else names("fields", self.fields)
        object.__setattr__(self, "fields", named)
        object.__setattr__(self, "top", top_of(self.top))
        object.__setattr__(self, "batch", rows_asked(self.batch, "batch"))
        if self.deadline is not None:
            object.__setattr__(self, "deadline", finite("deadline", self.deadline))
            if self.deadline <= 0:
                raise InvalidInputError(
                    f"deadline is {self.deadline!r}, expected seconds above 0", field="deadline", value=self.deadline
                )

    @property
    def called(self) -> str:
        """What messages call the function."""
        named = getattr(self.function, "__name__", None)
        return f"the function {named!r}" if isinstance(named, str) else f"the {type(self.function).__name__}"

    def to_json(self) -> NoReturn:
        """Refuse.

        Raises:
            InvalidInputError: always.

        """
        raise InvalidInputError("a query with a Python function cannot be written as JSON", field="function")
