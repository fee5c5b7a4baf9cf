"""What searches give: hits, groups, tables, frames."""

from typing import Any

import numpy as np
import polars as pl
import pytest

import vecdb
from support import contract
from vecdb import Query
from vecdb.results import Hit, SearchResult

ASKED = contract.vector(777)


@pytest.fixture
def result(kept: Any) -> SearchResult:
    """Three hits of a vector search."""
    return kept.search(embedding=ASKED, k=3, fields=["section", "size", "added"])


def test_hits_are_listed_best_first(result: SearchResult) -> None:
    assert isinstance(result, SearchResult)
    assert len(result) == 3
    assert [hit.id for hit in result] == result.ids
    assert result.scores.dtype == np.float32
    assert (np.diff(result.scores) <= 0).all()
    first = result[0]
    assert isinstance(first, Hit)
    assert first == Hit(result.ids[0], float(result.scores[0]), first.distance, first.fields)
    assert first["size"] == int(str(first.id)[1:]) * 10
    assert [hit.id for hit in result[1:]] == result.ids[1:]
    assert repr(result).startswith("SearchResult(3 hits")


def test_distances_keep_the_direction_of_the_metric(result: SearchResult) -> None:
    assert result.distances is not None
    np.testing.assert_allclose(result.distances, 1 - result.scores, atol=1e-6)


def test_a_result_becomes_a_table_and_frames(result: SearchResult) -> None:
    table = result.to_arrow()

    assert table.schema.names == ["id", "score", "distance", "section", "size", "added"]
    assert table.column("id").to_pylist() == result.ids
    assert result.to_pandas()["id"].tolist() == result.ids
    assert isinstance(result.to_polars(), pl.DataFrame)
    assert result.to_list()[0] == {
        "id": result.ids[0], "score": float(result.scores[0]), "distance": result[0].distance, **result[0].fields
    }  # fmt: skip


def test_hits_of_several_arms_say_what_each_found(kept: Any) -> None:
    found = kept.run(Query(k=5).near("embedding", ASKED, fetch=9).match("body", "honey", fetch=9))

    assert found.distances is None
    assert {name for hit in found for name in hit.arms} == {"embedding", "body"}
    assert all(arm.rank >= 1 for hit in found for arm in hit.arms.values())


def test_groups_hold_their_hits(kept: Any) -> None:
    found = kept.search(embedding=ASKED, k=2, group_by="section", per_group=2, fetch=40)

    assert found.groups is not None
    assert [hit.id for group in found.groups for hit in group.hits] == found.ids
    assert all(hit["section"] == group.value for group in found.groups for hit in group.hits)


def test_a_selection_tells_of_the_set_and_of_each_hit(kept: Any) -> None:
    found = kept.run(Query(k=5).near("embedding", ASKED).select(vecdb.Coverage(0.5), quotas={"section": (0, 2)}))

    assert found.selection is not None
    assert (found.selection.method, found.selection.ended) == ("graph_cut", "full")
    assert 0 < found.selection.coverage <= 1
    assert [hit.pick.order for hit in found] == [1, 2, 3, 4, 5]
    represented = [member.id for hit in found for member in hit.pick.members]
    assert len(set(represented)) == len(represented) > 0
    assert not set(represented) & set(found.ids)
    assert kept.search(embedding=ASKED).selection is None


def test_words_are_highlighted(kept: Any) -> None:
    found = kept.search(body="honey", k=2)

    for hit, told in zip(found, found.highlights(), strict=True):
        assert "**honey**" in str(told["body"])
        assert told["body"].text == hit["body"]
    assert found.highlights(20) != []


def test_a_result_says_how_it_was_found_and_where_it_ends(kept: Any, result: SearchResult) -> None:
    assert {"parts", "codes_compared"} <= set(result.explain)
    assert result.missing == ()
    assert result.cursor is not None
    assert kept.search(embedding=ASKED, k=100).cursor is None


def test_an_explanation_is_printed_and_kept(kept: Any) -> None:
    query = Query(k=3).near("embedding", ASKED).where("size > 100")

    planned, run = kept.explain(query), kept.explain(query, analyze=True)

    assert (planned.analyzed, run.analyzed) == (False, True)
    assert planned.ms is None
    assert run.ms > 0
    assert planned.query == query
    assert planned.rows == contract.ROWS
    assert str(planned).splitlines()[0] == repr(query)
    assert len(run.steps) == len(run.to_json()["steps"])
    assert "embedding" in str(run)


def test_facets_are_a_mapping_of_counts(kept: Any) -> None:
    facets = kept.facets(["section", "size"])
    section, size = facets.values()

    assert list(facets) == list(facets.keys()) == ["section", "size"]
    assert dict(facets.items()) == {"section": section, "size": size}
    assert facets.facets == (section, size)
    assert facets.get("body") is None
    assert facets.rows == contract.ROWS
    assert sum(count for _, count in section) + section.nulls == contract.ROWS
    assert (size.least, size.greatest) == (0, 470)
    assert len(facets.to_list()) == len(section) + len(size)
    assert facets.to_arrow().num_rows == len(facets.to_pandas()) == len(facets.to_list())
