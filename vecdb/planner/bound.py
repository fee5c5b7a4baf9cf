"""A query checked against the fields of a state: every name looked up, every vector and filter ready to be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from vecdb.arguments import query_matrix
from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.selecting import Selecting
from vecdb.query.arms import Arm, Like, Match, Near
from vecdb.query.cascade import Cascade
from vecdb.query.effort import Effort
from vecdb.query.fusion import Fusion
from vecdb.query.graph import Expand, Linked, PathPooling
from vecdb.query.query import Query
from vecdb.query.scorer import Scorer
from vecdb.query.stages import MaxSim, Rank, Rescore, Stage
from vecdb.query.value import Numbers, altered
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


def _by_vector(bound: BoundArm) -> bool:
    return isinstance(bound.arm, Near) and isinstance(bound.arm.vector, Numbers)


def _with_vector(bound: BoundArm, vector: np.ndarray) -> BoundArm:
    checked = query_matrix(bound.columns[0], vector, 1)
    return bound._replace(arm=altered(bound.arm, vector=Numbers(vector)), vectors=checked)


class BoundQuery(NamedTuple):
    """A query that can be run."""

    query: Query
    arms: tuple[BoundArm, ...]
    where: BoundFilter | None
    stages: tuple[BoundStage, ...]
    fusion: Fusion
    columns: tuple[Column, ...]

    @property
    def by_vectors(self) -> bool:
        """Whether nothing of it depends on the vectors of its arms but these, and on no encoder."""
        vectors = any(arm.vectors is not None for arm in self.arms)
        plain = all(isinstance(arm.arm, Linked | Like | Match) or _by_vector(arm) for arm in self.arms)
        stages = all(stage.vectors is stage.question is stage.selecting is None for stage in self.stages)
        return vectors and plain and stages and not any(stage.steps for stage in self.stages)

    def with_vectors(self, vectors: Sequence[np.ndarray]) -> BoundQuery:
        """Return it for other vectors, one for each arm that has one; only where `by_vectors`.

        Raises:
            InvalidInputError: one does not fit its field.

        """
        given = iter(vectors)
        arms = tuple([arm if arm.vectors is None else _with_vector(arm, next(given)) for arm in self.arms])
        stages = tuple([stage._replace(arms=arms) if stage.arms else stage for stage in self.stages])
        query = altered(self.query, arms=tuple([arm.arm for arm in arms]))
        return self._replace(query=query, arms=arms, stages=stages)

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
