"""Searching over links: expansion, rows linked to ids, patterns, pooled paths; with filters, deletes and many parts."""

import datetime

import numpy as np
import pytest

import vecdb
from vecdb import Query
from vecdb.errors import InvalidInputError, UnknownFieldError
from vecdb.planner import ageing

TOPICS, EACH, WIDTH = 30, 6, 16
"""Rows a{topic}.{number}: those of one topic have vectors that are somewhat alike, and a chain of links."""


def _vectors(rng):
    centres = rng.standard_normal((TOPICS, WIDTH))
    points = np.repeat(centres, EACH, axis=0) + 0.6 * rng.standard_normal((TOPICS * EACH, WIDTH))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


NAMES = [f"a{topic}.{number}" for topic in range(TOPICS) for number in range(EACH)]
CHAIN = [(f"a{topic}.{at}", f"a{topic}.{at + 1}") for topic in range(TOPICS) for at in range(EACH - 1)]


def _table(places, vectors):
    return {
        "id": [NAMES[at] for at in places],
        "size": [at % EACH for at in places],
        "v": [vectors[at] for at in places],
    }


def _edges(pairs, kind="next", **more):
    return {"src": [one for one, _ in pairs], "dst": [two for _, two in pairs], "type": [kind] * len(pairs), **more}


def _come_to(found):
    """Return the hits that a link led to."""
    return {hit.id for hit in found if len(hit.path) > 1}


@pytest.fixture
def vectors():
    return _vectors(np.random.default_rng(3))


@pytest.fixture
def empty(tmp_path):
    with vecdb.connect(tmp_path / "db") as database:
        yield database.create_collection(
            "docs", vecdb.Schema(id=vecdb.Id(), size=vecdb.Int64(), v=vecdb.Vector(WIDTH, metric="cosine"))
        )


@pytest.fixture
def docs(empty, vectors):
    """Rows and links in two segments and in memory, between them too."""
    thirds = np.array_split(np.random.default_rng(1).permutation(len(NAMES)), 3)
    for at, places in enumerate(thirds):
        empty.upsert(_table(places.tolist(), vectors))
        empty.link(_edges(CHAIN[at::3]))
        if at < 2:
            empty.flush()
    return empty


def test_rows_that_links_lead_to_come_before_rows_that_are_merely_near(docs, vectors):
    found = docs.run(Query(k=6).near("v", vectors[0], fetch=3).expand("next", seeds=1, hops=3))
    assert set(found.ids[:4]) == {"a0.0", "a0.1", "a0.2", "a0.3"}
    hit = next(hit for hit in found if hit.id == "a0.2")
    assert [(step.id, step.type, step.ahead) for step in hit.path] == [
        ("a0.0", None, True),
        ("a0.1", "next", True),
        ("a0.2", "next", True),
    ]
    step = found.explain["steps"][-1]
    assert step["step"] == "expand"
    assert step["walked"]
    assert step["links"] == len(CHAIN)


def test_links_that_were_written_or_deleted_since_are_counted_once(docs, vectors):
    docs.compact()
    query = Query(k=6).near("v", vectors[0], fetch=3).expand("next", seeds=1, hops=3)
    assert docs.run(query).explain["steps"][-1]["links"] == len(CHAIN)

    docs.link(_edges([(CHAIN[0][0], CHAIN[-1][1]), (CHAIN[7][0], CHAIN[0][0])]))
    docs.unlink(src=CHAIN[9][0])

    assert docs.run(query).explain["steps"][-1]["links"] == len(CHAIN) + 1


def test_a_path_says_when_a_link_was_followed_against_its_direction(docs, vectors):
    found = docs.run(Query(k=5).near("v", vectors[3], fetch=1).expand("<next", seeds=1, hops=1))
    assert {hit.id: [(step.id, step.ahead) for step in hit.path] for hit in found}["a0.2"] == [
        ("a0.3", True),
        ("a0.2", False),
    ]
    assert _come_to(found) == {"a0.2"}


@pytest.mark.parametrize("method", ["pagerank", "paths"])
def test_the_filter_holds_for_what_is_returned_and_not_for_what_is_walked(docs, vectors, method):
    query = Query(k=10).near("v", vectors[0], fetch=1).expand(seeds=1, hops=4, method=method)
    assert _come_to(docs.run(query.where("size in (0, 2, 4)"))) == {"a0.2", "a0.4"}
    assert all(hit["size"] in (0, 2, 4) for hit in docs.run(query.where("size in (0, 2, 4)")))
    through = Query(k=10).near("v", vectors[0], fetch=1).expand(seeds=1, hops=4, method=method, through="size < 3")
    assert _come_to(docs.run(through)) == {"a0.1", "a0.2"}


def test_deleted_rows_are_not_found_and_still_walked(docs, vectors):
    docs.delete("a0.1")
    found = docs.run(Query(k=5).near("v", vectors[0], fetch=1).expand(seeds=1, hops=2))
    assert "a0.1" not in found.ids
    assert "a0.2" in found.ids
    docs.unlink(src="a0.1")
    assert _come_to(docs.run(Query(k=5).near("v", vectors[0], fetch=1).expand(seeds=1, hops=2))) == set()


def test_rows_that_are_written_and_linked_now_are_found_now(docs, vectors):
    docs.upsert({"id": ["new"], "size": [9], "v": [-vectors[0]]})
    docs.link(_edges([("a0.0", "new")]))
    assert "new" in docs.run(Query(k=4).near("v", vectors[0], fetch=1).expand(seeds=1, hops=1)).ids


def test_answers_do_not_depend_on_where_rows_and_links_lie(docs, empty, vectors):
    query = Query(k=12).near("v", vectors[7]).expand(epsilon=1e-8)
    before = docs.run(query)
    docs.compact()
    after = docs.run(query)
    assert before.ids == after.ids
    assert before.scores == pytest.approx(after.scores)


@pytest.mark.parametrize("method", ["pagerank", "paths"])
def test_the_exact_twin_differs_by_no_more_than_it_is_told(docs, vectors, method):
    query = Query(k=len(NAMES)).near("v", vectors[7]).expand(method=method)
    near, exact = docs.run(query), docs.run(query.exactly())
    assert set(near.ids) == set(exact.ids)
    told = near.explain["steps"][-1].get("unknown_mass", 0)
    true = dict(zip(exact.ids, exact.scores.tolist(), strict=True))
    off = [true[hit.id] - hit.score for hit in near]
    assert min(off) >= -1e-9
    assert sum(off) <= told + 1e-6


def test_links_that_say_nothing_are_left_out_and_explain_says_so(docs, empty, vectors):
    rng = np.random.default_rng(0)
    docs.unlink(type="next")
    docs.link(_edges(list(zip(NAMES, rng.permutation(NAMES).tolist(), strict=True)), "random"))
    plain = Query(k=10).near("v", vectors[0])
    found = docs.run(plain.expand())
    assert found.ids == docs.run(plain).ids
    (told,) = found.explain["steps"][-1]["gate"]
    assert told.startswith("links of type 'random' are left out: linked rows are as alike as rows taken at random")
    assert docs.run(plain.expand(gate=False)).explain["steps"][-1]["walked"]


def test_useless_types_are_left_out_beside_useful_ones(docs, vectors):
    rng = np.random.default_rng(0)
    docs.link(_edges(list(zip(NAMES, rng.permutation(NAMES).tolist(), strict=True)), "random"))
    with_both = docs.run(Query(k=10).near("v", vectors[0]).expand())
    assert with_both.ids == docs.run(Query(k=10).near("v", vectors[0]).expand("next")).ids
    assert all(step.type in (None, "next") for hit in with_both for step in hit.path)


def test_a_type_that_no_link_has_leaves_the_candidates_as_they_are(docs, vectors):
    plain = Query(k=5).near("v", vectors[0])
    found = docs.run(plain.expand("cites"))
    assert found.ids == docs.run(plain).ids
    assert found.explain["steps"][-1]["unknown_types"] == ["cites"]


def test_without_links_the_candidates_stay_as_they_are(empty, vectors):
    empty.upsert(_table(range(20), vectors))
    plain = Query(k=5).near("v", vectors[0])
    assert empty.run(plain.expand()).ids == empty.run(plain).ids
    assert all(hit.path == () for hit in empty.run(plain.expand()))


def test_rows_within_so_many_links_of_an_id_are_found_nearest_first(docs):
    found = docs.run(Query(k=10).linked("a0.2", "next", hops=2))
    assert found.ids == ["a0.1", "a0.3", "a0.0", "a0.4"]
    assert found.scores.tolist() == [0.5, 0.5, 0.25, 0.25]
    assert [step.id for step in found[2].path] == ["a0.2", "a0.1", "a0.0"]
    assert docs.run(Query(k=10).linked("a0.2", ">next", hops=2)).ids == ["a0.3", "a0.4"]
    assert docs.run(Query(k=10).linked("nobody")).ids == []


def test_what_is_near_among_what_is_linked(docs, vectors):
    found = docs.run(Query(k=10).linked("a0.2", "next", hops=2).rescore("v", vectors[4]))
    among = [NAMES.index(name) for name in ("a0.0", "a0.1", "a0.3", "a0.4")]
    nearest = sorted(among, key=lambda at: -float(vectors[at] @ vectors[4]))
    assert found.ids == [NAMES[at] for at in nearest]
    assert found[0].path[0].id == "a0.2"


def test_a_pattern_of_links_leads_to_its_end_and_nowhere_else(docs):
    docs.link(_edges([("a0.5", "a7.0")], "then"))
    assert docs.run(Query(k=10).linked("a0.4", path=(">next", ">then"))).ids == ["a7.0"]
    assert docs.run(Query(k=10).linked("a0.4", path=("<then", ">next"))).ids == []
    assert docs.run(Query(k=10).linked("a7.0", path=("<then", "<next"))).ids == ["a0.4"]


def test_arms_over_links_are_fused_with_others_and_keep_their_paths(docs, vectors):
    found = docs.run(Query(k=8).near("v", vectors[0], fetch=4).linked("a20.2", "next"))
    assert {"a20.1", "a20.3"} <= set(found.ids)
    paths = {hit.id: [step.id for step in hit.path] for hit in found}
    assert paths["a20.1"] == ["a20.2", "a20.1"]
    assert paths["a0.0"] == []


def test_links_are_filtered_by_their_attributes_and_age(empty, vectors):
    empty.upsert(_table(range(6), vectors))
    empty.add_link_attribute("made", vecdb.Timestamp())
    moments = [datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (2000, 2020)]
    empty.link(_edges([("a0.0", "a0.1"), ("a0.0", "a0.2")], made=moments))
    query = Query(k=6).near("v", vectors[0], fetch=1)
    late = empty.run(query.expand(seeds=1, links_where="made > '2010-01-01T00:00:00Z'", gate=False))
    assert _come_to(late) == {"a0.2"}
    same = {hit.id: hit.score for hit in empty.run(query.expand(seeds=1, gate=False))}
    assert same["a0.1"] == pytest.approx(same["a0.2"])
    aged = {
        hit.id: hit.score
        for hit in empty.run(query.expand(seeds=1, gate=False, half_life=20 * 365.25 * 86400, aged_by="made"))
    }
    assert aged["a0.1"] / aged["a0.2"] == pytest.approx(0.5, rel=0.01)
    with pytest.raises(UnknownFieldError, match="born"):
        empty.run(query.expand(half_life=1, aged_by="born"))
    with pytest.raises(InvalidInputError, match="links age by a timestamp, attribute 'weight' is float64"):
        empty.run(query.expand(half_life=1, aged_by="weight"))


def test_links_age_alike_whatever_was_written_since_they_were_walked_over_first(empty, vectors, monkeypatch):
    def moments(days):
        return [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(days=day) for day in days]

    def compare():
        for method in ("pagerank", "paths"):
            query = (
                Query(k=30)
                .near("v", vectors[0], fetch=3)
                .expand(method=method, hops=3, gate=False, half_life=30 * 86400, aged_by="made", damping=0.9)
            )
            found = empty.run(query)
            with monkeypatch.context() as patched:  # as if nothing was known of the links before
                patched.setattr(ageing, "_patched", lambda *_: None)
                patched.setattr(ageing, "remembered", lambda held, key, value: value)
                empty.snapshot()._state.links.made.clear()
                expected = empty.run(query)
            empty.snapshot()._state.links.made.clear()
            assert found.ids == expected.ids
            np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)

    empty.upsert(_table(range(30), vectors))
    empty.add_link_attribute("made", vecdb.Timestamp())
    pairs = [(f"a0.{at}", f"a0.{(at * 7 + 1) % 10}") for at in range(10)]
    empty.link(_edges(pairs, made=moments(range(0, 100, 10))))
    compare()
    empty.flush()
    compare()
    empty.link(_edges([("a0.0", "a0.5"), ("a0.5", "a0.6")], made=moments([150, 20])))  # one is the newest of all
    compare()
    empty.unlink(src="a0.0", dst="a0.5")  # the newest is gone
    compare()
    empty.link(_edges([("a0.3", "a0.9")], made=moments([2_000])))  # so late that others hardly count
    compare()
    empty.unlink(_edges(pairs[:2]))
    compare()
    empty.link(_edges([("a0.2", "a0.8")]))  # without a moment
    compare()
    empty.flush()
    empty.compact()
    compare()


def test_a_view_walks_only_between_its_rows(docs, vectors):
    view = docs.restricted("size != 1")
    query = Query(k=10).near("v", vectors[0], fetch=1).expand(seeds=1, hops=3)
    assert _come_to(docs.run(query)) == {"a0.1", "a0.2", "a0.3"}
    assert _come_to(view.run(query)) == set()


def test_expansion_is_one_stage_among_others(docs, vectors):
    query = Query(k=3).near("v", vectors[0]).expand().rescore("v", vectors[2]).collapse("size")
    found = docs.run(query)
    assert found.ids[0] == "a0.2"
    assert len({hit["size"] for hit in found}) == 3
    assert [step.name for step in docs.explain(query).steps] == ["v", "expand", "rescore", "collapse"]
    grouped = docs.run(Query(k=2).near("v", vectors[0]).expand().group_by("size", 2))
    assert grouped.groups is not None
    assert grouped.groups[0].hits[0].path


def test_pages_of_an_expansion_are_cut_from_one_answer(docs, vectors):
    whole = docs.run(Query(k=20).near("v", vectors[0]).expand())
    first = docs.run(Query(k=10).near("v", vectors[0]).expand())
    second = docs.run(Query(k=10).near("v", vectors[0]).expand().after(first.cursor))
    assert first.ids + second.ids == whole.ids


def test_facts_on_a_path_with_good_ones_are_lifted_and_say_how(tmp_path):
    schema = vecdb.Schema(id=vecdb.Id(), head=vecdb.Keyword(), tail=vecdb.Keyword(), v=vecdb.Vector(2, metric="dot"))
    facts = [("ab", "a", "b", 0.2), ("bc", "b", "c", 0.8), ("ad", "a", "d", 0.45), ("xy", "x", None, 0.4)]
    with vecdb.connect(tmp_path / "db") as database:
        docs = database.create_collection("facts", schema)
        docs.upsert([{"id": i, "head": h, "tail": t, "v": [s, 0.0]} for i, h, t, s in facts])
        plain = Query(k=4).near("v", [1.0, 0.0])
        assert docs.run(plain).ids == ["bc", "ad", "xy", "ab"]
        pooled = docs.run(plain.pool_paths("head", "tail", "a"))
        # the least is 0.2, so the first place of a path gets 0.05 and the second 0.025; a -> b -> c is worth 0.5
        assert {hit.id: hit.score for hit in pooled} == pytest.approx({"ab": 0.55, "bc": 0.525, "ad": 0.5, "xy": 0.45})
        assert [step.id for step in pooled[0].path] == ["ab", "bc"]
        assert pooled.explain["steps"][-1]["on_paths"] == 2
