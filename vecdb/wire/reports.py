"""What is counted, measured and explained, as messages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.explanation import Explanation
from vecdb.facets import EDGES, Count, Facet, Facets, Range
from vecdb.planner.trace import Step
from vecdb.results import CheckReport, Problem, RecallReport, TuneReport
from vecdb.wire.values import as_json, from_json, optional_to_message, packed, valid, value_from_message, writable
from vecdb_proto.v1 import result_pb2 as pb
from vecdb_proto.v1 import search_service_pb2 as search
from vecdb_proto.v1.values_pb2 import Value

if TYPE_CHECKING:
    from vecdb.highlights import Highlight
    from vecdb.query.query import Query

# -- facets ------------------------------------------------------------------------------------------------------------


def facet_fields_to_message(fields: str | Iterable[str] | Mapping[str, Any]) -> list[search.FacetField]:
    """Return what `facets` was asked for as messages: a field, several, or a dict of fields and edges.

    Raises:
        InvalidInputError: an edge is no scalar.

    """
    if isinstance(fields, str):
        fields = (fields,)
    asked = fields if isinstance(fields, Mapping) else dict.fromkeys(fields)
    messages = []
    for name, edges in asked.items():
        message = search.FacetField(field=name)
        if edges is not None:
            message.edges.SetInParent()
            for edge in edges:
                message.edges.edges.append(pb.NullableValue(value=optional_to_message(edge)))
        messages.append(message)
    return messages


def facet_fields_from_message(messages: Sequence[search.FacetField]) -> dict[str, list[Any] | None]:
    """Return what `facets` is asked for, as it takes it.

    Raises:
        InvalidInputError: a field comes twice, or has too many edges.

    """
    asked: dict[str, list[Any] | None] = {}
    for message in messages:
        if message.field in asked:
            raise InvalidInputError(f"facets of {message.field!r} are asked for twice", field=message.field)
        edges = message.edges.edges
        if len(edges) > EDGES:
            raise InvalidInputError(
                f"{message.field!r} has {len(edges)} edges, expected 2 to {EDGES:,}", field=message.field
            )
        asked[message.field] = list(map(_nullable, edges)) if message.HasField("edges") else None
    return asked


def facets_to_message(facets: Facets) -> pb.Facets:
    """Return facets as a message."""
    return pb.Facets(rows=facets.rows, facets=map(_facet_message, facets.facets))


def facets_from_message(message: pb.Facets, edges: Mapping[str, Sequence[Any]] | None = None) -> Facets:
    """Return the facets of a message.

    Args:
        message: the facets.
        edges: those that were asked for, by field; the ranges then have them as they were given.

    Raises:
        InvalidInputError: there are not as many counts as values.

    """
    return Facets(message.rows, tuple(_facet(one, (edges or {}).get(one.field)) for one in message.facets))


def _facet_message(facet: Facet) -> pb.Facet:
    told = [value for value, _ in facet.counts]
    if facet.distinct is None and told:
        told = [told[0].low, *(value.high for value in told)]
    return pb.Facet(
        field=facet.field,
        rows=facet.rows,
        nulls=facet.nulls,
        distinct=facet.distinct,
        outside=facet.outside,
        least=optional_to_message(facet.least),
        greatest=optional_to_message(facet.greatest),
        mean=optional_to_message(facet.mean),
        values=[pb.NullableValue(value=optional_to_message(value)) for value in told],
        counts=np.array([count for _, count in facet.counts], "<i8").tobytes(),
    )


def _facet(message: pb.Facet, edges: Sequence[Any] | None) -> Facet:
    values: list[Any] = list(map(_nullable, message.values))
    distinct = message.distinct if message.HasField("distinct") else None
    if distinct is None:
        if edges is not None and len(edges) == len(values):
            values = list(edges)
        values = [Range(low, high) for low, high in pairwise(values)]
    counts = packed(message.counts, "<i8", "the list of counts").tolist()
    if len(counts) != len(values):
        raise InvalidInputError(f"the facet of {message.field!r} has {len(values)} values and {len(counts)} counts")
    return Facet(
        message.field,
        tuple(map(Count, values, counts)),
        message.rows,
        message.nulls,
        distinct,
        message.outside,
        _optional(message, "least"),
        _optional(message, "greatest"),
        _optional(message, "mean"),
    )


def _optional(message: pb.Facet, name: str) -> Any:
    held: Value = getattr(message, name)
    return value_from_message(held) if message.HasField(name) else None  # pyright: ignore[reportArgumentType]


def _nullable(message: pb.NullableValue) -> Any:
    return value_from_message(message.value) if message.HasField("value") else None


# -- measurements ------------------------------------------------------------------------------------------------------

_RECALL = "recall", "worst", "k", "queries", "short", "p50_ms", "p95_ms", "exact_p50_ms", "codes_compared"


def recall_to_message(report: RecallReport) -> pb.RecallReport:
    """Return a report as a message."""
    return pb.RecallReport(plans=report.plans, **{name: getattr(report, name) for name in _RECALL})


def recall_from_message(message: pb.RecallReport) -> RecallReport:
    """Return the report of a message."""
    return RecallReport(plans=dict(message.plans), **{name: getattr(message, name) for name in _RECALL})


def tune_to_message(report: TuneReport) -> pb.TuneReport:
    """Return a report as a message."""
    curve = [pb.TuneReport.Point(width=width, recall=recall) for width, recall in report.curve]
    return pb.TuneReport(k=report.k, queries=report.queries, curve=curve)


def tune_from_message(message: pb.TuneReport) -> TuneReport:
    """Return the report of a message."""
    return TuneReport(message.k, message.queries, tuple((point.width, point.recall) for point in message.curve))


# -- explanations ------------------------------------------------------------------------------------------------------


def explanation_to_message(told: Explanation) -> pb.Explanation:
    """Return an explanation as a message, without its query, which the asker has."""
    with writable():
        steps = list(map(_step_message, told.steps))
        return pb.Explanation(rows=told.rows, analyzed=told.analyzed, ms=told.ms, steps=steps)


def explanation_from_message(message: pb.Explanation, query: Query) -> Explanation:
    """Return what a message explains of a query.

    Raises:
        InvalidInputError: a step has no JSON object.

    """
    ms = message.ms if message.HasField("ms") else None
    return Explanation(query, message.rows, tuple(map(_step, message.steps)), message.analyzed, ms)


def _step_message(step: Step) -> pb.Step:
    return pb.Step(
        name=step.name,
        rows_in=step.rows_in,
        rows_out=step.rows_out,
        ms=None if math.isnan(step.ms) else step.ms,
        told=as_json(step.told),
        steps=map(_step_message, step.steps),
    )


def _step(message: pb.Step) -> Step:
    return Step(
        message.name,
        message.rows_in if message.HasField("rows_in") else None,
        message.rows_out,
        message.ms if message.HasField("ms") else math.nan,
        from_json(message.told),
        tuple(map(_step, message.steps)),
    )


# -- texts and files ---------------------------------------------------------------------------------------------------


def highlight_to_message(highlight: Highlight) -> pb.Highlight:
    """Return a part of a text as a message."""
    return pb.Highlight(text=highlight.text, spans=[place for span in highlight.spans for place in span])


def highlight_from_message(message: pb.Highlight) -> Highlight:
    """Return the part of a text of a message.

    Raises:
        InvalidInputError: a word has no end, or lies outside the text.

    """
    from vecdb.highlights import Highlight

    places = list(message.spans)
    if (
        len(places) % 2
        or any(first > last for first, last in pairwise(places))
        or max(places, default=0) > len(message.text)
    ):
        raise InvalidInputError("the words of a highlight do not lie in its text")
    return Highlight(message.text, tuple(zip(places[::2], places[1::2], strict=True)))


def check_to_message(report: CheckReport) -> pb.CheckReport:
    """Return what `check` found as a message."""
    problems = [
        pb.Problem(path=valid(one.path), message=valid(one.message), severity=one.severity) for one in report.problems
    ]
    return pb.CheckReport(problems=problems, files=report.files, bytes=report.bytes)


def check_from_message(message: pb.CheckReport) -> CheckReport:
    """Return what `check` found."""
    problems = tuple(Problem(one.path, one.message, one.severity) for one in message.problems)
    return CheckReport(problems, message.files, message.bytes)
