"""A disk that runs full during ingest, flush, compaction and bulk load.

While the engine keeps `free_bytes` of room it refuses with ResourceExhaustedError and stays usable: reads and deletes
go on, and once there is room again so do writes, without reopening. When someone else takes that room too, the kernel
fails a write in the middle: the writer may stop then, reads go on, and a reopened database goes on where it stopped.
"""

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.figures import Figures
from support.graphs import strays
from support.power import open_files, small_tmpfs, unavailable, volume
from vecdb.errors import ResourceExhaustedError, UnavailableError

MEGABYTES = 64
DIMENSION = 256
BATCH = 200


def _marks(kind: str) -> list[pytest.MarkDecorator]:
    reason = unavailable(kind)
    return [pytest.mark.power, pytest.mark.skipif(bool(reason), reason=reason)]


@contextmanager
def _disk(kind: str, folder: Path) -> Iterator[Path]:
    if kind == "tmpfs":
        with small_tmpfs(folder / "small", MEGABYTES) as mount_point:
            yield mount_point
    else:
        with volume(kind, folder, MEGABYTES) as disk:
            yield disk.mount_point


class Ballast:
    """A file that takes up room."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"

    def fill(self, leave: int) -> None:
        """Take all but `leave` bytes."""
        with open(self._path, "wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        status = os.statvfs(self._path.parent)
        missing = max(0, leave - status.f_bavail * status.f_frsize)
        os.truncate(self._path, max(0, self._path.stat().st_size - missing))

    def drop(self) -> None:
        """Give the room back."""
        self._path.unlink()


class Writer:
    """Writes batches whose values tell their number, and remembers which were acknowledged, and which are in doubt."""

    def __init__(self, collection: Any, seed: int) -> None:
        self.collection: Any = collection
        self.live: dict[str, int] = {}
        self.doubt: dict[str, int] = {}
        self._rng = np.random.default_rng(seed)
        self._turn = 0

    def _batch(self) -> dict[str, Any]:
        self._turn += 1
        ids = [f"{self._turn}-{row}" for row in range(BATCH)]
        self.doubt |= dict.fromkeys(ids, self._turn)
        matrix = self._rng.standard_normal((BATCH, DIMENSION), dtype=np.float32)
        return {"id": ids, "turn": np.full(BATCH, self._turn), "embedding": matrix}

    def _acknowledged(self) -> None:
        self.live |= self.doubt
        self.doubt = {}

    def upsert(self) -> None:
        self.collection.upsert(self._batch())
        self._acknowledged()

    def flush(self) -> None:
        self.upsert()
        self.collection.flush()

    def bulk(self, batches: int = 10) -> None:
        with self.collection.bulk(rows_per_segment=BATCH) as load:
            for _ in range(batches):
                load.add(self._batch())
        self._acknowledged()

    def compact(self) -> None:
        self.collection.compact()

    def index(self) -> None:
        self.collection.build_indexes()

    def delete(self, count: int) -> None:
        ids = sorted(self.live)[:count]
        assert self.collection.delete(ids).rows == len(ids)
        for id in ids:
            del self.live[id]

    def settle(self) -> list[str]:
        """Return how the collection differs from what was acknowledged; rows in doubt may be there, and then stay."""
        seen: dict[str, int] = {}
        for batch in self.collection.scan(fields=["id", "turn"]):
            seen |= dict(zip(batch["id"].to_pylist(), batch["turn"].to_pylist(), strict=True))
        self.live |= {id: turn for id, turn in self.doubt.items() if seen.get(id) == turn}
        self.doubt = {}
        wrong = sorted(id for id in seen.keys() | self.live.keys() if seen.get(id) != self.live.get(id))
        return [f"{id}: found {seen.get(id)}, acknowledged {self.live.get(id)}" for id in wrong]


def _until_refused(act: Callable[[], None], *errors: type[Exception]) -> None:
    """Repeat an act until it is refused; the disk is small, so this ends."""
    with contextlib.suppress(*errors):
        for _ in range(1000):
            act()
        pytest.fail("a full disk was never noticed")


@contextmanager
def _nearly_full(
    kind: str, folder: Path, free_bytes: int, leave: int, seed: int
) -> Iterator[tuple[Writer, Ballast, Callable[[], None]]]:
    """Yield a writer on a small disk that has `leave` bytes left, what takes the room, and how to reopen."""
    schema = vecdb.Schema(
        id=vecdb.Id(), turn=vecdb.Int64(), embedding=vecdb.Vector(DIMENSION, metric="l2", index="hnsw")
    )
    settings = vecdb.Settings(background=False, memtable_bytes=64 << 20, free_bytes=free_bytes, retain_versions=1)
    with _disk(kind, folder) as mount_point:
        opened = [vecdb.connect(mount_point / "library", settings=settings)]
        writer = Writer(opened[0].create_collection("docs", schema), seed)

        def reopen() -> None:
            opened.pop().close()
            opened.append(vecdb.connect(mount_point / "library", settings=settings))
            writer.collection = opened[0].collection("docs")

        try:
            for _ in range(6):
                writer.bulk(4)
            writer.delete(BATCH)
            writer.upsert()
            ballast = Ballast(mount_point)
            ballast.fill(leave)
            yield writer, ballast, reopen
            reopen()
            assert writer.settle() == []
            assert opened[0].check().ok, opened[0].check().problems
            # What was being written when the disk was full is gone, and so is the room that it took.
            assert [name for name in open_files(mount_point) if name.endswith("(deleted)")] == []
        finally:
            opened.pop().close()
            writer.collection = None
            gc.collect()  # mappings keep the disk busy


def _write_again(writer: Writer) -> None:
    writer.index()
    assert writer.collection.stats()["indexes"]["embedding"]["pending_rows"] == 0
    assert strays(Path(writer.collection._writable().directory.root)) == []
    writer.upsert()
    writer.flush()
    writer.delete(50)
    writer.compact()
    writer.bulk(2)
    assert writer.settle() == []


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=_marks(kind)) for kind in ("tmpfs", "ext4")])
@pytest.mark.parametrize("act", ["upsert", "flush", "compact", "bulk", "index"])
def test_a_full_disk_refuses_writes_while_reads_and_deletes_go_on(
    act: str, kind: str, tmp_path: Path, seed: int, figures: Figures
) -> None:
    # A merge may use the room that is kept: it makes room. It meets the end of the disk itself.
    leave = {"compact": 2 << 20, "index": 5 << 20}.get(act, 6 << 20)
    with _nearly_full(kind, tmp_path, 4 << 20, leave, seed) as (writer, ballast, _):
        _until_refused(getattr(writer, act), ResourceExhaustedError)

        assert writer.settle() == []
        assert len(writer.collection.search(embedding=np.zeros(DIMENSION, np.float32), k=5)) == 5
        writer.delete(50)
        assert writer.settle() == []
        ballast.drop()
        _write_again(writer)
    figures(f"{len(writer.live)} acknowledged rows, 0 lost")


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=_marks(kind)) for kind in ("tmpfs", "ext4")])
@pytest.mark.parametrize("act", ["upsert", "flush", "compact", "bulk", "index"])
def test_a_disk_that_others_filled_to_the_last_byte_loses_nothing(
    act: str, kind: str, tmp_path: Path, seed: int, figures: Figures
) -> None:
    # Two dozen small indexes take less than one merge.
    with _nearly_full(kind, tmp_path, 0, (1 << 20) if act == "index" else (2 << 20), seed) as (writer, ballast, reopen):
        _until_refused(getattr(writer, act), ResourceExhaustedError, UnavailableError)

        assert len(writer.collection.search(embedding=np.zeros(DIMENSION, np.float32), k=5)) == 5
        reopen()  # a full disk must not keep a database from opening
        assert writer.settle() == []
        ballast.drop()
        _write_again(writer)
    figures(f"{len(writer.live)} acknowledged rows, 0 lost")
