"""The graph of the links that pass a filter: kept from state to state, and patched by what was written since."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from vecdb.planner.links import graph_of

NODES = 40
FILTERS = "weight > 0.5", "since >= 5 and type = 'cites'", "since is null"


@pytest.fixture
def docs(tmp_path: Path):
    with vecdb.connect(tmp_path / "db", settings=vecdb.Settings(background=False, free_bytes=0)) as database:
        made = database.create_collection("docs", vecdb.Schema(id=vecdb.Id()))
        made.add_link_attribute("since", vecdb.Int64())
        yield made


def _some_links(rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    return [
        {
            "src": f"n{rng.integers(NODES)}",
            "dst": f"n{rng.integers(NODES)}",
            "type": ("cites", "near")[int(rng.integers(2))],
            "weight": float(rng.random()),
            "since": int(rng.integers(10)) if rng.random() < 0.8 else None,
        }
        for _ in range(count)
    ]


def _agrees(docs: vecdb.Collection, where: str) -> None:
    """Compare the graph, either way, with a scan."""
    snapshot = docs.snapshot()
    rows = [row for batch in snapshot.links(where=where) for row in batch.to_pylist()]
    expected = sorted((row["src"], row["dst"], row["type"], np.float32(row["weight"])) for row in rows)
    graph = graph_of(snapshot._state, snapshot._wanted(None, where))
    ids = graph.ids(np.arange(graph.nodes))
    for adjacency, turned in ((graph.out, False), (graph.incoming, True)):
        walked = []
        for node, near in enumerate(ids):
            targets, weights, types = adjacency.row(node)
            for far, weight, code in zip(graph.ids(targets), weights, types, strict=True):
                ends = (far, near) if turned else (near, far)
                walked.append((*ends, graph.types[code], weight))
        assert sorted(walked) == expected


@pytest.mark.parametrize("seed", range(6))
def test_after_any_writes_it_has_the_links_that_a_scan_yields(docs: vecdb.Collection, seed: int) -> None:
    rng = np.random.default_rng(seed)
    older = []
    for _ in range(15):
        docs.link(_some_links(rng, int(rng.integers(1, 40))))
        docs.unlink([{"src": f"n{rng.integers(NODES)}", "dst": f"n{rng.integers(NODES)}"} for _ in range(8)])
        if rng.random() < 0.3:
            docs.flush()
        if rng.random() < 0.1:
            docs.compact()
        if rng.random() < 0.3:
            docs.unlink(src=f"n{rng.integers(NODES)}")
        if rng.random() < 0.8:
            for where in FILTERS:
                _agrees(docs, where)
        older.append(docs.snapshot())
    for snapshot in older:
        graph = graph_of(snapshot._state, snapshot._wanted(None, FILTERS[0]))
        count = sum(batch.num_rows for batch in snapshot.links(where=FILTERS[0]))
        assert int(graph.out.degrees(graph.nodes).sum()) == count


def test_a_write_changes_only_the_rows_of_its_ends(docs: vecdb.Collection) -> None:
    docs.link(_some_links(np.random.default_rng(0), 500))
    docs.flush()
    _agrees(docs, FILTERS[0])
    before = docs.snapshot()

    docs.link([{"src": "n1", "dst": "n2", "weight": 0.9}, {"src": "n3", "dst": "n4", "weight": 0.1}])

    after = docs.snapshot()
    first, then = (graph_of(one._state, one._wanted(None, FILTERS[0])).out for one in (before, after))
    assert then.targets is first.targets
    assert len(then.patched) == 1
    _agrees(docs, FILTERS[0])
