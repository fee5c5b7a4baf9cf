"""Lanes: what is slow keeps nobody waiting, and nothing is left behind."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from support.served import OWN_CHANNEL
from vecdb_server.lanes import Lanes, usable
from vecdb_server.workers import Workers

CALLS = 6
"""More calls than lanes."""
PATIENCE = 60
"""Seconds after which a call that hangs fails a test."""


class Methods:
    """One quick method that waits for an event when it is told to, and one that is not quick."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.entered = threading.Semaphore(0)
        self.cancelled = threading.Event()
        self.answered_by: list[str] = []

    def quick(self, data: bytes, context: Any) -> bytes:
        self.answered_by.append(threading.current_thread().name)
        if data == b"wait":
            context.add_callback(self.cancelled.set)
            self.entered.release()
            self.go_on.wait(PATIENCE)
        if data == b"fail":
            context.set_trailing_metadata((("why", "because"),))
            context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        if data == b"defect":
            raise ZeroDivisionError
        if data == b"context":
            assert context.is_active()
            return f"{context.peer()} {dict(context.invocation_metadata())['key']} {context.time_remaining()}".encode()
        return data

    def other(self, data: bytes, _: grpc.ServicerContext) -> bytes:
        self.answered_by.append(threading.current_thread().name)
        return data


class Served:
    """A server with lanes for one of its methods, and a channel to it."""

    def __init__(self, most: int = CALLS + 2) -> None:
        self.methods = Methods()
        self.workers = Workers(1, 8)
        self.server = grpc.server(cast(ThreadPoolExecutor, self.workers), maximum_concurrent_rpcs=most)
        handlers = {
            "quick": grpc.unary_unary_rpc_method_handler(self.methods.quick),
            "other": grpc.unary_unary_rpc_method_handler(self.methods.other),
        }
        self.server.add_registered_method_handlers("test", handlers)
        self.lanes = Lanes(self.server, ["/test/quick"], lambda _, handler: handler, 2)
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.lanes.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", OWN_CHANNEL)

    def method(self, name: str = "quick") -> Callable[..., Any]:
        return self.channel.unary_unary(f"/test/{name}")

    def close(self) -> None:
        self.channel.close()
        self.server.stop(None).wait()
        self.lanes.shutdown()
        self.workers.shutdown()


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.methods.go_on.set()
    made.close()


def test_this_version_of_grpc_is_usable() -> None:
    assert usable()


def test_a_quick_call_is_answered_in_a_lane_and_another_by_a_worker(served: Served) -> None:
    assert served.method()(b"a", timeout=PATIENCE) == b"a"
    assert served.method("other")(b"b", timeout=PATIENCE) == b"b"

    first, second = served.methods.answered_by
    assert first == "vecdb-lane"
    assert second == "vecdb-request"


def test_calls_that_take_long_keep_no_other_waiting_and_their_threads_go(served: Served) -> None:
    slow = [served.method().future(b"wait", timeout=PATIENCE) for _ in range(CALLS)]  # pyright: ignore[reportFunctionMemberAccess]
    for _ in slow:
        assert served.methods.entered.acquire(timeout=PATIENCE)

    assert served.method()(b"quick", timeout=PATIENCE) == b"quick"
    assert served.lanes.threads > CALLS

    served.methods.go_on.set()
    assert [one.result() for one in slow] == [b"wait"] * CALLS
    while served.lanes.threads > 2:  # a thread looks whether it is needed after each event
        served.method()(b"quick", timeout=PATIENCE)


def test_an_error_reaches_the_caller_and_the_lane_goes_on(served: Served) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        served.method()(b"fail", timeout=PATIENCE)

    error = cast(Any, failed.value)
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing")
    assert ("why", "because") in [tuple(one) for one in error.trailing_metadata()]
    assert served.method()(b"a", timeout=PATIENCE) == b"a"


def test_a_defect_is_told_as_unknown_and_the_lane_goes_on(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):  # each lane meets it
        with pytest.raises(grpc.RpcError) as failed:
            served.method()(b"defect", timeout=PATIENCE)
        assert cast(Any, failed.value).code() is grpc.StatusCode.UNKNOWN

    assert "ZeroDivisionError" in caplog.text
    assert served.method()(b"a", timeout=PATIENCE) == b"a"


def test_a_handler_sees_who_calls_and_what_time_is_left(served: Served) -> None:
    answer = served.method()(b"context", timeout=PATIENCE, metadata=(("key", "value"),)).decode()
    peer, value, seconds = answer.split()

    assert peer.startswith("ipv4:127.0.0.1:")
    assert value == "value"
    assert 0 < float(seconds) < 2 * PATIENCE


def test_calls_beyond_the_limit_are_refused_at_once(served: Served) -> None:
    slow = [served.method().future(b"wait", timeout=PATIENCE) for _ in range(CALLS + 2)]  # pyright: ignore[reportFunctionMemberAccess]
    for _ in slow:
        assert served.methods.entered.acquire(timeout=PATIENCE)

    with pytest.raises(grpc.RpcError) as failed:
        served.method()(b"a", timeout=PATIENCE)

    assert cast(Any, failed.value).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    served.methods.go_on.set()
    assert [one.result() for one in slow] == [b"wait"] * (CALLS + 2)
    assert served.method()(b"a", timeout=PATIENCE) == b"a"


def test_a_server_that_drains_lets_a_call_end(served: Served) -> None:
    slow = served.method().future(b"wait", timeout=PATIENCE)  # pyright: ignore[reportFunctionMemberAccess]
    assert served.methods.entered.acquire(timeout=PATIENCE)

    stopped = served.server.stop(PATIENCE)
    assert not stopped.is_set()
    served.methods.go_on.set()

    assert slow.result() == b"wait"
    assert stopped.wait(PATIENCE)


def test_a_call_without_its_message_is_refused(served: Served) -> None:
    call = served.channel.stream_unary("/test/quick")

    with pytest.raises(grpc.RpcError) as failed:
        call(iter(()), timeout=PATIENCE)

    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED  # pyright: ignore[reportAttributeAccessIssue]
    assert served.method()(b"a", timeout=PATIENCE) == b"a"


def test_a_call_that_is_cancelled_leaves_its_thread_free(served: Served) -> None:
    slow = served.method().future(b"wait", timeout=PATIENCE)  # pyright: ignore[reportFunctionMemberAccess]
    assert served.methods.entered.acquire(timeout=PATIENCE)

    slow.cancel()
    assert served.methods.cancelled.wait(PATIENCE)  # while the handler still runs
    served.methods.go_on.set()

    assert served.method()(b"a", timeout=PATIENCE) == b"a"


def test_threads_end_with_their_server() -> None:
    before = set(threading.enumerate())
    served = Served()
    served.method()(b"a", timeout=PATIENCE)

    served.close()

    left = [one for one in threading.enumerate() if one not in before and one.name.startswith("vecdb-lane")]
    for one in left:
        one.join(PATIENCE)
    assert not any(one.is_alive() for one in left)


def test_the_next_call_is_asked_for_under_the_lock_under_which_grpc_frees_a_stopped_server(served: Served) -> None:
    """A server that is freed between the core's look and the request ends the process."""
    state: Any = served.lanes._state
    free: list[bool] = []

    def try_lock() -> None:
        free.append(state.lock.acquire(blocking=False))
        if free[-1]:
            state.lock.release()

    def asked(*arguments: Any) -> None:
        thread = threading.Thread(target=try_lock)
        thread.start()
        thread.join()
        before.request_registered_call(*arguments)

    before, state.server = state.server, SimpleNamespace(request_registered_call=asked)
    try:
        assert served.method()(b"a", timeout=PATIENCE) == b"a"
        assert served.method()(b"b", timeout=PATIENCE) == b"b"  # the lane has asked by now, or does before it ends
        while not free:
            served.method()(b"c", timeout=PATIENCE)
    finally:
        state.server = before
    assert not any(free)
