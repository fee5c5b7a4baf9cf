"""Settings of a database: frozen, validated once, with the defaults that most users should keep."""

import os
from dataclasses import dataclass
from typing import Literal

from vecdb.errors import InvalidInputError
from vecdb_index.budget import Budget

MIB = 1 << 20

Durability = Literal["sync", "none"]
Verify = Literal["first_use", "open", "never"]

_CHOICES = {
    "durability": ("sync", "none"),
    "verify": ("first_use", "open", "never"),
    "background": (True, False),
    "indexing": (True, False),
}
_WHOLE = {
    "memtable_bytes": 1024,
    "segment_bytes": 1024,
    "retain_versions": 1,
    "merge_fan_in": 2,
    "free_bytes": 0,
    "request_ids": 1,
}
_NUMBERS = ("retain_days", "refresh_interval")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a database behaves; nothing here changes what is stored.

    Attributes:
        durability: "sync" acknowledges a write after fdatasync: it survives a power cut. "none" leaves the
            moment to the operating system and may lose the last seconds on power loss; every ack says so.
        memtable_bytes: rows are held in memory and in the log up to this size, then flushed to a segment.
        segment_bytes: a bulk load or a merge closes a segment at this size. Fewer and larger ones are searched faster,
            and take more memory when their indexes are built. A byte of a column other than vectors counts four times:
            it is held in memory until the segment closes.
        retain_versions: how many versions `at()` can reach, tagged ones aside.
        retain_days: versions older than this are dropped even when fewer than retain_versions remain.
        threads: threads for one search; None takes the cores that this process may use.
        background: flush, merge and build indexes on background threads; False leaves it to `flush()`, `compact()` and
            `build_indexes()`.
        indexing: False leaves building indexes to `build_indexes()`, also when `background` is on.
        refresh_interval: seconds after which a read-only database looks for new data before a read; 0 looks always.
        verify: when checksums of segment files are compared: at the first use of each file by this process,
            all of them at open, or never (sizes are always compared).
        merge_fan_in: how many segments of similar size are merged into one.
        request_ids: how many request ids of writes are remembered, the latest ones, for 24 hours; each takes about 300
            bytes of memory, and 64 in a file that is written at each flush.
        free_bytes: upserts are refused while the file system has less room than this; deletes and reads go on.

    """

    durability: Durability = "sync"
    memtable_bytes: int = 64 * MIB
    segment_bytes: int = 2048 * MIB
    retain_versions: int = 10
    retain_days: float = 7.0
    threads: int | None = None
    background: bool = True
    indexing: bool = True
    refresh_interval: float = 1.0
    verify: Verify = "first_use"
    merge_fan_in: int = 4
    free_bytes: int = 64 * MIB
    request_ids: int = 100_000

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if not any(type(value := getattr(self, name)) is type(one) and value == one for one in choices):
                self._refuse(name, f"one of {', '.join(map(repr, choices))}")
        least = dict(_WHOLE) if self.threads is None else {**_WHOLE, "threads": 1}
        for name, smallest in least.items():
            value = getattr(self, name)
            if type(value) is not int or value < smallest:
                self._refuse(name, f"a whole number of at least {smallest}")
        for name in _NUMBERS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                self._refuse(name, "a number of at least 0")

    def _refuse(self, name: str, expected: str) -> None:
        value = getattr(self, name)
        raise InvalidInputError(f"setting {name} is {value!r:.200}, expected {expected}", field=name, value=value)

    @property
    def thread_count(self) -> int:
        """Threads for one search: the setting, or the cores that this process may use."""
        if self.threads is not None:
            return self.threads
        available = getattr(os, "sched_getaffinity", None)
        return len(available(0)) if available else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may take, as `Collection.within` has it.

    Attributes:
        seconds: after so many a call ends with DeadlineExceededError; it is looked at between segments and slices, so
            within about a tenth of a second.
        memory_bytes: a call that would hold more for its rows, scores and masks ends with BudgetExceededError. What
            is counted are arrays that grow with rows; the mapped files and what the engine remembers are not.

    """

    seconds: float | None = None
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, kinds in (("seconds", (int, float)), ("memory_bytes", (int,))):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, kinds) or not value >= 0):
                expected = "a number of at least 0, or None"
                raise InvalidInputError(f"limit {name} is {value!r}, expected {expected}", field=name, value=value)

    def begin(self) -> Budget:
        """Return the budget of a call that begins now."""
        return Budget(self.seconds, self.memory_bytes)


def limits_of(given: Limits | Budget) -> Limits | Budget:
    """Return what calls may take, as a caller passed it.

    Raises:
        InvalidInputError: it is neither.

    """
    if not isinstance(given, Limits | Budget):
        raise InvalidInputError(f"limits is {given!r:.200}, expected vecdb.Limits", field="limits", value=given)
    return given
