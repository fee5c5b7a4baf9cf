"""What speaks for a hit being relevant: its scores in the arms of a query, and how the arms' best scores lie.

The first score is that of the arm that is judged, the last its place among the candidates; in between are the other
arms. A hit that an arm did not find is scored by it all the same, where that can be done. Where a query looks for
words, which of them a hit has counts beside its score, and which of them no row has; and of the judged arm how much of
the query its best hits together leave unexplained.

Some questions are answered by several rows together, of which each has only a part. So whether a query has an answer is
told by what few hits have of it together.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np

from vecdb.fulltext import text_query
from vecdb.planner import text
from vecdb.planner.aspects import FEW, covered, fields_of
from vecdb.planner.bound import BoundArm
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.planner.terms import spec_of, terms_of
from vecdb.planner.units import units_of
from vecdb.planner.words import words_of
from vecdb.query.arms import Match, Near, Terms
from vecdb.schema.fields import Vector
from vecdb.schema.schema import Column

BEHIND = 10
"""The best score of an arm is compared with those behind it, up to this rank."""
FIRST, SECOND, FORM = 1, 2, 3
"""Forms of evidence: of scores alone; with words and what is left of the query; and the present one, which tells of
answers by few hits together. What was learned of one is asked with that one."""
NEAREST = 50
"""Hits among which the one is looked for that has most of what the best one leaves of the query."""
FAINT = 1e-3
"""Directions of hits that are shorter than this share of the longest are none: copies differ by rounding."""


class Evidence(NamedTuple):
    """What is known of the candidates of one query.

    Attributes:
        scores: (n, arms + words + 1) float64, more is better: the judged arm, the others, for each arm of words the
            share of its words that a hit has, by their idf, and minus the logarithm of the place.
        context: (2 arms + 3 words + 1,) of each arm the best score, and the mean of those behind it; for each arm of
            words the share of its words that no row has, the share that the first hits have together, and the greatest
            that one of them has; the length of what is left of the query behind the best hits of the judged arm.
        vector: (dimension,) the query of the judged arm, of length 1.
        about: (2 + 2 words,) what speaks for the query having an answer, more is better: minus the length of what is
            left of the query behind the few best hits of the judged arm; the cosine between what the best one leaves
            of it and the hit that has most of that; for each arm of words minus the share of its words that no row
            has, and the share that few hits have together. Of earlier forms: the context.

    """

    scores: np.ndarray
    context: np.ndarray
    vector: np.ndarray
    about: np.ndarray


def judged_arm(arms: tuple[BoundArm, ...], name: str | None) -> BoundArm | None:
    """Return the arm of that name, or the first one that looks for a vector; None where there is none."""
    for one in arms:
        if one.label == name if name is not None else isinstance(one.arm, Near):
            return one
    return None


def gathered(
    context: Context, arms: tuple[BoundArm, ...], judged: BoundArm, candidates: Candidates, form: int = FORM
) -> Evidence:
    """Return the evidence for candidates, in their order, of one of the forms."""
    ordered = (judged, *(one for one in arms if one is not judged))
    columns, of_query = [], []
    for arm in ordered:
        scores, listed = arm_scores(context, arm, candidates)
        scale = _ceiling(context, arm)
        columns.append(scores / scale)
        best, behind = (listed[0], listed[1:BEHIND].mean()) if len(listed) > 1 else (0.0, 0.0)
        of_query += [float(best) / scale, float(behind) / scale]
    assert judged.vectors is not None
    vector = judged.vectors[0].astype(np.float64)
    about: list[float] = []
    if form != FIRST:
        query, units = _best(judged, candidates, columns[0])
        about += [-_left(query, units[:FEW]), _complement(query, units)]
        for arm in ordered:
            if isinstance(arm.arm, Match):
                words = covered(context, arm, candidates, BEHIND)
                columns.append(words.shares)
                of_query += [words.unknown, words.first, float(words.shares[:BEHIND].max(initial=0))]
                about += [-words.unknown, words.few]
        of_query.append(_left(query, units[:BEHIND]))
    columns.append(-np.log1p(np.arange(len(candidates), dtype=np.float64)))
    return Evidence(
        np.column_stack(columns),
        np.array(of_query),
        vector / max(float(np.linalg.norm(vector)), 1e-12),
        np.array(about if form == FORM else of_query),
    )


def _best(judged: BoundArm, candidates: Candidates, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a query (d,) and its best hits (n, d), best first, as float64 of length 1, or 0 where that is theirs."""
    column, given = cast("Column[Vector]", judged.columns[0]), cast("np.ndarray", judged.vectors)[0]
    query = 2.0 * np.unpackbits(given) - 1 if column.field.dtype == "binary" else given.astype(np.float64)
    best = candidates.some(np.argsort(-scores, kind="stable")[:NEAREST])
    return query / max(float(np.linalg.norm(query)), 1e-12), units_of(best, column).astype(np.float64)


def _left(query: np.ndarray, units: np.ndarray) -> float:
    """Return the length, from 0 to 1, of what is left of a query behind the span of hits."""
    if not len(units) or not query.any():
        return 1.0
    _, sizes, directions = np.linalg.svd(units, full_matrices=False)
    within = directions[sizes > FAINT * max(float(sizes[0]), FAINT)] @ query
    return float(np.sqrt(max(0.0, 1 - float(within @ within))))


def _complement(query: np.ndarray, units: np.ndarray) -> float:
    """Return the greatest cosine of another hit to what the best one leaves of a query; 0 where nothing is left."""
    if len(units) < 2:
        return 0.0
    rest = query - units[0] * float(units[0] @ query)
    length = float(np.linalg.norm(rest))
    return float((units[1:] @ rest).max()) / length if length > FAINT else 0.0


def arm_scores(context: Context, arm: BoundArm, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Return an arm's score of each candidate (n,), and those of the candidates that it found itself, best first."""
    said = next((one.scores for one in candidates.arms if one.name == arm.label), None)
    scores = np.full(len(candidates), np.nan) if said is None else said.astype(np.float64)
    listed = np.sort(scores[~np.isnan(scores)])[::-1]
    missing = np.flatnonzero(np.isnan(scores))
    if len(missing):
        scores = scores.copy()
        scores[missing] = _asked(context, arm, candidates.some(missing))
        unknown = np.isnan(scores)
        scores[unknown] = listed[-1] if len(listed) else 0.0
    return scores, listed


def signature(arms: tuple[BoundArm, ...], judged: BoundArm) -> list[dict[str, Any]]:
    """Return what the arms are, as JSON: a calibrator is for queries with the same ones."""
    ordered = (judged, *(one for one in arms if one is not judged))
    return [{"kind": one.arm.kind, "fields": [_described(column) for column in one.columns]} for one in ordered]


def _described(column: Column) -> dict[str, Any]:
    told: dict[str, Any] = {"id": column.id}
    if column.field.kind == "vector":
        space = column.field.space
        told |= {"metric": column.field.metric, "dtype": column.field.dtype}
        told["space"] = None if space is None else space.to_json()
    return told


def _asked(context: Context, arm: BoundArm, candidates: Candidates) -> np.ndarray:
    """Return what an arm would say of rows that it did not find; NaN where it cannot be asked."""
    scores = np.full(len(candidates), np.nan)
    if isinstance(arm.arm, Near):
        assert arm.vectors is not None
        scores[:] = candidates.scores_by(arm.columns[0], arm.vectors[0])
    elif isinstance(arm.arm, Match):
        asked = text_query(arm.arm.text, arm.label)
        scores[:] = text.scores(context.state, fields_of(arm), asked, candidates.part, candidates.row)
    return scores


def _ceiling(context: Context, arm: BoundArm) -> float:
    """Return what makes an arm's scores comparable between queries: for words, what all of them together are worth."""
    if isinstance(arm.arm, Terms):
        assert arm.terms is not None
        return max(float(np.abs(arm.terms[1]).sum()), 1e-12)
    if not isinstance(arm.arm, Match):
        return 1.0
    total = 0.0
    asked = text_query(arm.arm.text, arm.label)
    for column, boost in fields_of(arm):
        known = words_of(context.state, column, context.allow_partial)
        terms = {term for one in terms_of(spec_of(column), asked) if one.clause.occur != "not" for term in one.known}
        total += boost * sum(known.idf(frequency) for frequency in known.frequencies(terms))
    return max(total, 1e-12)
