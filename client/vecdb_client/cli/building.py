"""Building indexes in the foreground, with a bar: for commands after which nobody is there to do it in the background.

Rows are stored and durable before any of this begins; an index that is not finished is built another time.
"""

import shlex
import time
from typing import TYPE_CHECKING, Any

from vecdb_client.cli.errors import Stopped, note
from vecdb_client.cli.interrupts import Interrupts
from vecdb_client.cli.progress import LoadProgress
from vecdb_client.cli.target import Target

if TYPE_CHECKING:
    from vecdb.collection import Collection


def build_indexes(collection: "Collection", path: Target) -> None:
    """Build what indexes are missing; say on stderr what was built.

    Raises:
        Stopped: the user interrupted; what was finished stays.

    """
    begun = time.monotonic()
    stopping = "stopping at the next rows of the index"
    with Interrupts(stopping) as interrupts, LoadProgress(f"{collection.name}: index") as bar:
        watch = _Watch(collection, bar, interrupts)
        try:
            built = collection.build_indexes(watch)
        except Stopped:
            raise Stopped(
                f"{collection.name}: all rows are in; their index is built later, by `{command(collection, path)}` "
                "or beside the next program that writes"
            ) from None
    if built:
        note(f"{collection.name}: {watch.rows():,} rows indexed in {time.monotonic() - begun:.1f} s")


def say_what_is_missing(collection: "Collection", path: Target) -> None:
    """Tell on stderr how many rows have no index yet, if any that should have one."""
    rows = pending_rows(collection)
    if rows:
        note(f"{collection.name}: {rows:,} rows have no index yet: `{command(collection, path)}` builds it")


def pending_rows(collection: "Collection", field: str | None = None) -> int:
    """Return how many rows wait for an index of one field, or of all fields together."""
    told = collection.stats()["indexes"]
    return sum(entry["pending_rows"] for name, entry in told.items() if field in (None, name))


def command(collection: "Collection", path: Target) -> str:
    """Return the command that builds what is missing."""
    return shlex.join(["vecdb", "index", str(path), collection.name])


class _Watch:
    """What is called while indexes are built, one after the other: moves the bar and obeys Ctrl-C."""

    def __init__(self, collection: "Collection", bar: LoadProgress, interrupts: Interrupts) -> None:
        self._collection = collection
        self._bar = bar
        self._interrupts = interrupts
        self._begun = time.monotonic()
        self._total = self._left = self._at_hand = 0

    def __call__(self, done: int, work: int) -> None:
        """Hear how much of the index at hand is done; of a new one first that nothing is, and its rows."""
        if self._interrupts.requested:
            raise Stopped
        if done == 0:
            left = pending_rows(self._collection)
            self._total = self._total or left  # merges that were due are over by the first call
            if left != self._left:
                self._left, self._at_hand = left, work
        # Deleted rows are built too, and are not among those that wait.
        rows = min(self._total, self._total - self._left + self._at_hand * done // max(work, 1))
        self._bar.update(rows, time.monotonic() - self._begun, rows / max(self._total, 1))

    def rows(self) -> int:
        """Return how many rows have been indexed."""
        return self._total - pending_rows(self._collection)


def shown(entry: dict[str, Any]) -> str:
    """Return in a line how the rows of a field are searched, as `Collection.stats` tells it."""
    return ", ".join(f"{kind} {rows:,}" for kind, rows in entry["rows"].items()) or "no rows"


def index_line(entry: dict[str, Any]) -> str:
    """Return in a line what `Collection.stats` tells of a field's index."""
    parts = [f"{entry['index']}: {shown(entry)}"]
    parts += [f"{entry['pending_rows']:,} rows wait for an index"] if entry["pending_rows"] else []
    parts += [f"{entry['bytes']:,} bytes"] if entry["bytes"] else []
    return "; ".join([*parts, *entry["problems"]])
