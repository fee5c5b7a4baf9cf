"""Asks every question in every configuration, and measures the answers.

Judged measures are those of ir-measures, by their names there ("nDCG@10", "RR@10", "R@100", "alpha_nDCG@10",
"StRecall@10"); the two last need judgements of subtopics. `EXACT` needs none: the share of the exact answer, of
the same query with every row compared, that was found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.evaluation.extra import library
from vecdb.evaluation.files import Judgement, Question
from vecdb.evaluation.paired import Comparison, Test, compared
from vecdb.evaluation.report import Outcome, Report
from vecdb.evaluation.templates import Template

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.query.query import Query

EXACT = "recall of exact"
USUAL = ("nDCG@10", "RR@10", "R@100")
BY_SUBTOPIC = ("alpha_nDCG@10", "StRecall@10")
_SUBTOPIC_MEASURES = frozenset(
    ("alpha_nDCG", "alpha_DCG", "StRecall", "ERR_IA", "nERR_IA", "NRBP", "nNRBP", "AP_IA", "P_IA")
)


def evaluate(
    collection: Collection,
    questions: Sequence[Question],
    configurations: Mapping[str, Query | Mapping[str, Any] | Template],
    judgements: Sequence[Judgement] = (),
    measures: Sequence[str] | None = None,
    test: Test = "randomisation",
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Ask all questions in every configuration and return what they reached.

    Every question is asked alone, once approximately, timed, and once exactly. Questions without a judgement are left
    out where there are judgements. An answer is measured as deep as the configuration's `k` reaches: "R@100" of a
    query for ten rows is that of ten rows.

    Args:
        collection: an embedded or a served one, or a snapshot.
        questions: what is asked.
        configurations: one or two, by name: queries with places, see `vecdb.evaluation.templates`.
        judgements: what answers the questions; none: only recall against exact is measured.
        measures: names of ir-measures, beside recall against exact; None: nDCG@10, RR@10 and R@100, and where there
            are subtopics alpha_nDCG@10 and StRecall@10.
        test: how two configurations are compared: "randomisation" or "t".
        progress: called with questions done, and how many there are.

    Raises:
        InvalidInputError: no question is judged, a measure is unknown or needs subtopics that nobody judged, there are
            not one or two configurations, or a query is wrong.
        MissingExtraError: ir-measures is missing and there are judgements; scipy, and there are two configurations.

    """
    if not 1 <= len(configurations) <= 2:
        raise InvalidInputError(f"{len(configurations)} configurations: give one, or two to compare", field="config")
    templates = [
        given if isinstance(given, Template) else Template.of(name, given) for name, given in configurations.items()
    ]
    wanted = _wanted(judgements, measures)
    if len(templates) == 2:
        library("scipy.stats", "a paired test")
    judged = {one.question for one in judgements}
    asked = [question for question in questions if not judgements or question.id in judged]
    if not asked:
        raise InvalidInputError("no question has a judgement: are their ids the same?", field="judgements")
    total, done = len(asked) * len(templates), 0
    outcomes: list[Outcome] = []
    for template in templates:
        queries = [template.filled(question) for question in asked]
        collection.run(queries[0])  # unseen: what it loads and compiles is no part of the times
        found, milliseconds, shares = [], [], []
        for query in queries:
            begun = time.perf_counter()
            ids = collection.run(query).ids
            milliseconds.append(1e3 * (time.perf_counter() - begun))
            exact = collection.run(query.exactly()).ids
            shares.append(len(set(ids) & set(exact)) / len(exact) if len(exact) else 1.0)
            found.append(tuple(map(str, ids)))
            done += 1
            if progress is not None:
                progress(done, total)
        values = {EXACT: tuple(shares), **_judged(asked, found, judgements, wanted)}
        outcomes.append(Outcome(template.name, template.query, values, tuple(milliseconds), tuple(found)))
    names = (EXACT, *wanted)
    return Report(
        collection=collection.name,
        rows=collection.count(),
        questions=tuple(question.id for question in asked),
        texts=tuple(str(question.values.get("text", "")) for question in asked),
        unjudged=len(questions) - len(asked),
        measures=names,
        outcomes=tuple(outcomes),
        comparisons=tuple(_compared(name, outcomes, test) for name in names) if len(outcomes) == 2 else (),
    )


def _compared(measure: str, outcomes: Sequence[Outcome], test: Test) -> Comparison:
    first, second = ((one.name, np.array(one.values[measure])) for one in outcomes)
    return compared(measure, first, second, test)


def _wanted(judgements: Sequence[Judgement], measures: Sequence[str] | None) -> dict[str, Any]:
    """Return the judged measures by their names."""
    if not judgements:
        if measures:
            raise InvalidInputError(f"{measures[0]!r} needs judgements", field="measures", value=measures[0])
        return {}
    ir = library("ir_measures", "a judged measure")
    subtopics = any(one.subtopic is not None for one in judgements)
    names = measures if measures is not None else (*USUAL, *(BY_SUBTOPIC if subtopics else ()))
    found: dict[str, Any] = {}
    for name in names:
        try:
            measure = ir.parse_measure(name)
        except (NameError, ValueError, SyntaxError) as error:
            raise InvalidInputError(f"{name!r} is no measure of ir-measures", field="measures", value=name) from error
        if measure.NAME in _SUBTOPIC_MEASURES and not subtopics:
            raise InvalidInputError(f"{name!r} needs judgements of subtopics", field="measures", value=name)
        if measure.NAME in _SUBTOPIC_MEASURES:
            library("pyndeval", f"the measure {name!r}")
        found[name] = measure
    return found


def _judged(
    asked: Sequence[Question],
    found: Sequence[Sequence[str]],
    judgements: Sequence[Judgement],
    wanted: Mapping[str, Any],
) -> dict[str, tuple[float, ...]]:
    if not wanted:
        return {}
    ir = library("ir_measures", "a judged measure")
    # Places instead of scores: the measures break ties in their own ways, vecdb has broken them by id.
    answers = [
        ir.ScoredDoc(question.id, document, float(len(ids) - place))
        for question, ids in zip(asked, found, strict=True)
        for place, document in enumerate(ids)
    ]
    by_subtopic = [ir.Qrel(one.question, one.document, one.relevance, one.subtopic or "0") for one in judgements]
    best: dict[tuple[str, str], int] = {}
    for one in judgements:
        pair = (one.question, one.document)
        best[pair] = max(one.relevance, best.get(pair, one.relevance))
    whole = [ir.Qrel(question, document, relevance, "0") for (question, document), relevance in best.items()]
    values: dict[str, tuple[float, ...]] = {}
    for name, measure in wanted.items():
        qrels = by_subtopic if measure.NAME in _SUBTOPIC_MEASURES else whole
        # A question without an answer, or without a relevant document, has no value of its own: it counts as 0.
        told = {one.query_id: float(one.value) for one in ir.iter_calc([measure], qrels, answers)} if answers else {}
        values[name] = tuple(told.get(question.id, 0.0) for question in asked)
    return values
