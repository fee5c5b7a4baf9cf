"""Multi-vectors through the public API: what is stored, what is found, and that both survive what happens to rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vecdb
from vecdb.errors import DimensionMismatchError, InvalidInputError

D = 18
RNG = np.random.default_rng(7)
ASKED = RNG.standard_normal((5, D))
DTYPES = "float16", "float32", "int8", "int4", "sign"


def tokens_of(number: int) -> np.ndarray | None:
    """Return the tokens of a row: null for some rows, none for others."""
    rng = np.random.default_rng(number)
    return None if number % 17 == 0 else rng.standard_normal((int(rng.integers(0, 9)), D))


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [{"id": f"{number:04}", "n": number, "tokens": tokens_of(number)} for number in range(first, last)]


def connected(path: Path) -> vecdb.Database:
    return vecdb.connect(path, settings=vecdb.Settings(background=False))


def made(database: vecdb.Database, **options: Any) -> Any:
    schema = vecdb.Schema(id=vecdb.Id(), n=vecdb.Int64(), tokens=vecdb.MultiVector(D, **options))
    return database.create_collection("docs", schema)


def stored(collection: Any) -> dict[str, Any]:
    """Return the tokens of all rows by id."""
    table = collection.scan(fields=["tokens"])
    ids = [value for batch in table for value in batch.column(0).to_pylist()]
    return {row["id"]: row["tokens"] for row in collection.get(sorted(ids), fields=["tokens"])}


def ranked(collection: Any, asked: np.ndarray, weights: Any = 1.0, *, unit: bool = True) -> list[tuple[str, float]]:
    """Return every row that has tokens and its score, in float64, best first."""
    if unit:
        asked = asked / np.linalg.norm(asked, axis=1, keepdims=True)
    asked = asked.astype(np.float32).astype(np.float64)
    held = {key: tokens for key, tokens in stored(collection).items() if tokens is not None and len(tokens)}
    scores = {
        key: float(((tokens.astype(np.float64) @ asked.T).max(axis=0) * weights).sum()) for key, tokens in held.items()
    }
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def check(found: Any, expected: list[tuple[str, float]]) -> None:
    assert [hit.id for hit in found] == [key for key, _ in expected]
    np.testing.assert_allclose([hit.score for hit in found], [score for _, score in expected], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_best_rows_are_those_of_numpy_in_segments_in_memory_and_after_merges(dtype: str, tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, dtype=dtype)
        docs.upsert(rows(0, 200))
        docs.flush()
        docs.upsert(rows(200, 300))
        docs.delete(["0003", "0250"])
        before, expected = stored(docs), ranked(docs, ASKED)
        for _ in range(3):
            expected = ranked(docs, ASKED)
            check(docs.search(tokens=ASKED, k=10), expected[:10])
            check(docs.search(tokens=ASKED, k=10, exact=True), expected[:10])
            check(docs.search(tokens=ASKED, k=400), expected)
            few = [pair for pair in expected if int(pair[0]) < 60]
            check(docs.search(tokens=ASKED, k=5, where="n < 60"), few[:5])
            docs.compact()
        after = stored(docs)
        assert all(np.array_equal(before[key], after[key]) for key in before if before[key] is not None)
    with connected(tmp_path / "db") as database:
        check(database["docs"].search(tokens=ASKED, k=10), expected[:10])
    assert vecdb.check(tmp_path / "db").problems == ()


def test_rows_in_the_log_are_there_after_opening_again(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, dtype="int8")
        docs.upsert(rows(0, 50))
        expected = stored(docs)
    with connected(tmp_path / "db") as database:
        found = stored(database["docs"])
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[key], expected[key]) for key in found if expected[key] is not None)


def test_weights_count_in_an_arm_and_in_a_stage(tmp_path: Path) -> None:
    weights = [1.0, 0.0, 2.5, 0.25, 1.0]
    with connected(tmp_path / "db") as database:
        docs = made(database)
        docs.upsert(rows(0, 120))
        expected = ranked(docs, ASKED, np.array(weights))[:6]
        arm = docs.run(vecdb.Query(6).near("tokens", ASKED, weights=weights))
        stage = docs.run(vecdb.Query(6).where("n >= 0").rescore(vecdb.MaxSim("tokens", ASKED, weights=weights)))
        check(arm, expected)
        assert [(hit.id, hit.score) for hit in stage] == [(hit.id, hit.score) for hit in arm]
        assert (
            len(docs.run(vecdb.Query(50).near("tokens", ASKED, fetch=50).rescore(vecdb.MaxSim("tokens", ASKED, top=7))))
            == 7
        )


def test_rows_without_tokens_are_stored_and_not_found(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database)
        docs.upsert([{"id": "none"}, {"id": "empty", "tokens": []}, {"id": "one", "tokens": [[1.0] * D]}])
        for _ in range(2):
            assert [hit.id for hit in docs.search(tokens=ASKED)] == ["one"]
            assert docs.get("none", fields=["tokens"])["tokens"] is None
            assert docs.get("empty", fields=["tokens"])["tokens"].shape == (0, D)
            found = [value for batch in docs.scan("tokens is null") for value in batch.column(0).to_pylist()]
            assert found == ["none"]
            docs.flush()


def test_all_forms_of_a_column_store_the_same(tmp_path: Path) -> None:
    block = RNG.standard_normal((3, 4, D)).astype(np.float32)
    flat, offsets = block.reshape(-1, D), np.arange(0, 13, 4)
    lists = pa.array(block.tolist(), pa.list_(pa.list_(pa.float32(), D)))
    forms = [
        block,
        list(block),
        block.tolist(),
        vecdb.ragged(flat, offsets),
        lists,
        lists.cast(pa.large_list(pa.large_list(pa.float64()))),
        pa.chunked_array([lists.slice(0, 1), lists.slice(1)]),
    ]
    with connected(tmp_path / "db") as database:
        docs = made(database, dtype="float32", normalise=False)
        for form in forms:
            docs.upsert({"id": ["a", "b", "c"], "tokens": form})
            for key, expected in zip("abc", block, strict=True):
                assert np.array_equal(docs.get(key, fields=["tokens"])["tokens"], expected)
            docs.delete(["a", "b", "c"])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([[1.0, 2.0]], "has 2 values, the field has dimension 18"),
        ([[float("nan")] * D], "which is not finite"),
        ([[1e9] * D], "does not fit float16"),
        ([[0.0] * D], "is all zeros"),
        ([1.0] * D, r"has the shape \(18,\)"),
        ("text", "is not a matrix of numbers"),
        ([[True] * D], "not a number"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_by_name(value: Any, reason: str, tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database)
        with pytest.raises(InvalidInputError, match=f"field 'tokens', row 1: .*{reason}"):
            docs.upsert([{"id": "a", "tokens": [[1.0] * D]}, {"id": "b", "tokens": value}])
        assert docs.count() == 0


def test_a_question_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database)
        docs.upsert(rows(1, 9))
        with pytest.raises(DimensionMismatchError, match="vectors of 3 values, field 'tokens' has 18"):
            docs.search(tokens=[[1.0, 2.0, 3.0]])
        with pytest.raises(InvalidInputError, match="all zeros"):
            docs.search(tokens=np.zeros((1, D)))
        with pytest.raises(InvalidInputError, match="2 weights for 5 vectors"):
            docs.run(vecdb.Query().near("tokens", ASKED, weights=[1, 2]))
        with pytest.raises(InvalidInputError, match="do not go with 'tokens'"):
            docs.search(tokens=ASKED, ef=10)
        for effort in ({"ef": 10}, {"recall": 0.9}, {"probes": 3}, {"plan": "scan"}):
            with pytest.raises(InvalidInputError, match="do not go with 'tokens'"):
                docs.search_batch(tokens=[ASKED, ASKED], **effort)
        with pytest.raises(InvalidInputError, match="not of multi-vectors"):
            docs.run(vecdb.Query().rescore(vecdb.MaxSim("n", ASKED)))


def test_a_patch_of_another_field_leaves_pooled_tokens_as_they_are(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, dtype="int4", pool_factor=3)
        docs.upsert(rows(1, 40))
        before = stored(docs)
        docs.patch([{"id": "0005", "n": -5}, {"id": "0006", "n": -6}])
        docs.flush()
        after = stored(docs)
        assert all(np.array_equal(before[key], after[key]) for key in before if before[key] is not None)
        docs.patch([{"id": "0005", "tokens": [[1.0] * D]}])
        assert docs.get("0005", fields=["tokens"])["tokens"].shape == (1, D)


@pytest.mark.parametrize("pooling", ["ward", "kmeans", "sequential", "pylate"])
def test_pooling_stores_as_many_vectors_as_the_factor_says(pooling: str, tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, pool_factor=3, pooling=pooling, protect=2)
        given = {str(count): RNG.standard_normal((count, D)) for count in (0, 1, 2, 3, 5, 8, 30, 61)}
        docs.upsert([{"id": key, "tokens": tokens} for key, tokens in given.items()])
        for key, tokens in given.items():
            kept = docs.get(key, fields=["tokens"])["tokens"]
            free = max(len(tokens) - 2, 0)
            assert len(kept) == min(len(tokens), 2) + (max(free // 3, 1) if free else 0)
            lengths = np.linalg.norm(kept.astype(np.float64), axis=1)
            assert (lengths < (1.002 if pooling == "pylate" else 1.417)).all()
            assert pooling == "pylate" or (lengths > 0.7).all()
            for at in range(min(len(tokens), 2)):
                np.testing.assert_allclose(kept[at], tokens[at] / np.linalg.norm(tokens[at]), atol=2e-3)


def test_rows_of_a_fixed_count_have_at_most_so_many(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, fixed=4, protect=0)
        docs.upsert([{"id": str(count), "tokens": RNG.standard_normal((count, D))} for count in (0, 1, 4, 5, 40)])
        counts = {key: len(tokens) for key, tokens in stored(docs).items() if tokens is not None}
        assert counts == {"0": 0, "1": 1, "4": 4, "5": 4, "40": 4}


def test_a_bulk_load_closes_segments_by_the_bytes_of_tokens(tmp_path: Path) -> None:
    settings = vecdb.Settings(background=False, segment_bytes=1 << 20)
    with vecdb.connect(tmp_path / "db", settings=settings) as database:
        docs = made(database)
        with docs.bulk() as load:
            for first in range(0, 40, 4):
                load.add([{"id": str(first + at), "tokens": RNG.standard_normal((4000, D))} for at in range(4)])
        assert 4 <= docs.stats()["segments"] <= 8


def test_a_column_that_is_added_later_is_null_until_it_is_written(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database)
        docs.upsert(rows(1, 30))
        docs.flush()
        docs.add_column("more", vecdb.MultiVector(2, dtype="int8"))
        assert len(docs.search(more=[[1.0, 0.0]])) == 0
        docs.patch([{"id": "0004", "more": [[1.0, 0.0], [0.0, 1.0]]}])
        docs.compact()
        assert [(hit.id, round(hit.score, 2)) for hit in docs.search(more=[[1.0, 0.0]])] == [("0004", 1.0)]
        docs.rename_column("more", "less")
        assert [hit.id for hit in docs.search(less=[[1.0, 0.0]])] == ["0004"]


def test_backups_and_older_versions_have_the_tokens(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, dtype="int8")
        docs.upsert(rows(1, 60))
        docs.flush()
        version, expected = docs.stats()["version"], [(hit.id, hit.score) for hit in docs.search(tokens=ASKED)]
        database.backup(tmp_path / "copy")
        docs.delete([key for key, _ in expected])
        docs.flush()
        assert [(hit.id, hit.score) for hit in docs.at(version).search(tokens=ASKED)] == expected
    vecdb.restore(tmp_path / "copy", tmp_path / "again")
    with connected(tmp_path / "again") as database:
        assert [(hit.id, hit.score) for hit in database["docs"].search(tokens=ASKED)] == expected


def test_damaged_tokens_are_found_by_check_and_by_a_search(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database)
        docs.upsert(rows(1, 60))
        docs.flush()
    (file,) = (tmp_path / "db").glob("collections/*/segments/*/tok-2.arrow")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    assert any("tok-2.arrow" in problem.path for problem in vecdb.check(tmp_path / "db").problems)
    with connected(tmp_path / "db") as database:
        with pytest.raises(vecdb.errors.CorruptionError, match="tok-2"):
            database["docs"].search(tokens=ASKED)
        found = database["docs"].search(tokens=ASKED, allow_partial=True)
        assert len(found) == 0
        assert len(found.missing) == 1
