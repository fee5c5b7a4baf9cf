"""Followers show what the writer shows, at once and exactly; where that takes long they are behind, and say so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

import vecdb
from vecdb.database import Database
from vecdb.errors import NotFoundError
from vecdb.storage.follower import Behind, Follower
from vecdb.storage.shown import CATALOG, Board, Word
from vecdb_server.readers.followed import Followed

QUIET = vecdb.Settings(background=False, free_bytes=0, durability="none")


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """A writer and a follower of one database."""
    board = Board(tmp_path)
    with (
        Database.open(tmp_path / "db", settings=QUIET, board=board) as writer,
        Database.open(tmp_path / "db", settings=QUIET, board=board, read_only=True) as follower,
    ):
        yield writer, follower


def made(writer: Database, name: str = "docs") -> Any:
    """Return a new collection with one row."""
    schema = vecdb.Schema(id=vecdb.Id(), n=vecdb.Int64(), v=vecdb.Vector(4, metric="l2"))
    docs = writer.create_collection(name, schema)
    docs.upsert({"id": "r0", "n": 0, "v": [0, 0, 0, 0]})
    return docs


def store(collection: Any) -> Follower:
    """Return what follows behind a collection."""
    assert isinstance(collection._store, Follower)
    return collection._store


def test_each_write_is_seen_by_the_next_read(both: tuple[Database, Database]) -> None:
    writer, follower = both
    docs = made(writer)
    seen = follower.collection("docs")

    for n in range(1, 50):
        docs.upsert({"id": f"r{n}", "n": n, "v": [n, 0, 0, 0]})
        assert seen.search(v=[n, 0, 0, 0], k=1).ids == [f"r{n}"]
        docs.delete(f"r{n - 1}")
        assert seen.get(f"r{n - 1}") is None
        assert seen.snapshot().lsn == docs.snapshot().lsn


def test_a_new_version_is_behind_until_it_was_caught_up_with(both: tuple[Database, Database]) -> None:
    writer, follower = both
    docs = made(writer)
    seen = follower.collection("docs")
    docs.flush()
    docs.upsert({"id": "r1", "n": 1, "v": [1, 0, 0, 0]})

    assert store(seen).is_stale
    with pytest.raises(Behind):
        seen.count()
    store(seen).catch_up()

    assert not store(seen).is_stale
    there, here = docs.snapshot(), seen.snapshot()
    assert (here.count(), here.version, here.lsn) == (2, there.version, there.lsn)


def test_fields_that_change_are_behind_too(both: tuple[Database, Database]) -> None:
    writer, follower = both
    docs = made(writer)
    seen = follower.collection("docs")
    docs.add_column("extra", vecdb.Keyword())

    with pytest.raises(Behind):
        _ = seen.schema
    store(seen).catch_up()

    assert "extra" in seen.schema


def test_what_is_large_is_behind_until_it_was_caught_up_with(both: tuple[Database, Database]) -> None:
    writer, follower = both
    docs = made(writer)
    seen = follower.collection("docs")
    docs.upsert([{"id": f"x{n}", "n": n, "v": [n, 1, 0, 0]} for n in range(20_000)])
    docs.upsert({"id": "last", "n": 1, "v": [1, 0, 0, 1]})

    with pytest.raises(Behind):
        seen.count()
    store(seen).catch_up()

    assert seen.count() == 20_002


def test_a_log_that_goes_on_in_another_file_is_followed(both: tuple[Database, Database]) -> None:
    writer, follower = both
    docs = made(writer)
    seen = follower.collection("docs")
    shown = docs._writer

    with shown.mutex:  # what a flush does first: the version is published later
        shown._rotate()
    docs.upsert({"id": "r1", "n": 1, "v": [1, 0, 0, 0]})

    assert seen.count() == 2


def test_what_the_writer_does_not_show_yet_is_not_shown(both: tuple[Database, Database]) -> None:
    writer, follower = both
    docs = made(writer)
    seen = follower.collection("docs")
    word = store(seen)._word
    before = word.value
    docs.upsert({"id": "r1", "n": 1, "v": [1, 0, 0, 0]})
    after, word.value = word.value, before

    assert seen.count() == 1
    word.value = after
    assert seen.count() == 2


class Watched:
    """A word that calls something before and after it is written to."""

    def __init__(self, word: Word, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._word, self._before, self._after = word, before, after

    @property
    def value(self) -> int:
        """The number."""
        return self._word.value

    @value.setter
    def value(self, value: int) -> None:
        self._before()
        self._word.value = value
        self._after()


def test_a_writer_shows_its_own_reads_what_followers_can_see_and_nothing_else(both: tuple[Database, Database]) -> None:
    docs = made(both[0])
    read: list[int] = []
    docs._writer._word = Watched(docs._writer._word, *[lambda: read.append(docs.count())] * 2)

    docs.upsert({"id": "r1", "n": 1, "v": [1, 0, 0, 0]})

    assert read == [1, 2]


@pytest.mark.parametrize(
    ("steps", "rows"),
    [
        (["before"], 1), (["after"], 2), (["before", "before"], 1), (["before", "after"], 3), (["after", "before"], 2),
        (["after", "after"], 3), (["after", "before", "before", "after"], 5),
    ],
)  # fmt: skip
def test_writes_that_are_broken_off_while_they_are_shown_keep_no_read_waiting(
    both: tuple[Database, Database], steps: list[str], rows: int
) -> None:
    docs = made(both[0])
    word = docs._writer._word

    def interrupt() -> None:
        raise KeyboardInterrupt

    def nothing() -> None:
        pass

    for at, step in enumerate(steps):
        before, after = (interrupt if step == one else nothing for one in ("before", "after"))
        docs._writer._word = Watched(word, before, after)
        with pytest.raises(KeyboardInterrupt):
            docs.upsert({"id": f"s{at}", "n": 1, "v": [1, 0, 0, 0]})
    docs._writer._word = word
    read: list[int] = []
    thread = threading.Thread(target=lambda: read.append(docs.count()), daemon=True)

    thread.start()
    thread.join(60)

    assert read == [rows]


def test_a_collection_that_the_writer_has_not_opened_is_not_found(tmp_path: Path) -> None:
    board = Board(tmp_path)
    with Database.open(tmp_path / "db", settings=QUIET) as writer:
        made(writer)
    with (
        Database.open(tmp_path / "db", settings=QUIET, board=board, read_only=True) as follower,
        pytest.raises(NotFoundError, match="does not show"),
    ):
        follower.collection("docs")


def written(docs: Any, thread: int, acknowledged: list[str]) -> None:
    """Write 150 rows, one by one, with some versions."""
    for n in range(150):
        name = f"t{thread}-{n}"
        docs.upsert({"id": name, "n": n, "v": [n, thread, 0, 0]})
        acknowledged.append(name)
        if n % 50 == 49:
            docs.flush()


def missed(seen: Any, acknowledged: list[str], done: threading.Event) -> list[str]:
    """Return which of the rows that were acknowledged a follower does not see, reading until it is done."""
    found = []
    while not done.is_set():
        for name in acknowledged[-1:]:
            try:
                if seen.get(name) is None:
                    found.append(name)
            except Behind:
                store(seen).catch_up()
    return found


def test_what_many_threads_write_is_seen_once_it_is_acknowledged(both: tuple[Database, Database]) -> None:
    writer, follower = both
    docs = made(writer)
    seen = follower.collection("docs")
    acknowledged: list[str] = []
    done = threading.Event()

    with ThreadPoolExecutor(5) as pool:
        watching = [pool.submit(missed, seen, acknowledged, done) for _ in range(2)]
        writing = [pool.submit(written, docs, thread, acknowledged) for thread in range(3)]
        wait(writing)
        done.set()
    store(seen).catch_up()

    assert [one.result() for one in writing] == [None] * 3
    assert [one.result() for one in watching] == [[], []]
    assert seen.count() == docs.count() == 451


def test_a_reader_whose_writer_has_gone_on_meanwhile_warms_up_all_the_same(tmp_path: Path) -> None:
    board = Board(tmp_path)
    with Database.open(tmp_path / "db", settings=QUIET, board=board) as writer:
        docs = made(writer)
        followed = Followed(
            Database.open(tmp_path / "db", settings=QUIET, board=board, read_only=True), board.found(CATALOG)
        )
        docs.flush()
        with pytest.raises(Behind):
            followed.open("docs").count()

        followed.warm_up()

        followed.close()
