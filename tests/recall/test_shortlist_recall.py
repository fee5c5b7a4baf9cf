"""Funnels and signs through the public API against the exact scan, on the demo's real texts: floors of recall."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import vecdb
from support.graphs import plans_of
from vecdb_index import factory
from vecdb_index.dense import calibrate, flat
from vecdb_index.dense.allowed import Allowed

HELD_OUT = 40
"""One text of so many is asked for, and no row: questions that no index was measured with."""
SHORT = 0.015
"""As much less than what was asked for is chance."""
KINDS = {"funnel": vecdb.Funnel(), "turned": vecdb.Funnel(rotate=True), "binary": vecdb.Binary()}
SETTINGS = vecdb.Settings(background=False, free_bytes=0)
METRICS = ["cosine", "dot", "l2"]
DTYPES = ["float32", *(pytest.param(dtype, marks=pytest.mark.slow) for dtype in ("float16", "int8"))]


@pytest.fixture
def database() -> Iterator[vecdb.Database]:
    with vecdb.connect(":memory:", settings=SETTINGS) as opened:
        yield opened


def filled(database: vecdb.Database, vectors: np.ndarray, index: Any, metric: str, dtype: str) -> Any:
    """Return a collection of most vectors with its index, and the others."""
    matrix = (np.clip(np.rint(vectors * 600), -127, 127) if dtype == "int8" else vectors).astype(dtype)
    asked = np.arange(len(matrix)) % HELD_OUT == 0
    field: Any = vecdb.Vector(matrix.shape[1], index=index, metric=metric, dtype=dtype)  # pyright: ignore[reportArgumentType]
    docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), n=vecdb.Int64(), v=field))
    numbers = np.arange(int((~asked).sum()))
    docs.upsert({"id": numbers, "n": numbers % 100, "v": matrix[~asked]})
    docs.flush()
    assert docs.build_indexes() == 1
    return docs, matrix[asked]


@pytest.fixture(scope="module", params=KINDS)
def asked(request: pytest.FixtureRequest, vectors: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
    """A collection with an index of each kind, by cosine, and questions."""
    with vecdb.connect(":memory:", settings=SETTINGS) as opened:
        yield filled(opened, vectors, KINDS[request.param], "cosine", "float32")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_recall_is_what_was_asked_for(
    database: vecdb.Database, vectors: np.ndarray, kind: str, metric: str, dtype: str
) -> None:
    docs, questions = filled(database, vectors, KINDS[kind], metric, dtype)

    for recall in (0.9, 0.95, 0.99):
        assert plans_of(docs.search(v=questions[0], recall=recall)) == ["codes"]
        report = docs.recall(questions, recall=recall)

        assert report.plans == {"codes": len(questions)}
        assert report.recall >= recall - SHORT


@pytest.mark.parametrize("k", [1, 25, 50])
def test_recall_of_other_numbers_of_rows(asked: tuple[Any, np.ndarray], k: int) -> None:
    docs, questions = asked

    report = docs.recall(questions, recall=0.95, k=k)

    assert report.plans == {"codes": len(questions)}
    assert report.recall >= 0.95 - SHORT


@pytest.mark.parametrize("where", ["n < 50", "n < 10", "n = 7"])
def test_recall_under_filters(asked: tuple[Any, np.ndarray], where: str) -> None:
    docs, questions = asked

    report = docs.recall(questions, where=where, recall=0.95)

    assert report.short == 0
    assert report.recall >= 0.95 - SHORT


@pytest.fixture(scope="module", params=KINDS)
def searcher(request: pytest.FixtureRequest, vectors: np.ndarray) -> Any:
    """A searcher of each kind, over all vectors."""
    what, norms = factory.wanted(KINDS[request.param].to_json(), *vectors.shape), flat.norms(vectors)
    assert what is not None
    return factory.searcher(factory.build(what, vectors, "cosine", norms), vectors, "cosine", norms)


@pytest.mark.parametrize("share", [0.99, 0.5, 0.2])
def test_recall_under_filters_that_leave_only_what_is_far(vectors: np.ndarray, searcher: Any, share: float) -> None:
    width, found = calibrate.width_for(searcher.curve, 0.99), 0

    for query in vectors[::HELD_OUT][:50] + vectors[1::HELD_OUT][:50]:
        near = vectors @ query
        allowed = Allowed(near <= np.quantile(near, share))
        plan = searcher.plan(allowed.count, 10, width, "codes")
        (mine,) = searcher.answers(query[None], 10, plan, allowed).top(10)
        best = flat.search(vectors, query, 10, "cosine", allowed=allowed, norms=searcher.norms)
        found += len(set(mine.rows.tolist()) & set(best.rows.tolist()))

    assert found / (10 * 50) >= 0.95
