"""Starts a child, keeps what it says on this side of the crash, and kills it.

Children are forked from a process that has imported the engine and opened nothing: importing it takes longer than
most of what they do.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path

import vecdb
from support.audit import observe_database
from support.child import Job, begin, run
from support.ledger import Ledger
from support.rows import ANCHOR, Observation, schema
from support.workload import COLLECTION

ROOT = Path(__file__).resolve().parents[2]
_FOLDERS = (".", "index", "proto", "server", "client", "tests")
_FORKS = multiprocessing.get_context("forkserver")
# What a child would import otherwise, each anew, at its first write, flush, filter or backup: longer than it works.
_FORKS.set_forkserver_preload(
    [
        "pandas",
        "pyarrow.pandas_compat",
        "support.controls",
        "support.session",
        "vecdb.bulk",
        "vecdb.database",
        "vecdb.filters.grammar",
        "vecdb.link_writes",
        "vecdb.planner.run",
        "vecdb.planner.scan",
        "vecdb.schema.columns",
        "vecdb.schema.from_arrow",
        "vecdb.schema.from_python",
        "vecdb.schema.ingest",
        "vecdb.schema.one_row",
        "vecdb.storage.backup",
        "vecdb.storage.check",
        "vecdb.storage.compaction",
        "vecdb.storage.history",
        "vecdb.storage.indexing",
        "vecdb.storage.statistics",
        "vecdb.storage.writer",
        "vecdb.storage.writes",
        "vecdb_index.factory",
    ]
)
_STATUS = threading.Lock()
"""Held by who may read a child's exit status: starting one reads that of all that have ended, and a status is there to
be read once, so that of two threads one would get 255."""

# Small enough that flushes, merges and retention happen all the time.
SETTINGS = {
    "memtable_bytes": 24_000, "segment_bytes": 64_000, "retain_versions": 3, "merge_fan_in": 3, "free_bytes": 0,
}  # fmt: skip


def prepare(path: Path) -> Observation:
    """Create the database that children work on, and return what it holds."""
    with vecdb.connect(path) as database:
        database.create_collection(COLLECTION, schema()).upsert({"id": ANCHOR, "writer": -1})
        return observe_database(database)


def environment() -> dict[str, str]:
    """Return the environment in which a child imports the same packages as this process."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in _FOLDERS)}


class Fork:
    """A running child, which does what a function does with some texts; `lines` are what it writes, as it does."""

    def __init__(self, work: Callable[..., None], *arguments: str, errors: Path) -> None:
        self._errors = errors
        said, says = _FORKS.Pipe(duplex=False)
        self.process = _FORKS.Process(target=begin, args=(work, arguments, says, str(errors)))
        with _STATUS:
            self.process.start()
        says.close()
        self.lines = _lines_of(said)

    def kill(self) -> None:
        """Send SIGKILL and wait for the end; what the child had said before can still be read."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for the end and return the exit status, negative for a signal."""
        wait([self.process.sentinel])
        with _STATUS:
            self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode

    def errors(self) -> str:
        """Return what the child wrote to its standard error, at most the last 3,000 characters."""
        return self._errors.read_text(errors="replace")[-3000:]


def _lines_of(said: Connection) -> Iterator[str]:
    with open(said.fileno(), "rb", closefd=False) as lines, said:
        for raw in lines:
            yield raw.decode().rstrip("\n")


class Child(Fork):
    """A running child with a job. Its lines are noted in the ledger as they arrive; `heard(prefix)` waits for one."""

    def __init__(self, job: Job, ledger: Ledger, errors: Path) -> None:
        super().__init__(run, job.to_json(), errors=errors)
        self.ledger = ledger
        self._condition = threading.Condition()
        self._lines: list[str] = []
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.lines:
            with self._condition:
                self.ledger.note(line)
                self._lines.append(line)
                self._condition.notify_all()
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    def heard(self, prefix: str) -> bool:
        """Wait for a line that begins so; False when the child ended without saying it."""
        with self._condition:
            while not any(line.startswith(prefix) for line in self._lines):
                if self._ended:
                    return False
                self._condition.wait()
            return True

    def wait(self) -> int:
        """Wait for the end and for what was said before it, and return the exit status."""
        status = super().wait()
        self._reader.join()
        return status
