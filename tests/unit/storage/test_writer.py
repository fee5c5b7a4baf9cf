"""The writer: writes of one group see each other, a full disk refuses what grows, a failed log stops it for good."""

import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import vecdb
from support.store import SETTINGS, create, killed, reopen, rows, seen
from support.unsynced import unsynced
from vecdb import row_writes
from vecdb.errors import ResourceExhaustedError, UnavailableError
from vecdb.storage import arrow_file, wal


@pytest.fixture(autouse=True)
def without_syncs() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture
def docs(tmp_path: Path) -> Iterator[vecdb.Collection]:
    database, collection = create(tmp_path / "db")
    collection.add_column("title", vecdb.Text())
    yield collection
    database.close()


def as_one_group(collection: vecdb.Collection, calls: list[Callable[[], Any]]) -> list[Any]:
    """Make the calls in this order and commit them as one group; return what they return or raise."""
    writer = collection._writable()
    outcomes: list[Any] = [None] * len(calls)

    def work(at: int) -> None:
        try:
            outcomes[at] = calls[at]()
        except BaseException as error:
            outcomes[at] = error

    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(calls))]
    with writer.mutex:
        for at, thread in enumerate(threads):
            thread.start()
            while len(writer._commits._queue) <= at:
                threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    return outcomes


def bulk_load(collection: vecdb.Collection, records: list[dict[str, Any]]) -> Callable[[], Any]:
    """Return the commit of a bulk load, whose rows are written to a segment already."""
    load = collection.bulk()
    load.add(records)
    return load.commit


def same_vector(one: vecdb.Collection, other: vecdb.Collection, row: str) -> bool:
    return repr(one.get(row, fields=["v"])) == repr(other.get(row, fields=["v"]))


# -- one group ---------------------------------------------------------------------------------------------------------


def test_writes_of_one_group_hold_in_their_order(docs: vecdb.Collection) -> None:
    outcomes = as_one_group(
        docs,
        [
            lambda: docs.upsert(rows([1, 2])),
            lambda: docs.upsert(rows([2, 3], n=20)),
            lambda: docs.delete(["r1", "r3", "absent"]),
            lambda: docs.upsert(rows([3], n=30)),
        ],
    )

    assert [outcome.rows for outcome in outcomes] == [2, 2, 2, 1]
    lsns = [outcome.lsn for outcome in outcomes]
    assert lsns == list(range(lsns[0], lsns[0] + 4))
    assert seen(docs) == {"r2": 20, "r3": 30}


@pytest.mark.parametrize("before", ["upsert", "patch", "bulk load", "delete where"])
def test_a_patch_behind_another_write_of_its_row_is_made_again(docs: vecdb.Collection, before: str) -> None:
    docs.upsert({**rows([1])[0], "title": "old"})
    docs.flush()
    first: Callable[[], Any] = {
        "upsert": lambda: docs.upsert({**rows([1], n=5)[0], "title": "new"}),
        "patch": lambda: docs.patch({"id": "r1", "n": 5}),
        "bulk load": bulk_load(docs, [{**rows([1], n=5)[0], "title": "new"}]),
        "delete where": lambda: docs.delete(where="n = 1"),
    }[before]

    outcomes = as_one_group(docs, [first, lambda: docs.patch({"id": "r1", "title": "patched"})])

    if before == "delete where":
        assert isinstance(outcomes[1], vecdb.errors.NotFoundError)
        assert docs.get("r1") is None
    else:
        assert docs.get("r1", fields=["n", "title"]) == {"id": "r1", "n": 5, "title": "patched"}


@pytest.mark.parametrize("before", ["upsert", "bulk load"])
def test_a_delete_where_spares_a_row_that_no_longer_matches(docs: vecdb.Collection, before: str) -> None:
    docs.upsert(rows([1, 2], n=0))
    first: Callable[[], Any] = {
        "upsert": lambda: docs.upsert(rows([1], n=5)),
        "bulk load": bulk_load(docs, rows([1], n=5)),
    }[before]

    outcomes = as_one_group(docs, [first, lambda: docs.delete(where="n = 0")])

    assert outcomes[1].rows == 1
    assert seen(docs) == {"r1": 5}


def test_patches_of_different_rows_share_a_group(docs: vecdb.Collection) -> None:
    docs.upsert(rows([1, 2]))
    before = docs.stats()["lsn"]

    as_one_group(docs, [lambda: docs.patch({"id": "r1", "n": 10}), lambda: docs.patch({"id": "r2", "n": 20})])

    assert seen(docs) == {"r1": 10, "r2": 20}
    assert docs.stats()["lsn"] == before + 1  # and a frame: each is one row


def test_single_rows_share_a_frame_until_an_id_comes_again(docs: vecdb.Collection, tmp_path: Path) -> None:
    outcomes = as_one_group(
        docs,
        [
            lambda: docs.upsert(rows([1])),
            lambda: docs.upsert({**rows([2])[0], "v": None}),
            lambda: docs.upsert(rows([1], n=10)),
            lambda: docs.upsert(rows([3])),
            lambda: docs.delete(["r2"]),
            lambda: docs.upsert(rows([2], n=20)),
            lambda: docs.upsert(rows([4, 5])),
            lambda: docs.upsert(rows([6])),
        ],
    )

    first = outcomes[0].lsn
    assert [outcome.lsn - first for outcome in outcomes] == [0, 0, 1, 1, 2, 3, 4, 5]
    assert [outcome.rows for outcome in outcomes] == [1, 1, 1, 1, 1, 1, 2, 1]
    expected = {"r1": 10, "r2": 20, "r3": 3, "r4": 4, "r5": 5, "r6": 6}
    assert seen(docs) == expected
    database, reopened = reopen(killed(tmp_path / "db", tmp_path / "killed"))
    assert seen(reopened) == expected
    assert all(same_vector(docs, reopened, row) for row in expected)
    database.close()


def test_a_patch_of_a_row_that_shares_the_frame_is_made_again(docs: vecdb.Collection) -> None:
    docs.upsert([{**rows([1])[0], "title": "old"}, {**rows([2])[0], "title": "old"}])

    as_one_group(
        docs,
        [
            lambda: docs.upsert(rows([3])),
            lambda: docs.patch({"id": "r1", "n": 5}),
            lambda: docs.upsert({**rows([2])[0], "title": "new"}),
            lambda: docs.patch({"id": "r2", "n": 7}),
            lambda: docs.patch({"id": "r1", "title": "patched"}),
        ],
    )

    assert docs.get(["r1", "r2"], fields=["n", "title"]) == [
        {"id": "r1", "n": 5, "title": "patched"},
        {"id": "r2", "n": 7, "title": "new"},
    ]


def test_a_group_is_replayed_as_it_was_committed(docs: vecdb.Collection, tmp_path: Path) -> None:
    as_one_group(
        docs,
        [
            lambda: docs.upsert(rows([1, 2])),
            bulk_load(docs, rows([2, 3], n=7)),
            lambda: docs.delete("r3"),
            lambda: docs.upsert(rows([1], n=8)),
        ],
    )
    expected = {"r1": 8, "r2": 7}
    assert seen(docs) == expected

    database, collection = reopen(killed(tmp_path / "db", tmp_path / "left"))
    assert seen(collection) == expected
    assert database.check().ok
    database.close()


def test_a_row_written_under_the_old_fields_is_written_again_under_the_new(docs: vecdb.Collection) -> None:
    writer = docs._writable()
    done: list[Any] = []
    with writer.mutex:
        thread = threading.Thread(target=lambda: done.append(docs.upsert(rows([1]))))
        thread.start()
        while not writer._commits._queue:
            threading.Event().wait(0.001)
        docs.drop_column("title")  # takes the same lock again
    thread.join()

    assert done[0].rows == 1
    assert docs.get("r1", fields=["n"]) == {"id": "r1", "n": 1}


# -- a full disk -------------------------------------------------------------------------------------------------------


def test_a_full_disk_refuses_what_grows_and_nothing_else(tmp_path: Path) -> None:
    database, docs = create(tmp_path / "db")
    docs.upsert(rows(range(4)))
    database.close()
    database, docs = reopen(tmp_path / "db", vecdb.Settings(background=False, free_bytes=1 << 60))

    for call in (
        lambda: docs.upsert(rows([9])),
        lambda: docs.patch({"id": "r1", "n": 5}),
        lambda: docs.bulk().add(rows([9])),
    ):
        with pytest.raises(ResourceExhaustedError, match="nothing was stored"):
            call()

    assert docs.delete(["r0"]).rows == 1
    assert docs.delete(where="n = 3").rows == 1
    assert seen(docs) == {"r1": 1, "r2": 2}
    assert docs.search(v=[1, 1], k=1).ids == ["r1"]
    database.close()
    database, docs = reopen(tmp_path / "db")
    docs.upsert(rows([9]))
    assert seen(docs) == {"r1": 1, "r2": 2, "r9": 9}
    database.close()


# -- a failed log ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["append", "sync"])
def test_a_failed_log_stops_the_writer_and_reads_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    database, docs = create(tmp_path / "db", vecdb.Settings(background=False, free_bytes=0, durability="sync"))
    docs.upsert(rows([1]))

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(wal.LogWriter, operation, fail)
        with pytest.raises(UnavailableError, match="unknown: reopen"):
            docs.upsert(rows([2]))

    for call in (lambda: docs.upsert(rows([3])), lambda: docs.delete("r1"), docs.flush, lambda: docs.tag("x")):
        with pytest.raises(UnavailableError, match="the writer has stopped"):
            call()
    assert seen(docs) == {"r1": 1}
    assert "the disk is gone" in docs.stats()["writer"]
    database.close()
    database, docs = reopen(tmp_path / "db")
    assert {"r1": 1}.items() <= seen(docs).items()
    assert seen(docs).keys() <= {"r1", "r2"}
    docs.upsert(rows([3]))
    assert database.check().ok
    database.close()


@pytest.mark.parametrize(("code", "error"), [(errno.ENOSPC, ResourceExhaustedError), (errno.EIO, UnavailableError)])
def test_a_large_write_that_the_disk_does_not_take_is_an_error_of_vecdb_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    database, docs = create(tmp_path / "db", SETTINGS)
    monkeypatch.setattr(row_writes, "DIRECT_BYTES", 10)

    def fail(*_: object) -> None:
        raise OSError(code, "the disk fails")

    with monkeypatch.context() as patch:
        patch.setattr(arrow_file.VectorFile, "append", fail)
        with pytest.raises(error):
            docs.upsert(rows(range(3)))
        with docs.bulk() as load, pytest.raises(error):
            load.add(rows(range(3)))

    assert seen(docs) == {}
    docs.upsert(rows(range(3)))
    assert seen(docs) == {"r0": 0, "r1": 1, "r2": 2}
    database.close()


def test_a_file_system_that_does_not_tell_its_free_space_is_an_error_of_vecdb(
    docs: vecdb.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise OSError(errno.EIO, "the disk fails")

    with monkeypatch.context() as patch:
        patch.setattr(docs._writable().directory, "free", fail)
        with pytest.raises(UnavailableError, match="the file system failed"):
            docs.upsert(rows([1]))
        with pytest.raises(UnavailableError, match="the file system failed"):
            docs.bulk().add(rows([1]))

    docs.upsert(rows([1]))
    assert seen(docs) == {"r1": 1}


def test_a_failed_flush_is_tried_again_and_loses_nothing(
    docs: vecdb.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs.upsert(rows(range(3)))
    directory = docs._writable().directory

    def fail(name: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "no space", name)

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(directory, "publish", fail)
            with pytest.raises(ResourceExhaustedError):
                docs.flush()
        assert seen(docs) == {"r0": 0, "r1": 1, "r2": 2}
    docs.upsert(rows([2, 3], n=30))
    docs.delete("r0")
    left = killed(tmp_path / "db", tmp_path / "left")
    expected = {"r1": 1, "r2": 30, "r3": 30}

    assert docs.flush()

    assert seen(docs) == expected
    assert docs.stats()["memtable_rows"] == 0
    database, collection = reopen(left, SETTINGS)
    assert seen(collection) == expected
    assert database.check().ok
    database.close()


def test_rows_written_while_a_flush_writes_its_segment_stay_in_order(
    docs: vecdb.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs.upsert(rows(range(4)))
    writer = docs._writable()
    real = writer.segment_writer

    def segment_writer(schema: vecdb.Schema) -> Any:
        monkeypatch.setattr(writer, "segment_writer", real)
        docs.upsert(rows([1], n=10))
        docs.delete("r2")
        docs.upsert(rows([5]))
        assert seen(docs) == expected
        return real(schema)

    expected = {"r0": 0, "r1": 10, "r3": 3, "r5": 5}
    monkeypatch.setattr(writer, "segment_writer", segment_writer)
    docs.flush()

    assert seen(docs) == expected
    assert seen(docs.at(version=docs.snapshot().version)) == {f"r{number}": number for number in range(4)}
    database, collection = reopen(killed(tmp_path / "db", tmp_path / "left"))
    assert seen(collection) == expected
    database.close()
    docs.flush()
    docs.compact()
    assert seen(docs) == expected
