"""Links between rows that are alike: against a brute force, kept up to date, and walked."""

import numpy as np
import pytest

import vecdb
from vecdb import Query
from vecdb.errors import InvalidInputError
from vecdb.overlays import communities, similar_links

ROWS, WIDTH, K = 120, 6, 5


@pytest.fixture
def points():
    found = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def docs(tmp_path, points):
    with vecdb.connect(tmp_path / "db") as database:
        made = database.create_collection(
            "docs", vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(WIDTH), flat=vecdb.Vector(WIDTH, metric="l2"))
        )
        made.upsert({"id": list(range(ROWS)), "v": list(points)})
        made.upsert({"id": [999], "v": [None]})
        yield made


def _nearest(points):
    scores = points.astype(np.float64) @ points.T
    np.fill_diagonal(scores, -np.inf)
    return [set(np.argsort(-line, kind="stable")[:K].tolist()) for line in scores], scores


def test_links_join_rows_that_are_among_the_nearest_of_each_other(docs, points):
    near, scores = _nearest(points)
    expected = {(i, j) for i in range(ROWS) for j in near[i] if i in near[j] and i < j and scores[i, j] > 0}
    table = similar_links(docs, "v", K)
    found = {tuple(sorted((row["src"], row["dst"]))): row["weight"] for row in table.to_pylist()}
    assert set(found) == expected
    assert table.num_rows == len(expected)
    times = np.bincount([j for line in near for j in line], minlength=ROWS)
    for (i, j), weight in found.items():
        crowd = max(times[i] / K, 1) * max(times[j] / K, 1)
        assert weight == pytest.approx(scores[i, j] / crowd**0.5, rel=1e-5)


def test_rows_that_come_later_are_linked_as_if_they_had_been_there(docs, points):
    late = list(range(100, ROWS))
    mine = similar_links(docs, "v", K, ids=late)
    pairs = {tuple(sorted((row["src"], row["dst"]))) for row in mine.to_pylist()}
    whole = {tuple(sorted((row["src"], row["dst"]))) for row in similar_links(docs, "v", K).to_pylist()}
    assert pairs == {pair for pair in whole if pair[0] in late or pair[1] in late}


def test_links_of_nearness_are_walked_like_others(docs, points):
    docs.link(similar_links(docs, "v", K, least=0.3), directed=False)
    found = docs.run(Query(k=ROWS).near("v", points[0], fetch=1).expand("similar", seeds=1, hops=2))
    assert any(len(hit.path) == 3 for hit in found)


def test_what_has_no_similarity_is_refused(docs):
    with pytest.raises(InvalidInputError, match="'flat' has no similarity"):
        similar_links(docs, "flat")
    with pytest.raises(InvalidInputError, match="'id' has no similarity"):
        similar_links(docs, "id")


def test_communities_are_the_groups_that_links_hold_together(docs):
    rng = np.random.default_rng(2)
    groups = np.arange(ROWS) // 20
    inside = [(i, j) for i in range(ROWS) for j in range(i) if groups[i] == groups[j] and rng.random() < 0.5]
    between = [(i, (i + 20) % ROWS) for i in range(0, ROWS, 20)]
    docs.link({"src": [i for i, _ in inside + between], "dst": [j for _, j in inside + between]})
    found = {row["id"]: row["community"] for row in communities(docs).to_pylist()}
    assert found == {at: int(groups[at]) * 20 for at in range(ROWS)}
    assert communities(docs) == communities(docs)
    assert communities(docs, type="no such").num_rows == 0
