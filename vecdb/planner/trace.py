"""What happened to a query, step by step, for `explain`."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple


class Step(NamedTuple):
    """One step that was carried out.

    Attributes:
        name: an arm's label, "fuse", or the stage's kind.
        rows_in: candidates before; None for what gathers.
        rows_out: candidates after.
        ms: wall-clock milliseconds; NaN where nothing was run.
        told: what else there is to know, such as the plan of each part.
        steps: those of a nested query.

    """

    name: str
    rows_in: int | None
    rows_out: int
    ms: float
    told: Mapping[str, Any]
    steps: tuple[Step, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        begun: float,
        rows_in: int | None,
        rows_out: int,
        told: Mapping[str, Any],
        steps: tuple[Step, ...] = (),
    ) -> Step:
        """Return a step that ends now and began when `time.perf_counter` said so."""
        return cls(name, rows_in, rows_out, 1e3 * (time.perf_counter() - begun), told, steps)

    @property
    def damaged(self) -> bool:
        """Whether an index turned out to be damaged."""
        here = any(part.get("problem") for part in self.told.get("parts", ()))
        return here or any(step.damaged for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return the step as a dict of plain values."""
        told: dict[str, Any] = {"step": self.name, "rows_in": self.rows_in, "rows_out": self.rows_out}
        if not math.isnan(self.ms):
            told["ms"] = round(self.ms, 4)
        told |= self.told
        if self.steps:
            told["steps"] = [step.to_json() for step in self.steps]
        return told
