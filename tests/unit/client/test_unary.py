"""Unary calls without gRPC's records: they tell what gRPC's own tell, and where they cannot be made those are made."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import grpc
import pytest

from support.served import OWN_CHANNEL
from vecdb_client.blocking import unary
from vecdb_client.blocking.unary import Unary, usable
from vecdb_proto.v1.record_service_pb2 import CountRequest, CountResponse

PATIENCE = 60
"""Seconds after which a call that hangs fails a test."""


def answer(data: bytes, context: grpc.ServicerContext) -> bytes:
    collection = CountRequest.FromString(data).collection
    if collection == "failing":
        context.set_trailing_metadata((("why-bin", b"because"), ("key", dict(context.invocation_metadata())["key"])))
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
    if collection == "slow":
        context.add_callback(lambda: None)
        while context.is_active():
            pass
    return b"\xff\xff" if collection == "broken" else CountResponse(count=len(collection)).SerializeToString()


@pytest.fixture
def channel() -> Iterator[grpc.Channel]:
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_registered_method_handlers("test", {"count": grpc.unary_unary_rpc_method_handler(answer)})
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}", OWN_CHANNEL) as made:
        yield made
    server.stop(None).wait()


def methods(channel: grpc.Channel) -> tuple[Any, Any]:
    """Return the method of a channel as vecdb calls it, and as gRPC does."""
    native = channel.unary_unary("/test/count", CountRequest.SerializeToString, CountResponse.FromString)
    assert usable(native)
    return Unary(native, CountRequest.SerializeToString, CountResponse.FromString), native


def failures(channel: grpc.Channel, collection: str, timeout: float = PATIENCE) -> list[Any]:
    found = []
    for method in methods(channel):
        with pytest.raises(grpc.RpcError) as failed:
            method(CountRequest(collection=collection), timeout, (("key", "value"),))
        found.append(cast(Any, failed.value))
    return found


def test_an_answer_is_that_of_grpc(channel: grpc.Channel) -> None:
    ours, theirs = methods(channel)
    request = CountRequest(collection="four")

    assert ours(request, PATIENCE, ()) == theirs(request, PATIENCE, ()) == CountResponse(count=4)
    assert ours(request, None, ()) == CountResponse(count=4)


def test_an_error_has_the_code_the_text_and_what_came_beside_it(channel: grpc.Channel) -> None:
    ours, theirs = failures(channel, "failing")

    assert ours.code() is theirs.code() is grpc.StatusCode.NOT_FOUND
    assert ours.details() == theirs.details() == "no such thing"
    told = [tuple(one) for one in ours.trailing_metadata()]
    assert told == [tuple(one) for one in theirs.trailing_metadata()]
    assert {("why-bin", b"because"), ("key", "value")} <= set(told)


@pytest.mark.parametrize(
    ("collection", "timeout", "code"),
    [("slow", 0.05, grpc.StatusCode.DEADLINE_EXCEEDED), ("broken", PATIENCE, grpc.StatusCode.INTERNAL)],
)
def test_what_fails_on_this_side_has_the_code_of_grpc(
    channel: grpc.Channel, collection: str, timeout: float, code: grpc.StatusCode
) -> None:
    assert [one.code() for one in failures(channel, collection, timeout)] == [code, code]


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with grpc.insecure_channel("127.0.0.1:1", OWN_CHANNEL) as channel:
        assert {one.code() for one in failures(channel, "any")} == {grpc.StatusCode.UNAVAILABLE}


def test_a_method_behind_an_interceptor_is_called_as_it_is(channel: grpc.Channel) -> None:
    class Nothing(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            return continuation(client_call_details, request)

    assert not usable(grpc.intercept_channel(channel, Nothing()).unary_unary("/test/count"))


def test_another_grpc_is_not_usable(channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    method = channel.unary_unary("/test/count")
    assert usable(method)
    monkeypatch.setattr(unary, "_CORE", (*unary._CORE, "SomethingThatIsNotThere"))
    assert not usable(method)
