"""A scan cut into slices, and the threads that work on them.

Python sees Ctrl-C, and another thread gets the GIL, only between two calls of a kernel. So one call takes a
slice of at most 8 MB, which even a cold disk delivers within 0.1 s.
"""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vecdb_index.budget import Budget

# The most that one call of a kernel reads, and computes (bytes read, times queries).
SLICE_BYTES = 8 << 20
SLICE_ROWS = 1 << 15
SLICE_WORK = 256 << 20
# To wake a helper thread takes about as long as reading this many bytes.
HELPER_BYTES = 1 << 20
# Rows between two reports of progress.
REPORT = 1 << 16

Slice = tuple[int, int]
Progress = Callable[[int, int], None]
Done = TypeVar("Done")


class LimitedPool(ThreadPoolExecutor):
    """The threads of another pool, lent to one call; `shared` asks its budget before each slice."""

    def __init__(self, pool: ThreadPoolExecutor | None, budget: Budget) -> None:
        """Start no thread: all of them are the pool's. None: the calling thread works alone."""
        self._lender = pool
        self._max_workers = 1 if pool is None else pool._max_workers
        self.budget = budget

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a thread of the pool do it."""
        if self._lender is None:
            raise RuntimeError("there is no pool to lend threads")
        return self._lender.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the threads to their owner."""


def slices(count: int, row_bytes: int, queries: int = 1) -> list[Slice]:
    """Cut `count` rows into (first, last + 1), one for each call of a kernel."""
    step = max(1, min(SLICE_ROWS, SLICE_BYTES // row_bytes, SLICE_WORK // (row_bytes * queries)))
    return [(first, min(first + step, count)) for first in range(0, count, step)]


def slices_of(first: int, last: int, step: int) -> list[Slice]:
    """Cut first to last into slices of step."""
    return [(start, min(start + step, last)) for start in range(first, last, step)]


def shared(
    work: Callable[[Iterator[Slice]], Done], todo: list[Slice], size: int, pool: ThreadPoolExecutor | None
) -> list[Done]:
    """Let the calling thread and helpers from the pool take slices until none is left.

    The calling thread never waits for a helper to start: it works alone when the pool is busy, also with the
    very call that it belongs to. When it is interrupted, the helpers stop after their slice, and only then
    does this return.

    Args:
        work: takes slices from its iterator; called once in each thread.
        todo: all slices.
        size: bytes to read, times queries.
        pool: where helpers come from; None: the calling thread works alone. A `LimitedPool` is asked before each
            slice whether the call may go on.

    Returns:
        What each call of work returned.

    """
    queue = deque(todo)
    budget = pool.budget if isinstance(pool, LimitedPool) else None

    def taken() -> Iterator[Slice]:
        while True:
            if budget is not None:
                budget.check("a scan")
            try:
                yield queue.popleft()
            except IndexError:
                return

    if pool is None or len(todo) < 2:  # a helper would find nothing left
        return [work(taken())]
    # The executor has no public word for its size.
    helpers = min(pool._max_workers - 1, len(todo) - 1, size // HELPER_BYTES)
    futures = []
    with contextlib.suppress(RuntimeError):  # a pool that was shut down: the calling thread works alone
        for _ in range(helpers):
            futures.append(pool.submit(work, taken()))
    try:
        done = [work(taken())]
    finally:
        # The caller may unmap the matrix as soon as this returns.
        queue.clear()
        started = [future for future in futures if not future.cancel()]
        wait(started)
    return done + [future.result() for future in started]


def reported(
    work: Callable[[Iterator[Slice]], object],
    count: int,
    row_bytes: int,
    pool: ThreadPoolExecutor | None,
    progress: Progress | None,
) -> None:
    """Let threads take slices of `count` rows as `shared` does, and report (rows done, rows) now and then.

    progress is called by the calling thread, and may raise to stop.
    """
    for first in range(0, count, REPORT):
        last = min(first + REPORT, count)
        todo = [(first + start, first + stop) for start, stop in slices(last - first, row_bytes)]
        shared(work, todo, (last - first) * row_bytes, pool)
        if progress is not None:
            progress(last, count)


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return zeros that start at a cache line: a vector then never lies across two."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size].view(dtype).reshape(shape)
