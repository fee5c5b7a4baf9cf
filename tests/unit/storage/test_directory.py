"""The door to the file system: whole files or none, one lock, and no name that leads outside."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vecdb.errors import ConflictError, InvalidInputError
from vecdb.storage import directory as seam
from vecdb.storage.directory import LocalDirectory

OUTSIDE = ["..", "../x", "a/../../x", "/etc/passwd", "//x", "a/..", "a/../b", "", "a\0b", "\0", "../", "./.."]


@pytest.fixture
def directory(tmp_path: Path) -> LocalDirectory:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "x").write_bytes(b"outside")
    return LocalDirectory(root)


def names_in(directory: LocalDirectory) -> list[str]:
    return sorted(path.relative_to(directory.root).as_posix() for path in directory.root.rglob("*"))


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_outside_is_refused_by_every_operation(directory: LocalDirectory, name: str) -> None:
    directory.publish("inside", b"x")
    operations = [
        lambda: directory.path(name),
        lambda: directory.exists(name),
        lambda: directory.size(name),
        lambda: directory.list(name),
        lambda: directory.read(name),
        lambda: directory.read_from(name, 0),
        lambda: directory.map(name),
        lambda: directory.make(name),
        lambda: directory.create(name),
        lambda: directory.publish(name, b"x"),
        lambda: directory.swap(name, b"x"),
        lambda: directory.rename("inside", name),
        lambda: directory.rename(name, "inside"),
        lambda: directory.unlink(name),
        lambda: directory.remove_tree(name),
        lambda: directory.sync_dir(name),
        lambda: directory.lock(name),
    ]

    for operation in operations:
        with pytest.raises(InvalidInputError, match="not a name inside"):
            operation()

    assert names_in(directory) == ["inside"]
    assert (directory.root.parent / "x").read_bytes() == b"outside"


@pytest.mark.parametrize("name", ["a", "a/b/c", "a b", "ü", "...", "a..b", "-", "a//b"])
def test_a_name_inside_is_below_the_root(directory: LocalDirectory, name: str) -> None:
    assert directory.root in directory.path(name).parents


def test_a_dot_is_the_root(directory: LocalDirectory) -> None:
    assert directory.path(".") == directory.root


# -- publish and swap --------------------------------------------------------------------------------------------------


def test_a_published_file_is_there_whole_and_nothing_else_is(directory: LocalDirectory) -> None:
    directory.publish("file", b"content")

    assert directory.read("file") == b"content"
    assert names_in(directory) == ["file"]
    assert directory.path("file").stat().st_mode & 0o777 == 0o600


def test_publishing_a_name_that_is_taken_leaves_the_file_alone(directory: LocalDirectory) -> None:
    directory.publish("file", b"first")

    with pytest.raises(FileExistsError):
        directory.publish("file", b"second")

    assert directory.read("file") == b"first"
    assert names_in(directory) == ["file"]


def test_swap_replaces_or_creates(directory: LocalDirectory) -> None:
    directory.swap("file", b"first")
    before = os.stat(directory.path("file")).st_ino
    directory.swap("file", b"second")

    assert directory.read("file") == b"second"
    assert os.stat(directory.path("file")).st_ino != before, "the old bytes stay for who has them open"
    assert names_in(directory) == ["file"]


@pytest.mark.parametrize("failing", ["write", "fstat", "sync"])
@pytest.mark.parametrize("operation", ["publish", "swap"])
def test_a_failure_before_the_name_is_given_leaves_no_trace(
    directory: LocalDirectory, monkeypatch: pytest.MonkeyPatch, failing: str, operation: str
) -> None:
    directory.publish("old", b"old")
    error = OSError(errno.ENOSPC, "no space")

    def fail(*_: object) -> int:
        raise error

    if failing == "write":
        monkeypatch.setattr(seam, "write_all", fail)
    elif failing == "fstat":
        monkeypatch.setattr(seam, "write_all", lambda descriptor, data: len(data))  # writes nothing, says it did
    else:
        monkeypatch.setattr(seam, "_sync_data", fail)

    with pytest.raises(OSError, match=r"no space|the file has 0"):
        getattr(directory, operation)("old" if operation == "swap" else "new", b"new")

    assert names_in(directory) == ["old"]
    assert directory.read("old") == b"old"


def test_without_hard_links_publish_renames(directory: LocalDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    directory.publish("file", b"content")

    assert directory.read("file") == b"content"
    with pytest.raises(OSError, match="no links here"):
        directory.publish("file", b"other")
    assert directory.read("file") == b"content"
    assert names_in(directory) == ["file"]


def test_the_content_is_synced_before_it_has_its_name(
    directory: LocalDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool]] = []
    monkeypatch.setattr(seam, "_sync_data", lambda descriptor: seen.append(("file", directory.exists("file"))))
    monkeypatch.setattr(
        LocalDirectory, "_sync_folder", lambda self, path: seen.append(("folder", directory.exists("file")))
    )

    directory.publish("file", b"content")

    assert seen == [("file", False), ("folder", True)]


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_created_file_grows_and_is_written_in_place(directory: LocalDirectory) -> None:
    file = directory.create("file")
    file.write(b"0123456789")
    file.write_at(2, b"xx")
    file.write(memoryview(b"abc"))
    file.seek(15)
    file.write(b"end")

    assert (file.tell(), file.size()) == (18, 18)
    file.sync()
    file.close()
    file.close()
    assert directory.read("file") == b"01xx456789abc\0\0end"
    assert directory.read_from("file", 13) == b"\0\0end"
    assert directory.read_from("file", 99) == b""
    assert directory.size("file") == 18


def test_truncate_cuts(directory: LocalDirectory) -> None:
    file = directory.create("file")
    file.write(b"0123456789")
    file.truncate(4)
    file.close()

    assert directory.read("file") == b"0123"


def test_creating_a_name_that_is_taken_fails(directory: LocalDirectory) -> None:
    directory.publish("file", b"content")

    with pytest.raises(FileExistsError):
        directory.create("file")


def test_creating_does_not_follow_a_link_out(directory: LocalDirectory) -> None:
    target = directory.root.parent / "created"
    directory.path("link").symlink_to(target)

    with pytest.raises(OSError, match="link"):
        directory.create("link")

    assert not target.exists()


def test_a_mapping_outlives_the_name_and_holds_no_descriptor(directory: LocalDirectory) -> None:
    directory.publish("file", b"content" * 1000)
    descriptors = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0

    buffer = directory.map("file")
    directory.unlink("file")

    assert buffer.to_pybytes() == b"content" * 1000
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == descriptors


def test_an_empty_file_is_mapped_as_nothing(directory: LocalDirectory) -> None:
    directory.publish("file", b"")

    assert directory.map("file").size == 0


def test_listing_is_sorted_and_an_absent_folder_is_empty(directory: LocalDirectory) -> None:
    for name in ("b", "a", "c"):
        directory.publish(name, b"")

    assert directory.list(".") == ["a", "b", "c"]
    assert directory.list("absent") == []


def test_making_a_folder_makes_those_above_it_and_may_be_repeated(directory: LocalDirectory) -> None:
    directory.make("a/b/c")
    directory.make("a/b/c")

    assert names_in(directory) == ["a", "a/b", "a/b/c"]


def test_removing_what_is_not_there_is_fine(directory: LocalDirectory) -> None:
    directory.unlink("absent")
    directory.remove_tree("absent")


def test_a_tree_is_removed_without_following_links(directory: LocalDirectory) -> None:
    directory.make("tree/below")
    directory.publish("tree/below/file", b"x")
    directory.path("tree/link").symlink_to(directory.root.parent)

    directory.remove_tree("tree")

    assert names_in(directory) == []
    assert (directory.root.parent / "x").exists()


def test_a_file_is_moved(directory: LocalDirectory) -> None:
    directory.make("a")
    directory.make("b")
    directory.publish("a/file", b"x")

    directory.rename("a/file", "b/other")

    assert names_in(directory) == ["a", "b", "b/other"]


def test_write_all_goes_on_after_a_short_write(directory: LocalDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, memoryview(data)[:3]))

    directory.publish("file", b"0123456789")

    assert directory.read("file") == b"0123456789"


# -- the lock ----------------------------------------------------------------------------------------------------------


def test_a_second_lock_is_refused_and_names_the_holder(directory: LocalDirectory) -> None:
    lock = directory.lock("LOCK")

    with pytest.raises(ConflictError, match=f"pid {os.getpid()} on"):
        LocalDirectory(directory.root).lock("LOCK")

    lock.close()
    lock.close()
    LocalDirectory(directory.root).lock("LOCK").close()


def test_a_refused_lock_leaves_the_first_one_held(directory: LocalDirectory) -> None:
    lock = directory.lock("LOCK")

    for _ in range(3):
        with pytest.raises(ConflictError):
            directory.lock("LOCK")

    lock.close()


def test_reading_the_lock_file_does_not_release_it(directory: LocalDirectory) -> None:
    lock = directory.lock("LOCK")
    directory.read("LOCK")

    with pytest.raises(ConflictError):
        directory.lock("LOCK")

    lock.close()


def test_a_killed_process_releases_its_lock(directory: LocalDirectory) -> None:
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(directory.path("LOCK"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(ConflictError):
        directory.lock("LOCK")

    holder.kill()
    holder.communicate()

    directory.lock("LOCK").close()
