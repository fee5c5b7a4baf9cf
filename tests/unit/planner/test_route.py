"""What a state remembers of how it is searched: decided once, for a bounded number of questions, and never outdated."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.unsynced import unsynced
from vecdb.planner import masks
from vecdb.planner.route import SCAN, SKIP, Route, route
from vecdb.query.effort import USUAL, Effort

ROWS = 200
SETTINGS = vecdb.Settings(background=False, free_bytes=0)


@pytest.fixture
def docs(tmp_path: Path) -> Iterator[vecdb.Collection]:
    with unsynced(), vecdb.connect(tmp_path / "db", settings=SETTINGS) as database:
        schema = vecdb.Schema(id=vecdb.Id("int64"), n=vecdb.Int64(), v=vecdb.Vector(8, index="hnsw"))
        docs = database.create_collection("docs", schema)
        rng = np.random.default_rng(1)
        docs.upsert({"id": np.arange(ROWS), "n": np.arange(ROWS), "v": rng.standard_normal((ROWS, 8), np.float32)})
        docs.build_indexes()
        yield docs


def routed(docs: vecdb.Collection, k: int = 10, where: str | None = None, effort: Effort = USUAL) -> Route:
    snapshot = docs.snapshot()
    return route(snapshot._state, snapshot.schema["v"], k, snapshot._bind(where), effort, False)


def kinds(found: Route) -> list[str]:
    return [plan.plan for plan in found.plans]


def test_what_was_decided_is_remembered_for_the_same_question_alone(docs: vecdb.Collection) -> None:
    first = routed(docs)

    assert routed(docs) is first
    others: list[dict[str, Any]] = [
        {"k": 11},
        {"where": "n < 150"},
        {"effort": Effort(exact=True)},
        {"effort": Effort(width=64)},
        {"effort": Effort(recall=0.9)},
    ]
    found = [routed(docs, **other) for other in others]
    assert len({id(each) for each in [first, *found]}) == len(others) + 1


def test_every_part_has_a_leg_but_those_without_a_match(docs: vecdb.Collection) -> None:
    docs.upsert({"id": [1000], "n": [1000], "v": [[1.0] * 8]})

    assert kinds(routed(docs)) == ["graph", SCAN]
    only_new, nothing = routed(docs, where="n = 1000"), routed(docs, where="n = -1")
    assert kinds(only_new) == [SKIP, SCAN]
    assert [leg.number for leg in only_new.legs] == [1]
    assert (kinds(nothing), nothing.legs) == ([SKIP, SKIP], ())
    assert kinds(routed(docs, effort=Effort(exact=True))) == [SCAN, SCAN]


def test_a_write_is_seen_by_the_next_search(docs: vecdb.Collection) -> None:
    query = np.ones(8, np.float32)
    before = docs.search(v=query, k=1).ids

    docs.upsert({"id": [1000], "n": [7], "v": [query]})
    after = docs.search(v=query, k=1).ids
    docs.delete([1000])

    assert (after, docs.search(v=query, k=1).ids) == ([1000], before)
    docs.delete(before)
    assert docs.search(v=query, k=1).ids not in ([1000], before)


def test_a_renamed_column_is_not_taken_for_another(docs: vecdb.Collection) -> None:
    docs.add_column("m", vecdb.Int64())
    assert len(docs.search(v=np.ones(8, np.float32), k=ROWS, where="m is null")) == ROWS

    docs.rename_column("m", "other")
    docs.rename_column("n", "m")

    assert len(docs.search(v=np.ones(8, np.float32), k=ROWS, where="m is null")) == 0


def test_a_state_remembers_only_so_many(docs: vecdb.Collection) -> None:
    for number in range(3 * masks.REMEMBERED):
        routed(docs, where=f"n < {number + 1}")

    assert len(docs.snapshot()._state.routes) == masks.REMEMBERED
