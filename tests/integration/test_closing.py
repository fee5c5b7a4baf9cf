"""The folder of a database: its lock is released when nothing writes any more, and made in no other folder."""

from pathlib import Path

import pytest

import vecdb
from vecdb.errors import InvalidInputError, NotFoundError, UnavailableError

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

    with pytest.raises(UnavailableError, match="the database is closed"):
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


def test_repair_of_a_folder_that_is_no_database_leaves_nothing_in_it(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")

    with pytest.raises(NotFoundError, match="no vecdb database"):
        vecdb.repair(tmp_path)
    with pytest.raises(NotFoundError, match="no vecdb database"):
        vecdb.repair(tmp_path / "missing")

    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
