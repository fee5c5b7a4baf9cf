"""Search by sparse vectors agrees with dictionaries, wherever rows are, to the last bit of a score."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vecdb
from support.graphs import small_graphs
from support.splits import WAYS
from support.unsynced import unsynced

SETTINGS = vecdb.Settings(background=False, free_bytes=0)
Vector = dict[int, float]
rng = np.random.default_rng(5)
QUESTIONS: list[Vector] = [
    {0: 1.0},
    {0: 1.0, 1: 1.0, 2: 1.0},
    {3: 0.25, 900: 4.0},
    {term: float(rng.exponential()) for term in range(0, 60, 2)},
    dict.fromkeys(range(60), 1.0),
    {4_000_000_000: 1.0, 5: 1e-20},
    {77: 1.0},
    {},
]


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with unsynced(), small_graphs(2):
        yield


def records(count: int, seed: int = 3) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    # Few different vectors, so that there are ties; segments with other largest weights have other scales.
    vectors: list[Vector | None] = [None, {}, {4_000_000_000: 3.0, 5: 1e-20}]
    for number in range(max(1, count // 2)):
        terms = rng.choice(60, rng.integers(1, 15), replace=False).tolist()
        weights = rng.exponential(1 + number / 20, len(terms)).astype(np.float32).tolist()
        vectors.append(dict(zip(terms, weights, strict=True)))
    return [{"id": number, "terms": vectors[int(rng.integers(len(vectors)))]} for number in range(count)]


def best(rows: dict[int, Vector | None], asked: Vector, k: int) -> tuple[list[int], list[float]]:
    """Return the ids and scores that are right."""
    scores = {
        key: sum(np.float64(np.float32(asked[term])) * row[term] for term in sorted(asked) if term in row)
        for key, row in rows.items()
        if row and asked.keys() & row.keys()
    }
    rounded = {key: float(np.float32(score)) for key, score in scores.items()}
    ids = sorted(rounded, key=lambda key: (-rounded[key], key))[:k]
    return ids, [rounded[key] for key in ids]


def made(path: Path) -> tuple[vecdb.Database, vecdb.Collection]:
    database = vecdb.connect(path, settings=SETTINGS)
    return database, database.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), terms=vecdb.Sparse()))


def told(docs: Any, k: int) -> list[Any]:
    """Return every answer, with the bits of its scores."""
    answers = [docs.search(terms=asked, k=k, exact=exact) for asked in QUESTIONS for exact in (False, True)]
    return [[one.ids, one.scores.tobytes()] for one in answers]


# -- ten ways to split the same rows -----------------------------------------------------------------------------------


OTHER: dict[str, Any] = {"terms": {0: 1000.0, 1: 1000.0, 5: 77.0}}


@pytest.mark.parametrize("k", [3, 40])
def test_the_same_rows_split_in_ten_ways_give_the_same_ids_and_the_same_bits(tmp_path: Path, k: int) -> None:
    rows = records(180)
    answers = {}

    for way in WAYS:
        database, docs = made(tmp_path / way.__name__)
        with database:
            way(docs, rows, OTHER, lambda docs: docs.search(terms={0: 1}))
            answers[way.__name__] = told(docs, k)

    first = answers.pop(WAYS[0].__name__)
    true = [best({row["id"]: row["terms"] for row in rows}, asked, k) for asked in QUESTIONS for _ in range(2)]
    assert [[ids, np.array(scores, np.float32).tobytes()] for ids, scores in true] == first
    for name, answer in answers.items():
        assert answer == first, name


# -- random operations -------------------------------------------------------------------------------------------------

_weights = st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.5, 7.0, 1e-30, 1e16])
_vectors = st.none() | st.dictionaries(st.integers(0, 12) | st.just(2**32 - 1), _weights, max_size=6)
_rows = st.lists(st.tuples(st.integers(0, 30), _vectors), min_size=1, max_size=12)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), _rows),
        st.tuples(st.just("delete"), st.lists(st.integers(0, 30), min_size=1, max_size=6)),
        st.sampled_from([("flush", None), ("build", None), ("compact", None), ("ask", None), ("reopen", None)]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps, asked=st.dictionaries(st.integers(0, 12), _weights, min_size=1, max_size=6), k=st.integers(1, 12))
def test_whatever_is_done_to_rows_searches_find_what_dictionaries_find(
    tmp_path_factory: pytest.TempPathFactory, steps: Any, asked: Vector, k: int
) -> None:
    path = tmp_path_factory.mktemp("sparse") / "db"
    database, docs = made(path)
    rows: dict[int, Vector | None] = {}
    asked = {term: weight for term, weight in asked.items() if weight}
    for name, given_ in steps:
        if name == "upsert":
            batch = dict(given_)
            docs.upsert([{"id": key, "terms": row} for key, row in batch.items()])
            rows |= {key: _held(row) for key, row in batch.items()}
        elif name == "delete":
            docs.delete(given_)
            rows = {key: row for key, row in rows.items() if key not in given_}
        elif name == "reopen":
            database.close()
            database = vecdb.connect(path, settings=SETTINGS)
            docs = database.collection("docs")
        elif name == "ask":
            docs.search(terms=asked)
        else:
            {"flush": docs.flush, "build": docs.build_indexes, "compact": docs.compact}[name]()
    try:
        ids, scores = best(rows, asked, k)
        for exact in (False, True):
            found = docs.search(terms=asked, k=k, exact=exact)
            assert (found.ids, found.scores.tolist()) == (ids, scores)
        even = [key for key in ids if key % 2 == 0]
        assert docs.search(terms=asked, k=k, where=f"id in ({', '.join(map(str, [*even, -1]))})").ids == even
        assert {row["id"]: row["terms"] for row in docs.get(sorted(rows)) if row} == rows
    finally:
        database.close()


def _held(row: Vector | None) -> Vector | None:
    """Return a vector as it is stored."""
    return None if row is None else {term: float(np.float32(row[term])) for term in sorted(row) if row[term]}
