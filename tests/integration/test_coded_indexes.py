"""Funnels and signs as a user meets them: asking for them, searching, filters, damage and merges."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.graphs import index_files, plans_of
from support.unsynced import unsynced
from vecdb.arguments import FETCH
from vecdb.errors import InvalidInputError

ROWS, DIMENSION = 600, 32
SETTINGS = vecdb.Settings(background=False, free_bytes=0)
KINDS = [vecdb.Funnel(), vecdb.Funnel(12, rotate=True), vecdb.Binary()]
WIDE = 140
"""Rows scored exactly: fewer than would be worth a scan, and nearly always all of the best."""


@pytest.fixture(autouse=True)
def _unsynced() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


def records(first: int, count: int) -> dict[str, Any]:
    """Rows around twenty points; their first numbers are the largest."""
    rng = np.random.default_rng(first)
    points = np.random.default_rng(1).standard_normal((20, DIMENSION))[rng.integers(0, 20, count)]
    matrix = (points + 0.3 * rng.standard_normal((count, DIMENSION))) * np.geomspace(1, 0.3, DIMENSION)
    numbers = np.arange(first, first + count)
    return {"id": numbers, "n": numbers % 100, "v": matrix.astype(np.float32)}


def filled(database: vecdb.Database, index: Any, **options: Any) -> vecdb.Collection:
    """Return a collection whose rows all lie in one segment that has its index."""
    field = vecdb.Vector(DIMENSION, index=index, **options)
    docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), n=vecdb.Int64(), v=field))
    docs.upsert(records(0, ROWS))
    docs.flush()
    assert docs.build_indexes() == 1
    return docs


def query(seed: int = 0) -> np.ndarray:
    return records(10_000 + seed, 1)["v"][0]


@pytest.mark.parametrize("index", KINDS, ids=repr)
def test_a_search_uses_the_index_and_returns_exact_scores(path: Path, index: Any) -> None:
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = filled(database, index)
        every = docs.search(ROWS, v=query(), exact=True)
        scores = dict(zip(every.ids, every.scores.tolist(), strict=True))

        found = docs.search(v=query(), ef=WIDE)

        assert found.explain["parts"][0] | {"part": None} == {
            **found.explain["parts"][0], "part": None, "plan": "codes", "ef": WIDE,
        }  # fmt: skip
        assert found.scores.tolist() == [scores[value] for value in found.ids]
        assert docs.stats()["indexes"]["v"]["rows"] == {index.kind: ROWS}
        report = docs.recall(sample=50, ef=WIDE)
        assert (report.plans, report.codes_compared, report.short) == ({"codes": 50}, ROWS, 0)
        assert report.recall >= 0.95


@pytest.mark.parametrize("index", KINDS, ids=repr)
@pytest.mark.parametrize("k", [1, 7, ROWS - 1, ROWS, ROWS + 1, FETCH])
@pytest.mark.parametrize("where", [None, "n < 3", "n = 4 and id < 100", "n > 10", "n > 100"])
def test_as_many_rows_come_as_match_whatever_k_is(path: Path, index: Any, k: int, where: str | None) -> None:
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = filled(database, index)
        docs.delete(list(range(0, ROWS, 7)))
        matching = docs.count(where)
        wishes: list[dict[str, Any]] = [{}, {"ef": 1}, {"recall": 0.5}, {"plan": "codes"}, {"plan": "graph"}]
        for options in wishes:
            found = docs.search(k, where, v=query(), **options)

            assert len(found) == len(set(found.ids)) == min(k, matching), options
            assert set(found.ids) <= set(docs.search(ROWS, where, v=query(), exact=True).ids)


@pytest.mark.parametrize("index", KINDS, ids=repr)
def test_a_batch_answers_what_its_queries_answer_alone(path: Path, index: Any) -> None:
    with vecdb.connect(path, settings=dataclasses.replace(SETTINGS, threads=2)) as database:
        docs = filled(database, index)
        queries = np.stack([query(seed) for seed in range(40)])
        for where, plan in ((None, "codes"), ("n < 50", "codes"), ("n = 3", "scan")):
            together = docs.search_batch(5, where, v=queries, ef=50)

            assert plans_of(together[0]) == [plan]
            for one, asked in zip(together, queries, strict=True):
                alone = docs.search(5, where, v=asked, ef=50)
                assert (one.ids, one.scores.tolist()) == (alone.ids, alone.scores.tolist())


@pytest.mark.parametrize("index", KINDS, ids=repr)
def test_pages_hold_every_row_once_and_end(path: Path, index: Any) -> None:
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = filled(database, index)
        docs.upsert(records(5000, 20))

        found = [value for page in docs.search_iter(50, "n < 60", fields=[], v=query()) for value in page.ids]

        assert len(found) == len(set(found)) == docs.count("n < 60")


@pytest.mark.parametrize("index", KINDS, ids=repr)
def test_rows_without_a_vector_are_never_found(path: Path, index: Any) -> None:
    with vecdb.connect(path, settings=SETTINGS) as database:
        schema = vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(DIMENSION, index=index, metric="l2"))
        docs = database.create_collection("docs", schema)
        matrix = records(0, ROWS)["v"]
        docs.upsert([{"id": at, **({"v": matrix[at]} if at % 3 else {})} for at in range(ROWS)])
        docs.flush()
        docs.build_indexes()

        found = docs.search(20, v=np.full(DIMENSION, 1e-3), ef=90)

        assert plans_of(found) == ["codes"]
        assert all(value % 3 for value in found.ids)


@pytest.mark.parametrize("index", KINDS, ids=repr)
def test_a_merge_and_another_kind_make_another_index(path: Path, index: Any) -> None:
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = filled(database, index)
        docs.upsert(records(1000, ROWS))
        docs.delete(list(range(0, ROWS, 2)))
        docs.compact()
        docs.build_indexes()

        found = docs.search(v=query(), ef=WIDE)

        assert plans_of(found) == ["codes"]
        assert docs.recall(sample=50, ef=WIDE).recall >= 0.95
        docs.set_index("v", "hnsw")
        assert docs.build_indexes() == 1
        assert plans_of(docs.search(v=query())) == ["graph"]
        docs.set_index("v", index)
        assert docs.build_indexes() == 1
        assert plans_of(docs.search(v=query(), ef=WIDE)) == ["codes"]


@pytest.mark.parametrize("index", KINDS, ids=repr)
def test_tune_measures_and_searches_keep_to_it(path: Path, index: Any) -> None:
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = filled(database, index)

        report = docs.tune(np.stack([query(seed) for seed in range(50)]))

        assert report is not None
        assert [width for width, _ in report.curve][:2] == [16, 32]
        (part,) = docs.search(v=query(), recall=0.05).explain["parts"]
        assert (part["plan"], part["ef"]) == ("codes", 16)


@pytest.mark.parametrize("way", ["flip", "cut", "missing"])
@pytest.mark.parametrize("index", KINDS, ids=repr)
def test_it_survives_closing_and_a_damaged_one_is_told_and_built_again(path: Path, index: Any, way: str) -> None:
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = filled(database, index)
        exact = docs.search(v=query(), exact=True).ids
        expected = docs.search(v=query(), ef=WIDE).ids
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = database.collection("docs")
        found = docs.search(v=query(), ef=WIDE)
        assert (plans_of(found), found.ids) == (["codes"], expected)
        assert docs.schema["v"].field.spec == index
        assert docs.build_indexes() == 0
        assert database.check().ok
    (file,) = index_files(path)
    content = bytearray(file.read_bytes())
    file.unlink()
    if way != "missing":
        content[len(content) // 2] ^= 4
        file.write_bytes(content if way == "flip" else content[: len(content) // 2])

    assert [problem.severity for problem in vecdb.check(path).problems] == ["derived"]
    with vecdb.connect(path, settings=SETTINGS) as database:
        found = database.collection("docs").search(v=query(), ef=WIDE)
        assert (plans_of(found), found.ids) == (["scan"], exact)
        assert found.explain["parts"][0]["problem"]
    assert vecdb.repair(path).rows_lost == 0

    assert vecdb.check(path).ok
    with vecdb.connect(path, settings=SETTINGS) as database:
        found = database.collection("docs").search(v=query(), ef=WIDE)
        assert (plans_of(found), found.ids) == (["codes"], expected)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": True}, "dimensions"),
        ({"dimensions": 2.5}, "dimensions"),
        ({"dimensions": "8"}, "dimensions"),
        ({"dimensions": 65_537}, "dimensions"),
        ({"rotate": 1}, "rotate"),
        ({"rotate": None}, "rotate"),
    ],
)
def test_parameters_out_of_range_are_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        vecdb.Funnel(**options)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("dimension", "index", "field"),
    [(8, vecdb.Funnel(9), "dimensions"), (5000, vecdb.Funnel(8, rotate=True), "rotate")],
)
def test_a_funnel_that_does_not_go_with_the_vectors_is_refused(dimension: int, index: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        vecdb.Vector(dimension, index=index)
    assert caught.value.field == field
    with vecdb.connect(":memory:") as database:
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), v=vecdb.Vector(dimension)))
        with pytest.raises(InvalidInputError):
            docs.set_index("v", index)


@pytest.mark.parametrize("index", KINDS, ids=repr)
def test_kinds_are_read_as_they_are_told(index: Any) -> None:
    field = vecdb.Vector(DIMENSION, index=index)

    assert vecdb.Vector.from_json(field.to_json()) == field
    assert vecdb.Vector(DIMENSION, index=index.kind).spec == type(index)()
