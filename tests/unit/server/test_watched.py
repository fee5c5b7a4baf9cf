"""Files that are read again when they change."""

import logging
import os
from pathlib import Path

import pytest

from vecdb_server.auth.files import Watched


def numbers(path: Path) -> Watched[int]:
    """Watch a file with a number, looking at each use."""
    return Watched([path], lambda: int(path.read_text()), interval=0.0)


def test_a_change_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "n"
    path.write_text("1")
    watched = numbers(path)

    assert watched.value == 1
    path.write_text("22")
    assert watched.value == 22


def test_a_replaced_file_of_the_same_size_and_time_is_seen(tmp_path: Path) -> None:
    path, other = tmp_path / "n", tmp_path / "m"
    path.write_text("1")
    watched = numbers(path)
    status = path.stat()
    other.write_text("2")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))

    os.replace(other, path)

    assert watched.value == 2


def test_what_cannot_be_read_leaves_what_was_read_before(tmp_path: Path) -> None:
    path = tmp_path / "n"
    path.write_text("1")
    watched = numbers(path)

    path.write_text("broken")
    assert watched.value == 1
    path.unlink()
    assert watched.value == 1
    path.write_text("333")
    assert watched.value == 333


def test_a_change_that_could_not_be_read_is_read_once_it_can_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("vecdb"), "propagate", True)  # a test before this may have started the log
    path = tmp_path / "n"
    path.write_text("1")
    allowed = [True]

    def read() -> int:
        if not allowed[0]:
            raise PermissionError("others may read it")  # what has another cause than the content
        return int(path.read_text())

    watched = Watched([path], read, interval=0.0)
    allowed[0] = False
    path.write_text("22")
    assert [watched.value for _ in range(3)] == [1, 1, 1]
    allowed[0] = True

    assert watched.value == 22
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == ["file not read again"]


def test_the_first_time_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        numbers(tmp_path / "none")
