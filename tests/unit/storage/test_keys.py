"""The primary key index finds the last row of every id, also when different ids have the same hash."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vecdb
from vecdb.storage import keys

ids_of_type = {"string": st.text(max_size=3), "int64": st.integers(-(2**63), 2**63 - 1)}
arrow_types = {"string": pa.string(), "int64": pa.int64()}

HASHES: dict[str, Callable[[bytes], int]] = {
    "real": xxhash.xxh3_64_intdigest,
    "few values": lambda data: sum(data) % 3,
    "one value": lambda data: 2**64 - 1,
}


@pytest.fixture(params=HASHES)
def some_hash(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(xxhash, "xxh3_64_intdigest", HASHES[request.param])
    return request.param


def check_index(listed: Sequence[str | int], wanted: Sequence[str | int], kind: str) -> None:
    """Compare an index over `listed` with a dict, for the ids in it and for those wanted."""
    ids = pa.array(listed, arrow_types[kind])
    last = {value: row for row, value in enumerate(listed)}

    batch, replaced = keys.build(ids)
    index = keys.KeyIndex(batch, ids)

    assert replaced.tolist() == sorted(set(range(len(listed))) - set(last.values()))
    assert sorted(index.rows.tolist()) == sorted(last.values())
    assert (np.diff(index.keys.astype(object)) >= 0).all()
    asked = list(dict.fromkeys([*last, *wanted]))
    hashed = keys.keys_of(asked, ids.type)
    expected = [last.get(value, -1) for value in asked]
    assert [index.find(value, int(key)) for value, key in zip(asked, hashed, strict=True)] == expected
    assert index.find_many(pa.array(asked, ids.type), hashed).tolist() == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_id_is_found_at_its_last_row_and_no_other_id_is_found(some_hash: str, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["string", "int64"]))
    # Few different ids, so that duplicates are frequent.
    pool = data.draw(st.lists(ids_of_type[kind], min_size=1, max_size=6))
    listed = data.draw(st.lists(st.sampled_from(pool), max_size=20))
    wanted = data.draw(st.lists(ids_of_type[kind], max_size=5))

    check_index(listed, wanted, kind)


def test_two_ids_with_one_hash_are_both_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xxhash, "xxh3_64_intdigest", HASHES["one value"])

    check_index(["a", "b", "a", "c"], ["d"], "string")


def test_the_same_id_many_times_is_found_at_its_last_row(some_hash: str) -> None:
    check_index(["x"] * 5 + ["y"] * 3 + ["x"], ["z"], "string")


@pytest.mark.parametrize("value", [-(2**63), -1, 0, 1, 2**63 - 1])
def test_edges_of_int64_are_their_own_keys(value: int) -> None:
    assert keys.keys_of([value], pa.int64()).tolist() == [value]
    check_index([5, value, 7], [], "int64")


def test_an_empty_index_finds_nothing() -> None:
    check_index([], ["a", "b"], "string")
    check_index([], [1, 2], "int64")


def test_a_sliced_id_array_is_indexed_by_its_own_rows() -> None:
    ids = pa.array(["skipped", "a", "b"]).slice(1)

    batch, _ = keys.build(ids)
    index = keys.KeyIndex(batch, ids)

    assert [index.find(value, int(keys.keys_of([value], ids.type)[0])) for value in ("a", "b")] == [0, 1]


@pytest.mark.parametrize("hashed", ["few values", "one value"])
def test_a_collection_whose_ids_all_collide_stays_exact(monkeypatch: pytest.MonkeyPatch, hashed: str) -> None:
    monkeypatch.setattr(xxhash, "xxh3_64_intdigest", HASHES[hashed])
    with vecdb.connect(":memory:") as database:
        collection = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), n=vecdb.Int64()))
        collection.upsert([{"id": f"r{number}", "n": number} for number in range(10)])
        collection.flush()
        collection.upsert([{"id": f"r{number}", "n": -number} for number in range(0, 10, 2)])
        collection.flush()
        deleted = collection.delete(["r1", "r2", "absent"])
        expected = {f"r{number}": -number if number % 2 == 0 else number for number in range(10)}
        del expected["r1"], expected["r2"]

        def seen() -> dict[str, int]:
            found = collection.get([f"r{number}" for number in range(11)])
            return {record["id"]: record["n"] for record in found if record is not None}

        assert deleted.rows == 2
        assert seen() == expected
        collection.compact()
        assert seen() == expected
        assert database.check().ok
