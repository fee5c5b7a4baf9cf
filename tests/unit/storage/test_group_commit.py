"""Group commit: every write is committed once, a failure reaches all who wait, an interrupt loses nobody."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import vecdb
from vecdb.storage.group_commit import GroupCommit, Stale, Write

SCHEMA = vecdb.Schema(id=vecdb.Id())


def a_write(number: int = 0, **options: Any) -> Write:
    return Write(1, SCHEMA, b"", [number], **options)


class Log:
    """Stands for the engine: numbers the writes of each group, and does what the test says."""

    def __init__(self) -> None:
        self.groups: list[list[Write]] = []
        self.busy = threading.Lock()
        self.before: Callable[[list[Write]], None] = lambda group: None
        self.mutex = threading.RLock()
        self.commits = GroupCommit(self.mutex, self._commit)

    @property
    def committed(self) -> list[Any]:
        return [write.ids[0] for group in self.groups for write in group]

    def _commit(self, group: list[Write]) -> None:
        assert self.busy.acquire(blocking=False), "two groups are committed at a time"
        try:
            self.before(group)
            self.groups.append(group)
            for write in group:
                write.lsn = len(self.committed)
        finally:
            self.busy.release()

    def in_thread(self, write: Write) -> "Waiter":
        return Waiter(self, write)

    def queued(self, count: int) -> None:
        """Return once so many writes wait in the queue."""
        while len(self.commits._queue) < count:
            threading.Event().wait(0.001)


def held_until(event: threading.Event) -> Callable[[list[Write]], None]:
    """Return what makes a commit wait for an event."""

    def wait(group: list[Write]) -> None:
        event.wait()

    return wait


class Waiter:
    """A thread that submits one write, and what came of it."""

    def __init__(self, log: Log, write: Write) -> None:
        self.write = write
        self.error: BaseException | None = None
        self._log = log
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._log.commits.submit(self.write)
        except BaseException as error:
            self.error = error

    def join(self) -> "Waiter":
        self._thread.join(30)
        assert not self._thread.is_alive(), "a writer waits for ever"
        return self


def test_a_lone_write_is_committed_by_its_own_thread() -> None:
    log = Log()
    threads: list[int] = []
    log.before = lambda group: threads.append(threading.get_ident())

    write = log.commits.submit(a_write(1))

    assert write.lsn == 1
    assert threads == [threading.get_ident()]


def test_writes_that_wait_are_committed_as_one_group() -> None:
    log = Log()
    with log.mutex:
        first = log.in_thread(a_write(0))
        log.queued(1)
        rest = [log.in_thread(a_write(number)) for number in range(1, 6)]
        log.queued(6)

    for waiter in [first, *rest]:
        assert waiter.join().error is None
    assert [len(group) for group in log.groups] == [6]


def test_many_threads_commit_every_write_once_and_in_their_own_order() -> None:
    log, threads, turns = Log(), 16, 200
    lsns: list[list[int]] = [[] for _ in range(threads)]

    def work(thread: int) -> None:
        for turn in range(turns):
            lsns[thread].append(log.commits.submit(a_write(thread * turns + turn)).lsn)

    started = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()

    assert sorted(log.committed) == list(range(threads * turns))
    assert sorted(lsn for own in lsns for lsn in own) != []
    assert all(own == sorted(own) for own in lsns), "a thread's later write has a later place"
    assert not log.commits._led
    assert log.commits._queue == []


def test_a_failing_commit_reaches_every_waiter_and_the_next_group_goes_on() -> None:
    log = Log()
    failure = OSError("the disk is gone")

    def fail(group: list[Write]) -> None:
        log.before = lambda group: None
        raise failure

    log.before = fail
    with log.mutex:
        first = log.in_thread(a_write(0))
        log.queued(1)
        rest = [log.in_thread(a_write(number)) for number in range(1, 5)]
        log.queued(5)

    assert [waiter.join().error for waiter in [first, *rest]] == [failure] * 5
    assert log.committed == []
    assert log.commits.submit(a_write(9)).lsn == 1


def test_a_write_refused_by_the_commit_fails_alone() -> None:
    log = Log()

    def refuse_odd(group: list[Write]) -> None:
        for write in group:
            if write.ids[0] in (1, 3):
                write.error = Stale()

    log.before = refuse_odd
    with log.mutex:
        waiters = [log.in_thread(a_write(0))]
        log.queued(1)
        waiters += [log.in_thread(a_write(number)) for number in range(1, 4)]
        log.queued(4)

    errors = [waiter.join().error for waiter in waiters]
    assert [isinstance(error, Stale) for error in errors] == [False, True, False, True]


def test_a_write_that_was_refused_keeps_its_own_error_when_the_group_fails() -> None:
    log = Log()

    def refuse_and_fail(group: list[Write]) -> None:
        group[0].error = Stale()
        raise OSError("the disk is gone")

    log.before = refuse_and_fail

    with pytest.raises(Stale):
        log.commits.submit(a_write(0))


def test_an_interrupt_of_the_leader_ends_the_leader_and_fails_its_group() -> None:
    log = Log()
    ready = threading.Event()

    def interrupt(group: list[Write]) -> None:
        log.before = lambda group: None
        ready.wait()
        raise KeyboardInterrupt

    log.before = interrupt
    leader = log.in_thread(a_write(0))
    log_busy_until(log)
    follower = log.in_thread(a_write(1))
    log.queued(1)
    ready.set()

    assert isinstance(leader.join().error, KeyboardInterrupt)
    assert follower.join().error is None
    assert log.committed == [1]


class InterruptedMutex:
    """A mutex that the first thread which waits for it does not get, because it is interrupted."""

    def __init__(self) -> None:
        self._interrupted = False

    def __enter__(self) -> None:
        if not self._interrupted:
            self._interrupted = True
            raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        pass


def test_a_leader_interrupted_while_it_waits_for_the_mutex_is_never_committed_and_leaves_the_lead() -> None:
    committed: list[Write] = []
    mutex: Any = InterruptedMutex()
    commits = GroupCommit(mutex, committed.extend)
    interrupted, behind = a_write(0), a_write(1)

    with pytest.raises(KeyboardInterrupt):
        commits.submit(interrupted)
    later = threading.Thread(target=commits.submit, args=(behind,), daemon=True)
    later.start()
    later.join(60)

    assert not later.is_alive()
    assert committed == [behind]


class InterruptedGate:
    """A lock whose second acquire, the wait, is interrupted once `when` is set."""

    def __init__(self, when: threading.Event) -> None:
        self._lock = threading.Lock()
        self._when = when
        self._acquired = 0

    def acquire(self) -> bool:
        self._acquired += 1
        if self._acquired == 2:
            self._when.wait()
            raise KeyboardInterrupt
        return self._lock.acquire()

    def release(self) -> None:
        self._lock.release()


def log_busy_until(log: Log) -> None:
    """Return once a leader is committing."""
    while not log.busy.locked():
        threading.Event().wait(0.001)


def test_a_follower_interrupted_while_queued_is_never_committed() -> None:
    log = Log()
    go_on, now = threading.Event(), threading.Event()
    log.before = held_until(go_on)
    leader = log.in_thread(a_write(0))
    log_busy_until(log)
    interrupted = log.in_thread(a_write(1, gate=InterruptedGate(now)))
    log.queued(1)
    other = log.in_thread(a_write(2))
    log.queued(2)

    now.set()
    interrupted.join()
    go_on.set()

    assert isinstance(interrupted.error, KeyboardInterrupt)
    assert leader.join().error is None
    assert other.join().error is None
    assert log.committed == [0, 2]


def test_a_follower_interrupted_after_the_lead_was_handed_to_it_leads_all_the_same() -> None:
    log = Log()
    go_on, now = threading.Event(), threading.Event()
    log.before = held_until(go_on)
    leader = log.in_thread(a_write(0))
    log_busy_until(log)
    interrupted = log.in_thread(a_write(1, gate=InterruptedGate(now)))
    log.queued(1)
    other = log.in_thread(a_write(2))
    log.queued(2)

    go_on.set()
    leader.join()
    now.set()  # the lead is handed over by now: the leader has returned

    assert isinstance(interrupted.join().error, KeyboardInterrupt)
    assert other.join().error is None
    assert log.committed == [0, 1, 2]
    assert log.commits.submit(a_write(3)).lsn == 4


def test_a_follower_interrupted_while_its_group_is_committed_leaves_the_others_alone() -> None:
    log = Log()
    go_on, now = threading.Event(), threading.Event()
    with log.mutex:
        leader = log.in_thread(a_write(0))
        log.queued(1)
        interrupted = log.in_thread(a_write(1, gate=InterruptedGate(now)))
        log.queued(2)
        log.before = held_until(go_on)
    log_busy_until(log)
    now.set()
    interrupted.join()
    go_on.set()

    assert isinstance(interrupted.error, KeyboardInterrupt)
    assert leader.join().error is None
    assert log.commits.submit(a_write(2)).lsn == 3


def test_a_follower_interrupted_after_its_commit_wakes_who_stands_behind_it() -> None:
    log = Log()
    now = threading.Event()
    with log.mutex:
        leader = log.in_thread(a_write(0))
        log.queued(1)
        interrupted = log.in_thread(a_write(1, gate=InterruptedGate(now)))
        log.queued(2)
        other = log.in_thread(a_write(2))
        log.queued(3)
    leader.join()
    now.set()

    assert isinstance(interrupted.join().error, KeyboardInterrupt)
    assert other.join().error is None
    assert log.committed == [0, 1, 2]


def test_a_follower_that_left_during_the_commit_is_passed_over() -> None:
    log = Log()
    go_on, now = threading.Event(), threading.Event()
    with log.mutex:
        leader = log.in_thread(a_write(0))
        log.queued(1)
        interrupted = log.in_thread(a_write(1, gate=InterruptedGate(now)))
        log.queued(2)
        other = log.in_thread(a_write(2))
        log.queued(3)
        log.before = held_until(go_on)
    log_busy_until(log)
    now.set()
    interrupted.join()
    go_on.set()

    assert leader.join().error is None
    assert other.join().error is None
