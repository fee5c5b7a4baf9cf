"""Calibrators that a collection keeps: learned from judged answers, bound to the arms they were learned for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vecdb.errors import InvalidInputError, NotFoundError
from vecdb.planner import evidence
from vecdb.planner.bound import BoundQuery
from vecdb.planner.depth import first
from vecdb.planner.fuse import DEPTH
from vecdb.planner.gather import NOT_READY, Context
from vecdb.planner.masks import remembered
from vecdb.planner.run import staged
from vecdb.query.relevance import Relevance
from vecdb.query.value import shown
from vecdb.storage.snapshot import State
from vecdb_index.relevance.calibrator import Judged, RelevanceCalibrator

CANDIDATES = 100
"""Hits of each query that are learned from, or as many as it asks for: what is learned is used as deep as that."""


class Kept(NamedTuple):
    """A calibrator, what the arms of its queries are, and the form of the evidence that it learned from."""

    calibrator: RelevanceCalibrator
    arms: list[dict[str, Any]]
    form: int = evidence.FIRST

    def to_json(self) -> dict[str, Any]:
        """Return what a manifest holds."""
        form = {} if self.form == evidence.FIRST else {"evidence": self.form}
        return {"arms": self.arms, **form, **self.calibrator.to_json()}

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Kept:
        """Read what `to_json` wrote.

        Raises:
            InvalidInputError: a later vecdb wrote it, with evidence that this one does not know.

        """
        form = held.get("evidence", evidence.FIRST)
        if form not in (evidence.FIRST, evidence.SECOND, evidence.FORM):
            told = f"it has evidence of form {shown(form)}, and this vecdb knows up to {evidence.FORM}"
            raise InvalidInputError(f"a later vecdb made the calibrator: {told}; make it anew", field="calibrator")
        return cls(RelevanceCalibrator.from_json(held), held["arms"], form)


def calibrator_of(state: State, name: str) -> Kept:
    """Return a calibrator of the collection.

    Raises:
        NotFoundError: there is none of that name.

    """
    held = state.located.manifest.calibrators.get(name)
    if held is None:
        known = ", ".join(map(repr, sorted(state.located.manifest.calibrators))) or "none"
        raise NotFoundError(f"the collection has no calibrator {name!r} (there are: {known}): `calibrate` makes one")
    found = state.routes.get(("calibrator", name))
    if found is None:
        found = remembered(state.routes, ("calibrator", name), Kept.from_json(held))
    return found


def learned(state: State, pool: Any, asked: Sequence[tuple[BoundQuery, Sequence[Any]]]) -> Kept:
    """Ask bound queries, and learn from which of their hits are among the rows that answer them.

    Raises:
        InvalidInputError: there is too little to learn from, or the queries have different arms.

    """
    pairs: list[Judged] = []
    arms: list[dict[str, Any]] | None = None
    for number, (bound, relevant) in enumerate(asked):
        state.check("calibrate")
        judged = evidence.judged_arm(bound.arms, None)
        if judged is None:
            raise InvalidInputError(f"query {number} has no arm that looks for a vector", field="judged")
        mine = evidence.signature(bound.arms, judged)
        if arms is not None and arms != mine:
            raise InvalidInputError(f"query {number} has other arms than the first one", field="judged")
        arms = mine
        if any(isinstance(one.stage, Relevance) for one in bound.stages):
            raise InvalidInputError(f"query {number} cuts its answer already", field="judged")
        context = Context(state, pool, bound.query.allow_partial, NOT_READY)
        fetches = tuple(max(fetch, DEPTH) for fetch in first(bound))  # as deep as a query that cuts looks
        candidates = staged(context, bound, fetches).candidates.some(slice(max(CANDIDATES, bound.query.k)))
        known = evidence.gathered(context, bound.arms, judged, candidates)
        wanted = set(relevant)
        good = np.fromiter((one in wanted for one in candidates.ids()), bool, len(candidates))
        pairs.append(Judged(known.scores, known.context, known.vector, good, bool(wanted), known.about))
    try:
        return Kept(RelevanceCalibrator.fit(pairs), arms or [], evidence.FORM)
    except ValueError as error:
        raise InvalidInputError(f"calibrate: {error}", field="judged") from error
