"""A calibrator learns from judged answers how likely a hit is relevant.

It is a Cosine Adapter (Rossi et al. 2024): what a score means depends on the query, so a monotone map of the scores,
whose offset follows from the query, is trained, and one bar on its outcome serves all queries. Different from the
paper: the map is linear on the log-odds, and its offset is told by how the query's best scores lie and by a few
directions of its vector instead of a network over the whole vector, so that some hundred queries are enough. How many
directions is chosen by leaving out queries; often it is none.

Several scores of a hit (a cosine, words) count together. Each weight of a score is 0 or positive: a hit that is
better in all of them is never less likely relevant.

Whether any row answers a query is another question than which of its hits do, and learned beside it: from the log-odds
of the best hit and of those behind it, as a model tells them that did not see the query, and from what speaks for an
answer. That counts for it or not at all: what few queries seem to say against it is chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.relevance import logistic
from vecdb_index.relevance.logistic import Floats, Logistic, log_loss, sigmoid

FOLDS = 5
DIRECTIONS = 0, 8, 16
"""Directions of the queries' vectors that are tried."""
DECIMALS = 5
OF_ANSWERS = 5.0
"""The ridge on what speaks for an answer, in units of that on the best hit's log-odds: each query tells that once."""
BEHIND = slice(1, 3)
"""Hits behind the best one with which it is compared: where they are as good, the query has less likely an answer."""
OF_QUERIES = 10.0
"""The ridge on what all hits of a query share, in units of that on their scores: there are fewer queries than hits."""
BETTER = 0.995
"""More directions are used only where they lower the loss of left-out queries to this share, or less."""
UNLIKELY = -20.0
"""The log-odds of the best hit of a query that has no hits."""
RECALLS = tuple(round(0.5 + 0.01 * at, 2) for at in range(50))
"""Shares of the relevant hits, 0.50 to 0.99, for which a bar is known."""


class Judged(NamedTuple):
    """The hits of one query, and which of them are relevant.

    Attributes:
        scores: (n, s) what is known of each hit; more is better.
        context: (c,) what is known of the query.
        vector: (d,) the query, or (0,).
        relevant: (n,) bool.
        answerable: whether any row answers the query, found or not.
        about: (a,) what speaks for the query having an answer; more is better.

    """

    scores: Floats
    context: Floats
    vector: Floats
    relevant: NDArray[np.bool_]
    answerable: bool
    about: Floats = np.empty(0)


@dataclass(frozen=True)
class RelevanceCalibrator:
    """What was learned.

    Attributes:
        model: weights of the scores, the context and the directions.
        directions: (d, r) directions of a query's vector; r may be 0.
        bars: the log-odds that keep the shares `RECALLS` of relevant hits, of queries that were not learned from.
        report: what was measured when it was made: see `fit`.
        answers: weights of the best hit's log-odds, of what speaks for an answer, and of the hits behind the best one,
            for whether a query has an answer; None where all judged queries had one, or none. Earlier ones have none
            for the hits behind.

    """

    model: Logistic
    directions: Floats
    bars: Floats
    report: Mapping[str, float]
    answers: Logistic | None = None

    @classmethod
    def fit(cls, pairs: Sequence[Judged]) -> RelevanceCalibrator:
        """Learn from judged hits.

        The report has `queries`, `answerable`, `relevant` (hits), `auc` (how often a query with an answer is more
        likely to have one than a query without, of queries left out), `auc_raw` (how often its best hit has the better
        first score), `kept` and `kept_raw` (hits a query, where 95 % of the relevant ones are kept), and `directions`.

        Raises:
            ValueError: there are fewer than two relevant hits, or no other ones, or fewer than FOLDS queries.

        """
        relevant = np.concatenate([one.relevant for one in pairs]) if pairs else np.empty(0, bool)
        if len(pairs) < FOLDS or relevant.sum() < 2 or relevant.all():
            told = f"{len(pairs)} queries with {int(relevant.sum())} relevant and {int((~relevant).sum())} other hits"
            raise ValueError(f"{told} are too few to learn from")
        vectors = np.array([one.vector for one in pairs])
        tried = [r for r in DIRECTIONS if r < min(len(pairs) // 4, vectors.shape[1])] or [0]
        best: tuple[float, int, list[Floats]] | None = None
        for count in tried:
            told = _left_out(pairs, count)
            loss = float(np.concatenate([log_loss(a, one.relevant) for a, one in zip(told, pairs, strict=True)]).mean())
            if best is None or loss < BETTER * best[0]:
                best = loss, count, told
        assert best is not None
        directions = _directions(vectors, best[1])
        model = _fit(pairs, directions)
        found = np.concatenate(best[2])
        bars = _bars(found[relevant])
        report = _report(pairs, best[2], relevant) | {"directions": best[1]}
        return cls(model, directions, bars, report, _answers(pairs, best[2]))

    def logits(self, scores: Floats, context: Floats, vector: Floats) -> Floats:
        """Return the log-odds that hits (n, s) of a query are relevant: (n,)."""
        return self.model.logits(_inputs(scores, context, vector, self.directions))

    def chances(self, scores: Floats, context: Floats, vector: Floats) -> Floats:
        """Return the chance that hits (n, s) of a query are relevant: (n,), between 0 and 1."""
        return sigmoid(self.logits(scores, context, vector))

    def answer(self, logits: Floats, about: Floats) -> float | None:
        """Return the chance that a query has an answer, of the log-odds of its hits (n,); None: it is not known."""
        if self.answers is None or not len(logits):
            return None
        inputs = _of_query(logits, about)
        return float(sigmoid(self.answers.logits(inputs[: len(self.answers.weights)])))

    def bar(self, recall: float) -> float:
        """Return the log-odds above which a share `recall`, between 0.5 and 0.99, of the relevant hits lie."""
        return float(np.interp(recall, RECALLS, self.bars))

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "weights": self.model.weights.tolist(),
            "intercept": self.model.intercept,
            "directions": self.directions.tolist(),
            "bars": self.bars.tolist(),
            "report": dict(self.report),
        } | ({} if self.answers is None else {"answers": [*self.answers.weights.tolist(), self.answers.intercept]})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RelevanceCalibrator:
        """Read what `to_json` wrote."""
        weights = np.array(data["weights"], np.float64)
        directions = np.array(data["directions"], np.float64)
        rows = len(directions)
        model = Logistic(weights, float(data["intercept"]))
        told = data.get("answers")
        answers = None if told is None else Logistic(np.array(told[:-1], np.float64), float(told[-1]))
        bars = np.array(data["bars"], np.float64)
        return cls(model, directions.reshape(rows, -1), bars, dict(data["report"]), answers)


def auc(better: Floats, worse: Floats) -> float:
    """Return how often one of `better` (n,) is above one of `worse` (m,), equal ones counting half."""
    if not len(better) or not len(worse):
        return float("nan")
    ordered = np.sort(worse)
    below = np.searchsorted(ordered, better, side="left")
    upto = np.searchsorted(ordered, better, side="right")
    return float((below + upto).mean() / (2 * len(worse)))


def _bars(found: Floats) -> Floats:
    """Return for each of `RECALLS` the bar that keeps so much of relevant hits to come.

    The l-th lowest of n log-odds has a hit to come below it with a chance of l / (n + 1) (conformal prediction, Vovk
    et al. 2005), so l is the most that this allows; the plain quantile of few hits keeps less than is asked for. Here
    it is no proof: the log-odds come from models of the folds, and hits of one query depend on each other.
    Too few hits for a share have their lowest as the bar.
    """
    ordered = np.sort(found)
    lost = np.floor((1 - np.array(RECALLS)) * (len(ordered) + 1) + 1e-9).astype(np.int64)
    return ordered[np.maximum(lost, 1) - 1]


def _inputs(scores: Floats, context: Floats, vector: Floats, directions: Floats) -> Floats:
    about = np.concatenate([context, vector @ directions if directions.size else np.empty(0)])
    return np.column_stack([scores, np.broadcast_to(about, (len(scores), len(about)))])


def _fit(pairs: Sequence[Judged], directions: Floats) -> Logistic:
    inputs = np.concatenate([_inputs(one.scores, one.context, one.vector, directions) for one in pairs])
    labels = np.concatenate([one.relevant for one in pairs])
    rising = pairs[0].scores.shape[1]
    ridge = np.where(np.arange(inputs.shape[1]) < rising, logistic.RIDGE, OF_QUERIES * logistic.RIDGE)
    return logistic.fit(inputs, labels, rising, ridge)


def _directions(vectors: Floats, count: int) -> Floats:
    """Return the first principal directions of the queries (d, count), each with a sign of its own making."""
    if not count:
        return np.empty((vectors.shape[1], 0))
    found = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2][:count].T
    # Few decimals: manifests hold them.
    signs = np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])
    return np.round(found * signs, DECIMALS).astype(np.float64)


def _left_out(pairs: Sequence[Judged], count: int) -> list[Floats]:
    """Return the log-odds of every query's hits by a model that did not see the query."""
    turn = np.random.default_rng(0).permutation(len(pairs)) % FOLDS
    out: list[Floats] = [np.empty(0)] * len(pairs)
    for fold in range(FOLDS):
        seen = [one for one, mine in zip(pairs, turn, strict=True) if mine != fold]
        directions = _directions(np.array([one.vector for one in seen]), count)
        labels = np.concatenate([one.relevant for one in seen])
        model = _fit(seen, directions) if labels.any() and not labels.all() else None
        for at in np.flatnonzero(turn == fold).tolist():
            one = pairs[at]
            inputs = _inputs(one.scores, one.context, one.vector, directions)
            out[at] = np.zeros(len(inputs)) if model is None else model.logits(inputs)
    return out


def _of_query(logits: Floats, about: Floats) -> Floats:
    """Return the best hit's log-odds, what speaks for an answer, and the mean log-odds of the hits behind the best."""
    ordered = np.sort(logits)[::-1] if len(logits) else np.array([UNLIKELY])
    behind = ordered[BEHIND] if len(ordered) > 1 else ordered
    return np.concatenate([ordered[:1], about, [behind.mean()]])


def _answers(pairs: Sequence[Judged], told: Sequence[Floats]) -> Logistic | None:
    """Learn whether queries have an answer, of the log-odds of their hits by models that did not see them."""
    answerable = np.array([one.answerable for one in pairs])
    if answerable.all() or not answerable.any():
        return None
    inputs = np.array([_of_query(logits, one.about) for logits, one in zip(told, pairs, strict=True)])
    ridge = np.append(logistic.RIDGE, np.full(inputs.shape[1] - 1, OF_ANSWERS * logistic.RIDGE))
    return logistic.fit(inputs, answerable, inputs.shape[1] - 1, ridge)


def _left_out_answers(pairs: Sequence[Judged], told: Sequence[Floats]) -> Floats:
    """Return for every query how likely it has an answer, by a model that did not see it: (queries,) log-odds."""
    turn = np.random.default_rng(1).permutation(len(pairs)) % FOLDS
    out = np.zeros(len(pairs))
    for fold in range(FOLDS):
        seen = np.flatnonzero(turn != fold).tolist()
        model = _answers([pairs[at] for at in seen], [told[at] for at in seen])
        for at in np.flatnonzero(turn == fold).tolist():
            asked = _of_query(told[at], pairs[at].about)
            out[at] = asked[0] if model is None else model.logits(asked)
    return out


def _report(pairs: Sequence[Judged], told: Sequence[Floats], relevant: NDArray[np.bool_]) -> dict[str, float]:
    answerable = np.array([one.answerable for one in pairs])
    best = _left_out_answers(pairs, told)
    raw = np.array([one.scores[:, 0].max(initial=-np.inf) for one in pairs])
    logits, first = np.concatenate(told), np.concatenate([one.scores[:, 0] for one in pairs])

    def kept(values: Floats) -> float:
        return float((values >= np.quantile(values[relevant], 0.05, method="lower")).sum() / len(pairs))

    return {
        "queries": len(pairs),
        "answerable": int(answerable.sum()),
        "relevant": int(relevant.sum()),
        "auc": auc(best[answerable], best[~answerable]),
        "auc_raw": auc(raw[answerable], raw[~answerable]),
        "kept": kept(logits),
        "kept_raw": kept(first),
    }
