"""What an evaluation found, as a value that JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vecdb.evaluation.paired import Comparison

FORMAT = 1


@dataclass(frozen=True)
class Outcome:
    """What one configuration reached.

    Attributes:
        name: what it is called.
        query: its query, as JSON has it.
        values: measure -> one value for each question.
        milliseconds: how long each question took, asked alone.
        found: the ids of each answer, best first.

    """

    name: str
    query: Mapping[str, Any]
    values: Mapping[str, tuple[float, ...]]
    milliseconds: tuple[float, ...]
    found: tuple[tuple[str, ...], ...]

    def mean(self, measure: str) -> float:
        """Return the mean over the questions."""
        return float(np.mean(self.values[measure]))

    @property
    def median_ms(self) -> float:
        """The median over the questions, in milliseconds."""
        return float(np.median(self.milliseconds))

    @property
    def p95_ms(self) -> float:
        """The time that 95 % of the questions stay below, in milliseconds."""
        return float(np.percentile(self.milliseconds, 95))


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Attributes:
        collection: its name.
        rows: how many rows it had.
        questions: ids of the questions that were measured, in their order; texts: what was asked, where known.
        unjudged: how many questions were left out because no judgement names them.
        measures: what was measured, in the order that was asked for.
        outcomes: one for each configuration.
        comparisons: one for each measure, where there are two configurations.

    """

    collection: str
    rows: int
    questions: tuple[str, ...]
    texts: tuple[str, ...]
    unjudged: int
    measures: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    comparisons: tuple[Comparison, ...]

    def means(self) -> dict[str, dict[str, float]]:
        """Return configuration -> measure -> mean over the questions."""
        return {one.name: {measure: one.mean(measure) for measure in self.measures} for one in self.outcomes}

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON knows it, with means and times beside the values of every question."""
        told = {"vecdb_evaluation": FORMAT, **asdict(self)}
        for one, outcome in zip(told["outcomes"], self.outcomes, strict=True):
            one["means"] = {measure: outcome.mean(measure) for measure in self.measures}
            one |= {"median_ms": outcome.median_ms, "p95_ms": outcome.p95_ms}
        return told
