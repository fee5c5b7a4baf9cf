"""Building indexes: what is missing, in which order, how it is told and stopped, and what failures leave."""

import errno
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vecdb
from support.graphs import index_files, plans_of, small_graphs, strays
from support.unsynced import unsynced
from vecdb.errors import CorruptionError, ResourceExhaustedError, UnavailableError
from vecdb.storage import directory as seam
from vecdb.storage import indexing
from vecdb.storage.arrow_file import read_batch
from vecdb.storage.directory import LocalDirectory
from vecdb_index import factory

DIMENSION = 4
SETTINGS = vecdb.Settings(background=False, free_bytes=0, retain_versions=2)
QUERY = np.ones(DIMENSION, np.float32)


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with unsynced(), small_graphs():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


def rows(first: int, count: int, **fields: Any) -> dict[str, Any]:
    matrix = np.random.default_rng(first).standard_normal((count, DIMENSION), dtype=np.float32)
    return {"id": list(range(first, first + count)), "v": matrix, **fields}


def create(path: Path, *sizes: int, settings: vecdb.Settings = SETTINGS, **options: Any) -> Any:
    """Return a database and a collection of segments with so many rows."""
    database = vecdb.connect(path, settings=settings, **options)
    schema = vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(DIMENSION, metric="l2", index="hnsw"))
    collection = database.create_collection("docs", schema)
    for number, size in enumerate(sizes):
        collection.upsert(rows(1000 * number, size))
        collection.flush()
    return database, collection


def waiting(collection: Any) -> list[int]:
    return [todo.rows for todo in indexing.missing(collection._writable().state)]


# -- what is missing ---------------------------------------------------------------------------------------------------


def test_large_segments_come_first_and_small_ones_never(path: Path) -> None:
    database, docs = create(path, 20, 40, 7)

    with database:
        assert waiting(docs) == [40, 20]
        assert docs.build_indexes() == 2
        assert waiting(docs) == []
        assert docs.build_indexes() == 0
        assert docs.stats()["indexes"]["v"]["rows"] == {"hnsw": 60, "flat": 7}


def test_what_is_to_be_merged_is_merged_before_indexes_are_built(path: Path) -> None:
    database, docs = create(path, 20, 40, 7, 30)

    with database:
        assert docs.build_indexes() == 1
        assert docs.stats()["indexes"]["v"]["rows"] == {"hnsw": 97}


def test_each_column_misses_its_own_index_and_only_where_it_has_values(path: Path) -> None:
    database, docs = create(path, 20)
    with database:
        docs.add_column("w", vecdb.Vector(DIMENSION, metric="dot", index="hnsw"))
        docs.add_column("none", vecdb.Vector(DIMENSION, index="flat"))
        docs.add_column("usual", vecdb.Vector(DIMENSION))
        both = rows(1000, 30)
        docs.upsert({**both, "w": both["v"], "none": both["v"], "usual": both["v"]})
        docs.flush()

        todo = indexing.missing(docs._writable().state)

        # The first segment was written without w; a few rows are scanned as fast as a graph answers.
        assert [(one.column.name, one.rows) for one in todo] == [("v", 30), ("w", 30), ("v", 20)]


def test_auto_waits_for_rows_enough(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, docs = create(path, 20, 40)
    with database:
        docs.set_index("v", "auto")
        assert waiting(docs) == []
        monkeypatch.setattr(factory, "GRAPH_ROWS", 30)
        assert waiting(docs) == [40]


def test_rows_of_a_bulk_load_that_only_the_log_names_get_an_index(path: Path) -> None:
    database, docs = create(path)
    with database:
        load = docs.bulk(rows_per_segment=20)
        load.add(rows(0, 40))
        load.abandon()

        assert docs.build_indexes() == 2
        assert docs.stats()["indexes"]["v"]["pending_rows"] == 0


def test_a_direct_write_is_indexed_in_the_background_without_a_flush(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecdb.row_writes.DIRECT_BYTES", 100)
    database, docs = create(path, settings=vecdb.Settings(free_bytes=0))
    with database:
        docs.upsert(rows(0, 50))
        worker = docs._index_worker

        worker.wait(lambda: waiting(docs) == [] and docs._indexer.progress is None)

        assert plans_of(docs.search(v=QUERY)) == ["graph"]


def test_rows_without_vectors_do_not_keep_a_segment_from_its_index(path: Path) -> None:
    database, docs = create(path)
    with database:
        docs.upsert([{"id": number} for number in range(30)])
        docs.flush()

        docs.build_indexes()

        assert docs.search(v=QUERY).ids == []
        assert docs.search(v=QUERY, where="id < 5").ids == []


# -- progress, and stopping --------------------------------------------------------------------------------------------


def test_progress_counts_the_rows_of_each_index(path: Path) -> None:
    database, docs = create(path, 20, 40)
    told: list[tuple[int, int]] = []
    during: list[Any] = []

    with database:

        def watch(done: int, rows: int) -> None:
            told.append((done, rows))
            during.append(docs.stats()["indexing"])

        docs.build_indexes(progress=watch)

        # While the recall is measured, the end is told again and again, so that a watcher can still stop it.
        ends = dict.fromkeys(one for one in told if one[0] in (0, one[1]))
        assert list(ends) == [(0, 40), (40, 40), (0, 20), (20, 20)]
        assert all(before[0] <= after[0] for before, after in itertools.pairwise(told) if before[1] == after[1])
        assert during == [{"rows_done": done, "rows": rows} for done, rows in told]
        assert docs.stats()["indexing"] is None


def test_a_watcher_that_raises_stops_the_build_and_leaves_nothing(path: Path) -> None:
    database, docs = create(path, 40)

    class EnoughError(Exception):
        pass

    def watch(done: int, rows: int) -> None:
        if done:
            raise EnoughError

    with database:
        with pytest.raises(EnoughError):
            docs.build_indexes(progress=watch)

        assert index_files(path) == []
        assert docs.stats()["indexing"] is None
        assert docs.build_indexes() == 1


@pytest.mark.parametrize("how", ["close", "drop"])
def test_closing_stops_a_build_and_waits_for_it(path: Path, how: str) -> None:
    database, docs = create(path, 40)
    begun, ended = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def watch(done: int, rows: int) -> None:
        begun.set()
        while not docs._closed:
            threading.Event().wait(0.001)

    def build() -> None:
        try:
            docs.build_indexes(progress=watch)
        except BaseException as error:
            errors.append(error)
        ended.set()

    thread = threading.Thread(target=build)
    thread.start()
    begun.wait()

    if how == "close":
        database.close()
    else:
        database.drop_collection("docs")

    # Whoever was building may still be on the way out of its call, but touches no file any more.
    assert docs._indexer.progress is None
    assert strays(path) == []
    thread.join()
    assert [type(error) for error in errors] == [UnavailableError]
    database.close()
    with vecdb.connect(path, settings=SETTINGS) as database:
        assert database.collections() == (["docs"] if how == "close" else [])
        if how == "close":
            assert database.collection("docs").build_indexes() == 1


def test_whoever_watches_a_build_may_close_the_database(path: Path) -> None:
    database, docs = create(path, 40)

    with pytest.raises(UnavailableError):
        docs.build_indexes(progress=lambda done, rows: database.close())

    assert strays(path) == []


# -- meanwhile ---------------------------------------------------------------------------------------------------------


def built_while(docs: Any, meanwhile: Callable[[], Any]) -> int:
    """Build what is missing; something happens when the first rows are in."""
    once = [meanwhile]
    return docs.build_indexes(progress=lambda done, rows: once.pop()() if done and once else None)


def test_rows_that_were_deleted_during_a_build_stay_deleted(path: Path) -> None:
    database, docs = create(path, 40)
    with database:

        def meanwhile() -> None:
            docs.delete(list(range(10)))
            docs.upsert(rows(10, 5))
            docs.flush()
            docs.delete([20])

        assert built_while(docs, meanwhile) == 1

        found = docs.search(v=QUERY, k=100)
        assert sorted(found.ids) == [number for number in range(10, 40) if number != 20]
        assert found.ids == docs.search(v=QUERY, k=100, exact=True).ids
        assert "wide" in plans_of(docs.search(v=QUERY, k=3, plan="wide"))
    with vecdb.connect(path, settings=SETTINGS) as database:
        assert sorted(database.collection("docs").search(v=QUERY, k=100).ids) == sorted(found.ids)
        assert database.check().ok


def test_a_segment_that_is_merged_away_takes_its_index_with_it(path: Path) -> None:
    database, docs = create(path, 40, 30)
    with database:
        before = docs.snapshot().version

        built_while(docs, docs.compact)

        assert docs.stats()["segments"] == 1
        assert waiting(docs) == []
        assert docs.snapshot().version > before
        docs.compact(purge=True)
        assert len(index_files(path)) == 1
        assert strays(path) == []


def test_snapshots_do_not_move_when_an_index_is_published(path: Path) -> None:
    database, docs = create(path, 40)
    with database:
        snapshot = docs.snapshot()
        before = snapshot.search(v=QUERY, k=10)

        docs.build_indexes()

        assert plans_of(snapshot.search(v=QUERY, k=10)) == ["scan"]
        assert snapshot.search(v=QUERY, k=10).ids == before.ids
        assert plans_of(docs.search(v=QUERY, k=10)) == ["graph"]


# -- failures ----------------------------------------------------------------------------------------------------------


def damage_rows(path: Path, size: int) -> None:
    """Flip a byte in the vectors of the segment that has so many rows."""
    for file in path.glob("collections/*/segments/*/vec-*.arrow"):
        content = bytearray(file.read_bytes())
        if read_batch(pa.py_buffer(bytes(content))).num_rows == size:
            content[len(content) // 2] ^= 1
            file.unlink()
            file.write_bytes(content)


def test_damaged_rows_do_not_keep_other_segments_from_their_index(path: Path) -> None:
    create(path, 20, 40, 30)[0].close()
    damage_rows(path, 40)

    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = database.collection("docs")
        for _ in range(2):
            with pytest.raises(CorruptionError, match="vec-"):
                docs.build_indexes()
            assert waiting(docs) == [40]


def test_damaged_rows_show_in_the_statistics_of_the_background(path: Path) -> None:
    create(path, 20, 40, 30)[0].close()
    damage_rows(path, 40)

    with vecdb.connect(path, settings=vecdb.Settings(free_bytes=0)) as database:
        docs = database.collection("docs")
        worker = docs._index_worker
        assert worker is not None
        with pytest.raises(CorruptionError):
            worker.wait(lambda: False)

        told = docs.stats()
        assert "CorruptionError" in told["background"]["index"]["last_error"]
        assert told["indexes"]["v"]["pending_rows"] == 40


class _Leaky(LocalDirectory):
    """Loses what is written to an index behind the first `room` bytes, and says nothing."""

    room = 1 << 62

    def create(self, name: str) -> seam.Writer:
        file = super().create(name)
        if "index-" in name:
            real, left = file.write, [_Leaky.room]

            def write(data: Any) -> int:
                view = memoryview(data).cast("B")
                real(view[: max(0, left[0])])
                left[0] -= len(view)
                return len(view)

            file.write = write
        return file


@pytest.mark.parametrize("room", [0, 1, 100, 1000, 2000, 3000])
def test_an_index_that_a_disk_cut_without_an_error_is_never_published(
    path: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, docs = create(path, 40, directory_class=_Leaky)
    with database:
        monkeypatch.setattr(_Leaky, "room", room)
        with pytest.raises(UnavailableError, match="does not hold what was written"):
            docs.build_indexes()

        assert index_files(path) == []
        assert docs.stats()["writer"] == "running"
        monkeypatch.setattr(_Leaky, "room", 1 << 62)
        assert docs.build_indexes() == 1


def test_a_full_disk_shows_in_the_statistics_and_the_build_is_done_when_there_is_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = indexing.save

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(indexing, "save", full)
    database, docs = create(path, 40, settings=vecdb.Settings(free_bytes=0))
    with database:
        worker = docs._index_worker
        with pytest.raises(ResourceExhaustedError):
            worker.wait(lambda: False)

        told = docs.stats()
        assert told["background"]["index"]["last_error"].startswith("ResourceExhaustedError")
        assert told["writer"] == "running"
        assert docs.search(v=QUERY, k=40).ids == docs.search(v=QUERY, k=40, exact=True).ids
        docs.upsert(rows(5000, 3))
        monkeypatch.setattr(indexing, "save", real)
        docs.flush()  # the next occasion
        worker.wait(lambda: waiting(docs) == [])
        assert worker.statistics().last_error is None
        assert docs.count() == 43


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_merge_that_has_no_room_for_an_index_does_without(
    path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = indexing.save

    def fails(directory: LocalDirectory, folder: str, name: str, *_: Any) -> Any:
        (directory.path(folder) / name).write_bytes(b"half an index")
        raise OSError(code, "the disk fails")

    database, docs = create(path, 40, 30)
    with database:
        docs.build_indexes()
        monkeypatch.setattr(indexing, "save", fails)

        docs.compact(purge=True)

        assert docs.stats()["segments"] == 1
        assert waiting(docs) == [70]
        assert (index_files(path), strays(path)) == ([], [])
        monkeypatch.setattr(indexing, "save", real)
        assert docs.build_indexes() == 1


def test_a_merged_segment_has_the_index_of_its_inputs_and_finds_what_is_left(path: Path) -> None:
    database, docs = create(path, 40, 30)
    with database:
        docs.build_indexes()
        docs.delete(list(range(0, 40, 3)))

        docs.compact()

        assert waiting(docs) == []
        found = docs.search(v=QUERY, k=100)
        assert plans_of(found) == ["graph"]
        assert found.ids == docs.search(v=QUERY, k=100, exact=True).ids
        assert len(found) == docs.count() == 56
        assert database.check().ok


def test_an_index_is_made_again_when_its_parameters_change(path: Path) -> None:
    database, docs = create(path, 40)
    with database:
        docs.build_indexes()
        docs.set_index("v", vecdb.Hnsw(m=8))
        assert waiting(docs) == [40]
        assert docs.build_indexes() == 1
        assert waiting(docs) == []
        assert len(docs.search(v=QUERY, k=100)) == 40


def test_what_a_crash_left_is_removed_when_the_database_opens(path: Path) -> None:
    database, docs = create(path, 40)
    docs.build_indexes()
    database.close()
    (kept,) = index_files(path)
    unnamed = kept.with_name("index-1-0123456789ab.arrow")
    unnamed.write_bytes(kept.read_bytes())
    (kept.parents[2] / "tmp" / "index-1-ba9876543210.arrow").write_bytes(b"half")

    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = database.collection("docs")

        assert index_files(path) == [kept]
        assert strays(path) == []
        assert plans_of(docs.search(v=QUERY)) == ["graph"]
