"""A query checked against the fields of a state: every name looked up, every vector and filter ready to be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.selecting import Selecting
from vecdb.query.arms import Arm, Match, Near
from vecdb.query.cascade import Cascade
from vecdb.query.effort import Effort
from vecdb.query.fusion import Fusion
from vecdb.query.graph import Expand, PathPooling
from vecdb.query.query import Query
from vecdb.query.scorer import Scorer
from vecdb.query.stages import MaxSim, Rank, Rescore, Stage
from vecdb.schema.fields import Text
from vecdb.schema.schema import Column
from vecdb_index.multivector.maxsim import Question

Encode = Callable[[Column[Any], str], Any]
"""Makes a vector of a text, or terms and their weights, by the encoder of a column."""


SCORING = Cascade, Expand, MaxSim, PathPooling, Rank, Rescore, Scorer
"""Stages that give candidates new scores."""


class BoundArm(NamedTuple):
    """An arm, and what it needs of the schema."""

    arm: Arm
    label: str
    columns: tuple[Column, ...]
    where: BoundFilter | None
    effort: Effort
    vectors: np.ndarray | None = None
    inner: BoundQuery | None = None
    terms: tuple[np.ndarray, np.ndarray] | None = None
    question: Question | None = None


class BoundStage(NamedTuple):
    """A stage, the columns that it reads, its query vector or vectors, and what it needs of the query.

    `k` and `exact` are the query's, for stages that may do less than all; `arms` are its arms, where the stage asks
    what they say; `where` is its filter, for a stage that brings rows; `selecting` is what a selection needs, and
    `steps` are stages inside the stage. Of a stage that is `rough` estimates of its scores will do, and of one that is
    `last` the k + 1 best candidates.
    """

    stage: Stage
    columns: tuple[Column, ...] = ()
    vectors: np.ndarray | None = None
    question: Question | None = None
    k: int = 0
    arms: tuple[BoundArm, ...] = ()
    where: BoundFilter | None = None
    exact: bool = False
    selecting: Selecting | None = None
    steps: tuple[BoundStage, ...] = ()
    rough: bool = False
    last: bool = False


class BoundQuery(NamedTuple):
    """A query that can be run."""

    query: Query
    arms: tuple[BoundArm, ...]
    where: BoundFilter | None
    stages: tuple[BoundStage, ...]
    fusion: Fusion
    columns: tuple[Column, ...]

    @property
    def matched(self) -> list[tuple[Column[Text], str]]:
        """The text columns that words are matched in, and the words, of nested queries too."""
        found: list[tuple[Column[Text], str]] = []
        for bound in self.arms:
            if bound.inner is not None:
                found += bound.inner.matched
            if isinstance(bound.arm, Match):
                found += [(cast("Column[Text]", column), bound.arm.text) for column in bound.columns]
        return found

    @property
    def metric(self) -> str | None:
        """The metric that scores follow, where they are those of one vector field."""
        scoring = [one for one in self.stages if isinstance(one.stage, SCORING)]
        if scoring:
            last = scoring[-1].steps[-1] if scoring[-1].steps else scoring[-1]
            return last.columns[0].field.metric if isinstance(last.stage, Rescore) else None
        if len(self.arms) != 1:
            return None
        arm = self.arms[0]
        if arm.inner is not None:
            return arm.inner.metric
        return arm.columns[0].field.metric if isinstance(arm.arm, Near) else None
