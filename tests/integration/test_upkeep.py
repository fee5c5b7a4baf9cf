"""What goes on beside reading and writing: snapshots, bulk loads, changes of fields, flushes, merges, statistics."""

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vecdb
from support.store import create, reopen, rows, seen, segments, small_schema
from support.unsynced import unsynced
from vecdb.errors import ConflictError, InvalidInputError

SETTINGS = vecdb.Settings(background=False, free_bytes=0)


@pytest.fixture(autouse=True)
def without_syncs() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.fixture
def database(path: Path) -> Iterator[vecdb.Database]:
    with vecdb.connect(path, settings=SETTINGS) as database:
        yield database


@pytest.fixture
def docs(database: vecdb.Database) -> vecdb.Collection:
    return database.create_collection("docs", small_schema())


# -- snapshots ---------------------------------------------------------------------------------------------------------


def test_a_snapshot_does_not_see_later_writes(docs: vecdb.Collection) -> None:
    docs.upsert(rows(range(4)))
    with docs.snapshot() as snapshot:
        docs.upsert(rows([1, 9], n=100))
        docs.delete(["r2", "r3"])
        docs.patch({"id": "r0", "n": 55})

        assert seen(snapshot) == {f"r{number}": number for number in range(4)}
        assert snapshot.search(v=[2, 1], k=1).ids == ["r2"]
        assert snapshot.count("n > 50") == 0
        assert len(snapshot) == 4
    assert seen(docs) == {"r0": 55, "r1": 100, "r9": 100}


@pytest.mark.parametrize("flushed", [False, True])
def test_a_snapshot_outlives_compaction_schema_changes_and_the_collection(
    database: vecdb.Database, docs: vecdb.Collection, flushed: bool
) -> None:
    docs.upsert(rows(range(5)))
    if flushed:
        docs.flush()
    snapshot = docs.snapshot()
    expected = {f"r{number}": number for number in range(5)}

    docs.delete(where="n < 3")
    docs.compact(purge=True)
    assert seen(snapshot) == expected
    docs.drop_column("v")
    docs.rename_column("n", "m")
    assert seen(snapshot) == expected
    assert snapshot.schema.fields.keys() == {"id", "n", "v"}
    database.drop_collection("docs")

    assert seen(snapshot) == expected
    assert snapshot.search(v=[4, 1], k=1).ids == ["r4"]


def test_a_snapshot_stays_readable_after_the_database_is_closed(path: Path) -> None:
    database, collection = create(path, vecdb.Settings(threads=4, background=False, free_bytes=0))
    # Large enough that a search would want helpers from the database's threads.
    wide = database.create_collection("wide", vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(256, metric="dot")))
    with wide.bulk() as load:
        load.add({"id": np.arange(40_000), "v": np.ones((40_000, 256), np.float32)})
    collection.upsert(rows([1]))
    snapshots = collection.snapshot(), wide.snapshot()

    database.close()

    assert seen(snapshots[0]) == {"r1": 1}
    assert snapshots[1].search(v=np.ones(256), k=2).ids == [0, 1]


def test_a_scan_sees_one_state_however_long_it_takes(docs: vecdb.Collection) -> None:
    docs.upsert(rows(range(20)))
    docs.flush()
    docs.upsert(rows(range(20, 30)))

    found = []
    for batch in docs.scan(batch_rows=3):
        found += batch["n"].to_pylist()
        docs.delete(where="n >= 0")
        docs.upsert(rows([len(found)], n=-1))
        docs.compact(purge=True)

    assert sorted(found) == list(range(30))


def test_a_scan_yields_typed_batches_of_the_fields_asked_for(docs: vecdb.Collection) -> None:
    docs.upsert(rows(range(10)))
    docs.flush()
    docs.upsert(rows([10]))

    whole = list(docs.scan())
    narrow = list(docs.scan("n >= 8", fields=["n"], batch_rows=1))

    assert all(batch.schema == docs.schema.arrow_schema() for batch in whole)
    assert pa.Table.from_batches(whole).num_rows == 11
    assert [batch.num_rows for batch in narrow] == [1, 1, 1]
    assert narrow[0].schema.names == ["id", "n"]


def test_a_scan_can_be_stored_elsewhere(database: vecdb.Database, docs: vecdb.Collection) -> None:
    docs.upsert(rows(range(50)))
    docs.flush()
    docs.delete(["r3"])
    other = database.create_collection("other", small_schema())

    other.upsert(pa.RecordBatchReader.from_batches(docs.schema.arrow_schema(), docs.scan(batch_rows=7)))

    assert seen(other) == seen(docs)
    assert other.search(v=[9, 1], k=3).to_list() == docs.search(v=[9, 1], k=3).to_list()


# -- bulk loads --------------------------------------------------------------------------------------------------------


def test_leaving_the_block_commits_and_an_exception_does_not(docs: vecdb.Collection) -> None:
    with docs.bulk() as load:
        assert load.add(rows([1, 2])) == 2
        assert load.add(rows([3])[0]) == 1
        assert docs.count() == 0
    assert seen(docs) == {"r1": 1, "r2": 2, "r3": 3}

    def interrupted() -> None:
        with docs.bulk() as load:
            load.add(rows([4]))
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert docs.count() == 3
    docs.upsert(rows([5]))
    assert seen(docs).keys() == {"r1", "r2", "r3", "r5"}


def test_full_segments_are_committed_on_the_way(docs: vecdb.Collection) -> None:
    load = docs.bulk(rows_per_segment=2)
    seen_rows = []
    for number in range(5):
        load.add(rows([number]))
        seen_rows.append((load.rows, load.rows_committed, docs.count()))

    assert seen_rows == [(1, 0, 0), (2, 2, 2), (3, 2, 2), (4, 4, 4), (5, 4, 4)]
    result = load.commit()
    assert (result.rows, load.rows_committed, docs.count()) == (5, 5, 5)
    assert docs.stats()["segments"] == 3


def test_one_large_add_is_cut_into_segments(docs: vecdb.Collection) -> None:
    with docs.bulk(rows_per_segment=2) as load:
        load.add(rows(range(5)))

    assert docs.stats()["segments"] == 3
    assert seen(docs) == {f"r{number}": number for number in range(5)}


def test_the_last_row_of_an_id_wins_and_older_rows_are_replaced(docs: vecdb.Collection) -> None:
    docs.upsert(rows([1, 2, 3], n=-1))
    docs.flush()
    docs.upsert(rows([3, 4], n=-2))

    with docs.bulk(rows_per_segment=3) as load:
        load.add(rows([1, 3], n=10))
        load.add(rows([1, 5], n=20))
        load.add(rows([5, 6], n=30))

    assert seen(docs) == {"r1": 20, "r2": -1, "r3": 10, "r4": -2, "r5": 30, "r6": 30}
    assert docs.search(v=[3, 1], k=1)[0]["n"] == 10


def test_a_bad_add_takes_nothing_and_what_was_added_stays(docs: vecdb.Collection) -> None:
    with docs.bulk() as load:
        load.add(rows([1]))
        with pytest.raises(InvalidInputError):
            load.add([*rows([2]), {"id": "bad", "n": "x"}])
        load.add(rows([3]))

    assert seen(docs) == {"r1": 1, "r3": 3}


def test_a_bulk_load_publishes_a_version(docs: vecdb.Collection) -> None:
    docs.upsert(rows([0]))
    with docs.bulk() as load:
        load.add(rows([1]))

    assert seen(docs.at(version=docs.snapshot().version)) == {"r0": 0, "r1": 1}
    assert docs.stats()["memtable_rows"] == 0


def test_an_empty_bulk_load_is_fine(docs: vecdb.Collection, path: Path) -> None:
    with docs.bulk():
        pass
    with docs.bulk() as load:
        load.add([])

    assert load.commit().rows == 0
    assert docs.count() == 0
    assert segments(path) == []


def test_a_change_of_fields_during_a_bulk_load_is_a_conflict_that_says_what_is_stored(docs: vecdb.Collection) -> None:
    load = docs.bulk(rows_per_segment=2)
    load.add(rows([1, 2]))
    load.add(rows([3]))
    docs.add_column("extra", vecdb.Text())

    with pytest.raises(ConflictError, match=r"1 rows .* not stored"):
        load.commit()

    assert seen(docs) == {"r1": 1, "r2": 2}


def test_bulk_loaded_rows_can_be_patched_and_deleted(docs: vecdb.Collection) -> None:
    with docs.bulk() as load:
        load.add(rows(range(4)))

    docs.patch({"id": "r1", "n": 10})
    docs.delete(["r2"])

    assert seen(docs) == {"r0": 0, "r1": 10, "r3": 3}


# -- fields ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flushed", [False, True])
def test_a_new_field_is_null_in_old_rows_and_can_be_filled(docs: vecdb.Collection, flushed: bool) -> None:
    docs.upsert(rows([1, 2]))
    if flushed:
        docs.flush()

    docs.add_column("title", vecdb.Text())
    docs.add_column("w", vecdb.Vector(2, metric="dot"))

    assert docs.count("title is null and w is null") == 2
    assert len(docs.search(w=[1, 1])) == 0
    assert (docs.get("r1") or {})["w"] is None
    docs.patch({"id": "r1", "w": [3, 4]})
    docs.patch({"id": "r2", "title": "two"})
    docs.upsert({"id": "r3", "title": "three"})
    for _ in range(2):
        assert docs.search(w=[1, 1]).scores.tolist() == [7]
        assert docs.count("title is not null") == 2
        assert docs.count("w is null") == 2
        docs.compact()


def test_a_patch_of_another_field_leaves_a_new_vector_field_empty(path: Path) -> None:
    database, docs = create(path)
    docs.upsert(rows([1, 2]))
    docs.flush()
    docs.add_column("w", vecdb.Vector(3))

    docs.patch({"id": "r1", "n": 5})

    assert docs.get("r1", fields=["n", "w"]) == {"id": "r1", "n": 5, "w": None}
    database.close()
    database, docs = reopen(path)
    assert docs.count("w is null") == 2
    assert seen(docs) == {"r1": 5, "r2": 2}
    database.close()


def test_a_dropped_field_is_gone_and_its_name_can_hold_something_else(docs: vecdb.Collection) -> None:
    docs.upsert(rows([1]))
    docs.flush()
    docs.drop_column("n")
    docs.add_column("n", vecdb.Text())

    assert (docs.get("r1") or {})["n"] is None
    docs.patch({"id": "r1", "n": "text"})
    docs.compact()
    assert docs.count("n = 'text'") == 1
    with pytest.raises(InvalidInputError):
        docs.upsert({"id": "r2", "n": 5})


def test_a_renamed_field_keeps_its_values_under_the_new_name_only(path: Path) -> None:
    database, docs = create(path)
    docs.upsert(rows([1]))
    docs.flush()
    before = {file: file.stat().st_mtime_ns for folder in segments(path) for file in folder.iterdir()}

    docs.rename_column("n", "number")
    docs.rename_column("v", "n")

    assert docs.search(n=[1, 1])[0]["number"] == 1
    assert docs.count("number = 1") == 1
    assert {file: file.stat().st_mtime_ns for file in before} == before
    docs.upsert({"id": "r2", "number": 2, "n": [2, 1]})
    database.close()
    database, docs = reopen(path)
    assert [hit["number"] for hit in docs.search(n=[1, 1])] == [1, 2]
    database.close()


def test_the_id_can_be_renamed(docs: vecdb.Collection) -> None:
    docs.upsert(rows([1]))

    docs.rename_column("id", "key")

    docs.upsert({"key": "r2", "n": 2})
    assert (docs.get("r1") or {})["key"] == "r1"
    assert sorted(value for batch in docs.scan(fields=[]) for value in batch["key"].to_pylist()) == ["r1", "r2"]


def test_writers_do_not_notice_a_change_of_fields(docs: vecdb.Collection) -> None:
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            for turn in range(40):
                docs.upsert(rows([writer * 100 + turn]))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(10):
        docs.add_column(f"x{turn}", vecdb.Int64())
        docs.drop_column(f"x{turn}")
    for thread in threads:
        thread.join()

    assert failures == []
    assert seen(docs).keys() == {f"r{writer * 100 + turn}" for writer in range(3) for turn in range(40)}


# -- flush, merge, statistics ------------------------------------------------------------------------------------------


def test_flush_says_whether_there_was_anything(docs: vecdb.Collection) -> None:
    assert docs.flush() is False
    docs.upsert(rows([1]))
    assert docs.flush() is True
    assert docs.flush() is False
    docs.delete("r1")
    assert docs.flush() is True
    docs.delete("r1")
    docs.upsert([])
    assert docs.stats()["memtable_rows"] == 0


def test_a_full_memtable_is_flushed_without_being_asked(path: Path) -> None:
    for background in (False, True):
        settings = vecdb.Settings(memtable_bytes=4096, background=background, free_bytes=0, durability="none")
        with vecdb.connect(path / str(background), settings=settings) as database:
            docs = database.create_collection("docs", small_schema())
            for number in range(200):
                docs.upsert(rows([number]))
            expected = {f"r{number}": number for number in range(200)}
            assert seen(docs) == expected
            assert docs.stats()["segments"] > 0
        with vecdb.connect(path / str(background), settings=settings) as database:
            assert seen(database["docs"]) == expected


def test_compact_reports_what_it_did(docs: vecdb.Collection) -> None:
    for number in range(4):
        docs.upsert(rows([number, number + 1]))
        docs.flush()

    figures = docs.compact(purge=True)

    assert figures.keys() == {"segments_before", "segments_after", "bytes_before", "bytes_after", "seconds"}
    assert (figures["segments_before"], figures["segments_after"]) == (4, 1)
    assert figures["bytes_after"] < figures["bytes_before"]
    assert figures["seconds"] >= 0


def test_statistics_count_what_there_is(docs: vecdb.Collection) -> None:
    docs.upsert(rows(range(6)))
    docs.flush()
    docs.delete(["r0", "r1"])
    docs.upsert(rows([7, 8]))
    docs.tag("now")
    docs.upsert(rows([9]))

    found = docs.stats()

    assert found.keys() >= {
        "name", "rows", "segments", "segment_rows", "deleted_rows", "memtable_rows", "version", "versions", "tags",
        "lsn", "wal_bytes", "disk_bytes", "fields", "writer", "background", "open_report",
    }  # fmt: skip
    assert {name: found[name] for name in ("name", "rows", "segments", "segment_rows", "deleted_rows")} == {
        "name": "docs", "rows": 7, "segments": 2, "segment_rows": 8, "deleted_rows": 2,
    }  # fmt: skip
    assert (found["memtable_rows"], found["lsn"], found["writer"]) == (1, 4, "running")
    assert found["tags"] == {"now": found["version"]}
    assert found["wal_bytes"] > 0
    assert found["disk_bytes"] > 0
    assert found["fields"].keys() == {"id", "n", "v"}
    assert found["open_report"].keys() >= {"version", "replayed_writes", "wal_tail_cut_bytes", "removed"}


def test_statistics_of_the_database_hold_those_of_its_collections(database: vecdb.Database, path: Path) -> None:
    database.create_collection("docs", small_schema()).upsert(rows([1]))

    found = database.stats()

    assert found["path"] == str(path)
    assert found["read_only"] is False
    assert found["free_bytes"] > 0
    assert found["collections"]["docs"]["rows"] == 1


def test_statistics_can_be_asked_for_while_everything_moves(path: Path) -> None:
    settings = vecdb.Settings(memtable_bytes=1024, retain_versions=1, merge_fan_in=2, free_bytes=0, durability="none")
    database, docs = create(path, settings)
    done = threading.Event()
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            while not done.is_set():
                found: dict[str, Any] = docs.stats()
                assert found["disk_bytes"] >= 0
                report = database.check()
                assert report.ok, report.problems
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    for number in range(250):
        docs.upsert(rows([number % 50, number % 7 + 60], n=number))
        if number % 25 == 0:
            docs.compact(purge=True)
    done.set()
    thread.join()

    assert failures == []
    background = docs.stats()["background"]
    assert background.keys() == {"flush", "compaction", "index"}
    assert all(worker["last_error"] is None for worker in background.values())
    assert background["flush"]["runs"] > 0
    database.close()


def test_a_background_failure_is_told_and_mended_by_the_next_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = vecdb.Settings(memtable_bytes=8192, free_bytes=0, durability="none")
    database, docs = create(path, settings)
    directory = docs._writable().directory
    real = directory.swap

    def fail(name: str, data: bytes) -> None:
        raise OSError(errno.EIO, "no luck")

    monkeypatch.setattr(directory, "swap", fail)
    written = 0
    while docs.stats()["background"]["flush"]["failures"] == 0:
        docs.upsert(rows([written]))
        written += 1
    expected = {f"r{number}": number for number in range(written)}

    assert "no luck" in docs.stats()["background"]["flush"]["last_error"]
    assert seen(docs) == expected
    monkeypatch.setattr(directory, "swap", real)
    docs.flush()

    assert seen(docs) == expected
    assert docs.stats()["memtable_rows"] == 0
    assert database.check().ok
    database.close()
    database, docs = reopen(path)
    assert seen(docs) == expected
    database.close()
