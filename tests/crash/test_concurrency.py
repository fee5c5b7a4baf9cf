"""Writers, readers, flushes and merges at the same time, in threads, and a reader process beside them.

Each writer owns groups of rows and always writes a group as one batch with one stamp, so any reader can tell a torn
batch: a group whose rows differ. Deleted groups must stay gone, stamps must never go back, and a snapshot must not
move. How much each thread does is counted, not timed.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.figures import Figures
from support.groups import GROUPS, SIZE, batch, group_schema, ids_of, look
from support.supervisor import environment

WRITERS = 3
SETTINGS = vecdb.Settings(memtable_bytes=40_000, segment_bytes=100_000, retain_versions=2, merge_fan_in=3)


class Crew:
    """Threads whose first complaint ends all of them."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.done = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                self.complain(f"{type(error).__name__}: {error}")

        self._threads.append(threading.Thread(target=guarded))
        self._threads[-1].start()

    def complain(self, text: str) -> None:
        self.complaints.append(text)
        self.done.set()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


class Register:
    """What each group holds for certain: the stamp of the last finished write, and whether one is under way."""

    def __init__(self) -> None:
        self.finished = np.zeros((WRITERS, GROUPS), np.int64)
        self.begun = np.zeros((WRITERS, GROUPS), np.int64)


def _write(collection: Any, register: Register, writer: int, turns: int, rng: np.random.Generator) -> None:
    """Write or delete one group at a time; even stamps are writes, odd ones deletes."""
    for turn in range(1, turns + 1):
        group = int(rng.integers(GROUPS))
        delete = rng.random() < 0.25
        stamp = 2 * turn + delete
        register.begun[writer, group] = stamp
        if delete:
            collection.delete(ids_of(writer, group))
        else:
            collection.upsert(batch(writer, group, stamp))
        register.finished[writer, group] = stamp


def _read(collection: Any, register: Register, crew: Crew, counts: list[int]) -> None:
    while not crew.done.is_set():
        least = register.finished.copy()
        with collection.snapshot() as snapshot:
            most = register.begun.copy()
            seen, torn = look(snapshot)
            again, _ = look(snapshot)
        for text in torn:
            crew.complain(text)
        if seen != again:
            crew.complain("a snapshot changed between two reads")
        for writer in range(WRITERS):
            for group in range(GROUPS):
                stamp = seen.get((writer, group), -1)
                low, high = least[writer, group], most[writer, group]
                # Nothing there is right if nothing was ever written or a delete falls into the interval.
                absent_is_right = low == 0 or low % 2 or (high > low and _a_delete_is_possible(low, high))
                if stamp == -1 and not absent_is_right:
                    crew.complain(f"group {writer}/{group} is missing, write {low} was finished")
                if stamp != -1 and not low - low % 2 <= stamp <= high:
                    crew.complain(f"group {writer}/{group} shows write {stamp}, finished {low}, begun {high}")
                if stamp != -1 and low % 2 and stamp < low:
                    crew.complain(f"group {writer}/{group} shows write {stamp} again, deleted by {low}")
        counts[0] += 1


def _a_delete_is_possible(low: int, high: int) -> bool:
    return high % 2 == 1 or high > low + 2


def _maintain(collection: Any, crew: Crew, counts: list[int]) -> None:
    while not crew.done.is_set():
        collection.flush()
        collection.compact()
        counts[0] += 1


@pytest.mark.parametrize(
    "turns",
    [pytest.param(300, id="300-writes"), pytest.param(3000, id="3000-writes", marks=pytest.mark.slow)],
)
def test_readers_never_see_half_a_batch_or_a_deleted_row(
    turns: int, memory_path: Path, seed: int, figures: Figures
) -> None:
    path = memory_path / "library"
    crew, register = Crew(), Register()
    looks, merges = [0], [0]
    with vecdb.connect(path, settings=SETTINGS) as database:
        collection = database.create_collection("groups", group_schema())
        # The first write loads modules, for which it would wait long once the threads below are busy.
        collection.upsert(batch(WRITERS, 0, 0))
        collection.delete(ids_of(WRITERS, 0))
        reader = subprocess.Popen(
            [sys.executable, "-m", "support.groups", str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip
        assert reader.stdout is not None
        assert reader.stdout.readline() == "watching\n"
        for _ in range(2):
            crew.start(lambda: _read(collection, register, crew, looks))
        crew.start(lambda: _maintain(collection, crew, merges))
        writing = Crew()
        for writer in range(WRITERS):
            rng = np.random.default_rng([seed, writer])
            writing.start(lambda writer=writer, rng=rng: _write(collection, register, writer, turns, rng))
        writing.join()
        crew.done.set()
        crew.join()
        collection.flush()
        report, errors = reader.communicate("stop\n")
        final, torn = look(collection)

    expected = {
        (writer, group): int(register.finished[writer, group])
        for writer in range(WRITERS)
        for group in range(GROUPS)
        if register.finished[writer, group] and register.finished[writer, group] % 2 == 0
    }
    assert crew.complaints + writing.complaints + torn == []
    assert final == expected
    assert reader.returncode == 0, errors
    beside = json.loads(report)
    assert beside["complaints"] == []
    assert beside["looks"] > 0
    figures(
        f"{WRITERS} x {turns} batches of {SIZE} rows, {looks[0]} snapshots in two threads, {merges[0]} merges, "
        f"{beside['looks']} looks from another process ({beside['moved']} moved on): 0 torn, 0 back"
    )
    with vecdb.connect(path) as database:
        assert database.check().ok
        assert look(database.collection("groups"))[0] == expected
