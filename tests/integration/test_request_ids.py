"""A write that is made again under its request id has the effect of one, and the first one's result."""

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vecdb
from support.store import NAME, SETTINGS, create, folder, killed, reopen, rows, seen
from vecdb.errors import ConflictError, CorruptionError, InvalidInputError, NotFoundError, RequestMismatchError
from vecdb.storage import requests

DAY = 86400.0

Writing = Callable[[vecdb.Collection], vecdb.WriteResult]

WRITES: dict[str, Writing] = {
    "upsert": lambda docs: docs.upsert(rows(range(5, 15)), request_id="r"),
    "one row": lambda docs: docs.upsert(rows([3], n=70), request_id="r"),
    "patch": lambda docs: docs.patch([{"id": "r1", "n": 50}, {"id": "r2", "n": 60}], request_id="r"),
    "delete by id": lambda docs: docs.delete(["r1", "r2", "gone"], request_id="r"),
    "delete where": lambda docs: docs.delete(where="n < 4", request_id="r"),
    "delete of nothing": lambda docs: docs.delete(where="n < 0", request_id="r"),
    "upsert of nothing": lambda docs: docs.upsert([], request_id="r"),
    "reader": lambda docs: docs.upsert(_reader(), request_id="r"),
}
AFTER: dict[str, Callable[[Path, vecdb.Database], tuple[vecdb.Database, vecdb.Collection]]] = {
    "at once": lambda path, database: (database, database[NAME]),
    "a flush": lambda path, database: _flushed(database),
    "two flushes": lambda path, database: _flushed(_flushed(database)[0]),
    "a compaction": lambda path, database: _compacted(database),
    "closing": lambda path, database: _closed(path, database),
    "a flush and closing": lambda path, database: _closed(path, _flushed(database)[0]),
    "a kill": lambda path, database: _killed(path, database),
    "a flush and a kill": lambda path, database: _killed(path, _flushed(database)[0]),
    "a backup": lambda path, database: _backed_up(path, database),
    "a change of fields": lambda path, database: _changed(database),
}


def _reader() -> Any:
    import pyarrow as pa

    schema = vecdb.Schema(id=vecdb.Id(), n=vecdb.Int64(), v=vecdb.Vector(2, metric="l2")).arrow_schema()
    batches = [pa.RecordBatch.from_pylist(rows(range(first, first + 3)), schema) for first in (0, 20, 40)]
    return pa.RecordBatchReader.from_batches(schema, batches)


def _flushed(database: vecdb.Database) -> tuple[vecdb.Database, vecdb.Collection]:
    database[NAME].upsert(rows([99]))
    database[NAME].flush()
    return database, database[NAME]


def _compacted(database: vecdb.Database) -> tuple[vecdb.Database, vecdb.Collection]:
    database[NAME].compact(purge=True)
    return database, database[NAME]


def _closed(path: Path, database: vecdb.Database) -> tuple[vecdb.Database, vecdb.Collection]:
    database.close()
    return reopen(path)


def _killed(path: Path, database: vecdb.Database) -> tuple[vecdb.Database, vecdb.Collection]:
    target = killed(path, path.parent / "killed")
    database.close()
    return reopen(target)


def _backed_up(path: Path, database: vecdb.Database) -> tuple[vecdb.Database, vecdb.Collection]:
    saved, restored = path.parent / "saved", path.parent / "restored"
    database.backup(saved)
    database.close()
    assert vecdb.restore(saved, restored).ok
    return reopen(restored)


def _changed(database: vecdb.Database) -> tuple[vecdb.Database, vecdb.Collection]:
    database[NAME].add_column("late", vecdb.Text())
    return database, database[NAME]


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("kind", WRITES)
def test_a_write_made_again_changes_nothing_and_tells_what_it_told(kind: str, after: str, tmp_path: Path) -> None:
    path = tmp_path / "library"
    database, docs = create(path)
    docs.upsert(rows(range(10)))
    first = WRITES[kind](docs)
    database, docs = AFTER[after](path, database)
    docs.upsert(rows([1, 5], n=3))  # what the write deleted or stored has been written by somebody else meanwhile
    before = seen(docs)

    with database:
        again = WRITES[kind](docs)

        assert again == first
        assert seen(docs) == before
        assert database.check().ok


def test_a_request_id_is_16_bytes_a_uuid_or_a_text(tmp_path: Path) -> None:
    name = uuid.UUID("12345678-1234-5678-1234-567812345678")
    database, docs = create(tmp_path / "library")
    with database:
        first = docs.upsert(rows([1]), request_id=name)

        assert docs.upsert(rows([1]), request_id=name.bytes) == first
        assert docs.upsert(rows([1]), request_id=str(name)) == first
        assert docs.upsert(rows([1]), request_id=name.hex.upper()) == first
        assert docs.upsert(rows([1]), request_id="another") != first


@pytest.mark.parametrize("wrong", [b"", b"short", bytes(16), "", "x" * 201, 7, 1.5, ["a"]])
def test_what_is_no_request_id_is_refused(wrong: Any, tmp_path: Path) -> None:
    database, docs = create(tmp_path / "library")
    with database:
        with pytest.raises(InvalidInputError, match="request_id is"):
            docs.upsert(rows([1]), request_id=wrong)

        assert docs.count() == 0


@pytest.mark.parametrize(
    "other",
    [
        lambda docs: docs.upsert(rows([1], n=5), request_id="r"),
        lambda docs: docs.upsert(rows([1, 2]), request_id="r"),
        lambda docs: docs.patch({"id": "r1", "n": 1}, request_id="r"),
        lambda docs: docs.delete("r1", request_id="r"),
        lambda docs: docs.delete(where="n = 1", request_id="r"),
    ],
    ids=["value", "rows", "patch", "delete", "delete where"],
)
def test_a_request_id_that_comes_with_another_content_is_refused(other: Writing, tmp_path: Path) -> None:
    database, docs = create(tmp_path / "library")
    with database:
        docs.upsert(rows([1]), request_id="r")
        before = seen(docs)

        with pytest.raises(RequestMismatchError, match="was used before for another write") as caught:
            other(docs)

        assert caught.value.field == "request_id"
        assert seen(docs) == before


def test_a_write_that_failed_is_not_remembered(tmp_path: Path) -> None:
    database, docs = create(tmp_path / "library")
    with database:
        with pytest.raises(NotFoundError):
            docs.patch({"id": "r1", "n": 5}, request_id="r")
        docs.upsert(rows([1]))

        assert docs.patch({"id": "r1", "n": 5}, request_id="r").rows == 1


def test_of_many_threads_that_make_one_write_one_makes_it(tmp_path: Path) -> None:
    database, docs = create(tmp_path / "library")
    with database:
        docs.upsert(rows(range(100)))
        results: list[vecdb.WriteResult] = []
        start = threading.Barrier(8)

        def work() -> None:
            start.wait()
            results.append(docs.upsert(rows([1], n=7), request_id="r"))
            results.append(docs.delete(where="n > 50", request_id="d"))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len({result.lsn for result in results if result.rows == 1}) == 1
        assert len({result.lsn for result in results if result.rows == 49}) == 1
        assert len(results) == 16


def test_ids_are_forgotten_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, docs = create(tmp_path / "library")
    first = docs.upsert(rows([1]), request_id="r")
    docs.flush()
    writer = docs._writable()
    made = next(iter(writer.requests._known.values())).at
    monkeypatch.setattr(writer, "_clock", lambda: made + DAY + 1)
    monkeypatch.setattr(writer.requests, "_clock", lambda: made + DAY + 1)

    with database:
        again = docs.upsert(rows([1]), request_id="r")

        assert again.lsn > first.lsn
        assert docs.upsert(rows([1]), request_id="r") == again


def test_what_is_a_day_old_is_no_longer_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "library"
    database, docs = create(path, replace(SETTINGS, retain_versions=1))
    docs.upsert(rows([1]), request_id="r")
    docs.flush()
    assert list(folder(path).glob("requests-*"))
    made = next(iter(docs._writable().requests._known.values())).at
    monkeypatch.setattr(docs._writable().requests, "_clock", lambda: made + DAY + 1)

    with database:
        docs.upsert(rows([2]))
        docs.flush()

        assert not list(folder(path).glob("requests-*"))


def test_only_so_many_ids_are_remembered_and_the_oldest_go_first(tmp_path: Path) -> None:
    path = tmp_path / "library"
    database, docs = create(path, replace(SETTINGS, request_ids=3))
    with database:
        results = [docs.upsert(rows([number]), request_id=f"r{number}") for number in range(5)]

        assert docs.upsert(rows([4]), request_id="r4") == results[4]
        assert docs.upsert(rows([2]), request_id="r2") == results[2]
        assert docs.upsert(rows([0]), request_id="r0") != results[0]
        assert docs.stats()["request_ids"]["forgotten_early"] == 3
        assert docs.stats()["request_ids"]["remembered"] == 3


def test_flushes_without_a_write_that_has_an_id_keep_the_file(tmp_path: Path) -> None:
    path = tmp_path / "library"
    database, docs = create(path)
    with database:
        docs.upsert(rows([1]), request_id="r")
        docs.flush()
        held = list(folder(path).glob("requests-*"))

        docs.upsert(rows([2]))
        docs.flush()
        docs.tag("kept")

        assert list(folder(path).glob("requests-*")) == held


def test_damaged_request_ids_are_seen_and_repaired_with_their_loss_allowed(tmp_path: Path) -> None:
    path = tmp_path / "library"
    database, docs = create(path)
    docs.upsert(rows([1, 2]), request_id="r")
    docs.flush()
    database.close()
    (file,) = folder(path).glob("requests-*")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    assert not vecdb.check(path).ok
    with pytest.raises(CorruptionError, match="requests-"):
        reopen(path)
    with pytest.raises(CorruptionError, match="request ids"):
        vecdb.repair(path)
    with vecdb.connect(path, read_only=True) as reading:
        assert reading[NAME].count() == 2

    report = vecdb.repair(path, allow_loss=True)

    assert report.rows_lost == 0
    database, docs = reopen(path)
    with database:
        assert seen(docs) == {"r1": 1, "r2": 2}
        assert database.check().ok


def test_an_id_without_its_write_is_not_remembered(tmp_path: Path) -> None:
    """The frame of the ids is whole, that of their write is torn, and the next writer gives its number to another."""
    path = tmp_path / "library"
    database, docs = create(path)
    docs.upsert(rows([1, 2]), request_id="r")
    torn = killed(path, tmp_path / "torn")
    database.close()
    (log,) = [file for file in (folder(torn) / "wal").iterdir() if file.stat().st_size > 200]
    whole = log.read_bytes()
    log.write_bytes(whole[: whole.rstrip(b"\0").__len__() - 20])

    for _ in range(2):  # also when the log is read again with another write behind
        database, docs = reopen(torn)
        docs.upsert(rows([7]))
        database.close()

    database, docs = reopen(torn)
    with database:
        assert seen(docs) == {"r7": 7}
        assert docs.upsert(rows([1, 2]), request_id="r").rows == 2
        assert docs.count() == 3


def test_an_upload_goes_on_behind_its_stored_chunks(tmp_path: Path) -> None:
    path = tmp_path / "library"
    database, docs = create(path)
    chunks = [rows(range(10 * number, 10 * number + 10)) for number in range(6)]
    results = [docs.upsert(chunks[number], request_id="load", chunk=number) for number in (0, 1, 3)]
    docs.flush()
    database.close()

    database, docs = reopen(path)
    with database:
        assert docs.stored_chunks("load") == [0, 1, 3]
        assert docs.stored_chunks("another") == []
        again = [docs.upsert(chunk, request_id="load", chunk=number) for number, chunk in enumerate(chunks)]

        assert [again[number] for number in (0, 1, 3)] == results
        assert docs.count() == 60
        with pytest.raises(RequestMismatchError, match="chunk 3"):
            docs.upsert(chunks[2], request_id="load", chunk=3)


@pytest.mark.parametrize("chunk", [-1, 1.5, "one", True, 1 << 62])
def test_a_chunk_has_a_whole_number(chunk: Any, tmp_path: Path) -> None:
    database, docs = create(tmp_path / "library")
    with database, pytest.raises(InvalidInputError, match="chunk is"):
        docs.upsert(rows([1]), request_id="r", chunk=chunk)


def test_a_chunk_belongs_to_an_upload(tmp_path: Path) -> None:
    database, docs = create(tmp_path / "library")
    with database, pytest.raises(InvalidInputError, match="belongs to an upload"):
        docs.upsert(rows([1]), chunk=0)


@pytest.mark.parametrize("rows_per_segment", [None, 4, 10, 25])
def test_a_bulk_load_that_was_broken_off_goes_on_without_duplicates(
    rows_per_segment: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "library"
    database, docs = create(path)
    chunks = [rows(range(10 * number, 10 * number + 10)) for number in range(8)]
    load = docs.bulk(rows_per_segment, request_id="load")
    for number, chunk in enumerate(chunks[:5]):
        assert load.add(chunk, number) == 10
    pending = load.pending_chunks
    target = killed(path, tmp_path / "killed")
    load.abandon()
    database.close()

    database, docs = reopen(target)
    with database:
        stored = docs.stored_chunks("load")
        assert stored == [number for number in range(5) if number not in pending]
        assert docs.count() == 10 * len(stored)
        with docs.bulk(rows_per_segment, request_id="load") as load:
            added = [load.add(chunk, number) for number, chunk in enumerate(chunks)]
            assert load.add(chunks[7], 7) == 0

        assert added == [0 if number in stored else 10 for number in range(8)]
        assert seen(docs) == {f"r{number}": number for number in range(80)}
        assert docs.stats()["deleted_rows"] == 0
        assert docs.stored_chunks("load") == list(range(8))


def test_a_chunk_of_a_bulk_load_with_other_rows_is_refused(tmp_path: Path) -> None:
    database, docs = create(tmp_path / "library")
    with database, docs.bulk(request_id="load") as load:
        load.add(rows([1]), 0)
        with pytest.raises(RequestMismatchError):
            load.add(rows([2]), 0)
        load.commit()
        with pytest.raises(RequestMismatchError):
            load.add(rows([2]), 0)
        assert docs.upsert(rows([1]), request_id="load", chunk=0).rows == 1  # stored by the load
        assert docs.count() == 1


def test_two_loads_of_one_upload_do_not_both_store_a_chunk(tmp_path: Path) -> None:
    database, docs = create(tmp_path / "library")
    with database:
        first, second = docs.bulk(request_id="load"), docs.bulk(request_id="load")
        for load in (first, second):
            load.add(rows([1]), 0)
            load.add(rows([2]), 1)
        first.commit()

        with pytest.raises(ConflictError, match="chunk 0"):
            second.commit()

        assert seen(docs) == {"r1": 1, "r2": 2}


@pytest.mark.parametrize("forgets", ["expect", "until"])
def test_a_writer_that_forgets_its_ids_is_caught(forgets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without the frame in the log, or the file that the manifest names, a write is made twice."""
    monkeypatch.setattr(requests.Requests, forgets, lambda *_: [])
    path = tmp_path / "library"
    database, docs = create(path)
    docs.upsert(rows(range(5)))
    first = docs.delete(where="n < 3", request_id="r")
    docs.flush()
    database.close()

    database, docs = reopen(path)
    with database:
        assert docs.delete(where="n < 3", request_id="r") != first
