"""Opening after anything: what was acknowledged is there, what was not whole is cut and told, the rest is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vecdb
from support.store import create, folder, killed, logs, reopen, rows, seen, segments
from support.unsynced import unsynced
from vecdb.errors import CorruptionError
from vecdb.storage import format as names
from vecdb.storage import wal


@pytest.fixture(autouse=True)
def without_syncs() -> Iterator[None]:
    with unsynced():
        yield


def report_of(collection: vecdb.Collection) -> dict[str, Any]:
    return collection.stats()["open_report"]


def three_sessions(path: Path) -> dict[str, int]:
    """Leave a database whose rows are spread over three log files, closed each time; return the rows."""
    database, collection = create(path)
    collection.upsert(rows([0, 1]))
    database.close()
    for number in (2, 4):
        database, collection = reopen(path)
        collection.upsert(rows([number]))
        collection.upsert(rows([number + 1]))
        database.close()
    return {f"r{number}": number for number in range(6)}


def check_opens_with(path: Path, expected: dict[str, int]) -> None:
    """Open twice: the second time reads what the first one left."""
    for _ in range(2):
        database, collection = reopen(path)
        assert seen(collection) == expected
        collection.upsert(rows([99], n=-1))
        assert collection.delete("r99").rows == 1
        assert database.check().ok
        database.close()


def test_rows_of_several_log_files_come_back(tmp_path: Path) -> None:
    expected = three_sessions(tmp_path / "db")
    assert len(logs(tmp_path / "db")) >= 3

    database, collection = reopen(tmp_path / "db")

    assert seen(collection) == expected
    assert report_of(collection)["replayed_writes"] == 5
    assert report_of(collection)["wal_tail_cut_bytes"] == 0
    database.close()


def test_writes_of_every_kind_come_back(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "db")
    collection.upsert(rows(range(6)))
    with collection.bulk(rows_per_segment=2) as load:
        load.add(rows([4, 5, 6, 7], n=40))
    collection.delete(["r0", "r6"])
    collection.patch({"id": "r1", "n": 10})
    expected = {"r1": 10, "r2": 2, "r3": 3, "r4": 40, "r5": 40, "r7": 40}
    assert seen(collection) == expected

    check_opens_with(killed(tmp_path / "db", tmp_path / "killed"), expected)
    database.close()


def test_a_bulk_load_that_was_killed_keeps_what_it_committed(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "db")
    load = collection.bulk(rows_per_segment=2)
    for number in (0, 2, 4):
        load.add(rows([number, number + 1]))
    load.add(rows([6]))
    assert load.rows_committed == 6

    path = killed(tmp_path / "db", tmp_path / "killed")
    load.abandon()
    database.close()

    check_opens_with(path, {f"r{number}": number for number in range(6)})
    assert list((folder(path) / "tmp").iterdir()) == []


# -- torn tails --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [1, 8, 20, 60])
def test_a_torn_write_is_cut_told_and_forgotten(tmp_path: Path, torn: int) -> None:
    database, collection = create(tmp_path / "db")
    collection.upsert(rows(range(3)))
    path = killed(tmp_path / "db", tmp_path / "torn")
    database.close()
    log = logs(path)[-1]
    content = log.read_bytes()
    end = wal.scan(content, "log").end
    frame = wal.encode(2, wal.DELETE, 1, b"y" * 100)
    log.write_bytes(content[:end] + frame[:torn] + bytes(200))

    database, collection = reopen(path)

    assert report_of(collection)["wal_tail_cut_bytes"] == len(frame[:torn].rstrip(b"\0"))
    assert seen(collection) == {"r0": 0, "r1": 1, "r2": 2}
    collection.upsert(rows([3]))
    database.close()
    database, collection = reopen(path)
    assert seen(collection) == {"r0": 0, "r1": 1, "r2": 2, "r3": 3}
    assert report_of(collection)["wal_tail_cut_bytes"] == 0
    collection.flush()
    assert database.check().ok
    database.close()


def test_a_log_cut_anywhere_in_its_last_write_opens_with_all_the_others(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "db")
    for number in range(3):
        collection.upsert(rows([number]))
    path = killed(tmp_path / "db", tmp_path / "torn")
    database.close()
    log = logs(path)[-1]
    content = log.read_bytes().rstrip(b"\0")
    found = list(wal.frames(log.read_bytes()))
    start = found[-2][1]

    for end in range(start, len(content), 7):
        log.write_bytes(content[:end])
        database, collection = reopen(path)
        assert seen(collection) == {"r0": 0, "r1": 1}
        assert (report_of(collection)["wal_tail_cut_bytes"] > 0) is (end > start)
        database.close()


# -- gaps and damage ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [0, 1], ids=["first", "middle"])
def test_a_missing_log_file_is_a_gap_that_is_named(tmp_path: Path, missing: int) -> None:
    three_sessions(tmp_path / "db")
    found = [log for log in logs(tmp_path / "db") if len(list(wal.frames(log.read_bytes()))) > 1]
    first = wal.scan(found[missing].read_bytes(), "log").first_lsn
    for log in logs(tmp_path / "db"):
        if log.name[11:31] == found[missing].name[11:31]:
            log.unlink()

    with pytest.raises(CorruptionError, match=rf"write {first} is missing"):
        reopen(tmp_path / "db")


def test_a_missing_last_log_file_is_found_by_the_closing_mark(tmp_path: Path) -> None:
    three_sessions(tmp_path / "db")
    logs(tmp_path / "db")[-1].unlink()

    with pytest.raises(CorruptionError, match="ends with write 3, the last writer closed it after write 5"):
        reopen(tmp_path / "db")


def test_without_any_log_file_nothing_opens(tmp_path: Path) -> None:
    three_sessions(tmp_path / "db")
    for log in logs(tmp_path / "db"):
        log.unlink()

    with pytest.raises(CorruptionError, match="holds no log"):
        reopen(tmp_path / "db")


def test_a_log_that_ends_before_the_manifest_is_refused(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "db")
    old = killed(tmp_path / "db", tmp_path / "old")
    collection.upsert(rows(range(3)))
    collection.flush()
    database.close()
    for log in logs(tmp_path / "db"):
        log.unlink()
    (folder(tmp_path / "db") / "CLEAN").unlink(missing_ok=True)
    for log in logs(old):
        (folder(tmp_path / "db") / "wal" / log.name).write_bytes(log.read_bytes())

    with pytest.raises(CorruptionError, match="the manifest contains 1"):
        reopen(tmp_path / "db")


def test_a_cut_last_write_of_a_closed_database_is_damage(tmp_path: Path) -> None:
    three_sessions(tmp_path / "db")
    log = logs(tmp_path / "db")[-1]
    log.write_bytes(log.read_bytes()[:-10])

    with pytest.raises(CorruptionError, match="writes are lost or damaged") as caught:
        reopen(tmp_path / "db")

    assert caught.value.path is not None
    assert not vecdb.check(tmp_path / "db").ok


def test_bytes_behind_the_end_of_a_closed_database_are_damage(tmp_path: Path) -> None:
    three_sessions(tmp_path / "db")
    log = logs(tmp_path / "db")[-1]
    log.write_bytes(log.read_bytes() + b"stray")

    with pytest.raises(CorruptionError):
        reopen(tmp_path / "db")


def test_a_damaged_closing_mark_is_refused(tmp_path: Path) -> None:
    three_sessions(tmp_path / "db")
    mark = folder(tmp_path / "db") / "CLEAN"
    mark.write_bytes(mark.read_bytes()[:-5])

    with pytest.raises(CorruptionError, match="CLEAN is damaged"):
        reopen(tmp_path / "db")


def test_the_closing_mark_goes_with_the_next_write_and_comes_back_with_the_next_close(tmp_path: Path) -> None:
    three_sessions(tmp_path / "db")
    mark = folder(tmp_path / "db") / "CLEAN"
    assert names.unseal(mark.read_bytes(), "CLEAN") == {"lsn": 5}

    database, collection = reopen(tmp_path / "db")
    assert mark.exists()
    collection.upsert(rows([9]))
    assert not mark.exists()
    database.close()

    assert names.unseal(mark.read_bytes(), "CLEAN") == {"lsn": 6}


def test_a_frame_of_an_unknown_type_is_refused(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "db")
    collection.upsert(rows([1]))
    number = collection._writable()._live.schema_id
    path = killed(tmp_path / "db", tmp_path / "strange")
    database.close()
    log = logs(path)[-1]
    end = wal.scan(log.read_bytes(), "log").end
    log.write_bytes(log.read_bytes()[:end] + wal.encode(2, 77, number, b"?"))

    with pytest.raises(CorruptionError, match="unknown type 77"):
        reopen(path)


def test_a_write_made_under_another_schema_is_refused(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "db")
    collection.upsert(rows([1]))
    path = killed(tmp_path / "db", tmp_path / "strange")
    database.close()
    log = logs(path)[-1]
    end = wal.scan(log.read_bytes(), "log").end
    log.write_bytes(log.read_bytes()[:end] + wal.encode(2, wal.DELETE, 12345, b"?"))

    with pytest.raises(CorruptionError, match="under another schema"):
        reopen(path)


def test_the_manifest_of_the_wrong_moment_is_refused(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "db", vecdb.Settings(background=False, free_bytes=0, retain_versions=1))
    current = (folder(tmp_path / "db") / "CURRENT").read_bytes()
    manifests = folder(tmp_path / "db") / "manifests"
    old = {file.name: file.read_bytes() for file in manifests.iterdir()}
    collection.upsert(rows(range(3)))
    collection.flush()
    collection.upsert(rows(range(3, 5)))
    database.close()
    (folder(tmp_path / "db") / "CURRENT").write_bytes(current)
    for name, content in old.items():
        (manifests / name).write_bytes(content)

    with pytest.raises(CorruptionError, match="write 1 is missing"):
        reopen(tmp_path / "db")


# -- leftovers ---------------------------------------------------------------------------------------------------------


def test_what_a_crash_left_is_removed_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "db")
    collection.upsert(rows(range(3)))
    collection.flush()
    database.close()
    base = folder(tmp_path / "db")
    segment = segments(tmp_path / "db")[0]
    strange = [
        base / "notes.txt",
        base / "segments" / "notes",
        base / "manifests" / "notes.json",
        segment / "notes.txt",
        tmp_path / "db" / "notes",
    ]
    leftovers = [
        base / "tmp" / ("f" * 32) / "ids.arrow",
        base / "tmp" / "0000000001-00000000000000000001.wal.tmp.abc",
        base / "segments" / ("e" * 32) / "ids.arrow",
        base / "manifests" / names.manifest_name(99, 7),
        base / "manifests" / f"{names.manifest_name(98, 7)}.tmp.1.2",
        base / "CURRENT.tmp.1.2",
        segment / "del-00000000000000000009-0a1b2c3d.roar",
        segment / "del-00000000000000000009-0a1b2c3e.roar.tmp.1.2",
        tmp_path / "db" / "FORMAT.tmp.1.2",
        tmp_path / "db" / "catalog" / "CURRENT.tmp.1.2",
        tmp_path / "db" / "collections" / ("d" * 32) / "CURRENT",
    ]
    for path in [*strange, *leftovers]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"?")

    check_opens_with(tmp_path / "db", {"r0": 0, "r1": 1, "r2": 2})

    assert [path for path in strange if not path.exists()] == []
    assert [path for path in leftovers if path.exists()] == []


def test_the_report_says_what_was_removed(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "db")
    collection.upsert(rows([1]))
    database.close()
    (folder(tmp_path / "db") / "segments" / ("e" * 32)).mkdir()

    database, collection = reopen(tmp_path / "db")

    assert report_of(collection)["removed"] == [f"segments/{'e' * 32}"]
    database.close()


def test_a_reader_removes_nothing(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "db")
    collection.upsert(rows([1]))
    database.close()
    leftover = folder(tmp_path / "db") / "segments" / ("e" * 32)
    leftover.mkdir()

    with vecdb.connect(tmp_path / "db", read_only=True) as reading:
        assert seen(reading.collection("docs")) == {"r1": 1}

    assert leftover.exists()


# -- segments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["shorter", "longer", "missing"])
def test_a_segment_file_of_another_size_is_found_at_open(tmp_path: Path, change: str) -> None:
    database, collection = create(tmp_path / "db")
    collection.upsert(rows(range(3)))
    collection.flush()
    database.close()
    path = segments(tmp_path / "db")[0] / "vec-2.arrow"
    content = path.read_bytes()
    path.unlink()
    if change != "missing":
        path.write_bytes(content[:-1] if change == "shorter" else content + b"\0")

    with pytest.raises(CorruptionError, match=r"vec-2\.arrow") as caught:
        reopen(tmp_path / "db")

    assert caught.value.path is not None
    assert caught.value.path.endswith("vec-2.arrow")


@pytest.mark.parametrize("verify", ["first_use", "open"])
def test_a_changed_byte_is_found_at_first_use_or_at_open(tmp_path: Path, verify: Any) -> None:
    settings = vecdb.Settings(background=False, free_bytes=0, verify=verify)
    database, collection = create(tmp_path / "db")
    collection.upsert(rows(range(3)))
    collection.flush()
    database.close()
    path = segments(tmp_path / "db")[0] / "vec-2.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    if verify == "open":
        with pytest.raises(CorruptionError, match=r"vec-2\.arrow is damaged"):
            reopen(tmp_path / "db", settings)
        return
    database, collection = reopen(tmp_path / "db", settings)
    assert collection.count() == 3
    assert collection.get("r1", fields=["n"]) == {"id": "r1", "n": 1}
    with pytest.raises(CorruptionError, match=r"vec-2\.arrow is damaged"):
        collection.search(v=[1, 1])
    partial = collection.search(v=[1, 1], allow_partial=True)
    assert (len(partial), partial.missing) == (0, (segments(tmp_path / "db")[0].name,))
    database.close()
