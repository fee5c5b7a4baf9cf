"""Links between rows that are alike: against a brute force, kept up to date, and walked."""

import os

import numpy as np
import pytest

import vecdb
from vecdb import Query
from vecdb.errors import InvalidInputError
from vecdb.overlays import communities, refresh_similar, similar_links

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


def _stored(docs, kind="similar"):
    found = [row for batch in docs.links(type=kind) for row in batch.to_pylist()]
    return {(row["src"], row["dst"]): row["weight"] for row in found}


def _anew(docs, k=K, **options):
    found = {}
    for row in similar_links(docs, "v", k, **options).to_pylist():
        found[row["src"], row["dst"]] = found[row["dst"], row["src"]] = row["weight"]
    return found


def _write_at_random(docs, rng, turn):
    """Change some rows: new ones, other vectors, vectors that are taken away, and deletions."""
    new = list(range(1000 + 10 * turn, 1000 + 10 * turn + int(rng.integers(0, 10))))
    changed = rng.choice(ROWS, int(rng.integers(0, 6)), replace=False).tolist()
    ids = [*new, *changed]
    vectors = [None if rng.random() < 0.1 else vector for vector in rng.standard_normal((len(ids), WIDTH))]
    if ids:
        docs.upsert({"id": ids, "v": vectors})
    docs.delete(rng.choice(ROWS, int(rng.integers(0, 5)), replace=False).tolist(), cascade=bool(rng.random() < 0.5))
    if rng.random() < 0.3:
        docs.flush()
    if rng.random() < 0.2:
        docs.compact()


@pytest.mark.parametrize("seed", range(4))
def test_after_any_writes_a_refresh_leaves_the_links_that_would_be_made_anew(docs, seed):
    rng = np.random.default_rng(seed)
    docs.link([{"src": 0, "dst": 1, "type": "other"}])
    first = refresh_similar(docs, "v", K, exact=True)
    assert first.searched == ROWS
    for turn in range(12):
        _write_at_random(docs, rng, turn)
        if rng.random() < 0.6:
            refresh_similar(docs, "v", K, exact=True)
            stored, expected = _stored(docs), _anew(docs, exact=True)
            assert stored.keys() == expected.keys()
            assert stored == pytest.approx(expected, rel=1e-5)
    docs.delete([row for batch in docs.scan(fields=[]) for row in batch.column("id").to_pylist()])
    refresh_similar(docs, "v", K, exact=True)
    assert not _stored(docs)


def test_a_refresh_searches_only_for_rows_whose_nearest_changed(docs):
    refresh_similar(docs, "v", K, exact=True)
    idle = refresh_similar(docs, "v", K, exact=True)
    docs.upsert({"id": [500], "v": [np.ones(WIDTH)]})
    after_one = refresh_similar(docs, "v", K, exact=True)
    other_k = refresh_similar(docs, "v", K - 1, exact=True)

    assert (idle.searched, idle.written, idle.deleted) == (0, 0, 0)
    assert after_one.searched == 1
    assert other_k.searched == ROWS + 1
    assert _stored(docs).keys() == _anew(docs, K - 1, exact=True).keys()


@pytest.mark.parametrize("damage", [b"", b"nothing like it", None])
def test_lists_that_are_damaged_or_gone_are_made_anew(docs, tmp_path, damage):
    refresh_similar(docs, "v", K, exact=True)
    (kept,) = (tmp_path / "db").rglob("overlay-*.arrow")
    if damage is None:
        kept.unlink()
    else:
        kept.write_bytes(damage)

    again = refresh_similar(docs, "v", K, exact=True)

    assert (again.searched, again.written, again.deleted) == (ROWS, 0, 0)


def test_a_refresh_through_an_index_finds_nearly_what_would_be_made_anew(tmp_path):
    rng = np.random.default_rng(3)
    fields = {"id": vecdb.Id("int64"), "v": vecdb.Vector(16, index=vecdb.Hnsw(m=8, ef_construction=60))}
    with vecdb.connect(tmp_path / "db") as database:
        docs = database.create_collection("docs", vecdb.Schema(**fields))
        docs.upsert({"id": list(range(3000)), "v": list(rng.standard_normal((3000, 16)))})
        docs.flush()
        docs.build_indexes()
        refresh_similar(docs, "v", 10)
        for turn in range(5):
            begin = 3000 + 150 * turn
            docs.upsert({"id": list(range(begin, begin + 150)), "v": list(rng.standard_normal((150, 16)))})
            docs.delete(rng.choice(3000, 50, replace=False).tolist())
            done = refresh_similar(docs, "v", 10)
            assert done.searched < 2000
        stored, expected = _stored(docs).keys(), _anew(docs, 10, exact=True).keys()
    assert len(stored & expected) / len(expected) >= 0.9
    assert len(stored & expected) / len(stored) >= 0.9


def test_clean_up_in_the_background_takes_nothing_of_a_refresh_away(docs, monkeypatch):
    def cleaned_up_before(old, new, rename=os.rename):
        docs._writable()._collect()
        rename(old, new)

    monkeypatch.setattr("vecdb.storage.directory.os.rename", cleaned_up_before)
    assert refresh_similar(docs, "v", K).searched == ROWS
    monkeypatch.undo()
    assert refresh_similar(docs, "v", K).searched == 0


def test_only_the_process_that_writes_a_collection_refreshes_its_links(docs, tmp_path):
    with pytest.raises(InvalidInputError, match="not a View"):
        refresh_similar(docs.restricted("id < 5"), "v")
    with pytest.raises(InvalidInputError, match="least must be 0 or more, not -1"):
        refresh_similar(docs, "v", least=-1)
    with pytest.raises(InvalidInputError, match="'flat' has no similarity"):
        refresh_similar(docs, "flat")


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
