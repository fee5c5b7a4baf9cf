"""Scoring in steps: cheap scorers first, each dear one only for the candidates that those before left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from vecdb.arguments import rows_asked
from vecdb.errors import InvalidInputError
from vecdb.query.scorer import Scorer
from vecdb.query.stages import STAGES, MaxSim, Rank, Rescore, Stage, top_of
from vecdb.query.value import shown
from vecdb.schema.given import finite, flag, listed

STEPS = 8
"""The most steps."""
SCORING: list[type[Stage]] = [MaxSim, Rank, Rescore, Scorer]
"""Stages that score candidates one by one, and so can be steps."""
KEEP, MARGIN = 10, 2.5


@dataclass(frozen=True, repr=False)
class Cascade(Stage):
    """Finds the best `keep` candidates by its last step, and asks that step about as few as it can.

    After each step the last one is asked about the candidates that are best so far, and about a few others. So it is
    known which score is needed at least, and how far the step is off; candidates that can hardly reach that score are
    dropped, the others go on. The answer is in the order of the last step, with its scores; how many candidates each
    step was asked about stands in `explain`.

    Attributes:
        steps: stages that score (`Rescore`, `Rank`, `Scorer` and so on), the cheapest first; their `top` is not used.
        keep: how many of the best are wanted; the answer has no more.
        margin: how sure to be: a candidate goes on while it can reach the score by so many standard deviations of
            what a step is off.
        exact: ask the last step about every candidate: what the cascade is compared with.
        top: how many candidates it begins with; None: all.

    """

    kind: ClassVar[str] = "cascade"
    steps: tuple[Stage, ...]
    keep: int = KEEP
    margin: float = MARGIN
    exact: bool = False
    top: int | None = None

    def __post_init__(self) -> None:
        """Check the steps."""
        set_ = object.__setattr__
        steps = tuple(_step(one) for one in listed("steps", self.steps, "stages"))
        if not 1 <= len(steps) <= STEPS:
            raise InvalidInputError(f"a cascade has {len(steps)} steps, expected 1 to {STEPS}", field="steps")
        set_(self, "steps", steps)
        set_(self, "keep", rows_asked(self.keep, "keep"))
        set_(self, "margin", finite("margin", self.margin))
        if self.margin < 0:
            raise InvalidInputError(f"margin is {self.margin!r}, expected 0 or more", field="margin")
        flag("exact", self.exact)
        set_(self, "top", top_of(self.top))

    @property
    def all_of_them(self) -> tuple[Stage, ...]:
        """The steps, as they score every candidate that they are asked about."""
        return tuple(replace(step, top=None) for step in self.steps)  # pyright: ignore[reportArgumentType]

    @property
    def portable(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether every step can be written as JSON."""
        return all(step.portable for step in self.steps)


STAGES[Cascade.kind] = Cascade


def _step(given: Any) -> Stage:
    if isinstance(given, Mapping):
        kind = given.get("kind")
        found = STAGES.get(kind) if isinstance(kind, str) else None
        if found is None:
            told = given if kind is None else kind
            raise InvalidInputError(f"{shown(told)} is no step of a cascade", field="steps", value=given)
        given = found.from_json(given)
    if not isinstance(given, tuple(SCORING)):
        known = ", ".join(one.__name__ for one in SCORING)
        raise InvalidInputError(f"{shown(given)} is no step of a cascade: they are {known}", field="steps")
    return given
