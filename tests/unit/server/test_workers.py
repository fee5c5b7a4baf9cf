"""The threads of the server: few while requests are quick, more when some take long, and few again."""

import threading
from collections.abc import Iterator

import pytest

from vecdb_server.workers import Workers


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(2, 6)
    yield made
    made.shutdown()


def test_a_result_and_an_error_come_back(workers: Workers) -> None:
    def fail() -> None:
        raise ValueError("no")

    assert workers.submit(lambda x, y: x + y, 1, y=2).result() == 3
    with pytest.raises(ValueError, match="no"):
        workers.submit(fail).result()


def test_quick_requests_share_the_first_threads(workers: Workers) -> None:
    for _ in range(200):
        workers.submit(int).result()

    assert workers.threads == 2


def test_requests_that_wait_do_not_keep_others_waiting(workers: Workers) -> None:
    go_on = threading.Event()
    slow = [workers.submit(go_on.wait) for _ in range(4)]

    assert workers.submit(lambda: "quick").result() == "quick"

    go_on.set()
    assert all(one.result() for one in slow)


def test_there_are_never_more_threads_than_allowed(workers: Workers) -> None:
    go_on, running = threading.Event(), threading.Semaphore(0)

    def wait() -> None:
        running.release()
        go_on.wait()

    slow = [workers.submit(wait) for _ in range(9)]
    for _ in range(6):
        running.acquire()
    assert workers.threads == 6

    go_on.set()
    for one in slow:
        one.result()


def test_threads_that_were_added_end_when_what_took_long_has_ended(workers: Workers) -> None:
    go_on = threading.Event()
    slow = [workers.submit(go_on.wait) for _ in range(5)]
    assert workers.submit(int).result() == 0
    go_on.set()
    for one in slow:
        one.result()

    while workers.threads > 2:
        workers.submit(int).result()

    assert workers.threads == 2


def test_what_was_submitted_before_the_end_is_done_and_nothing_after_it() -> None:
    workers = Workers(1, 1)
    results = [workers.submit(int, str(n)) for n in range(20)]

    workers.shutdown()

    assert [one.result() for one in results] == list(range(20))
    with pytest.raises(RuntimeError):
        workers.submit(int)
