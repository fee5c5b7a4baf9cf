"""Queries of several arms and stages do not depend on where rows are, to the last bit of a score."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.graphs import small_graphs
from support.splits import WAYS
from support.unsynced import unsynced
from support.words import sentence
from vecdb import Query, formula

ROWS = 180
OTHER: dict[str, Any] = {"body": "chess engine", "section": "b", "terms": {3: 9.0}, "embedding": [9.0, 1.0, 1.0, 1.0]}
EMBEDDING = [0.5, -1.0, 0.25, 2.0]


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with unsynced(), small_graphs(2):
        yield


def records() -> list[dict[str, Any]]:
    rng = np.random.default_rng(9)
    # Few different values, so that there are ties.
    texts = [sentence(rng) for _ in range(ROWS // 3)]
    return [
        {
            "id": number,
            "body": texts[int(rng.integers(len(texts)))],
            "section": "abc"[int(rng.integers(3))],
            "size": None if number % 9 == 0 else int(rng.integers(20)),
            "terms": {int(term): float(rng.integers(1, 4)) for term in rng.choice(30, 4, replace=False)},
            "embedding": None if number % 11 == 0 else rng.integers(1, 5, 4).astype(np.float32),
        }
        for number in range(ROWS)
    ]


def asked() -> list[Query]:
    """Return queries that fuse, nest, filter, score anew and group."""
    near, out = Query(k=15).near("embedding", EMBEDDING), []
    for fusion in ("rrf", "interleave", "weighted", "auto"):
        out.append(near.match("body", 'chess "engine game"').fuse(fusion))
        inner = Query(k=20).terms("terms", {3: 1.0, 4: 0.5}).match("body", "prog*", where="section = 'a'").fuse(fusion)
        out.append(near.gather(inner, name="inner").where("size > 3").fuse(fusion))
    fused = near.match("body", "chess").terms("terms", {1: 1.0, 2: 1.0}).fuse("auto")
    out += [
        fused.group_by("section", 3),
        fused.collapse("body"),
        fused.rank(formula.score + formula.value("size", 0) / 100, top=30).min_score(0.1),
        fused.order_by("size desc", "id"),
        Query(k=15).like("embedding", [1, 2], unlike=[3], strategy="best"),
    ]
    return [query.exactly() for query in out]


def test_the_same_rows_split_in_ten_ways_are_fused_into_the_same_answers(tmp_path: Path) -> None:
    rows, answers = records(), {}
    schema = vecdb.Schema(
        id=vecdb.Id("int64"),
        body=vecdb.Text(search=True),
        section=vecdb.Keyword(),
        size=vecdb.Int64(),
        terms=vecdb.Sparse(),
        embedding=vecdb.Vector(4),
    )

    for way in WAYS:
        settings = vecdb.Settings(background=False, free_bytes=0)
        with vecdb.connect(tmp_path / way.__name__, settings=settings) as database:
            docs = database.create_collection("docs", schema)
            way(docs, rows, OTHER, lambda docs: docs.search(body="chess", embedding=EMBEDDING))
            found = [docs.run(query) for query in asked()]
            answers[way.__name__] = [
                [one.ids, one.scores.tobytes(), [hit.arms for hit in one], [group.value for group in one.groups or ()]]
                for one in found
            ]

    first = answers.pop(WAYS[0].__name__)
    assert len(answers) == 9
    assert all(ids for ids, *_ in first)
    for name, answer in answers.items():
        assert answer == first, name
