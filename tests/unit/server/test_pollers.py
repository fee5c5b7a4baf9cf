"""The threads that poll and answer: what is slow keeps nobody waiting, and nothing is left behind."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import grpc
import pytest

from support.served import OWN_CHANNEL
from vecdb_server.pollers import Pollers, usable
from vecdb_server.workers import Workers

CALLS = 6
"""More calls than threads that poll at first."""
PATIENCE = 60
"""Seconds after which a call that hangs fails a test."""


class Methods(grpc.GenericRpcHandler):
    """One quick method that waits for an event when it is told to, and one that is not quick."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.entered = threading.Semaphore(0)
        self.answered_by: list[str] = []

    def quick(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        self.answered_by.append(threading.current_thread().name)
        if data == b"wait":
            self.entered.release()
            self.go_on.wait(PATIENCE)
        if data == b"fail":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        return data

    def other(self, data: bytes, _: grpc.ServicerContext) -> bytes:
        self.answered_by.append(threading.current_thread().name)
        return data

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        quick = handler_call_details.method == "/test/quick"
        return grpc.unary_unary_rpc_method_handler(self.quick if quick else self.other)


class Served:
    """A server on pollers, and a channel to it."""

    def __init__(self) -> None:
        self.methods = Methods()
        self.workers = Workers(1, 8)
        self.pollers = Pollers(self.workers, 2, CALLS + 3, lambda behavior: behavior == self.methods.quick)
        self.server = grpc.server(cast(ThreadPoolExecutor, self.pollers))
        self.server.add_generic_rpc_handlers((self.methods,))
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.pollers.start(self.server)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", OWN_CHANNEL)

    def method(self, name: str = "quick") -> Callable[..., Any]:
        return self.channel.unary_unary(f"/test/{name}")

    def close(self) -> None:
        self.channel.close()
        self.server.stop(None).wait()
        self.pollers.shutdown()
        self.workers.shutdown()


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.methods.go_on.set()
    made.close()


def test_this_version_of_grpc_is_usable() -> None:
    assert usable()


def test_a_quick_call_is_answered_by_a_thread_that_polls_and_another_by_a_worker(served: Served) -> None:
    assert served.method()(b"a", timeout=PATIENCE) == b"a"
    assert served.method("other")(b"b", timeout=PATIENCE) == b"b"

    first, second = served.methods.answered_by
    assert "request" not in first
    assert second == "vecdb-request"


def test_calls_that_take_long_keep_no_other_waiting_and_their_threads_go(served: Served) -> None:
    slow = [served.method().future(b"wait", timeout=PATIENCE) for _ in range(CALLS)]  # pyright: ignore[reportFunctionMemberAccess]
    for _ in slow:
        assert served.methods.entered.acquire(timeout=PATIENCE)

    assert served.method()(b"quick", timeout=PATIENCE) == b"quick"
    assert served.pollers.threads > CALLS

    served.methods.go_on.set()
    assert [one.result() for one in slow] == [b"wait"] * CALLS
    while served.pollers.threads > 2:  # a thread looks whether it is needed after each event
        served.method()(b"quick", timeout=PATIENCE)


def test_an_error_reaches_the_caller_and_the_thread_goes_on(served: Served) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        served.method()(b"fail", timeout=PATIENCE)

    assert failed.value.code() is grpc.StatusCode.NOT_FOUND  # pyright: ignore[reportAttributeAccessIssue]
    assert served.method()(b"a", timeout=PATIENCE) == b"a"


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
    served.methods.go_on.set()

    assert served.method()(b"a", timeout=PATIENCE) == b"a"


def test_threads_end_with_their_server() -> None:
    before = set(threading.enumerate())
    served = Served()
    served.method()(b"a", timeout=PATIENCE)

    served.close()

    left = [one for one in threading.enumerate() if one not in before and one.name.startswith("vecdb-poller")]
    for one in left:
        one.join(PATIENCE)
    assert not any(one.is_alive() for one in left)
