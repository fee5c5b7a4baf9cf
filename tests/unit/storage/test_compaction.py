"""Merges while writes go on: no row comes back, none is lost, in memory, in the new version and after reopening."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import vecdb
from support.store import SETTINGS, create, killed, reopen, rows, seen, segments
from support.unsynced import unsynced
from vecdb import bulk, row_writes
from vecdb.errors import ConflictError, ResourceExhaustedError
from vecdb.storage import arrow_file, compaction, segment_writer
from vecdb.storage.snapshot import SegmentView
from vecdb.storage.writer import Writer

Change = Callable[[vecdb.Collection], Any]


@pytest.fixture(autouse=True)
def without_syncs() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


def three_segments(path: Path) -> tuple[vecdb.Database, vecdb.Collection, dict[str, int]]:
    """Return a collection of three segments of four rows, one deleted in each; and its rows."""
    database, collection = create(path)
    for start in (0, 4, 8):
        collection.upsert(rows(range(start, start + 4)))
        collection.flush()
    collection.delete(["r0", "r4", "r8"])
    collection.flush()
    return database, collection, {f"r{number}": number for number in range(12) if number % 4}


def merge_while(collection: vecdb.Collection, monkeypatch: pytest.MonkeyPatch, meanwhile: Change) -> int:
    """Merge all segments by hand; `meanwhile` happens when the rows are copied and the inputs not yet replaced."""
    writer = collection._writable()
    real = Writer.replace_segments

    def replace_segments(self: Writer, *arguments: Any) -> bool:
        monkeypatch.setattr(Writer, "replace_segments", real)
        meanwhile(collection)
        return real(self, *arguments)

    monkeypatch.setattr(Writer, "replace_segments", replace_segments)
    uuids = tuple(entry.uuid for entry in writer.state.located.manifest.segments)
    return compaction.merge(writer, uuids)


def delete_in_memory(collection: vecdb.Collection) -> None:
    collection.delete(["r1", "r5"])


def delete_and_flush(collection: vecdb.Collection) -> None:
    collection.delete(["r1", "r5"])
    collection.flush()


def delete_flush_and_delete(collection: vecdb.Collection) -> None:
    collection.delete("r1")
    collection.flush()
    collection.delete("r5")


def delete_twice_with_a_row_between(collection: vecdb.Collection) -> None:
    collection.delete("r1")
    collection.flush()
    collection.upsert(rows([1]))
    collection.flush()
    collection.delete(["r1", "r5"])


def bulk_load(collection: vecdb.Collection) -> None:
    with collection.bulk() as load:
        load.add(rows([2, 3, 20], n=9))


MEANWHILE: dict[str, tuple[Change, dict[str, int | None]]] = {
    "nothing": (lambda collection: None, {}),
    "delete in memory": (delete_in_memory, {"r1": None, "r5": None}),
    "delete and flush": (delete_and_flush, {"r1": None, "r5": None}),
    "delete, flush, delete": (delete_flush_and_delete, {"r1": None, "r5": None}),
    "delete, upsert, delete": (delete_twice_with_a_row_between, {"r1": None, "r5": None}),
    "delete where": (lambda collection: collection.delete(where="n < 4"), {"r1": None, "r2": None, "r3": None}),
    "delete all": (
        lambda collection: collection.delete([f"r{number}" for number in range(12)]),
        {f"r{number}": None for number in range(12)},
    ),
    "replace": (lambda collection: collection.upsert(rows([1, 5], n=50)), {"r1": 50, "r5": 50}),
    "patch": (lambda collection: collection.patch({"id": "r6", "n": 60}), {"r6": 60}),
    "bring back": (lambda collection: collection.upsert(rows([0, 4], n=7)), {"r0": 7, "r4": 7}),
    "bulk load": (bulk_load, {"r2": 9, "r3": 9, "r20": 9}),
}


@pytest.mark.parametrize("name", MEANWHILE)
def test_writes_during_a_merge_hold_afterwards(path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    meanwhile, changes = MEANWHILE[name]
    database, collection, expected = three_segments(path)
    before = collection.snapshot()
    expected_before = dict(expected)
    for value, number in changes.items():
        expected.pop(value, None)
        if number is not None:
            expected[value] = number

    merged = merge_while(collection, monkeypatch, meanwhile)

    assert merged == 3
    assert seen(collection) == expected
    assert seen(before) == expected_before
    left = killed(path, path.parent / "killed")
    collection.flush()
    assert seen(collection) == expected
    assert seen(collection.at(version=collection.snapshot().version)) == expected
    collection.compact()
    assert seen(collection) == expected
    assert collection.stats()["deleted_rows"] == 0
    assert database.check().ok
    database.close()
    for folder in (path, left):
        database, collection = reopen(folder)
        assert seen(collection) == expected
        assert database.check().ok
        database.close()


def test_the_version_that_a_merge_publishes_holds_the_rows_of_its_floor(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, collection, expected = three_segments(path)

    merge_while(collection, monkeypatch, delete_in_memory)

    # The deletions are in the log, behind the version's floor.
    assert seen(collection.at(version=collection.snapshot().version)) == expected
    assert seen(collection).keys() == expected.keys() - {"r1", "r5"}
    database.close()


def test_a_reader_follows_through_a_merge(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, collection, expected = three_segments(path)
    reading = vecdb.connect(path, read_only=True, settings=vecdb.Settings(refresh_interval=0))
    reader = reading.collection("docs")
    assert seen(reader) == expected

    merge_while(collection, monkeypatch, delete_in_memory)

    assert seen(reader).keys() == expected.keys() - {"r1", "r5"}
    reading.close()
    database.close()


def test_a_column_that_comes_during_a_merge_gives_the_merge_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, collection, expected = three_segments(path)

    def add_and_fill(collection: vecdb.Collection) -> None:
        collection.add_column("extra", vecdb.Text())
        collection.patch({"id": "r1", "extra": "filled"})

    merge_while(collection, monkeypatch, add_and_fill)
    collection.compact()

    assert seen(collection) == expected
    assert (collection.get("r1") or {})["extra"] == "filled"
    assert database.check().ok
    database.close()


def test_a_merge_whose_input_was_merged_meanwhile_gives_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, collection, expected = three_segments(path)

    merged = merge_while(collection, monkeypatch, lambda collection: collection.compact(purge=True))

    assert merged == 0
    assert seen(collection) == expected
    collection.upsert(rows([30]))
    collection.flush()
    named = {entry.uuid for entry in collection._writable().state.located.manifest.segments}
    assert {folder.name for folder in segments(path)} >= named
    assert len(named) == 2
    assert database.check().ok
    database.close()


def test_a_merge_whose_input_goes_away_before_it_is_opened_gives_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, collection, expected = three_segments(path)
    writer = collection._writable()
    uuids = tuple(entry.uuid for entry in writer.state.located.manifest.segments)
    real = writer.pin

    def pin(wanted: Sequence[str]) -> list[SegmentView] | None:
        monkeypatch.setattr(writer, "pin", real)
        collection.compact(purge=True)  # what the background does between the two steps of a merge
        return real(wanted)

    monkeypatch.setattr(writer, "pin", pin)

    assert compaction.merge(writer, uuids) == 0

    assert seen(collection) == expected
    assert database.check().ok
    database.close()


def test_two_threads_compact_and_neither_fails(path: Path) -> None:
    settings = vecdb.Settings(
        background=True, free_bytes=0, retain_versions=1, memtable_bytes=1024, merge_fan_in=2, durability="none"
    )
    database, collection = create(path, settings)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                collection.compact()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(60):
        collection.upsert(rows([number % 20, number % 7 + 30], n=number))
    for thread in threads:
        thread.join()

    assert failures == []
    background = collection.stats()["background"]
    assert {name: worker["last_error"] for name, worker in background.items()} == dict.fromkeys(
        ("flush", "compaction", "index")
    )
    assert database.check().ok
    database.close()


def test_compact_leaves_one_segment_without_deleted_rows(path: Path) -> None:
    database, collection, expected = three_segments(path)

    figures = collection.compact(purge=True)

    assert (figures["segments_before"], figures["segments_after"]) == (3, 1)
    assert figures["bytes_after"] < figures["bytes_before"]
    assert collection.stats()["deleted_rows"] == 0
    assert collection.stats()["segment_rows"] == len(expected)
    assert [folder.name for folder in segments(path)] == [collection._writable().state.segments[0].uuid]
    database.close()


def test_segments_without_live_rows_disappear(path: Path) -> None:
    database, collection, _ = three_segments(path)
    collection.delete(where="n >= 0")

    collection.compact(purge=True)

    assert seen(collection) == {}
    assert collection.stats()["segments"] == 0
    assert segments(path) == []
    database.close()
    database, collection = reopen(path)
    assert seen(collection) == {}
    database.close()


def test_nothing_is_merged_into_more_than_a_segment_may_hold(path: Path) -> None:
    settings = vecdb.Settings(background=False, free_bytes=0, segment_bytes=1024)
    database, collection, expected = three_segments(path)
    database.close()
    database, collection = reopen(path, settings)

    collection.compact()

    assert collection.stats()["segments"] == 3
    assert collection.stats()["deleted_rows"] == 0
    assert seen(collection) == expected
    database.close()


@pytest.mark.parametrize(("numbers", "letters", "expected"), [(3072, 1, 1), (1, 4 * 3072, 2)])
def test_a_segment_holds_more_bytes_of_vectors_than_of_texts(
    path: Path, numbers: int, letters: int, expected: int
) -> None:
    settings = vecdb.Settings(background=False, free_bytes=0, segment_bytes=4 << 20)
    schema = vecdb.Schema(id=vecdb.Id("int64"), t=vecdb.Keyword(), v=vecdb.Vector(numbers, metric="l2", index="flat"))
    with vecdb.connect(path, settings=settings) as database:
        collection = database.create_collection("rows", schema)
        for start in (0, 128):  # 1.5 MiB each time
            part = [{"id": row, "t": "t" * letters, "v": [1.0] * numbers} for row in range(start, start + 128)]
            collection.upsert(part)
            collection.flush()

        collection.compact()

        assert collection.stats()["segments"] == expected


def test_a_dropped_column_leaves_the_files_with_a_merge(path: Path) -> None:
    database, collection, expected = three_segments(path)
    collection.drop_column("v")
    assert any((folder / "vec-2.arrow").exists() for folder in segments(path))

    collection.compact(purge=True)

    assert [sorted(file.name for file in folder.iterdir()) for folder in segments(path)] == [
        ["data.arrow", "ids.arrow", "keys.arrow"]
    ]
    assert seen(collection) == expected
    database.close()


def test_a_failed_merge_leaves_everything_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, collection, expected = three_segments(path)
    before = {folder.name for folder in segments(path)}

    def fail(collection: vecdb.Collection) -> None:
        raise ConflictError("stop here")

    with pytest.raises(ConflictError):
        merge_while(collection, monkeypatch, fail)

    assert seen(collection) == expected
    collection.upsert(rows([30]))
    collection.flush()
    assert before <= {folder.name for folder in segments(path)}
    assert database.check().ok
    database.close()
    database, collection = reopen(path, SETTINGS)
    assert seen(collection) == {**expected, "r30": 30}
    assert len(segments(path)) == len(before) + 1
    database.close()


def test_deletions_that_no_version_has_yet_are_no_reason_to_merge(path: Path) -> None:
    database, collection = create(path)
    collection.upsert(rows(range(20)))
    collection.flush()
    collection.delete([f"r{number}" for number in range(15)])

    assert compaction.compact_once(collection._writable()) == 0

    collection.flush()
    assert compaction.compact_once(collection._writable()) == 1
    assert compaction.compact_once(collection._writable()) == 0
    assert len(seen(collection)) == 5
    database.close()


TEXTS = vecdb.Schema(id=vecdb.Id("int64"), t=vecdb.Text(), j=vecdb.Json(), v=vecdb.Vector(2))


def texts(numbers: Sequence[int], size: int) -> list[dict[str, Any]]:
    """Return records with texts that are packed into a small part of their bytes."""
    return [{"id": number, "t": f"{number}" * size, "j": {"a": number}, "v": [1, number]} for number in numbers]


def texts_of(numbers: Sequence[int], size: int) -> list[dict[str, Any]]:
    return [{"id": record["id"], "t": record["t"]} for record in texts(numbers, size)]


@pytest.mark.parametrize(("most", "expected"), [(3 << 29, 1), (350_000, 2)])
def test_no_merge_makes_a_segment_with_more_text_than_arrow_can_hold(
    path: Path, monkeypatch: pytest.MonkeyPatch, most: int, expected: int
) -> None:
    monkeypatch.setattr(compaction, "MOST_TEXT", most)
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = database.create_collection("docs", TEXTS)
        for start in range(1, 5):  # 150,000 bytes each time
            docs.upsert(texts([start], 150_000))
            docs.flush()

        merged = docs.compact()

        assert merged["segments_after"] == expected
        assert docs.get([1, 2, 3, 4], ["t"]) == texts_of(range(1, 5), 150_000)
        docs.compact()
        assert docs.stats()["segments"] == expected
        assert database.check().ok


@pytest.mark.parametrize("way", ["bulk", "upsert"])
@pytest.mark.parametrize(("most", "expected"), [(3 << 29, 1), (250_000, 3)])
def test_a_load_closes_a_segment_before_it_has_too_much_text(
    path: Path, monkeypatch: pytest.MonkeyPatch, way: str, most: int, expected: int
) -> None:
    monkeypatch.setattr(segment_writer, "MOST_TEXT", most)
    monkeypatch.setattr(bulk, "CHUNK_ROWS", 1)
    monkeypatch.setattr(row_writes, "DIRECT_BYTES", 1000)
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = database.create_collection("docs", TEXTS)
        if way == "bulk":
            with docs.bulk() as load:
                for number in range(1, 7):
                    load.add(texts([number], 100_000))
        else:
            docs.upsert(texts(range(1, 7), 100_000))
            docs.flush()

        assert docs.stats()["segments"] == expected
        assert docs.get([1, 2, 3, 4, 5, 6], ["t"]) == texts_of(range(1, 7), 100_000)
        assert database.check().ok


def test_rows_that_arrow_does_not_join_to_one_batch_are_an_error_and_not_lost() -> None:
    """Arrow leaves text of more than 2 GiB in several chunks; so many bytes are not made here."""
    batches = [pa.record_batch([[1, 2]], names=["n"]), pa.record_batch([[3]], names=["n"])]
    table = pa.Table.from_batches(batches)

    with pytest.raises(ResourceExhaustedError, match="3 rows have more than 2 GiB of text"):
        arrow_file.only_batch(table)
    assert arrow_file.only_batch(table.combine_chunks()).num_rows == arrow_file.joined(batches).num_rows == 3
    assert arrow_file.joined(batches[:1]).num_rows == 2
    assert arrow_file.only_batch(table.slice(3)).schema == table.schema
