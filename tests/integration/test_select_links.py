"""Selecting by links: communities that are covered, link distance as similarity; restrictions, JSON and the wire."""

import numpy as np
import pytest

import vecdb
from vecdb import Coverage, Mmr, Query
from vecdb.errors import InvalidInputError
from vecdb.query.selection import Select
from vecdb.wire import queries

GROUPS, EACH = 5, 8
COUNT = GROUPS * EACH
"""Rows 0 to 39: number // 8 is the clique of links of each; the smaller the number, the better its score."""
NEAR = Query(k=GROUPS).near("v", [1.0, 0.0])


@pytest.fixture
def docs(tmp_path):
    with vecdb.connect(tmp_path / "db") as database:
        made = database.create_collection(
            "docs", vecdb.Schema(id=vecdb.Id("int64"), odd=vecdb.Bool(), v=vecdb.Vector(2, metric="dot"))
        )
        rng = np.random.default_rng(0)
        links = [(i, j) for i in range(COUNT) for j in range(i) if i // EACH == j // EACH]
        halves = np.array_split(rng.permutation(len(links)), 2)
        for at, rows in enumerate((range(0, COUNT, 2), range(1, COUNT, 2))):
            made.upsert([{"id": n, "odd": bool(n % 2), "v": [1.0 - n / 100, 0.0]} for n in rows])
            made.link({"src": [links[n][0] for n in halves[at]], "dst": [links[n][1] for n in halves[at]]})
            if not at:
                made.flush()
        made.link({"src": [7, 15, 23, 31], "dst": [8, 16, 24, 32], "weight": [0.5] * 4})
        yield made


def _clique(ids):
    return [one // EACH for one in ids]


def test_a_set_that_covers_communities_has_a_row_of_each(docs):
    assert _clique(docs.run(NEAR).ids) == [0] * GROUPS
    found = docs.run(NEAR.select(Coverage(0.95, "communities"), pool=COUNT))
    assert found.ids == [0, 8, 16, 24, 32], "the best row of each"
    assert found.selection.method == "communities"


def test_rows_without_links_are_communities_of_their_own(docs):
    docs.upsert([{"id": 100 + n, "odd": False, "v": [0.9, 0.0]} for n in range(2)])
    found = docs.run(NEAR.take(7).select(Coverage(0.99, "communities"), pool=COUNT + 2))
    assert set(found.ids) >= {100, 101}
    assert set(_clique(sorted(found.ids)[:5])) == set(range(GROUPS))


def test_linked_rows_are_alike_by_a_half_and_those_with_a_common_neighbour_by_a_quarter(docs):
    docs.unlink(type="link")
    docs.link({"src": [0, 2, 4], "dst": [1, 1, 99]})  # 0 - 1 - 2, and 4 - 99 where 99 has no row
    docs.link({"src": [6], "dst": [99]})
    seen = []

    def told(records):
        ids = [record["id"] for record in records]
        apart = {(0, 1): 0.5, (1, 2): 0.5, (0, 2): 0.25, (4, 6): 0.25}
        matrix = [[1.0 if i == j else apart.get((min(i, j), max(i, j)), 0.0) for j in ids] for i in ids]
        seen.append(ids)
        return matrix

    for method in ("coverage", "mmr", "dispersion", "dpp", Coverage(0.7, "facility_location")):
        asked = NEAR.take(6)
        by_links = docs.run(asked.select(method, similarity="links", pool=12))
        by_hand = docs.run(asked.select(method, similarity=told, pool=12))
        assert by_links.ids == by_hand.ids
        assert [hit.pick.gain for hit in by_links] == pytest.approx([hit.pick.gain for hit in by_hand])
        members = [{one.id: one.similarity for one in hit.pick.members} for hit in by_links]
        assert members == [{one.id: one.similarity for one in hit.pick.members} for hit in by_hand]
    assert seen
    assert not {0, 1} <= set(docs.run(NEAR.select(Coverage(), similarity="links", distinct=0.5, pool=12)).ids)


def test_whoever_sees_only_some_rows_learns_nothing_of_links_through_others(docs):
    docs.unlink(type="link")
    docs.link({"src": [0, 2], "dst": [1, 1]})
    some = docs.restricted("odd = false")
    asked = NEAR.take(3).select(Coverage(), similarity="links", distinct=0.25, pool=12)
    assert not {0, 2} <= set(docs.run(asked).ids)
    assert {0, 2} <= set(some.run(asked).ids)


def test_it_is_written_as_json_and_as_a_message_and_other_words_are_refused():
    for stage in (Select(Coverage(0.4, "communities")), Select(Mmr(), similarity="links")):
        asked = NEAR.then(stage)
        assert Query.from_json(asked.to_json()) == asked
        assert queries.from_message(queries.to_message(asked)) == asked
    with pytest.raises(InvalidInputError, match='expected a function or "links"'):
        Select(Mmr(), similarity="edges")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInputError, match="field says nothing then"):
        Select(Mmr(), field="v", similarity="links")
    with pytest.raises(InvalidInputError, match="there is none"):
        Select(Mmr(), similarity="links", fields=("odd",))
