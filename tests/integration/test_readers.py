"""One writer, any number of readers, in this process and in others."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import vecdb
from support.store import create, reopen, rows, seen, small_schema
from support.supervisor import environment
from vecdb.errors import ConflictError, NotFoundError, UnavailableError
from vecdb.storage import reader

ALWAYS = vecdb.Settings(refresh_interval=0)

# Reads commands from its standard input, one line each, and answers each with a line.
READER = """
import json, sys
import vecdb
from support.store import seen

database = vecdb.connect(sys.argv[1], read_only=True, settings=vecdb.Settings(refresh_interval=0))
for line in sys.stdin:
    reader = database.collection("docs")
    if line.strip() == "rows":
        answer = seen(reader)
    elif line.strip() == "search":
        answer = reader.search(v=[0, 1], k=3).ids
    elif line.strip() == "tags":
        answer = {name: seen(reader.at(tag=name)) for name in reader.tags()}
    else:
        answer = sorted(reader.schema.fields)
    print(json.dumps(answer), flush=True)
database.close()
"""

# Opens the database for writing and stays there until it is killed.
WRITER = """
import sys
import vecdb
from support.store import rows

database = vecdb.connect(sys.argv[1])
database.collection("docs").upsert(rows([1]))
print("ready", flush=True)
sys.stdin.read()
"""


class Other:
    """Another process that runs some code, and is asked line by line."""

    def __init__(self, code: str, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def ask(self, command: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return json.loads(self.line())

    def line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the other process has ended"
        return line

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.fixture
def other() -> Iterator[Callable[[str, Path], Other]]:
    """Start other processes, which end with the test."""
    started: list[Other] = []

    def start(code: str, path: Path) -> Other:
        started.append(Other(code, path))
        return started[-1]

    yield start
    for process in started:
        process.end()


# -- one writer --------------------------------------------------------------------------------------------------------


def test_a_second_writer_in_this_process_is_refused(path: Path) -> None:
    database, collection = create(path)

    for _ in range(2):
        with pytest.raises(ConflictError, match=r"another writer has .* open .*read_only=True"):
            vecdb.connect(path)

    collection.upsert(rows([1]))
    database.close()
    vecdb.connect(path).close()


def test_a_writer_in_another_process_is_refused_and_named_until_it_is_killed(
    path: Path, other: Callable[[str, Path], Other]
) -> None:
    database, _ = create(path)
    database.close()
    process = other(WRITER, path)
    assert process.line() == "ready\n"

    with pytest.raises(ConflictError, match=f"pid {process._process.pid} "):
        vecdb.connect(path)
    with pytest.raises(ConflictError, match="another writer"):
        vecdb.repair(path)
    process.end()

    database, collection = reopen(path)
    assert seen(collection) == {"r1": 1}
    database.close()


def test_the_text_of_an_old_lock_file_keeps_nobody_out(path: Path) -> None:
    database, _ = create(path)
    database.close()
    assert (path / "LOCK").read_text().startswith("pid ")

    database, _ = reopen(path)
    database.close()


# -- readers in this process -------------------------------------------------------------------------------------------


@pytest.fixture
def pair(path: Path) -> Iterator[tuple[vecdb.Collection, vecdb.Collection]]:
    """A collection as its writer and as a reader see it."""
    database, writer = create(path)
    with vecdb.connect(path, read_only=True, settings=ALWAYS) as reading:
        yield writer, reading.collection("docs")
    database.close()


def test_a_reader_sees_each_acknowledged_write(pair: tuple[vecdb.Collection, vecdb.Collection]) -> None:
    writer, reader = pair
    steps: list[Callable[[], Any]] = [
        lambda: writer.upsert(rows(range(5))),
        lambda: writer.delete("r0"),
        lambda: writer.patch({"id": "r1", "n": 10}),
        writer.flush,
        lambda: writer.upsert(rows([2, 9], n=20)),
        lambda: writer.delete(where="n = 20"),
        lambda: writer.bulk().add([]),
        writer.compact,
        lambda: writer.compact(purge=True),
        lambda: writer.upsert(rows([5])),
    ]

    for step in steps:
        step()
        assert seen(reader) == seen(writer)
        assert reader.search(v=[3, 1], k=9).to_list() == writer.search(v=[3, 1], k=9).to_list()


def test_a_reader_sees_bulk_loads_at_their_commits(pair: tuple[vecdb.Collection, vecdb.Collection]) -> None:
    writer, reader = pair
    load = writer.bulk(rows_per_segment=2)
    counts = []
    for number in range(5):
        load.add(rows([number]))
        counts.append(reader.count())
    load.commit()

    assert counts == [0, 2, 2, 4, 4]
    assert seen(reader) == {f"r{number}": number for number in range(5)}


def test_a_reader_follows_changes_of_fields(pair: tuple[vecdb.Collection, vecdb.Collection]) -> None:
    writer, reader = pair
    writer.upsert(rows([1]))
    writer.rename_column("n", "number")
    writer.add_column("title", vecdb.Text())
    writer.patch({"id": "r1", "title": "one"})

    assert reader.schema == writer.schema
    assert (reader.get("r1", fields=["number", "title"])) == {"id": "r1", "number": 1, "title": "one"}


def test_a_reader_keeps_its_snapshot_while_the_writer_removes_the_files(
    pair: tuple[vecdb.Collection, vecdb.Collection],
) -> None:
    writer, reader = pair
    writer.upsert(rows(range(4)))
    writer.flush()
    snapshot = reader.snapshot()

    writer.delete(where="n >= 0")
    writer.compact(purge=True)

    assert seen(snapshot) == {f"r{number}": number for number in range(4)}
    assert snapshot.search(v=[2, 1], k=1).ids == ["r2"]
    assert seen(reader) == {}


def test_a_reader_travels_and_sees_tags(pair: tuple[vecdb.Collection, vecdb.Collection]) -> None:
    writer, reader = pair
    writer.upsert(rows([1]))
    number = writer.tag("one")
    writer.upsert(rows([2]))
    writer.flush()

    assert reader.tags() == {"one": number}
    assert seen(reader.at(tag="one")) == seen(reader.at(version=number)) == {"r1": 1}
    assert reader.versions() == writer.versions()


def test_a_reader_looks_again_only_after_its_interval_or_when_told(path: Path) -> None:
    database, writer = create(path)
    settings = vecdb.Settings(refresh_interval=1e6)
    with vecdb.connect(path, read_only=True, settings=settings) as reading:
        reader = reading.collection("docs")
        writer.upsert(rows([1]))

        assert seen(reader) == {}
        reader.refresh()
        assert seen(reader) == {"r1": 1}
    writer.refresh()
    database.close()


def test_a_reader_cannot_write(path: Path) -> None:
    database, writer = create(path)
    writer.upsert(rows([1]))
    with vecdb.connect(path, read_only=True, settings=ALWAYS) as reading:
        reader = reading.collection("docs")
        calls: list[Callable[[], Any]] = [
            lambda: reader.upsert(rows([2])),
            lambda: reader.delete("r1"),
            lambda: reader.patch({"id": "r1", "n": 2}),
            lambda: reader.bulk(),
            lambda: reader.flush(),
            lambda: reader.compact(),
            lambda: reader.tag("x"),
            lambda: reader.untag("x"),
            lambda: reader.add_column("x", vecdb.Text()),
            lambda: reader.drop_column("n"),
            lambda: reader.rename_column("n", "m"),
            lambda: reading.create_collection("x", small_schema()),
            lambda: reading.create_collection("docs", small_schema(), exist_ok=True),
            lambda: reading.drop_collection("docs"),
            lambda: reading.repair(),
            lambda: reading.backup(path.parent / "saved"),
        ]
        for call in calls:
            with pytest.raises(ConflictError, match="read-only"):
                call()
        assert reading.read_only
        assert not database.read_only
        assert reading.check().ok
        assert reader.stats()["writer"] == "none"
        assert seen(reader) == {"r1": 1}
    database.close()


def test_a_reader_changes_no_file(path: Path) -> None:
    database, writer = create(path)
    writer.upsert(rows([1]))
    writer.flush()
    writer.upsert(rows([2]))
    database.close()
    before = {file: (file.stat().st_size, file.stat().st_mtime_ns) for file in path.rglob("*")}

    with vecdb.connect(path, read_only=True) as reading:
        reader = reading.collection("docs")
        assert seen(reader) == {"r1": 1, "r2": 2}
        reading.stats()

    assert {file: (file.stat().st_size, file.stat().st_mtime_ns) for file in path.rglob("*")} == before


def test_a_reader_sees_collections_that_come_and_go(path: Path) -> None:
    database, _ = create(path)
    with vecdb.connect(path, read_only=True, settings=ALWAYS) as reading:
        assert reading.collections() == ["docs"]
        database.create_collection("more", small_schema()).upsert(rows([7]))
        assert seen(reading.collection("more")) == {"r7": 7}
        database.drop_collection("more")
        assert reading.collections() == ["docs"]
        with pytest.raises(NotFoundError):
            reading.collection("more")
        database.create_collection("more", small_schema())
        assert seen(reading.collection("more")) == {}
    database.close()


def test_a_reader_of_a_dropped_collection_is_told_so(path: Path) -> None:
    database, writer = create(path)
    writer.upsert(rows([1]))
    with vecdb.connect(path, read_only=True, settings=ALWAYS) as reading:
        reader = reading.collection("docs")
        snapshot = reader.snapshot()
        database.drop_collection("docs")

        with pytest.raises(NotFoundError, match="docs"):
            reader.count()
        assert seen(snapshot) == {"r1": 1}
    database.close()


def test_a_reader_whose_writer_is_always_ahead_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, _ = create(path)
    database.close()
    numbers = itertools.count()

    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError("a newer version does without it")

    monkeypatch.setattr(reader, "open_collection", gone)
    monkeypatch.setattr(reader.Reader, "_current_nonce", lambda _: str(next(numbers)))
    monkeypatch.setattr(reader.time, "sleep", lambda _: None)

    with vecdb.connect(path, read_only=True) as reading, pytest.raises(UnavailableError, match="try again"):
        reading.collection("docs")


def test_a_reader_of_a_database_without_writer_sees_what_is_in_the_log(path: Path) -> None:
    database, writer = create(path)
    writer.upsert(rows(range(3)))
    database.close()

    with vecdb.connect(path, read_only=True) as one, vecdb.connect(path, read_only=True) as two:
        assert seen(one.collection("docs")) == seen(two.collection("docs")) == {"r0": 0, "r1": 1, "r2": 2}


# -- readers in other processes ----------------------------------------------------------------------------------------


def test_another_process_follows_the_writer(path: Path, other: Callable[[str, Path], Other]) -> None:
    database, writer = create(path)
    process = other(READER, path)
    assert process.ask("rows") == {}

    writer.upsert(rows(range(6)))
    assert process.ask("rows") == seen(writer)
    assert process.ask("search") == ["r0", "r1", "r2"]
    writer.delete(["r0"])
    writer.tag("five")
    writer.upsert(rows([1], n=50))
    assert process.ask("rows") == seen(writer)
    assert process.ask("tags") == {"five": {f"r{number}": number for number in range(1, 6)}}
    writer.add_column("title", vecdb.Text())
    assert process.ask("fields") == ["id", "n", "title", "v"]
    writer.compact(purge=True)
    assert process.ask("rows") == seen(writer)
    assert process.ask("search") == ["r1", "r2", "r3"]

    database.close()
    assert process.ask("rows") == {"r1": 50, "r2": 2, "r3": 3, "r4": 4, "r5": 5}


def test_another_process_goes_on_when_the_writer_changes(path: Path, other: Callable[[str, Path], Other]) -> None:
    database, writer = create(path)
    writer.upsert(rows([1]))
    process = other(READER, path)
    assert process.ask("rows") == {"r1": 1}
    for number in range(2, 5):
        database.close()
        database, writer = reopen(path)
        writer.upsert(rows([number]))
        if number == 3:
            writer.flush()
        assert process.ask("rows") == seen(writer)
    database.close()


def test_another_process_reads_on_after_the_writer_was_killed(path: Path, other: Callable[[str, Path], Other]) -> None:
    database, _ = create(path)
    database.close()
    writer = other(WRITER, path)
    assert writer.line() == "ready\n"
    process = other(READER, path)
    assert process.ask("rows") == {"r1": 1}

    writer.end()

    assert process.ask("rows") == {"r1": 1}
    database, collection = reopen(path)
    collection.upsert(rows([2]))
    assert process.ask("rows") == {"r1": 1, "r2": 2}
    database.close()
