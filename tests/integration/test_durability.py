"""What an acknowledgement promises, and how it is kept: "sync" syncs before it answers, "none" does not."""

import os
from pathlib import Path
from typing import Any

import pytest

import vecdb
from support.store import create, killed, logs, reopen, rows, seen
from vecdb.storage import directory as seam
from vecdb.storage import wal
from vecdb.storage.directory import LocalDirectory

NONE = vecdb.Settings(durability="none", background=False, free_bytes=0)
SYNC = vecdb.Settings(durability="sync", background=False, free_bytes=0)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that were synced, in order."""
    found: list[int] = []
    real = seam._sync_data

    def sync(descriptor: int) -> None:
        found.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(seam, "_sync_data", sync)
    return found


@pytest.mark.parametrize("durability", ["sync", "none"])
def test_every_acknowledgement_says_whether_it_is_durable(tmp_path: Path, durability: Any) -> None:
    settings = vecdb.Settings(durability=durability, background=False, free_bytes=0)
    database, docs = create(tmp_path / "db", settings)
    with docs.bulk() as load:
        load.add(rows([1]))

    results = [docs.upsert(rows([2])), docs.patch({"id": "r1", "n": 5}), docs.delete("r1"), load.commit()]
    nothing = [docs.upsert([]), docs.delete("absent")]

    assert [result.durable for result in results + nothing] == [durability == "sync"] * 6
    assert [result.lsn for result in results[:3]] == sorted({result.lsn for result in results[:3]})
    database.close()


def test_a_write_is_synced_once_before_it_is_acknowledged(tmp_path: Path, synced: list[int]) -> None:
    database, docs = create(tmp_path / "db", SYNC)
    docs.upsert(rows([0]))
    for number in range(1, 4):
        before = len(synced)
        docs.upsert(rows(range(number * 10)))
        assert len(synced) == before + 1
    database.close()


def test_without_durability_a_write_syncs_nothing(tmp_path: Path, synced: list[int]) -> None:
    database, docs = create(tmp_path / "db", NONE)
    docs.upsert(rows([0]))
    before = len(synced)

    for number in range(20):
        docs.upsert(rows([number]))
        docs.delete([f"r{number}"])

    assert len(synced) == before
    database.close()


@pytest.mark.parametrize("settings", [SYNC, NONE], ids=["sync", "none"])
def test_a_killed_process_loses_nothing_either_way(tmp_path: Path, settings: vecdb.Settings) -> None:
    database, docs = create(tmp_path / "db", settings)
    for number in range(5):
        docs.upsert(rows([number]))
    docs.delete("r0")

    left = killed(tmp_path / "db", tmp_path / "left")
    database.close()

    database, docs = reopen(left, settings)
    assert seen(docs) == {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
    database.close()


@pytest.mark.parametrize("settings", [SYNC, NONE], ids=["sync", "none"])
def test_closing_makes_everything_durable(tmp_path: Path, synced: list[int], settings: vecdb.Settings) -> None:
    database, docs = create(tmp_path / "db", settings)
    docs.upsert(rows([1]))
    before = len(synced)

    database.close()

    assert len(synced) > before
    database, docs = reopen(tmp_path / "db", settings)
    assert seen(docs) == {"r1": 1}
    database.close()


def test_without_durability_a_power_cut_loses_a_tail_and_nothing_else(tmp_path: Path) -> None:
    database, docs = create(tmp_path / "db", NONE)
    for number in range(8):
        docs.upsert(rows([number]))
    left = killed(tmp_path / "db", tmp_path / "left")
    database.close()
    log = logs(left)[-1]
    content = log.read_bytes()
    ends = [position for _, position in wal.frames(content)]

    # Unsynced pages reach the disk in any order: lose each write in turn, and what lies between two others.
    for lost in range(1, len(ends)):
        start, end = ends[lost - 1], ends[lost]
        log.write_bytes(content[:start] + bytes(end - start) + content[end:])
        (log.parents[1] / "CLEAN").unlink(missing_ok=True)
        database, docs = reopen(left, NONE)
        assert seen(docs) == {f"r{number}": number for number in range(lost - 1)}
        database.close()


def test_a_cut_between_rotation_and_publication_loses_only_what_was_not_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under "none" a flush begins a new log, whose header is synced: the old one's tail must not be younger than it."""
    unsynced: dict[int, int] = {}  # inode: bytes that are on the disk
    real_write, real_sync = seam.Writer.write, seam.Writer.sync

    def write(self: seam.Writer, data: Any) -> int:
        unsynced.setdefault(os.fstat(self._descriptor).st_ino, self.tell())
        return real_write(self, data)

    def sync(self: seam.Writer) -> None:
        unsynced.pop(os.fstat(self._descriptor).st_ino, None)
        real_sync(self)

    database, docs = create(tmp_path / "db", NONE)
    monkeypatch.setattr(seam.Writer, "write", write)
    monkeypatch.setattr(seam.Writer, "sync", sync)
    docs.upsert(rows([0]))
    for number in range(1, 4):
        docs.upsert(rows([number]))

    def stop(self: LocalDirectory, name: str, data: bytes) -> None:
        raise OSError(5, "the power is gone")

    monkeypatch.setattr(LocalDirectory, "publish", stop)
    with pytest.raises(vecdb.errors.VecdbError):
        docs.flush()
    left = killed(tmp_path / "db", tmp_path / "left")
    for log in logs(tmp_path / "db"):
        size = unsynced.get(log.stat().st_ino)
        if size is not None:
            copy = left / log.relative_to(tmp_path / "db")
            copy.write_bytes(log.read_bytes()[:size] + bytes(log.stat().st_size - size))
    monkeypatch.undo()
    database.close()

    database, docs = reopen(left, NONE)
    found = seen(docs)
    assert found == {f"r{number}": number for number in range(len(found))}
    database.close()
