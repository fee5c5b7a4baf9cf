"""Search as a user sees it: exact, the same before and after every flush and merge, in the shape that was asked for."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import vecdb
from support.unsynced import unsynced

EVERY_KIND = pytest.mark.parametrize(
    ("dtype", "metric"), list(itertools.product(("float32", "float16", "int8"), ("cosine", "dot", "l2")))
)


@pytest.fixture(autouse=True)
def without_syncs() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture
def database() -> Iterator[vecdb.Database]:
    settings = vecdb.Settings(background=False, free_bytes=0, segment_bytes=1 << 22)
    with vecdb.connect(":memory:", settings=settings) as database:
        yield database


def random_vectors(rows: int, dimension: int, dtype: str, seed: int = 7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "int8":
        return rng.integers(-128, 128, (rows, dimension)).astype(np.int8)
    return rng.normal(size=(rows, dimension)).astype(dtype)


def filled(database: vecdb.Database, dtype: str, metric: str, dimension: int, rows: int) -> vecdb.Collection:
    """Return a collection whose row r has the id "r<r>" in six digits, n = r and the r-th random vector."""
    schema = vecdb.Schema(id=vecdb.Id(), n=vecdb.Int64(), v=vecdb.Vector(dimension, dtype=dtype, metric=metric))  # pyright: ignore[reportArgumentType]
    collection = database.create_collection("docs", schema)
    vectors = random_vectors(rows, dimension, dtype)
    for start in range(0, rows, 70):
        part = slice(start, min(rows, start + 70))
        numbers = np.arange(rows)[part]
        collection.upsert({"id": [f"r{number:06}" for number in numbers], "n": numbers, "v": vectors[part]})
    return collection


def exact_scores(vectors: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    """Return every row's score in float64."""
    x, q = vectors.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return -((x - q) ** 2).sum(axis=1)
    scores = x @ q
    return scores if metric == "dot" else scores / np.linalg.norm(x, axis=1) / np.linalg.norm(q)


def answers(collection: Any, queries: np.ndarray, **options: Any) -> list[list[tuple[Any, float]]]:
    """Return ids and scores of each query: equal lists mean equal bits."""
    found = [collection.search(v=query, **options) for query in queries]
    return [list(zip(result.ids, result.scores.tolist(), strict=True)) for result in found]


# -- what is found -----------------------------------------------------------------------------------------------------


@EVERY_KIND
@pytest.mark.parametrize("dimension", [1, 3, 17, 100])
def test_the_best_rows_are_found(database: vecdb.Database, dtype: str, metric: str, dimension: int) -> None:
    collection = filled(database, dtype, metric, dimension, rows=300)
    vectors = random_vectors(300, dimension, dtype)
    query = random_vectors(1, dimension, dtype, seed=8)[0]
    expected = exact_scores(vectors, query, metric)

    result = collection.search(v=query, k=10)

    rows = [int(value[1:]) for value in result.ids]
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(result.scores, expected[rows], atol=1e-5 * scale)
    np.testing.assert_allclose(result.scores, np.sort(expected)[::-1][:10], atol=1e-5 * scale)


@EVERY_KIND
@pytest.mark.parametrize("dimension", [1, 7, 100])
def test_an_answer_does_not_depend_on_where_rows_lie(
    database: vecdb.Database, dtype: str, metric: str, dimension: int
) -> None:
    collection = filled(database, dtype, metric, dimension, rows=200)
    queries = random_vectors(6, dimension, dtype, seed=9)
    options: dict[str, Any] = {"k": 30}
    in_memory = answers(collection, queries, **options)

    collection.flush()
    in_a_segment = answers(collection, queries, **options)
    rows = {f"r{number:06}" for number in range(200)}
    collection.upsert([record for record in collection.get(sorted(rows)[::3]) if record is not None])
    in_both = answers(collection, queries, **options)
    collection.flush()
    collection.compact()
    in_one = answers(collection, queries, **options)
    together = [
        list(zip(result.ids, result.scores.tolist(), strict=True))
        for result in collection.search_batch(v=queries, **options)
    ]

    assert in_memory == in_a_segment == in_both == in_one == together


def test_a_database_that_is_reopened_answers_the_same(tmp_path: Any) -> None:
    with vecdb.connect(tmp_path) as database:
        collection = filled(database, "float32", "cosine", 33, rows=150)
        queries = random_vectors(5, 33, "float32", seed=3)
        before = answers(collection, queries)

    with vecdb.connect(tmp_path) as database:
        assert answers(database["docs"], queries) == before
        assert database.check().ok


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_does_not_show(threads: int) -> None:
    # More than one slice of rows, so that helpers have something to do.
    rows, dimension = 40_000, 64
    vectors = random_vectors(rows, dimension, "float32")
    settings = vecdb.Settings(threads=threads, durability="none", background=False, free_bytes=0)
    with vecdb.connect(":memory:", settings=settings) as database:
        schema = vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(dimension, metric="dot"))
        collection = database.create_collection("docs", schema)
        with collection.bulk() as load:
            load.add({"id": np.arange(rows), "v": vectors})
        queries = random_vectors(4, dimension, "float32", seed=2)

        for query, result in zip(queries, collection.search_batch(v=queries, k=20), strict=True):
            one = collection.search(v=query, k=20)
            assert (one.ids, one.scores.tolist()) == (result.ids, result.scores.tolist())
            expected = exact_scores(vectors, query, "dot")
            assert set(one.ids) == set(np.argsort(-expected)[:20].tolist())


@pytest.mark.parametrize("k", [1, 2, 3, 4, 7, 100])
def test_equal_scores_come_in_the_order_of_ids(database: vecdb.Database, k: int) -> None:
    schema = vecdb.Schema(id=vecdb.Id(), v=vecdb.Vector(2, metric="l2"))
    collection = database.create_collection("docs", schema)
    ids = ["b", "10", "ä", "a", "9", "B", "\U0001f600", "\uffff"]
    for at, value in enumerate(ids):
        collection.upsert({"id": value, "v": [1, 2]})
        if at % 3 == 2:
            collection.flush()

    assert collection.search(v=[0, 0], k=k).ids == sorted(ids)[:k]
    assert [result.ids for result in collection.search_batch(v=np.zeros((5, 2)), k=k)] == [sorted(ids)[:k]] * 5


def test_rows_without_a_vector_are_never_found(database: vecdb.Database) -> None:
    schema = vecdb.Schema(id=vecdb.Id(), v=vecdb.Vector(2, metric="l2"), w=vecdb.Vector(2, metric="l2"))
    collection = database.create_collection("docs", schema)
    collection.upsert([{"id": "a", "v": [0, 0]}, {"id": "b", "w": [0, 0]}, {"id": "c"}])
    for _ in range(2):
        assert collection.search(v=[0, 0]).ids == ["a"]
        assert collection.search(w=[0, 0]).ids == ["b"]
        assert collection.count("v is null") == 2
        collection.flush()


def test_an_empty_collection_has_no_hits(database: vecdb.Database) -> None:
    collection = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), n=vecdb.Int64(), v=vecdb.Vector(2)))

    result = collection.search(v=[1, 0])

    assert (len(result), result.ids, list(result), result.to_list()) == (0, [], [], [])
    assert result.to_arrow().column_names == ["id", "score", "distance", "n"]
    assert [len(one) for one in collection.search_batch(v=[[1, 0]] * 5)] == [0] * 5
    assert collection.search_batch(v=np.zeros((0, 2))) == []
    assert list(collection.scan()) == []
    assert collection.count() == len(collection) == 0


@pytest.mark.parametrize("where", ["n < 20", "n in (3, 5, 150)", "n = 7", "n < 0", "not (n >= 190)", "n >= 0"])
def test_a_filter_narrows_the_search_and_not_the_answer(database: vecdb.Database, where: str) -> None:
    collection = filled(database, "float32", "cosine", 9, rows=200)
    collection.flush()
    query = random_vectors(1, 9, "float32", seed=5)[0]
    passing = {batch["id"][row].as_py() for batch in collection.scan(where) for row in range(batch.num_rows)}
    whole = answers(collection, query[None], k=1000)[0]

    assert answers(collection, query[None], k=1000, where=where)[0] == [hit for hit in whole if hit[0] in passing]
    assert collection.count(where) == len(passing)


def test_filters_are_text_or_expressions(database: vecdb.Database) -> None:
    collection = filled(database, "float32", "cosine", 9, rows=100)
    query = random_vectors(1, 9, "float32", seed=5)[0]
    built = (vecdb.col("n") >= 10) & (vecdb.col("n") < 20)

    found = collection.search(v=query, where=built, k=100)

    assert sorted(found.ids) == [f"r{number:06}" for number in range(10, 20)]
    assert found.ids == collection.search(v=query, where="n >= 10 and n < 20", k=100).ids
    assert found.ids == collection.search(v=query, where=str(built), k=100).ids


@pytest.mark.parametrize("query", [[1, 0], (1, 0), np.array([1, 0]), np.array([1.0, 0.0], np.float16)])
def test_a_query_is_any_row_of_numbers(database: vecdb.Database, query: Any) -> None:
    collection = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), v=vecdb.Vector(2, metric="dot")))
    collection.upsert([{"id": "a", "v": [3, 4]}, {"id": "b", "v": [2, 9]}])

    assert collection.search(v=query).scores.tolist() == [3, 2]


# -- the shape of the answer -------------------------------------------------------------------------------------------


@pytest.fixture
def result(database: vecdb.Database) -> Any:
    """Two hits: b at distance 0, a at squared distance 4."""
    schema = vecdb.Schema(
        id=vecdb.Id(), title=vecdb.Text(), tags=vecdb.Keyword(many=True), v=vecdb.Vector(2, metric="l2")
    )
    collection = database.create_collection("small", schema)
    collection.upsert([{"id": "a", "title": "A", "v": [2, 0]}, {"id": "b", "tags": ["x"], "v": [0, 0]}])
    return lambda **options: collection.search(v=[0, 0], **options)


def test_hits_carry_id_score_distance_and_fields(result: Any) -> None:
    hits = list(result())

    assert [(hit.id, hit.score, hit.distance) for hit in hits] == [("b", 0, 0), ("a", -4, 4)]
    assert [dict(hit.fields) for hit in hits] == [{"title": None, "tags": ["x"]}, {"title": "A", "tags": None}]
    assert hits[1]["title"] == "A"
    with pytest.raises(KeyError):
        hits[1]["absent"]


def test_a_result_is_a_sequence(result: Any) -> None:
    found = result()

    assert len(found) == 2
    assert [found[0].id, found[-1].id] == ["b", "a"]
    assert [hit.id for hit in found[:1]] == ["b"]
    with pytest.raises(IndexError):
        found[2]
    assert "'b'" in repr(found)
    assert (found.scores.dtype, found.distances.dtype) == (np.float32, np.float32)
    assert found.missing == ()


def test_fields_are_chosen_vectors_too(result: Any) -> None:
    assert [dict(hit.fields) for hit in result(fields=[])] == [{}, {}]
    assert [dict(hit.fields) for hit in result(fields=["title"], k=1)] == [{"title": None}]
    vectors = [hit["v"] for hit in result(fields=["v"])]
    assert [vector.tolist() for vector in vectors] == [[0, 0], [2, 0]]
    assert all(isinstance(vector, np.ndarray) and vector.dtype == np.float32 for vector in vectors)


def test_a_result_becomes_a_table_a_frame_or_a_list(result: Any) -> None:
    expected = [
        {"id": "b", "score": 0.0, "distance": 0.0, "title": None, "tags": ["x"]},
        {"id": "a", "score": -4.0, "distance": 4.0, "title": "A", "tags": None},
    ]

    assert result().to_list() == expected
    assert result().to_arrow().to_pylist() == expected
    assert result().to_polars().to_dicts() == expected
    frame = result().to_pandas()
    assert list(frame.columns) == list(expected[0])
    assert frame["id"].tolist() == ["b", "a"]


@pytest.mark.parametrize(
    ("metric", "score", "distance"), [("cosine", 0.6, 0.4), ("dot", 3.0, -3.0), ("l2", -20.0, 20.0)]
)
def test_scores_rise_and_distances_fall(database: vecdb.Database, metric: Any, score: float, distance: float) -> None:
    collection = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), v=vecdb.Vector(2, metric=metric)))
    collection.upsert({"id": "a", "v": [3, 4]})

    (hit,) = collection.search(v=[1, 0])

    assert (hit.score, hit.distance) == (pytest.approx(score), pytest.approx(distance))


def test_a_result_stays_readable_whatever_is_written_afterwards(database: vecdb.Database) -> None:
    collection = filled(database, "float32", "l2", 4, rows=50)
    collection.flush()
    found = collection.search(v=[0, 0, 0, 0], k=50)

    collection.delete(where="n >= 0")
    collection.compact(purge=True)

    assert len(found.to_list()) == 50
    assert {hit["n"] for hit in found} == set(range(50))


def test_the_id_keeps_its_name_in_tables(database: vecdb.Database) -> None:
    collection = database.create_collection("docs", vecdb.Schema(key=vecdb.Id("int64"), v=vecdb.Vector(1, metric="l2")))
    collection.upsert({"key": 7, "v": [1]})

    found = collection.search(v=[1])

    assert found.to_arrow().column_names == ["key", "score", "distance"]
    assert found.to_list() == [{"key": 7, "score": 0.0, "distance": 0.0}]
    assert found[0].id == 7


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("scale", [1e-30, 1e-25, 1e-10, 1.0, 1e10, 1e19, 1e30])
def test_the_length_of_a_vector_does_not_matter_under_cosine(
    database: vecdb.Database, scale: float, flushed: bool
) -> None:
    collection = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), v=vecdb.Vector(4)))
    collection.upsert([{"id": "a", "v": [scale] * 4}, {"id": "b", "v": [scale, -scale, scale, scale]}])
    if flushed:
        collection.flush()

    for query in ([1, 1, 1, 1], [scale] * 4):
        found = collection.search(v=query)
        assert found.ids == ["a", "b"]
        assert found.scores.tolist() == pytest.approx([1.0, 0.5], rel=1e-5)
