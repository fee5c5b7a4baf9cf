"""Filters over rows in segments, in memory, and in both: the answers do not depend on where rows are."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import vecdb
from support.filter_trees import oracle
from vecdb.filters import parse
from vecdb.planner import scalars

SCHEMA = vecdb.Schema(
    id=vecdb.Id("int64"),
    section=vecdb.Keyword(),
    tags=vecdb.Keyword(many=True),
    size=vecdb.Int64(),
    price=vecdb.Float64(),
    body=vecdb.Text(),
    place=vecdb.Geo(),
    extra=vecdb.Json(),
    embedding=vecdb.Vector(2),
)
FILTERS = (
    "section = 'b'",
    "not section in ('a', 'c')",
    "section >= 'b' and size < 50",
    "tags contains 'x' or tags all of ('y', 'z')",
    "not tags any of ('x', 'nothing')",
    "size between 10 and 40 and not price > 0.5",
    "size in (1, 2, 3, 500, 2.0, 1.5)",
    "size not in (1, 2, 3, 4, 5, 6, 7, 8)",
    "id < 100 and size is not null",
    "body matches 'chess engine'",
    "body matches '-chess'",
    "not body matches 'chess'",
    "body matches 'chess' and size > 40",
    "body matches 'go' or section = 'a'",
    "body matches 'go' and extra.n = 1 and size > 50",
    "extra.n = 1 and size > 50",
    "place within 5000 km of (10, 13.4) and size > 3",
    "place not in box (-20, 170, 60, 13.4)",
    "size > 1000",
    "size < 1000",
)


def record(number: int, rng: np.random.Generator) -> dict[str, Any]:
    row: dict[str, Any] = {
        "section": str(rng.choice(["a", "b", "c", "d"])),
        "tags": [str(tag) for tag in rng.choice(["x", "y", "z"], rng.integers(0, 4))],
        "size": int(rng.integers(0, 100)),
        "price": float(rng.normal()),
        "body": " ".join(rng.choice(["chess", "engine", "go", "Engines"], rng.integers(0, 4))),
        "place": (float(rng.choice([-52.5, 10.0, 52.5])), float(rng.choice([-180.0, 0.0, 13.4, 170.0]))),
        "extra": {"n": int(rng.integers(0, 3))},
    }
    return {"id": number, "embedding": [1.0, 2.0]} | {
        name: None if rng.random() < 0.15 else value for name, value in row.items()
    }


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    return [record(number, rng) for number in range(600)]


@pytest.fixture
def docs(rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Iterator[vecdb.Collection]:
    """A collection of two segments, one with deleted rows, and rows in memory."""
    monkeypatch.setattr(scalars, "LEAST_ROWS", 1)
    with vecdb.connect(":memory:", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection("docs", SCHEMA)
        for start in (0, 250):
            docs.upsert(rows[start : start + 250])
            docs.flush()
        docs.delete(list(range(0, 500, 7)))
        docs.upsert(rows[500:])
        yield docs


def found(docs: vecdb.Collection, where: str) -> list[int]:
    return sorted(row["id"] for batch in docs.scan(where=where, fields=[]) for row in batch.to_pylist())


def indexes_of(docs: vecdb.Collection) -> list[dict[int, Any]]:
    return [view.segment.scalars._held for view in docs.snapshot()._state.segments]


@pytest.mark.parametrize("times", [1, 3])
def test_every_filter_finds_the_rows_that_the_oracle_finds(
    docs: vecdb.Collection, rows: list[dict[str, Any]], times: int
) -> None:
    alive = [row for row in rows if row["id"] % 7 or row["id"] >= 500]
    for where in FILTERS * times:
        tree = parse(where)

        expected = [row["id"] for row in alive if oracle(tree, row | {"embedding": True}) is True]

        assert found(docs, where) == expected, where
        assert docs.count(where) == len(expected)
        result = docs.search(embedding=[1, 2], k=600, where=where, exact=True, fields=[])
        assert sorted(result.ids) == expected


def test_indexes_are_made_for_the_columns_that_are_asked_and_shared_after_a_merge_and_a_rename(
    docs: vecdb.Collection,
) -> None:
    found(docs, "section = 'a' and size < 3")
    assert [len(held) for held in indexes_of(docs)] == [2, 2]

    docs.rename_column("section", "part")
    before = found(docs, "part = 'a'")
    docs.compact()

    assert found(docs, "part = 'a'") == before
    assert len(indexes_of(docs)) == 1


def test_the_indexes_of_a_segment_are_bounded_in_number_and_bytes(
    docs: vecdb.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scalars, "MOST", 2)
    expected = {where: found(docs, where) for where in FILTERS}
    assert all(len(held) <= 2 + 1 for held in indexes_of(docs)), "two, and the words of one text"

    monkeypatch.setattr(scalars, "MOST_BYTES", 10)
    monkeypatch.setattr(scalars, "WORDS_BYTES", 10)
    for view in docs.snapshot()._state.segments:
        view.segment.scalars = None
        view.segment.masks.clear()

    assert {where: found(docs, where) for where in FILTERS} == expected
    assert all(not held for held in indexes_of(docs))
