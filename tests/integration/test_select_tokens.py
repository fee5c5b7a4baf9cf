"""Selections that compare rows by their tokens, against NumPy, and what fixed rows are scored by."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import vecdb
from vecdb import Collection, Coverage, Query, errors
from vecdb.results import Selected

D = 12
RNG = np.random.default_rng(3)
ASKED = RNG.standard_normal((3, D)).astype(np.float32)
ROWS = [
    {
        "id": f"r{at:02}",
        "embedding": RNG.standard_normal(5).astype(np.float32),
        "tokens": None if at == 7 else RNG.standard_normal((1 + at % 6, D)).astype(np.float32),
    }
    for at in range(40)
]

IDS = [str(row["id"]) for row in ROWS]


def twin(one: np.ndarray | None, other: np.ndarray | None) -> float:
    """Return how alike two rows are, in float64."""
    if one is None or other is None:
        return 0.0
    cosines = unit(one) @ unit(other).T
    return float(cosines.max(axis=1).mean() + cosines.max(axis=0).mean()) / 2


def unit(tokens: np.ndarray) -> np.ndarray:
    return tokens.astype(np.float64) / np.linalg.norm(tokens.astype(np.float64), axis=1, keepdims=True)


@pytest.fixture(scope="module", params=["float32", "int8"])
def docs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    schema = vecdb.Schema(
        id=vecdb.Id(), embedding=vecdb.Vector(5), tokens=vecdb.MultiVector(D, dtype=request.param, normalise=False)
    )
    with vecdb.connect(tmp_path_factory.mktemp("tokens") / "db") as database:
        made = database.create_collection("docs", schema)
        made.upsert(ROWS[:25])
        made.flush()  # some rows in a segment, the others in memory
        made.upsert(ROWS[25:])
        yield made


def told(found: vecdb.SearchResult) -> Selected:
    assert found.selection is not None
    return found.selection


def stored(docs: Collection) -> dict[str, np.ndarray | None]:
    return {row["id"]: row["tokens"] for row in docs.get(IDS, fields=["tokens"]) if row is not None}


def test_members_are_as_similar_as_their_tokens_say(docs: Collection) -> None:
    held = stored(docs)

    found = docs.run(Query(k=6).near("tokens", ASKED).select(Coverage(0.6), field="tokens"))

    members = [(hit.id, member) for hit in found for member in hit.pick.members]  # pyright: ignore[reportOptionalMemberAccess]
    assert members
    for chosen, member in members:
        assert member.similarity == pytest.approx(twin(held[str(chosen)], held[str(member.id)]), abs=1e-5)


def test_the_set_is_that_of_a_function_that_compares_tokens(docs: Collection) -> None:
    held = stored(docs)

    def similarity(records: list[dict[str, object]]) -> np.ndarray:
        return np.array([[twin(held[str(a["id"])], held[str(b["id"])]) for b in records] for a in records])

    near = Query(k=8).near("embedding", ROWS[0]["embedding"], fetch=40)
    for method in (Coverage(), Coverage(0.6, "facility_location"), vecdb.Mmr(), vecdb.Dispersion()):
        by_tokens, by_function = (
            docs.run(near.select(method, **one)) for one in ({"field": "tokens"}, {"similarity": similarity})
        )

        assert by_tokens.ids == by_function.ids
        assert told(by_tokens).coverage == pytest.approx(told(by_function).coverage, abs=1e-4)


def test_a_universe_is_represented_by_tokens(docs: Collection) -> None:
    held, universe = stored(docs), [row["id"] for row in ROWS[5:30]]
    select = Coverage(1.0, "facility_location", sharpness=1, baseline=0.0)

    found = docs.run(
        Query(k=1).near("embedding", ROWS[0]["embedding"], fetch=40).select(select, field="tokens", universe=universe)
    )

    worth = {key: sum(max(0.0, twin(mine, held[other])) for other in universe) for key, mine in held.items()}
    assert found.ids == [max(worth, key=worth.__getitem__)]


def test_copies_are_kept_out_by_tokens_where_vectors_do_not_tell(docs: Collection) -> None:
    copies = [{"id": f"copy{at}", "embedding": RNG.standard_normal(5), "tokens": ROWS[3]["tokens"]} for at in range(3)]
    docs.upsert(copies)
    try:
        query = Query(k=10).near("tokens", ROWS[3]["tokens"])

        plain, found = docs.run(query), docs.run(query.select(field="tokens", distinct=0.999))
    finally:
        docs.delete([one["id"] for one in copies])

    same = {"r03", "copy0", "copy1", "copy2"}
    assert len(same & set(plain.ids)) == 4
    assert len(same & set(found.ids)) == 1


def test_a_collection_without_vectors_is_compared_by_its_only_tokens(tmp_path: Path) -> None:
    with vecdb.connect(tmp_path / "db") as database:
        made = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), tokens=vecdb.MultiVector(D)))
        made.upsert([{"id": row["id"], "tokens": row["tokens"]} for row in ROWS])
        query = Query(k=5).near("tokens", ASKED)

        assert made.run(query.select()).ids == made.run(query.select(field="tokens")).ids


def test_a_fixed_row_is_scored_by_the_arm_and_not_by_the_field_that_rows_are_compared_by(docs: Collection) -> None:
    vector = np.asarray(ROWS[0]["embedding"])
    worst = docs.search(embedding=vector, k=40).ids[-1]

    found = docs.run(Query(k=3).near("embedding", vector, fetch=5).select(field="tokens", fixed=[worst], pool=5))

    held = np.asarray(next(row["embedding"] for row in ROWS if row["id"] == worst))
    assert found.ids[0] == worst
    assert found.scores[0] == pytest.approx(held @ vector / np.linalg.norm(held) / np.linalg.norm(vector), abs=1e-5)


def test_a_field_that_is_no_vector_is_refused_by_its_name(docs: Collection) -> None:
    with pytest.raises(errors.InvalidInputError, match="'id'"):
        docs.run(Query(k=3).near("tokens", ASKED).select(field="id"))
