"""kill -9 while links between rows that are alike are refreshed: the next refresh completes what is missing."""

import itertools
import random
import time
from pathlib import Path

import pytest

import vecdb
from support.figures import Figures
from support.overlay_child import COLLECTION, FIELD, K, work
from support.supervisor import Fork
from vecdb.overlays import refresh_similar, similar_links


@pytest.mark.parametrize(
    "kills", [pytest.param(4, id="4-kills"), pytest.param(40, id="40-kills", marks=pytest.mark.slow)]
)
def test_a_refresh_after_a_kill_leaves_the_links_that_would_be_made_anew(
    kills: int, memory_path: Path, seed: int, figures: Figures
) -> None:
    rng = random.Random(seed)
    path = memory_path / "library"
    unfinished = partly = 0
    for kill in range(kills):
        _killed(path, seed + kill, rng)
        assert vecdb.check(path).ok
        with vecdb.connect(path, settings=vecdb.Settings(background=False)) as database:
            docs = database[COLLECTION]
            before, expected = _links(docs), _anew(docs)
            unfinished += before.keys() != expected.keys()
            done = refresh_similar(docs, FIELD, K, exact=True)
            partly += 0 < done.searched < docs.count()
            assert _links(docs) == pytest.approx(expected, rel=1e-5), f"seed {seed}, kill {kill}"
    figures(f"{kills} kills, {unfinished} before the links were what they should be, {partly} with lists to go on from")
    assert unfinished, "no kill came before a refresh was done: nothing was tested"


def _killed(path: Path, seed: int, rng: random.Random) -> None:
    child = Fork(work, str(path), str(seed), errors=path.parent / "errors")
    heard = sum(1 for _ in itertools.islice(child.lines, rng.randrange(1, 12)))
    time.sleep(rng.uniform(0, 0.1))
    child.kill()
    assert heard, child.errors()
    assert child.errors() == ""


def _links(docs: vecdb.Collection) -> dict[tuple[int, int], float]:
    rows = [row for batch in docs.links(type="similar") for row in batch.to_pylist()]
    return {(row["src"], row["dst"]): row["weight"] for row in rows}


def _anew(docs: vecdb.Collection) -> dict[tuple[int, int], float]:
    found = {}
    for row in similar_links(docs, FIELD, K, exact=True).to_pylist():
        found[row["src"], row["dst"]] = found[row["dst"], row["src"]] = row["weight"]
    return found
