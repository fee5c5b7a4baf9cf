"""Walking over links gives, over each way, the same rows, scores and paths."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vecdb
from support import contract
from support.ways import opened
from vecdb import Query
from vecdb.query.arms import Near
from vecdb.results import PathStep

ASKED = contract.vector(777)
CHAIN = [{"src": f"r{at:02}", "dst": f"r{at + 1:02}", "type": "next", "weight": 0.5} for at in range(8)]
QUERIES: dict[str, Query] = {
    "pagerank": Query(k=8).near("embedding", ASKED).expand(gate=False),
    "paths": Query(k=8).near("embedding", ASKED).expand({">next": 2.0}, method="paths", hops=3, gate=False),
    "everything": Query(k=8)
    .near("embedding", ASKED, fetch=12)
    .match("body", "honey")
    .expand("next", hops=4, damping=0.4, hub=0.3, links_where="weight >= 0.5", through="size >= 0", balanced=False),
    "judged": Query(k=8).near("embedding", ASKED).expand(),
    "linked": Query(k=8).linked(["r01", "r05"], "next", 2),
    "a pattern": Query(k=8).linked("r01", path=(">next", ">next"), where="size >= 0"),
    "facts": Query(k=8).near("embedding", ASKED).pool_paths("section", "note", ["animals"]),
}


@pytest.fixture
def linked(docs: Any) -> Any:
    """`docs` with a chain of links."""
    docs.link(CHAIN)
    return docs


@pytest.fixture
def reference(tmp_path: Path) -> Iterator[vecdb.Collection]:
    """The same rows and links, embedded."""
    with opened("embedded", tmp_path / "reference") as database:
        made = database.create_collection("docs", contract.schema())
        contract.fill(made)
        made.link(CHAIN)
        yield made


@pytest.mark.parametrize("name", QUERIES)
def test_walks_give_the_same_rows_scores_and_paths(linked: Any, reference: vecdb.Collection, name: str) -> None:
    found, expected = linked.run(QUERIES[name]), reference.run(QUERIES[name])
    assert found.ids == expected.ids
    assert found.scores.tobytes() == expected.scores.tobytes()
    assert [hit.path for hit in found] == [hit.path for hit in expected]


def test_a_hit_says_how_links_led_to_it(linked: Any) -> None:
    (hit,) = linked.run(Query(k=1).linked("r01", path=(">next", ">next")))
    assert hit.path == (PathStep("r01", None), PathStep("r02", "next"), PathStep("r03", "next"))
    assert linked.run(Query(k=1).near("embedding", ASKED))[0].path == ()


OTHER = contract.vector(778)
SHAPES: dict[str, Query] = {
    "vector": Query(k=5).near("embedding", ASKED),
    "vector and filter": Query(k=5).near("embedding", ASKED, where="size > 10"),
    "expansion": Query(k=5).near("embedding", ASKED).where("size > 10").expand({">next": 2.0}, gate=False),
    "two vectors": Query(k=5).near("embedding", ASKED).near("embedding", OTHER, name="other").expand(gate=False),
    "vector and words": Query(k=5).near("embedding", ASKED).match("body", "honey"),
    "vector and rows": Query(k=5).near("embedding", ASKED).linked("r01", "next", 2).collapse("section"),
    "cut": Query(k=5).near("embedding", ASKED).cut("gap"),
    "selected": Query(k=5).near("embedding", ASKED).select(),
    "rescored": Query(k=5).near("embedding", ASKED).rescore("embedding", OTHER),
    "ordered": Query(k=5).near("embedding", ASKED).order_by("size desc"),
    "grouped": Query(k=5).near("embedding", ASKED).group_by("section"),
    "nested": Query(k=5).gather(Query(k=20).near("embedding", ASKED)).expand(gate=False),
    "no vector": Query(k=5).match("body", "honey").expand(gate=False),
}


@pytest.mark.parametrize("name", SHAPES)
def test_queries_that_differ_in_their_vectors_only_get_each_its_own_answer(
    linked: Any, reference: vecdb.Collection, name: str
) -> None:
    for number in range(3):
        query = Query.from_json(SHAPES[name].to_json())
        for arm in SHAPES[name].arms:
            if isinstance(arm, Near):
                others = [one if one != arm else replace(arm, vector=contract.vector(number)) for one in query.arms]
                query = replace(query, arms=tuple(others))
        found, expected = linked.run(query), reference.run(query)
        assert found.ids == expected.ids
        assert found.scores.tobytes() == expected.scores.tobytes()
        assert [hit.arms for hit in found] == [hit.arms for hit in expected]
        assert [hit.path for hit in found] == [hit.path for hit in expected]
        assert found.cursor == expected.cursor


@pytest.mark.parametrize("name", ["vector", "expansion", "two vectors", "vector and words", "rescored", "ordered"])
def test_pages_go_on_where_the_last_one_ended(linked: Any, reference: vecdb.Collection, name: str) -> None:
    query, pages = SHAPES[name], 0
    while True:
        found, expected = linked.run(query), reference.run(query)
        assert (found.ids, found.cursor) == (expected.ids, expected.cursor)
        if found.cursor is None or pages == 4:
            break
        query, pages = query.after(found.cursor), pages + 1
    assert pages > 1


def test_what_names_a_type_counts_more_than_all_types_in_whatever_order(linked: Any) -> None:
    one = Query(k=9).near("embedding", ASKED).expand({"*": 1.0, "next": 0.0}, gate=False)
    other = Query(k=9).near("embedding", ASKED).expand({"next": 0.0, "*": 1.0}, gate=False)
    assert one == other
    assert linked.run(one).ids == linked.run(other).ids
    assert not any(hit.path for hit in linked.run(one))
