"""Walking over links gives, over each way, the same rows, scores and paths."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vecdb
from support import contract
from support.ways import opened
from vecdb import Query
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
