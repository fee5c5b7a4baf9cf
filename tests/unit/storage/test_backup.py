"""Backup and restore: exact, verified, and deaf to what a hostile folder says."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vecdb
from support.store import create, folder, killed, logs, reopen, rows, seen, segments
from support.unsynced import unsynced
from vecdb.errors import (
    ConflictError,
    CorruptionError,
    InvalidInputError,
    NotFoundError,
    ResourceExhaustedError,
    VecdbError,
)
from vecdb.storage import format as names
from vecdb.storage.directory import LocalDirectory

EXPECTED = {f"r{number}": number for number in range(1, 8)}


@pytest.fixture(autouse=True)
def without_syncs() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A backup of a collection with two segments and a deleted row; its rows are EXPECTED."""
    database, collection = create(tmp_path / "source")
    collection.upsert(rows(range(4)))
    collection.flush()
    collection.upsert(rows(range(4, 8)))
    collection.flush()
    collection.delete("r0")
    database.backup(tmp_path / "saved")
    database.close()
    return tmp_path / "saved"


def content_of(path: Path) -> dict[str, bytes]:
    """Return the content of every file; the lock's text, which says who came last, aside."""
    files = [file for file in path.rglob("*") if file.is_file() and file.name != "LOCK"]
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


def reseal(path: Path, change: Any) -> None:
    """Change a sealed file and seal it again, as someone would who knows how."""
    content = names.unseal(path.read_bytes(), str(path))
    change(content)
    path.write_bytes(names.seal(content))


def reseal_manifest(path: Path, change: Any) -> None:
    """Change the manifest in force of the only collection, and let CURRENT name it."""
    (manifest,) = (folder(path) / "manifests").iterdir()
    reseal(manifest, change)
    reseal(folder(path) / "CURRENT", lambda current: current.update(sha256=names.digest(manifest.read_bytes())))


# -- what comes back ---------------------------------------------------------------------------------------------------


def test_a_restored_backup_holds_the_same_rows(saved: Path, tmp_path: Path) -> None:
    report = vecdb.restore(saved, tmp_path / "restored")

    assert report.ok
    database, collection = reopen(tmp_path / "restored")
    assert seen(collection) == EXPECTED
    assert [hit.id for hit in collection.search(v=[1, 1], k=2)] == ["r1", "r2"]
    collection.upsert(rows([0]))
    database.close()
    database, collection = reopen(tmp_path / "restored")
    assert seen(collection) == {"r0": 0, **EXPECTED}
    assert database.check().ok
    database.close()


def test_a_backup_opens_as_it_is_and_the_source_is_unchanged(saved: Path, tmp_path: Path) -> None:
    with vecdb.connect(saved, read_only=True) as database:
        assert seen(database.collection("docs")) == EXPECTED
    database, collection = reopen(tmp_path / "source")
    assert seen(collection) == EXPECTED
    database.close()


def test_a_second_backup_links_what_has_not_changed(saved: Path, tmp_path: Path) -> None:
    database, collection = reopen(tmp_path / "source")
    collection.upsert(rows([20]))
    before = content_of(saved)

    done = database.backup(saved)
    database.close()

    assert done["linked"] > 0
    assert 0 < done["copied"] < done["files"] == done["linked"] + done["copied"]
    assert len(list((saved / "collections").iterdir())) == 1
    assert content_of(saved).keys() != before.keys()
    vecdb.restore(saved, tmp_path / "restored")
    database, collection = reopen(tmp_path / "restored")
    assert seen(collection) == {**EXPECTED, "r20": 20}
    database.close()


def test_a_linked_file_that_was_damaged_in_the_older_backup_is_copied_again(saved: Path, tmp_path: Path) -> None:
    damaged = segments(saved)[0] / "data.arrow"
    damaged.chmod(0o600)
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    database, _ = reopen(tmp_path / "source")

    database.backup(saved)
    database.close()

    assert vecdb.check(saved).ok


def test_a_backup_follows_collections_that_come_and_go(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "source")
    collection.upsert(rows([1]))
    database.create_collection("gone", vecdb.Schema(id=vecdb.Id("int64"))).upsert({"id": 5})
    database.backup(tmp_path / "saved")
    database.drop_collection("gone")
    database.create_collection("empty", vecdb.Schema(id=vecdb.Id("int64")))

    database.backup(tmp_path / "saved")
    database.close()

    with vecdb.connect(tmp_path / "saved", read_only=True) as restored:
        assert restored.collections() == ["docs", "empty"]
        assert restored.collection("empty").count() == 0
        assert seen(restored.collection("docs")) == {"r1": 1}


def test_only_the_present_version_and_its_tags_are_kept(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "source")
    collection.upsert(rows([1]))
    collection.tag("old")
    collection.upsert(rows([2]))
    collection.tag("new")
    database.backup(tmp_path / "saved")
    database.close()

    with vecdb.connect(tmp_path / "saved", read_only=True) as saved:
        reader = saved.collection("docs")
        assert len(reader.versions()) == 1
        assert reader.tags().keys() == {"new"}
        assert seen(reader.at(tag="new")) == {"r1": 1, "r2": 2}


def test_progress_names_each_collection(tmp_path: Path) -> None:
    database, _ = create(tmp_path / "source")
    database.create_collection("more", vecdb.Schema(id=vecdb.Id()))
    told: list[tuple[str, int, int]] = []

    database.backup(tmp_path / "saved", progress=lambda *step: told.append(step))
    database.close()

    assert told == [("docs", 0, 2), ("more", 1, 2)]


def test_an_empty_database_is_backed_up_and_restored(tmp_path: Path) -> None:
    with vecdb.connect(tmp_path / "source") as database:
        database.backup(tmp_path / "saved")

    assert vecdb.restore(tmp_path / "saved", tmp_path / "restored").ok
    with vecdb.connect(tmp_path / "restored", create=False) as database:
        assert database.collections() == []


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_a_restore_that_fails_can_be_tried_again(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = LocalDirectory.create

    def full(directory: LocalDirectory, name: str) -> Any:
        if directory.root == tmp_path / "copy" and "/segments/" in name:
            raise OSError(errno.ENOSPC, "no space", name)
        return plain(directory, name)

    with monkeypatch.context() as while_full:
        while_full.setattr(LocalDirectory, "create", full)
        with pytest.raises(ResourceExhaustedError, match="the disk is full"):
            vecdb.restore(saved, tmp_path / "copy")

    assert vecdb.restore(saved, tmp_path / "copy").ok
    database, collection = reopen(tmp_path / "copy")
    assert seen(collection) == EXPECTED
    database.close()


def test_a_folder_that_holds_something_else_is_not_backed_up_into(tmp_path: Path) -> None:
    database, _ = create(tmp_path / "source")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"x")

    with pytest.raises(ConflictError, match=r"photo\.jpg"):
        database.backup(tmp_path / "full")
    with pytest.raises(ConflictError, match="is a file"):
        database.backup(tmp_path / "file")
    database.backup(tmp_path / "older")
    with vecdb.connect(tmp_path / "older"), pytest.raises(ConflictError, match="another writer"):
        database.backup(tmp_path / "older")
    database.close()

    assert content_of(tmp_path / "full") == {"photo.jpg": b"x"}


def test_a_database_that_somebody_writes_is_not_backed_up_into(tmp_path: Path) -> None:
    database, _ = create(tmp_path / "source")
    other, collection = create(tmp_path / "other")
    collection.upsert(rows([1]))

    with pytest.raises(ConflictError, match="another writer"):
        database.backup(tmp_path / "other")

    assert seen(collection) == {"r1": 1}
    other.close()
    database.close()


def test_a_damaged_source_is_not_backed_up_and_the_older_backup_stays(saved: Path, tmp_path: Path) -> None:
    before = content_of(saved)
    database, collection = reopen(tmp_path / "source")
    collection.upsert(rows([30]))
    collection.flush()
    damaged = segments(tmp_path / "source")
    for path in damaged:
        for file in path.glob("*.arrow"):
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
    database.close()
    database, _ = reopen(tmp_path / "source")

    with pytest.raises(CorruptionError, match="damaged"):
        database.backup(saved)
    database.close()

    assert {name: content for name, content in content_of(saved).items() if name in before} == before
    assert vecdb.check(saved).ok
    with vecdb.connect(saved, read_only=True) as reading:
        assert seen(reading.collection("docs")) == EXPECTED


@pytest.mark.parametrize("existing", ["database", "stranger", "file"])
def test_restore_never_overwrites(saved: Path, tmp_path: Path, existing: str) -> None:
    target = tmp_path / "target"
    if existing == "database":
        vecdb.connect(target).close()
    elif existing == "stranger":
        target.mkdir()
        (target / "x").write_bytes(b"x")
    else:
        target.write_bytes(b"x")
    before = content_of(target)

    with pytest.raises(ConflictError, match="never overwrites"):
        vecdb.restore(saved, target)

    assert content_of(target) == before


def test_restoring_into_an_empty_folder_is_fine(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()

    assert vecdb.restore(saved, tmp_path / "target").ok


def test_what_is_no_database_is_not_restored(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()

    for source in ("nothing", "absent"):
        with pytest.raises(NotFoundError):
            vecdb.restore(tmp_path / source, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_database_with_writes_that_no_version_holds_is_not_restored(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "source")
    collection.upsert(rows([1]))

    with pytest.raises(ConflictError, match="in use"):
        vecdb.restore(tmp_path / "source", tmp_path / "target")

    database.close()
    with pytest.raises(ConflictError, match="in use"):
        vecdb.restore(killed(tmp_path / "source", tmp_path / "copy"), tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("kind", ["file", "folder", "dangling", "fifo"])
def test_links_and_special_files_are_refused(saved: Path, tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"private")
    place = segments(saved)[0] / "stray"
    if kind == "file":
        data = segments(saved)[0] / "data.arrow"
        shutil.copy(data, secret / "data.arrow")
        data.unlink()
        data.symlink_to(secret / "data.arrow")
    elif kind == "folder":
        place.symlink_to(secret, target_is_directory=True)
    elif kind == "dangling":
        place.symlink_to(tmp_path / "nowhere")
    else:
        os.mkfifo(place)

    with pytest.raises(CorruptionError, match="link or a special file"):
        vecdb.restore(saved, tmp_path / "target")

    assert not (tmp_path / "target").exists()


def test_a_backup_folder_that_is_a_link_itself_can_be_restored(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(saved, target_is_directory=True)

    assert vecdb.restore(tmp_path / "link", tmp_path / "target").ok


@pytest.mark.parametrize("name", ["CURRENT", "manifest", "log", "data.arrow", "keys.arrow", "vec-2.arrow", "deletes"])
def test_one_changed_byte_anywhere_is_refused_before_anything_is_written(
    saved: Path, tmp_path: Path, name: str
) -> None:
    path = {
        "CURRENT": folder(saved) / "CURRENT",
        "manifest": next((folder(saved) / "manifests").iterdir()),
        "log": logs(saved)[0],
        "deletes": next(file for one in segments(saved) for file in one.glob("*.roar")),
    }.get(name) or segments(saved)[0] / name
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)

    with pytest.raises(CorruptionError):
        vecdb.restore(saved, tmp_path / "target")

    assert not (tmp_path / "target").exists()


HOSTILE_CHANGES: dict[str, Any] = {
    "file leads outside": lambda content: content["segments"][0]["files"][0].update(name="../../../../secret"),
    "absolute file": lambda content: content["segments"][0]["files"][0].update(name="/etc/passwd"),
    "segment leads outside": lambda content: content["segments"][0].update(uuid="../../../x"),
    "segment is the root": lambda content: content["segments"][0].update(uuid=""),
    "deletes lead outside": lambda content: content["segments"][0]["deletes"].update(name="../../../../secret"),
    "history leads outside": lambda content: content["history"].append(
        {"version": 1, "file": "../../../secret", "sha256": "", "committed_at": 0.0, "rows": 0}
    ),
    "more rows than there are": lambda content: content["segments"][0].update(rows=10**6),
}


@pytest.mark.parametrize("hostile", HOSTILE_CHANGES)
def test_a_resealed_hostile_manifest_is_refused(saved: Path, tmp_path: Path, hostile: str) -> None:
    (tmp_path / "secret").write_bytes(b"private")
    reseal_manifest(saved, HOSTILE_CHANGES[hostile])

    with pytest.raises((CorruptionError, InvalidInputError)):
        vecdb.restore(saved, tmp_path / "target")

    assert not (tmp_path / "target").exists()
    assert (tmp_path / "secret").read_bytes() == b"private"


@pytest.mark.parametrize("uuid", ["../../secret", "..", "/etc"])
def test_a_resealed_hostile_catalog_is_refused(saved: Path, tmp_path: Path, uuid: str) -> None:
    (manifest,) = (saved / "catalog" / "manifests").iterdir()
    reseal(manifest, lambda content: content["collections"].update(docs=uuid))
    reseal(saved / "catalog" / "CURRENT", lambda content: content.update(sha256=names.digest(manifest.read_bytes())))

    with pytest.raises(VecdbError):
        vecdb.restore(saved, tmp_path / "target")

    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("name", ["../../../../tmp/x", "a/b", "", "..", "x\0y"])
def test_a_collection_with_a_hostile_name_leads_nowhere(saved: Path, tmp_path: Path, name: str) -> None:
    (manifest,) = (saved / "catalog" / "manifests").iterdir()
    reseal(manifest, lambda content: content.update(collections={name: content["collections"]["docs"]}))
    reseal(saved / "catalog" / "CURRENT", lambda content: content.update(sha256=names.digest(manifest.read_bytes())))
    before = {path.name for path in tmp_path.iterdir()}

    # A name is no part of any path: refused or restored, nothing appears but the target.
    try:
        vecdb.restore(saved, tmp_path / "target")
    except VecdbError:
        assert not (tmp_path / "target").exists()

    assert {path.name for path in tmp_path.iterdir()} - {"target"} == before


def test_strange_files_beside_a_backup_are_not_restored(saved: Path, tmp_path: Path) -> None:
    (saved / "collections" / "evil.sh").write_bytes(b"x")
    (segments(saved)[0] / "extra.so").write_bytes(b"x")

    vecdb.restore(saved, tmp_path / "target")

    assert not [file for file in (tmp_path / "target").rglob("*") if file.name in ("evil.sh", "extra.so")]


def test_a_read_only_database_cannot_be_backed_up(saved: Path, tmp_path: Path) -> None:
    with vecdb.connect(saved, read_only=True) as database, pytest.raises(ConflictError, match="read-only"):
        database.backup(tmp_path / "again")
