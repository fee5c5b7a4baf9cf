"""Multi-vectors by centroids and residuals: what segments keep of them, and what happens to that."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from vecdb.errors import CorruptionError, InvalidInputError

D = 18
CENTRES = np.random.default_rng(0).standard_normal((10, D))
ASKED = CENTRES[:4] + 0.3 * np.random.default_rng(1).standard_normal((4, D))
BITS = pytest.mark.parametrize("dtype", ["residual4", "residual2"])


def tokens_of(number: int) -> np.ndarray | None:
    """Return the tokens of a row, near some centres: null for some rows, none for others."""
    rng = np.random.default_rng(number)
    count = int(rng.integers(0, 9))
    near = CENTRES[rng.integers(0, len(CENTRES), count)] + 0.4 * rng.standard_normal((count, D))
    return None if number % 17 == 0 else near


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [{"id": f"{number:04}", "n": number, "tokens": tokens_of(number)} for number in range(first, last)]


def connected(path: Path) -> vecdb.Database:
    return vecdb.connect(path, settings=vecdb.Settings(background=False))


def made(database: vecdb.Database, dtype: str, name: str = "docs", **options: Any) -> Any:
    schema = vecdb.Schema(
        id=vecdb.Id(),
        n=vecdb.Int64(),
        tokens=vecdb.MultiVector(D, dtype, **options),  # pyright: ignore[reportArgumentType]
    )
    return database.create_collection(name, schema)


def stored(collection: Any) -> dict[str, np.ndarray]:
    """Return the tokens of all rows that have a value, by id."""
    ids = [value for batch in collection.scan(fields=[]) for value in batch.column(0).to_pylist()]
    held = collection.get(sorted(ids), fields=["tokens"])
    return {row["id"]: row["tokens"] for row in held if row["tokens"] is not None}


def ranked(collection: Any) -> list[tuple[str, float]]:
    """Return every row that has tokens and its score, in float64 of what `get` gives, best first."""
    asked = (ASKED / np.linalg.norm(ASKED, axis=1, keepdims=True)).astype(np.float32).astype(np.float64)
    scores = {
        key: float((tokens.astype(np.float64) @ asked.T).max(axis=0).sum())
        for key, tokens in stored(collection).items()
        if len(tokens)
    }
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def check(found: Any, expected: list[tuple[str, float]]) -> None:
    assert [hit.id for hit in found] == [key for key, _ in expected]
    np.testing.assert_allclose([hit.score for hit in found], [score for _, score in expected], rtol=1e-5, atol=1e-5)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def off(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """Return the mean distance of the tokens of equal rows."""
    return float(np.linalg.norm(np.concatenate([one[key] - other[key] for key in one]), axis=1).mean())


@BITS
def test_the_best_rows_are_those_of_numpy_in_segments_in_memory_and_after_merges(dtype: str, tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, dtype)
        docs.upsert(rows(0, 200))
        docs.flush()
        docs.upsert(rows(200, 300))
        docs.delete(["0003", "0250"])
        expected = []
        for _ in range(3):
            expected = ranked(docs)
            for exact in (False, True):
                check(docs.search(tokens=ASKED, k=10, exact=exact), expected[:10])
            check(docs.search(tokens=ASKED, k=400), expected)
            few = [pair for pair in expected if int(pair[0]) < 60]
            check(docs.search(tokens=ASKED, k=5, where="n < 60"), few[:5])
            stage = vecdb.Query(5).where("n < 60").rescore(vecdb.MaxSim("tokens", ASKED, patience=50))
            check(docs.run(stage), few[:5])
            docs.compact()
    with connected(tmp_path / "db") as database:
        check(database["docs"].search(tokens=ASKED, k=10), expected[:10])
    assert vecdb.check(tmp_path / "db").problems == ()


@BITS
def test_tokens_are_coded_when_they_leave_memory_and_a_merge_changes_no_bit(dtype: str, tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, dtype)
        given = {}
        for first in (0, 150, 300):
            docs.upsert(rows(first, first + 150))
            given = stored(docs)
            docs.flush()
        coded = stored(docs)
        assert 0 < off(given, coded) < (0.05 if dtype == "residual4" else 0.2)
        assert docs.stats()["segments"] == 3

        docs.delete([f"{number:04}" for number in range(100, 120)])
        kept = {key: tokens for key, tokens in coded.items() if not 100 <= int(key) < 120}
        docs.compact()

        assert docs.stats()["segments"] == 1
        assert same(stored(docs), kept)
    with connected(tmp_path / "db") as database:
        assert same(stored(database["docs"]), kept)
        database["docs"].compact()
    assert vecdb.check(tmp_path / "db").problems == ()


def test_rows_in_the_log_are_there_after_opening_again_and_are_not_coded_yet(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, "residual2")
        docs.upsert(rows(0, 50))
        given = stored(docs)
    with connected(tmp_path / "db") as database:
        found = stored(database["docs"])
    unit = {key: tokens_of(int(key)) for key in given}
    assert same(found, given)
    for key, tokens in unit.items():
        assert tokens is not None
        np.testing.assert_allclose(found[key], tokens / np.linalg.norm(tokens, axis=1, keepdims=True), atol=1e-3)


@BITS
def test_fewer_bytes_are_stored_than_by_half_floats(dtype: str, tmp_path: Path) -> None:
    sizes = {}
    for name in ("float16", dtype):
        with connected(tmp_path / name) as database, made(database, name).bulk() as load:
            load.add(rows(0, 4000))
        sizes[name] = sum(file.stat().st_size for file in (tmp_path / name).glob("collections/*/segments/*/*-2.arrow"))
    assert sizes[dtype] < sizes["float16"] * (0.5 if dtype == "residual4" else 0.4)


def test_rows_that_are_pooled_again_get_new_centroids(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, "residual4", protect=0)
        for first in (1, 100):
            docs.upsert(rows(first, first + 99))
            docs.flush()
        before = stored(docs)

        docs.repool("tokens", 2)
        docs.compact()

        after = stored(docs)
        assert {key: len(tokens) for key, tokens in after.items()} == {
            key: max(len(tokens) // 2, min(len(tokens), 1)) for key, tokens in before.items()
        }
        check(docs.search(tokens=ASKED, k=10), ranked(docs)[:10])
    assert vecdb.check(tmp_path / "db").problems == ()


def test_a_patch_of_another_field_keeps_tokens_nearly_as_they_were(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, "residual4")
        docs.upsert(rows(1, 200))
        docs.flush()
        before = stored(docs)
        docs.patch([{"id": f"{number:04}", "n": -number} for number in range(1, 100)])
        patched = stored(docs)
        assert off(before, patched) < 1e-3  # as half floats
        docs.compact()
        assert 0 < off(before, stored(docs)) < 0.1
        assert docs.get("0005")["n"] == -5


def test_a_bulk_load_and_a_column_that_is_added_later_have_centroids_of_their_own(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, "residual2")
        with docs.bulk() as load:
            load.add(rows(0, 300))
        check(docs.search(tokens=ASKED, k=10), ranked(docs)[:10])
        docs.add_column("more", vecdb.MultiVector(2, "residual4"))
        assert len(docs.search(more=[[1.0, 0.0]])) == 0
        docs.patch([{"id": "0004", "more": [[1.0, 0.0], [0.0, 1.0]]}])
        docs.compact()
        assert [(hit.id, round(hit.score, 1)) for hit in docs.search(more=[[1.0, 0.0]])] == [("0004", 1.0)]
    assert vecdb.check(tmp_path / "db").problems == ()


def test_an_index_of_encodings_goes_with_residuals(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, "residual2", index=vecdb.Muvera(10, 3, 8))
        docs.upsert(rows(0, 400))
        docs.flush()
        docs.build_indexes()
        expected = ranked(docs)[:10]
        found = docs.run(vecdb.Query(10).gather(vecdb.Tokens("tokens", ASKED, ef=200)))
        assert len({hit.id for hit in found} & {key for key, _ in expected}) >= 8
        scores = dict(ranked(docs))
        np.testing.assert_allclose([hit.score for hit in found], [scores[hit.id] for hit in found], rtol=1e-5)


def test_numbers_that_half_floats_do_not_have_are_refused(tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, "residual2", normalise=False)
        with pytest.raises(InvalidInputError, match=r"row 0: vector 0 of the row has the number 1e\+06, .*float16"):
            docs.upsert([{"id": "a", "tokens": [[1e6] * D]}])
        normal = made(database, "residual2", "normal")
        normal.upsert([{"id": "a", "tokens": [[1e6] * D]}])
        assert np.allclose(normal.get("a", fields=["tokens"])["tokens"], D**-0.5, atol=1e-3)


@pytest.mark.parametrize("file", ["tok", "doc", "cen"])
def test_damaged_files_are_found_by_check_and_by_a_search(file: str, tmp_path: Path) -> None:
    with connected(tmp_path / "db") as database:
        docs = made(database, "residual2")
        docs.upsert(rows(1, 100))
        docs.flush()
    (damaged,) = (tmp_path / "db").glob(f"collections/*/segments/*/{file}-2.arrow")
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 4
    damaged.write_bytes(data)
    assert any(f"{file}-2.arrow" in problem.path for problem in vecdb.check(tmp_path / "db").problems)
    with connected(tmp_path / "db") as database:
        with pytest.raises(CorruptionError, match=f"{file}-2"):
            database["docs"].search(tokens=ASKED)
        found = database["docs"].search(tokens=ASKED, allow_partial=True)
        assert (len(found), len(found.missing)) == (0, 1)
