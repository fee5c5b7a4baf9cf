"""Sharing a scan among threads: all slices once, no waiting for a busy pool, nothing runs on after an interrupt."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vecdb_index import slices
from vecdb_index.dense import flat
from vecdb_index.slices import HELPER_BYTES, SLICE_BYTES, Slice, shared


@pytest.mark.parametrize(("count", "row_bytes"), [(0, 4), (1, 4), (5, 3 * SLICE_BYTES), (100_000, 1536), (10**6, 1)])
@pytest.mark.parametrize("queries", [1, 8, 256])
def test_slices_cover_every_row_once_and_stay_small(count: int, row_bytes: int, queries: int) -> None:
    cut = slices.slices(count, row_bytes, queries)

    assert [row for first, last in cut for row in (first, last)] == sorted(row for part in cut for row in part)
    assert sum(last - first for first, last in cut) == count
    assert all(last - first == 1 or (last - first) * row_bytes <= SLICE_BYTES for first, last in cut)


def test_every_slice_is_worked_on_once() -> None:
    todo = [(i, i + 1) for i in range(200)]

    with ThreadPoolExecutor(4) as pool:
        done = shared(lambda taken: list(taken), todo, 200 * HELPER_BYTES, pool)

    assert sorted(one for part in done for one in part) == todo


def test_a_search_does_not_wait_for_a_busy_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_BYTES", 1 << 10)
    monkeypatch.setattr(slices, "HELPER_BYTES", 1)
    matrix = np.random.default_rng(0).standard_normal((500, 8), np.float32)
    release = threading.Event()

    with ThreadPoolExecutor(2) as pool:
        blockers = [pool.submit(release.wait) for _ in range(2)]
        found = flat.search(matrix, matrix[3], 2, "l2", pool=pool)
        release.set()

    assert found.rows[0] == 3
    assert all(blocker.done() for blocker in blockers)


def test_searches_inside_the_pool_that_they_share_all_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_BYTES", 1 << 10)
    monkeypatch.setattr(slices, "HELPER_BYTES", 1)
    matrix = np.random.default_rng(0).standard_normal((500, 8), np.float32)

    with ThreadPoolExecutor(2) as pool:
        searches = [pool.submit(flat.search, matrix, row, 1, "l2", pool=pool) for row in matrix[:50]]
        best = [int(search.result().rows[0]) for search in searches]

    assert best == list(range(50))


def test_an_interrupt_stops_the_helpers_before_it_reaches_the_caller() -> None:
    todo = [(i, i + 1) for i in range(1000)]
    caller, both = threading.current_thread(), threading.Barrier(2)
    running, taken_by_helper = set[int](), list[Slice]()

    def work(taken: Iterator[Slice]) -> None:
        me = threading.get_ident()
        running.add(me)
        try:
            both.wait()
            if threading.current_thread() is caller:
                raise KeyboardInterrupt
            interrupted.wait()
            taken_by_helper.extend(taken)
        finally:
            running.discard(me)

    interrupted = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        timer = threading.Timer(0.05, interrupted.set)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            shared(work, todo, 1000 * HELPER_BYTES, pool)
        assert running == set()
        timer.join()

    assert taken_by_helper == []


def test_an_error_in_a_helper_reaches_the_caller() -> None:
    caller, both = threading.current_thread(), threading.Barrier(2)

    def work(taken: Iterator[Slice]) -> None:
        both.wait()
        if threading.current_thread() is not caller:
            raise MemoryError("no room for a heap")

    with ThreadPoolExecutor(2) as pool, pytest.raises(MemoryError, match="no room for a heap"):
        shared(work, [(0, 1), (1, 2)], 10 * HELPER_BYTES, pool)
