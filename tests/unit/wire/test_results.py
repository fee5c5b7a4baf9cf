from typing import Any

import numpy as np
import pytest

from vecdb.errors import InvalidInputError
from vecdb.facets import Count, Facet, Facets, Range
from vecdb.query.query import Query
from vecdb.results import WriteResult
from vecdb.wire import reports, results
from vecdb.wire.values import ids_to_message
from vecdb_proto.v1 import result_pb2 as pb
from vecdb_proto.v1 import search_service_pb2 as search
from vecdb_proto.v1.values_pb2 import Rows, Value

SCORES = np.array([0.5, 0.25], "f4").tobytes()


def result(**parts: Any) -> pb.SearchResult:
    given = {"id_name": "id", "ids": ids_to_message(["a", "b"], "string"), "scores": SCORES} | parts
    return pb.SearchResult(**given)


def test_a_result_is_not_looked_into_before_somebody_looks() -> None:
    found = results.from_message(result(fields=Rows(schema=b"damaged"), explain=b"damaged"))

    assert found.ids == ["a", "b"]
    assert found.scores.tolist() == [0.5, 0.25]
    with pytest.raises(InvalidInputError, match="schema"):
        _ = found[0]
    with pytest.raises(InvalidInputError, match="JSON"):
        _ = found.explain


def test_a_result_without_fields_is_one_of_ids_and_scores() -> None:
    found = results.from_message(result(metric="cosine"))

    assert found.to_list() == [
        {"id": "a", "score": 0.5, "distance": 0.5},
        {"id": "b", "score": 0.25, "distance": 0.75},
    ]
    assert found.to_arrow().column_names == ["id", "score", "distance"]
    assert (found.cursor, found.groups, found.missing, found.explain) == (None, None, (), {})


def test_highlights_come_from_who_can_find_them() -> None:
    found = results.from_message(result(), lambda ids, length: [{"asked": (one, length)} for one in ids])  # pyright: ignore[reportArgumentType]

    assert found.highlights(80) == [{"asked": ("a", 80)}, {"asked": ("b", 80)}]
    assert results.from_message(result()).highlights() == [{}, {}]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (result(scores=SCORES[:4]), "1 scores and 2 ids"),
        (result(scores=SCORES[:5]), "no multiple of 4"),
        (result(metric="manhattan"), "the metric 'manhattan'"),
        (result(arms=[pb.ArmScores(name="x", ranks=bytes(4), scores=bytes(8))]), "has 1 ranks for 2 hits"),
        (result(groups=pb.Groups(groups=[pb.Group(first=0, last=3)])), "outside"),
        (result(groups=pb.Groups(groups=[pb.Group(first=2, last=1)])), "outside"),
    ],
)
def test_a_result_whose_numbers_do_not_fit_is_refused(message: pb.SearchResult, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        (lambda found: (list(found), found.groups))(results.from_message(message))


@pytest.mark.parametrize(
    "message",
    [
        pb.SearchResults(counts=np.array([1, 2], "u4").tobytes(), hits=result()),
        pb.SearchResults(counts=np.array([2**32 - 1, 3], "u4").tobytes(), hits=result()),
        pb.SearchResults(counts=np.array([2], "u4").tobytes(), hits=result(), explains=[b"", b""]),
        pb.SearchResults(counts=b"abc", hits=result()),
    ],
)
def test_results_whose_counts_do_not_fit_are_refused(message: pb.SearchResults) -> None:
    with pytest.raises(InvalidInputError):
        results.alike_from_message(message)


def test_writes_arrive_as_they_were() -> None:
    written = WriteResult(2**40, 3, True)

    assert results.write_from_message(results.write_to_message(written)) == written


def test_facets_of_every_kind_of_value_arrive_as_they_were() -> None:
    counts = tuple(Count(value, at) for at, value in enumerate(["a", 1, 1.5, True]))
    ranges = (Count(Range(None, 1), 3), Count(Range(1, None), 4))
    facets = Facets(
        9, (Facet("a", counts, 9, 1, 4), Facet("b", ranges, 9, 0, None, 2, 1, 5, 2.5), Facet("c", (), 9, 9, 0))
    )

    assert reports.facets_from_message(reports.facets_to_message(facets)) == facets


@pytest.mark.parametrize(
    "message",
    [
        pb.Facet(field="a", distinct=1, values=[pb.NullableValue(value=Value(text="a"))]),
        pb.Facet(field="a", values=[pb.NullableValue()] * 3, counts=bytes(8)),
        pb.Facet(field="a", counts=b"abc"),
        pb.Facet(field="a", least=Value()),
    ],
)
def test_a_facet_whose_numbers_do_not_fit_is_refused(message: pb.Facet) -> None:
    with pytest.raises(InvalidInputError):
        reports.facets_from_message(pb.Facets(facets=[message]))


def test_a_field_cannot_be_counted_twice() -> None:
    with pytest.raises(InvalidInputError, match="asked for twice"):
        reports.facet_fields_from_message([search.FacetField(field="a")] * 2)


def test_too_many_edges_are_refused() -> None:
    field = search.FacetField(field="a")
    field.edges.edges.extend([pb.NullableValue()] * 10_001)

    with pytest.raises(InvalidInputError, match="10001 edges"):
        reports.facet_fields_from_message([field])


@pytest.mark.parametrize("spans", [[1], [2, 1], [0, 6], [0, 2, 1, 3]])
def test_words_outside_a_highlight_are_refused(spans: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="highlight"):
        reports.highlight_from_message(pb.Highlight(text="hello", spans=spans))


def test_a_highlight_arrives_as_it_was() -> None:
    from vecdb.highlights import Highlight

    told = Highlight("é hello…", ((0, 1), (2, 7)))

    assert reports.highlight_from_message(reports.highlight_to_message(told)) == told


def test_names_of_files_that_are_no_unicode_arrive_as_something_readable() -> None:
    from vecdb.results import CheckReport, Problem

    report = CheckReport((Problem("odd \udcff", "text", "note"),), 1, 2)

    found = reports.check_from_message(reports.check_to_message(report))

    assert found == CheckReport((Problem("odd \\udcff", "text", "note"),), 1, 2)


def test_a_step_with_damaged_json_is_refused() -> None:
    message = pb.Explanation(steps=[pb.Step(name="a", told=b"[")])

    with pytest.raises(InvalidInputError, match="JSON"):
        reports.explanation_from_message(message, Query())
