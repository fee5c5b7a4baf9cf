"""Background workers: woken work is done, a failure is kept and told, closing waits for the run in progress."""

import threading
from collections.abc import Callable

import pytest

from vecdb.storage.background import Worker


class Work:
    """Counts its runs and does what the test says."""

    def __init__(self) -> None:
        self.runs = 0
        self.again = 0
        self.begun = threading.Event()
        self.during: Callable[[], None] = lambda: None

    def __call__(self) -> bool:
        self.runs += 1
        self.begun.set()
        self.during()
        self.again -= 1
        return self.again > 0


@pytest.fixture
def work() -> Work:
    return Work()


def test_no_thread_starts_before_there_is_work(work: Work) -> None:
    before = threading.active_count()
    worker = Worker("w", work)

    assert threading.active_count() == before
    assert worker.statistics().state == "idle"
    worker.close()
    assert work.runs == 0


def test_waiting_returns_when_the_condition_holds(work: Work) -> None:
    worker = Worker("w", work)

    worker.wait(lambda: work.runs >= 1)

    worker.close()
    assert worker.statistics().runs == 1
    assert worker.statistics().last_error is None


def test_work_goes_on_while_it_says_that_there_is_more(work: Work) -> None:
    work.again = 5
    worker = Worker("w", work)

    worker.wait(lambda: work.runs >= 5)

    worker.close()
    assert work.runs == 5


def test_a_wake_during_a_run_leads_to_another_run(work: Work) -> None:
    go_on = threading.Event()

    def during() -> None:
        go_on.wait()

    work.during = during
    worker = Worker("w", work)
    worker.wake()
    work.begun.wait()
    assert worker.statistics().state == "running"

    worker.wake()
    go_on.set()
    worker.wait(lambda: work.runs >= 2)

    worker.close()
    assert work.runs >= 2


def test_a_failure_reaches_who_waits_and_is_told_until_a_run_succeeds(work: Work) -> None:
    def fail() -> None:
        work.during = lambda: None
        raise OSError("no luck")

    work.during = fail
    worker = Worker("w", work)

    with pytest.raises(OSError, match="no luck"):
        worker.wait(lambda: False)

    found = worker.statistics()
    assert (found.failures, found.last_error) == (1, "OSError: no luck")
    worker.wait(lambda: work.runs >= 2)
    worker.close()
    assert worker.statistics().last_error is None
    assert worker.statistics().failures == 1


def test_closing_waits_for_the_run_in_progress_and_stops(work: Work) -> None:
    go_on = threading.Event()
    finished: list[bool] = []
    work.again = 1000
    work.during = lambda: finished.append(go_on.wait())
    worker = Worker("w", work)
    worker.wake()
    work.begun.wait()

    closer = threading.Thread(target=worker.close)
    closer.start()
    while worker.statistics().state != "closed":
        threading.Event().wait(0.001)
    go_on.set()
    closer.join()

    assert finished == [True]
    worker.wake()
    worker.close()
    assert work.runs == 1


def test_nobody_waits_for_a_closed_worker(work: Work) -> None:
    worker = Worker("w", work)
    worker.close()

    worker.wait(lambda: False)

    assert work.runs == 0
