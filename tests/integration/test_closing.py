"""The folder of a database: its lock is released when nothing writes any more, and made in no other folder."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from vecdb.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError

SCHEMA = vecdb.Schema(id=vecdb.Id())


def test_a_collection_that_cannot_be_closed_keeps_no_other_from_being_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = vecdb.connect(tmp_path)
    first, second, third = (db.create_collection(name, SCHEMA) for name in "abc")

    def fail() -> None:
        raise UnavailableError("the disk failed")

    for broken in (first, second):
        monkeypatch.setattr(broken._store, "close", fail)
    with pytest.raises(UnavailableError, match="the disk failed"):
        db.close()

    with pytest.raises(UnavailableError, match="'c' is closed"):
        third.count()
    assert third._writer is not None
    assert third._writer.stopped == "the database is closed"


def test_an_interrupt_while_background_work_ends_still_stops_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = vecdb.connect(tmp_path)
    docs = db.create_collection("docs", SCHEMA)

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(docs._flusher, "close", interrupt)
    with pytest.raises(KeyboardInterrupt):
        db.close()

    assert docs._writer is not None
    assert docs._writer.stopped == "the database is closed"
    vecdb.connect(tmp_path).close()


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800", None, 3, b"folder"])
def test_what_is_no_path_is_refused_by_name(tmp_path: Path, path: str) -> None:
    with vecdb.connect(tmp_path / "library") as db:
        with pytest.raises(InvalidInputError, match="destination is"):
            db.backup(path)
        with pytest.raises(InvalidInputError, match="path is"):
            vecdb.connect(path)
        with pytest.raises(InvalidInputError, match="path is"):
            vecdb.check(path)
        with pytest.raises(InvalidInputError, match="path is"):
            vecdb.repair(path)
        with pytest.raises(InvalidInputError, match="source is"):
            vecdb.restore(path, tmp_path / "copy")
        with pytest.raises(InvalidInputError, match="destination is"):
            vecdb.restore(tmp_path / "library", path)


def test_a_backup_goes_nowhere_into_the_database_itself(tmp_path: Path) -> None:
    with vecdb.connect(tmp_path / "library") as database:
        (tmp_path / "link").symlink_to(tmp_path / "library")
        for inside in ("library", "library/copy", "link/copy", "library/../library/collections"):
            before = sorted(tmp_path.rglob("*"))
            with pytest.raises(InvalidInputError, match="lies in the database itself"):
                database.backup(tmp_path / inside)
            assert sorted(tmp_path.rglob("*")) == before
        database.backup(tmp_path / "library-2")
    assert vecdb.check(tmp_path / "library-2").ok


@pytest.mark.parametrize("name", ["read_only", "create"])
@pytest.mark.parametrize("value", [None, "yes", 1, np.array([True, False])])
def test_a_switch_that_is_neither_true_nor_false_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"(?s){name} is .*, not True or False"):
        vecdb.connect(tmp_path / "library", **{name: value})


def test_repair_of_a_folder_that_is_no_database_leaves_nothing_in_it(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")

    with pytest.raises(NotFoundError, match="no vecdb database"):
        vecdb.repair(tmp_path)
    with pytest.raises(NotFoundError, match="no vecdb database"):
        vecdb.repair(tmp_path / "missing")

    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_collection_that_was_closed_or_dropped_says_which(tmp_path: Path) -> None:
    db = vecdb.connect(tmp_path)
    closed, dropped, repaired = (db.create_collection(name, SCHEMA) for name in "abc")
    db.drop_collection("b")

    with pytest.raises(NotFoundError, match="'b' was dropped"):
        dropped.count()
    with pytest.raises(NotFoundError, match="'b' was dropped"):
        dropped.upsert({"id": "r1"})
    assert repr(dropped) == "Collection('b', dropped)"
    db.repair()
    with pytest.raises(UnavailableError, match="'c' is closed"):
        repaired.count()
    db.close()
    assert repr(closed) == "Collection('a', closed)"
    with pytest.raises(UnavailableError, match="'a' is closed"):
        closed.refresh()


def test_the_collection_of_a_reader_shows_itself_when_its_writer_has_dropped_it(tmp_path: Path) -> None:
    with vecdb.connect(tmp_path) as db:
        db.create_collection("docs", SCHEMA)
        with vecdb.connect(tmp_path, read_only=True, settings=vecdb.Settings(refresh_interval=0)) as reading:
            docs = reading.collection("docs")
            db.drop_collection("docs")

            assert repr(docs) == "Collection('docs', unreadable)"
            with pytest.raises(NotFoundError, match="'docs' was dropped by its writer"):
                docs.refresh()


def test_statistics_leave_out_a_collection_that_is_dropped_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with vecdb.connect(tmp_path) as db:
        for name in ("first", "second", "third"):
            db.create_collection(name, SCHEMA)
        plain = vecdb.Collection.stats

        def and_drop_the_second(collection: vecdb.Collection) -> dict[str, Any]:
            if collection.name == "second":
                db.drop_collection("second")
            elif collection.name == "first":
                db.drop_collection("third")
            return plain(collection)

        monkeypatch.setattr(vecdb.Collection, "stats", and_drop_the_second)

        assert list(db.stats()["collections"]) == ["first"]


@pytest.mark.parametrize("when", ["before it is copied", "when it is copied"])
def test_a_backup_leaves_out_a_collection_that_is_dropped_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    with vecdb.connect(tmp_path / "source") as db:
        for name in ("first", "second"):
            db.create_collection(name, SCHEMA).upsert({"id": name})
        plain = vecdb.Collection._writable

        def and_drop_the_second(collection: vecdb.Collection) -> Any:
            if collection.name == "second":
                db.drop_collection("second")
            return plain(collection)

        def drop(name: str, number: int, count: int) -> None:
            if name == "second":
                db.drop_collection("second")

        if when == "before it is copied":
            monkeypatch.setattr(vecdb.Collection, "_writable", and_drop_the_second)
        db.backup(tmp_path / "saved", drop if when == "when it is copied" else None)

    with vecdb.connect(tmp_path / "saved", read_only=True) as saved:
        assert saved.collections() == ["first"]
        assert saved["first"].count() == 1


@pytest.mark.parametrize("kind", ["a link to nothing", "a file", "a place in a file"])
def test_a_path_where_no_folder_can_be_made_is_refused_as_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "library"
    if kind in ("a file", "a place in a file"):
        path.write_text("dear reader")
    else:
        path.symlink_to(tmp_path / "nothing")
    asked = path / "deeper" if kind == "a place in a file" else path
    with vecdb.connect(tmp_path / "source") as db:
        with pytest.raises(ConflictError, match="folder"):
            vecdb.connect(asked)
        with pytest.raises(ConflictError, match="folder"):
            db.backup(asked)
        db.backup(tmp_path / "saved")
    with pytest.raises(ConflictError, match="folder"):
        vecdb.restore(tmp_path / "saved", asked)
    for ask in (vecdb.check, vecdb.repair, lambda path: vecdb.connect(path, read_only=True)):
        with pytest.raises(NotFoundError, match="no vecdb database"):
            ask(asked)


def test_a_home_folder_is_found_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with vecdb.connect("~/library") as db:
        db.backup("~/saved")
    vecdb.restore("~/saved", "~/copy")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "library", "saved"]
    assert vecdb.check("~/copy").ok
    assert vecdb.repair("~/copy").actions == ()
    with pytest.raises(InvalidInputError, match="no home"):
        vecdb.connect("~nobody.of.this.name/library")


def test_a_memory_database_that_cannot_be_opened_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with pytest.raises(InvalidInputError, match="encoders is 3"):
        vecdb.connect(":memory:", encoders=3)  # pyright: ignore[reportArgumentType]

    assert list(tmp_path.iterdir()) == []
