"""kill -9 while links are written, flushed and merged: each acknowledged write is there, and none in part."""

import itertools
import random
import time
from pathlib import Path

import numpy as np
import pytest

import vecdb
from support.figures import Figures
from support.link_child import COLLECTION, Links, after, work
from support.supervisor import Fork


@pytest.mark.parametrize(
    "kills", [pytest.param(4, id="4-kills"), pytest.param(40, id="40-kills", marks=pytest.mark.slow)]
)
def test_acknowledged_links_survive_a_kill_at_any_time(
    kills: int, memory_path: Path, seed: int, figures: Figures
) -> None:
    rng = random.Random(seed)
    path = memory_path / "library"
    links: Links = {}
    turn = done = broken_off = 0
    for kill in range(kills):
        links, turn, errors, heard = _killed(path, seed, turn, links, rng)
        assert errors == ""
        assert vecdb.check(path).ok
        with vecdb.connect(path, settings=vecdb.Settings(background=False)) as database:
            found = _links(database[COLLECTION])
            whole = after(links, seed, turn)
            assert found in (links, whole), f"seed {seed}, kill {kill}: {_difference(found, links)} after {turn} writes"
            _graph_agrees(database[COLLECTION], found)
        done += heard
        broken_off += found == whole != links
        turn += 1  # whether it was made or not, it is not made again: its request id may be known
        links = found
    figures(f"{kills} kills, {done} acknowledged writes of links, 0 lost; {broken_off} more were whole")
    assert done > kills, "the children hardly worked: nothing was tested"


def _killed(path: Path, seed: int, turn: int, links: Links, rng: random.Random) -> tuple[Links, int, str, int]:
    """Kill a child in the middle of its work; return the links of what it acknowledged, and the turn behind that."""
    child = Fork(work, str(path), str(seed), str(turn), errors=path.parent / "errors")
    heard = sum(line != "ready" for line in itertools.islice(child.lines, rng.randrange(1, 40)))
    time.sleep(rng.uniform(0, 0.05))
    child.kill()
    heard += sum(line.isdigit() for line in child.lines)
    for number in range(turn, turn + heard):
        links = after(links, seed, number)
    return links, turn + heard, child.errors(), heard


def _links(docs: vecdb.Collection) -> Links:
    rows = [row for batch in docs.links() for row in batch.to_pylist()]
    found = {(row["src"], row["dst"], row["type"]): row["weight"] for row in rows}
    assert len(found) == len(rows)
    return found


def _graph_agrees(docs: vecdb.Collection, links: Links) -> None:
    graph = docs.snapshot()._state.links.graph
    ids = graph.ids(np.arange(graph.nodes))
    for adjacency, end in ((graph.out, 0), (graph.incoming, 1)):
        counts = dict(zip(ids, adjacency.degrees(graph.nodes).tolist(), strict=True))
        expected = dict.fromkeys(ids, 0)
        for key in links:
            expected[key[end]] += 1
        assert counts == expected


def _difference(found: Links, links: Links) -> str:
    return f"{len(links.items() - found.items())} lost, {len(found.items() - links.items())} unexpected"
