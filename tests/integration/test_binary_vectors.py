"""Binary vectors in a collection: every way to find them agrees with a count of differing bits in NumPy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vecdb
from vecdb.errors import InvalidInputError
from vecdb.planner.dense import TIES
from vecdb.storage import format as names

BITS = 72
BYTES = BITS // 8
SETTINGS = vecdb.Settings(background=False, free_bytes=0, threads=2)
SCHEMA = vecdb.Schema(id=vecdb.Id(), n=vecdb.Int64(), code=vecdb.Vector(BITS, "binary"))

rng = np.random.default_rng(6)


class Twin:
    """Rows by id, and the search that the documentation defines."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, np.ndarray | None]] = {}

    def put(self, collection: vecdb.Collection, numbers: range, near: int | None = None) -> None:
        codes = rng.integers(0, 256, (len(numbers), BYTES)).astype(np.uint8)
        if near is not None:  # all of them as far from zeros as can be told by few bits: many are equally good
            codes = np.packbits(np.arange(BITS, dtype=np.int64) < rng.integers(0, near, (len(numbers), 1)), axis=1)
        held = [None if number % 11 == 10 else code for number, code in zip(numbers, codes, strict=True)]
        ids = [f"r{number:05d}" for number in rng.permutation(numbers)]
        collection.upsert({"id": ids, "n": [number % 5 for number in numbers], "code": held})
        self.rows |= {id: (number % 5, code) for id, number, code in zip(ids, numbers, held, strict=True)}

    def best(self, query: np.ndarray, k: int, n: int | None = None) -> list[tuple[str, float]]:
        there = [(id, code) for id, (m, code) in self.rows.items() if code is not None and n in (None, m)]
        scored = [(id, -float(np.bitwise_count(code ^ query).sum())) for id, code in there]
        return sorted(scored, key=lambda hit: (-hit[1], hit[0]))[:k]


def ranked(result: vecdb.SearchResult) -> list[tuple[Any, float]]:
    return list(zip(result.ids, result.scores.tolist(), strict=True))


def compare(reader: Any, twin: Twin, queries: int = 6) -> None:
    asked = [np.zeros(BYTES, np.uint8), *rng.integers(0, 256, (queries - 1, BYTES)).astype(np.uint8)]
    for k in (1, 10, 100, 10_000):
        for where, n in ((None, None), ("n = 3", 3)):
            expected = [twin.best(query, k, n) for query in asked]
            together = reader.search_batch(k, where, code=np.stack(asked))
            alone = [reader.search(k, where, code=np.unpackbits(query)) for query in asked]
            assert [ranked(result) for result in together] == expected
            assert [ranked(result) for result in alone] == expected
            assert all((result.distances == -result.scores).all() for result in alone)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[tuple[vecdb.Database, vecdb.Collection, Twin]]:
    """Two segments, deletions in both, and rows in memory that replace some of theirs."""
    with vecdb.connect(tmp_path / "db", settings=SETTINGS) as database:
        codes, twin = database.create_collection("codes", SCHEMA), Twin()
        twin.put(codes, range(700))
        codes.flush()
        twin.put(codes, range(600, 1300), near=BITS)
        codes.flush()
        twin.put(codes, range(1200, 1500))
        gone = [f"r{number:05d}" for number in range(0, 1500, 13)]
        codes.delete(gone)
        twin.rows = {id: row for id, row in twin.rows.items() if id not in gone}
        yield database, codes, twin


def test_every_search_is_exact_before_and_after_flush_compaction_reopening_and_restore(
    filled: tuple[vecdb.Database, vecdb.Collection, Twin], tmp_path: Path
) -> None:
    database, codes, twin = filled
    compare(codes, twin)

    codes.flush()
    compare(codes, twin)
    codes.compact()
    compare(codes, twin)
    assert database.check().ok
    database.backup(tmp_path / "saved")
    database.close()

    vecdb.restore(tmp_path / "saved", tmp_path / "again")
    for folder in ("db", "again"):
        with vecdb.connect(tmp_path / folder, settings=SETTINGS, create=False) as other:
            assert other.check().ok
            compare(other.collection("codes"), twin)
    with vecdb.connect(tmp_path / "db", read_only=True) as reading:
        compare(reading.collection("codes"), twin)


def test_rows_that_are_only_in_the_log_come_back(tmp_path: Path) -> None:
    twin = Twin()
    with vecdb.connect(tmp_path, settings=SETTINGS) as database:
        twin.put(database.create_collection("codes", SCHEMA), range(50))
    with vecdb.connect(tmp_path, settings=SETTINGS) as database:
        compare(database.collection("codes"), twin)


@pytest.mark.parametrize("count", [9, TIES, TIES + 11, 500])
def test_more_rows_than_are_kept_may_be_as_good_as_the_last_one(count: int) -> None:
    same, twin = rng.integers(0, 256, BYTES).astype(np.uint8), Twin()
    with vecdb.connect(":memory:", settings=SETTINGS) as database:
        codes = database.create_collection("codes", SCHEMA)
        twin.put(codes, range(300))
        ids = [f"s{number:05d}" for number in rng.permutation(count)]
        codes.upsert({"id": ids, "n": [3] * count, "code": [same] * count})
        twin.rows |= dict.fromkeys(ids, (3, same))
        for _ in range(2):
            for k in (1, 5, 10, count - 1, count, count + 1):
                for where, n in ((None, None), ("n = 3", 3)):
                    asked = np.stack([same, same ^ 1, ~same, same])
                    expected = [twin.best(query, k, n) for query in asked]
                    assert [ranked(one) for one in codes.search_batch(k, where, code=asked)] == expected
                    assert ranked(codes.search(k, where, code=same)) == expected[0]
            codes.flush()


def test_pages_yield_every_row_once_best_first(filled: tuple[vecdb.Database, vecdb.Collection, Twin]) -> None:
    _, codes, twin = filled
    query = np.zeros(BYTES, np.uint8)

    pages = list(codes.search_iter(40, "n = 2", code=query.tobytes()))

    assert [hit for page in pages for hit in ranked(page)] == twin.best(query, 10_000, 2)


def test_records_come_back_as_bytes_and_go_in_again(filled: tuple[vecdb.Database, vecdb.Collection, Twin]) -> None:
    database, codes, twin = filled
    other = database.create_collection("other", SCHEMA)

    for batch in codes.scan():
        assert batch.schema.field("code").type == pa.list_(pa.uint8(), BYTES)
        other.upsert(batch)

    for id, (n, code) in twin.rows.items():
        record = other.get(id)
        assert record is not None
        assert record["n"] == n
        assert (record["code"] is None) if code is None else np.array_equal(record["code"], code)
    compare(other, twin, 2)
    codes.patch({"id": "r00001", "code": np.ones(BITS, bool)})
    assert codes.search(code=[1] * BITS, k=1).ids == ["r00001"]
    assert codes.count("code is null") == sum(code is None for _, code in twin.rows.values())


def test_there_is_no_index_to_wait_for_and_no_file_of_norms(
    filled: tuple[vecdb.Database, vecdb.Collection, Twin], tmp_path: Path
) -> None:
    _, codes, _ = filled
    codes.flush()
    codes.build_indexes()
    codes.compact()

    told = codes.stats()["indexes"]["code"]
    report = codes.recall(k=5)

    assert (told["rows"], told["pending_rows"], told["bytes"]) == ({"flat": codes.count()}, 0, 0)
    assert (report.recall, report.plans) == (1.0, {"scan": report.queries})
    assert {plan["plan"] for plan in codes.search(code=bytes(BYTES)).explain["parts"]} == {"scan"}
    files = {path.name.partition("-")[0] for path in (tmp_path / "db").rglob("segments/*/*")}
    assert "vec" in files
    assert "norm" not in files
    codes.set_index("code", "flat")
    for index in ("hnsw", "ivf", "binary", vecdb.Funnel(8)):
        with pytest.raises(InvalidInputError, match="does not go with binary vectors"):
            codes.set_index("code", index)
    with pytest.raises(InvalidInputError, match="every search of it is exact"):
        codes.tune()


def test_bits_may_be_added_as_a_field_beside_other_vectors(tmp_path: Path) -> None:
    with vecdb.connect(tmp_path, settings=SETTINGS) as database:
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(3)))
        docs.upsert({"id": range(5), "v": np.eye(5, 3, dtype=np.float32) + 1})
        docs.flush()
        docs.add_column("sign", vecdb.Vector(8, "binary"))
        docs.upsert({"id": 7, "v": [1, 2, 3], "sign": b"\x07"})

        assert docs.search(sign=b"\x0f").to_list() == [{"id": 7, "score": -1.0, "distance": 1.0}]
        docs.compact()
        assert docs.search(sign=b"\x0f").ids == [7]
        assert docs.get(3) == {"id": 3, "v": pytest.approx([1, 1, 1]), "sign": None}
        assert database.check().ok
        docs.rename_column("sign", "mark")
        docs.drop_column("v")
        assert docs.search(mark=[0] * 8).scores.tolist() == [-3.0]


def test_a_flipped_bit_on_disk_is_found(filled: tuple[vecdb.Database, vecdb.Collection, Twin], tmp_path: Path) -> None:
    database, codes, _ = filled
    codes.compact(purge=True)
    database.close()
    (file,) = (tmp_path / "db").rglob("segments/*/vec-*.arrow")
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    file.unlink()
    file.write_bytes(damaged)

    report = vecdb.check(tmp_path / "db")

    assert [problem.severity for problem in report.problems] == ["error"]


def test_an_older_vecdb_refuses_the_database_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with vecdb.connect(tmp_path, settings=SETTINGS) as database:
        database.create_collection("codes", SCHEMA)
    monkeypatch.setattr(names, "FEATURES", ("arrow-segments", "roaring-deletes"))

    with pytest.raises(InvalidInputError, match="binary-vectors"):
        vecdb.connect(tmp_path, settings=SETTINGS)
