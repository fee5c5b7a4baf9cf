"""Searches while indexes are built, published and merged away, under writes, in threads.

Whatever a search meets, its answer has as many rows as it can have, each once, each alive in the same state, each with
the score that the exact scan gives, bit for bit; and a snapshot answers twice alike.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.figures import Figures
from support.graphs import plans_of, small_graphs, strays
from vecdb.errors import NotFoundError, UnavailableError

DIMENSION = 8
IDS = 600
CALM = 600
"""Rows behind those that nobody writes again: their segments stay long enough to be searched through an index."""
BATCH = 20
MOST = 20
SETTINGS = vecdb.Settings(memtable_bytes=60_000, segment_bytes=90_000, retain_versions=2, merge_fan_in=3, free_bytes=0)


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_graphs():
        yield


def _schema() -> vecdb.Schema:
    return vecdb.Schema(
        id=vecdb.Id("int64"), part=vecdb.Int64(), v=vecdb.Vector(DIMENSION, metric="cosine", index="hnsw")
    )


def _rows(ids: list[int], rng: np.random.Generator) -> dict[str, Any]:
    matrix = rng.standard_normal((len(ids), DIMENSION), dtype=np.float32)
    return {"id": ids, "part": [number % 4 for number in ids], "v": matrix}


class Watch:
    """Looks at snapshots until told to stop; complaints end the test."""

    def __init__(self, docs: Any) -> None:
        self.docs = docs
        self.stop = threading.Event()
        self.complaints: list[str] = []
        self.plans: Counter[str] = Counter()
        self.looks = 0

    def run(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            while not self.stop.is_set() and not self.complaints:
                self.look(rng)
        except BaseException as error:
            self.complaints.append(f"{type(error).__name__}: {error}")

    def look(self, rng: np.random.Generator) -> None:
        snapshot = self.docs.snapshot()
        query = rng.standard_normal(DIMENSION, dtype=np.float32)
        for where in (None, "part < 2", "part = 3 and id < 100"):
            whole = snapshot.search(IDS + CALM, where, [], v=query, exact=True)
            true = dict(zip(whole.ids, whole.scores.tolist(), strict=True))
            if len(true) != snapshot.count(where):
                self.complaints.append(f"the exact scan finds {len(true)} of {snapshot.count(where)} rows")
            for options in ({}, {"ef": IDS + CALM}, {"plan": "two_hops"}, {"plan": "codes"}):
                found = snapshot.search(10, where, [], v=query, **options)
                told = dict(zip(found.ids, found.scores.tolist(), strict=True))
                if len(told) != len(found) or len(found) != min(10, len(true)) or not told.items() <= true.items():
                    self.complaints.append(f"{where} with {options} finds {told}, which is not of {len(true)} rows")
                again = snapshot.search(10, where, [], v=query, **options)
                if again.ids != found.ids:
                    self.complaints.append("a snapshot answered otherwise the second time")
                self.plans.update(plans_of(found))
        self.looks += 1


def _write(docs: Any, first: int, turns: int, enough: Callable[[], bool], rng: np.random.Generator) -> set[int]:
    """Write and delete ids of one's own, at least so often and until it is enough; return those alive in the end."""
    mine = np.arange(first, IDS, 2)
    alive: set[int] = set()
    turn = 0
    while turn < turns or (turn < MOST * turns and not enough()):
        turn += 1
        ids = rng.choice(mine, BATCH, replace=False).tolist()
        if rng.random() < 0.3:
            docs.delete(ids)
            alive -= set(ids)
        else:
            docs.upsert(_rows(ids, rng))
            alive |= set(ids)
    return alive


@pytest.mark.parametrize("turns", [pytest.param(100, id="100"), pytest.param(2000, id="2000", marks=pytest.mark.slow)])
def test_searches_are_right_while_indexes_come_and_go(
    turns: int, memory_path: Path, seed: int, figures: Figures
) -> None:
    path = memory_path / "library"
    alive: list[set[int]] = []
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = database.create_collection("docs", _schema())
        docs.upsert(_rows(list(range(IDS + CALM)), np.random.default_rng(seed)))
        docs.build_indexes()
        docs.search(v=np.ones(DIMENSION, np.float32))
        watch = Watch(docs)
        built = [0]

        def enough() -> bool:
            return bool(watch.complaints) or (
                built[0] > 5 and watch.plans.total() - watch.plans["scan"] - watch.plans["skip"] > 100
            )

        def keep() -> None:
            try:
                for turn in itertools.count():
                    if watch.stop.is_set():
                        return
                    built[0] += docs.build_indexes()
                    if turn % 8 == 7:
                        docs.compact()
            except BaseException as error:
                watch.complaints.append(f"upkeep: {type(error).__name__}: {error}")

        docs.delete(list(range(IDS)))
        threads = [threading.Thread(target=watch.run, args=(seed + number,)) for number in range(2)]
        threads.append(threading.Thread(target=keep))
        writers = [
            threading.Thread(
                target=lambda number=number: alive.append(
                    _write(docs, number, turns, enough, np.random.default_rng([seed, number]))
                )
            )
            for number in range(2)
        ]
        for thread in (*threads, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        watch.stop.set()
        for thread in threads:
            thread.join()
        docs.build_indexes()
        watch.look(np.random.default_rng(seed))
        found = docs.search(IDS + CALM, v=np.ones(DIMENSION, np.float32))

        assert watch.complaints == []
        assert set(found.ids) == set(range(IDS, IDS + CALM)).union(*alive)
        assert docs.count() == len(found)
        assert docs.stats()["background"]["index"]["last_error"] is None
    figures(f"{watch.looks} looks, {built[0]} indexes built by hand, plans {dict(watch.plans)}")
    walked = watch.plans.total() - watch.plans["scan"] - watch.plans["skip"]
    assert walked, "no search went through an index"
    with vecdb.connect(path, settings=vecdb.Settings(background=False)) as database:
        assert database.check().ok, database.check().problems
        assert database.collection("docs").count() == len(found)
        assert strays(path) == []


@pytest.mark.parametrize("how", ["close", "drop"])
def test_a_collection_that_is_closed_during_builds_ends_them(how: str, memory_path: Path, seed: int) -> None:
    """Threads that build meet the end of the database: UnavailableError, or NotFoundError of what was dropped."""
    path = memory_path / "library"
    rng = np.random.default_rng(seed)
    for turn in range(4):
        database = vecdb.connect(path, settings=SETTINGS)
        docs = database.create_collection(f"docs{turn}", _schema())
        with docs.bulk(rows_per_segment=100) as load:
            load.add(_rows(list(range(IDS)), rng))
        begun = threading.Event()
        errors: list[BaseException] = []

        def build(docs: Any = docs, begun: threading.Event = begun, errors: list[BaseException] = errors) -> None:
            try:
                docs.build_indexes(progress=lambda done, rows: begun.set())
                begun.set()
                while True:
                    docs.build_indexes()
            except BaseException as error:
                errors.append(error)  # noqa: B023
                begun.set()

        thread = threading.Thread(target=build)
        thread.start()
        begun.wait()
        if how == "close":
            database.close()
        else:
            database.drop_collection(f"docs{turn}")
        thread.join()
        database.close()

        (error,) = errors
        assert isinstance(error, UnavailableError) or (how == "drop" and isinstance(error, NotFoundError)), error
        with vecdb.connect(path, settings=vecdb.Settings(background=False)) as again:
            assert strays(path) == []
            assert again.check().ok
            kept = again.collections()
            assert (f"docs{turn}" in kept) == (how == "close")
            if how == "close":
                assert again.collection(f"docs{turn}").count() == IDS
        if how == "drop":
            assert list((path / "collections").iterdir()) == []
