"""Leaving out what is not relevant: see `vecdb.query.relevance`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from vecdb.errors import InvalidInputError, SpaceMismatchError
from vecdb.planner import evidence
from vecdb.planner.background import LEAST, background
from vecdb.planner.bound import BoundArm, BoundStage
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.query.relevance import Relevance
from vecdb_index.relevance import cuts
from vecdb_index.relevance.cuts import Kept
from vecdb_index.relevance.logistic import sigmoid
from vecdb_index.relevance.tails import Normal, Tail


def cut(context: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the candidates that stand out, in their order, and what was needed for it.

    Raises:
        InvalidInputError: there is no calibrator of that name, or it was made for other arms.
        SpaceMismatchError: it was made for vectors of another space.

    """
    stage = bound.stage
    assert isinstance(stage, Relevance)
    arm = evidence.judged_arm(bound.arms, stage.arm)
    if stage.method == "adapter":
        keep, told = _by_adapter(context, stage, bound.arms, arm, candidates)
    elif stage.method == "gap" and stage.arm is None:
        keep, told = _by_gap(stage, candidates.score.astype(np.float64))
    else:
        assert arm is not None
        scores, _ = evidence.arm_scores(context, arm, candidates)
        if stage.method == "gap":
            keep, told = _by_gap(stage, scores)
        else:
            keep, told = _by_background(context, stage, arm, scores)
    keep[: stage.at_least] = True
    left = candidates.some(np.flatnonzero(keep))
    return replace(left, told={"method": stage.method, **told, "why": _why(stage, told, len(left), len(candidates))})


def _by_gap(stage: Relevance, scores: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    order = np.argsort(-scores, kind="stable")
    found = cuts.largest_gap(scores[order], stage.skip, stage.extra)
    keep = np.zeros(len(scores), bool)
    keep[order] = found.keep
    return keep, _told(scores, found, "gap")


def _by_background(
    context: Context, stage: Relevance, arm: BoundArm, scores: np.ndarray
) -> tuple[np.ndarray, dict[str, Any]]:
    state, (column,) = context.state, arm.columns
    sample = background(state, column, arm.where, stage.sample)
    told: dict[str, Any] = {
        "arm": arm.label,
        "sample": len(sample),
        "matching": sample.matching,
        "sampled": "rows that pass the filter" if sample.filtered and arm.where is not None else "all rows",
    }
    if len(sample) < LEAST:
        # Too few rows to know what is usual: nothing can be said to stand out, so nothing is left out.
        return np.ones(len(scores), bool), told | {"bar": None, "best": _best(scores)}
    assert arm.vectors is not None
    usual = sample.scores(state, column, arm.vectors[0])
    model = Normal.of(usual) if stage.method == "zscore" else Tail.of(usual)
    if stage.method == "higher_criticism":
        threshold = cuts.NOISE if stage.threshold is None else stage.threshold
        found = cuts.higher_criticism(model.chances(scores), scores, max(sample.matching, len(scores)), threshold)
        return found.keep, told | _told(scores, found, "criticism") | {"needed": threshold}
    rows, allowed = sample.matching, stage.expect_false
    if stage.threshold is not None:
        rows, allowed = 1, stage.threshold
        if stage.method == "zscore":
            assert isinstance(model, Normal)
            bar = model.mean + stage.threshold * model.std
            return scores >= bar, told | {"bar": bar, "best": _best(scores)}
    found = cuts.expected(model, scores, max(rows, 1), allowed)
    return found.keep, told | _told(scores, found, "expected_false_at_best")


def _by_adapter(
    context: Context, stage: Relevance, arms: tuple[BoundArm, ...], arm: BoundArm | None, candidates: Candidates
) -> tuple[np.ndarray, dict[str, Any]]:
    from vecdb.planner.calibrators import calibrator_of

    assert arm is not None
    kept = calibrator_of(context.state, stage.calibrator)
    _check_same(kept.arms, evidence.signature(arms, arm), stage.calibrator)
    known = evidence.gathered(context, arms, arm, candidates, kept.form)
    logits = kept.calibrator.logits(known.scores, known.context, known.vector)
    bar = kept.calibrator.bar(stage.recall)
    if stage.threshold is not None:
        bar = float(np.log(stage.threshold / (1 - stage.threshold)))
    told = {"arm": arm.label, "calibrator": stage.calibrator, "bar": float(sigmoid(np.array(bar)))}
    answer = kept.calibrator.answer(logits, known.about)
    if answer is not None:
        told["answer"] = answer
    return logits >= bar, told | {"best": _best(sigmoid(logits))}


def _check_same(made_for: list[dict[str, Any]], asked: list[dict[str, Any]], name: str) -> None:
    if made_for == asked:
        return
    shapes = [[[one["kind"], [field["id"] for field in one["fields"]]] for one in arms] for arms in (made_for, asked)]
    if shapes[0] == shapes[1]:
        raise SpaceMismatchError(
            f"the calibrator {name!r} was made for vectors of another space: make it anew with `calibrate`",
            field="calibrator",
        )
    kinds = [" and ".join(one["kind"] for one in arms) for arms in (made_for, asked)]
    told = f"the calibrator {name!r} was made for queries with {kinds[0]} over certain fields"
    raise InvalidInputError(f"{told}; this query has {kinds[1]}, or other fields", field="calibrator", value=name)


def _told(scores: np.ndarray, found: Kept, what: str) -> dict[str, Any]:
    told: dict[str, Any] = {"bar": None if np.isnan(found.bar) else found.bar, "best": _best(scores)}
    if not np.isnan(found.statistic):
        told[what] = found.statistic
    return told


def _best(scores: np.ndarray) -> float | None:
    return float(scores.max()) if len(scores) else None


def _why(stage: Relevance, told: dict[str, Any], left: int, before: int) -> str:
    """Return the outcome as a sentence."""
    best, bar = told["best"], told["bar"]
    if best is None:
        return "there were no candidates"
    if "sample" in told and told["sample"] < LEAST:
        return f"only {told['sample']} rows have a vector: too few to know what is usual, so nothing was left out"
    if stage.method == "higher_criticism":
        found = f"the rows stand out by {told.get('criticism', 0.0):.3g} where {told['needed']:.3g} are needed"
        return f"{found}, so none is relevant" if bar is None else f"{found}, down to {bar:.4g}; the best is {best:.4g}"
    outcome = "nothing is left out" if left == before else f"{left} of {before} are left"
    what = "chance" if stage.method == "adapter" else "score"
    if not left:
        outcome = "so none is relevant"
    return f"the {what} that is needed is {bar:.4g}, the best is {best:.4g}: {outcome}"
