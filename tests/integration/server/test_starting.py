"""What a server says while it starts: that it is there, and not ready."""

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import vecdb
from integration.server.running import schema
from support.served import dialled
from vecdb.errors import InvalidInputError
from vecdb_proto.v1 import collection_service_pb2 as collections
from vecdb_proto.v1.record_service_pb2 import CountRequest
from vecdb_server.config import Config, ServerSection
from vecdb_server.log import logger
from vecdb_server.server import Server

ASKED = collections.ListCollectionsRequest()


def config(folder: Path, port: int = 0) -> Config:
    return Config(server=ServerSection(path=str(folder), port=port))


def health(target: str) -> str:
    """Return what the health service says."""
    with grpc.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest())
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def test_until_it_is_warm_a_server_says_that_it_does_not_serve_and_tells_callers_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    server = Server(config(tmp_path / "db"))
    bound = server._bound

    def bind(credentials: Any) -> tuple[str, int]:
        seen.append(bound(credentials))
        return seen[-1]

    def warm_up() -> None:
        target = seen[0][0]
        seen.append(health(target))
        with dialled(target) as stubs:
            calls: Any = stubs
            with pytest.raises(grpc.RpcError, match="the server is starting") as caught:
                calls.collections.ListCollections(ASKED)
            seen.append(caught.value.code())  # pyright: ignore[reportAttributeAccessIssue]
            with pytest.raises(grpc.RpcError, match="the server is starting") as caught:
                calls.records.Count(CountRequest(collection="docs"))
            seen.append(caught.value.code())  # pyright: ignore[reportAttributeAccessIssue]

    monkeypatch.setattr(server, "_bound", bind)
    monkeypatch.setattr(server.served, "warm_up", warm_up)
    address = server.start()
    try:
        assert seen[1:] == ["NOT_SERVING", grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE]
        assert health(address.target) == "SERVING"
        with dialled(address.target) as stubs:
            calls: Any = stubs
            calls.collections.ListCollections(ASKED)
    finally:
        server.stop()


def test_clients_that_came_too_early_come_again_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(config(tmp_path / "db"))
    bound, end, begun = server._bound, server.metrics.requests.end, threading.Event()
    targets: list[str] = []

    def bind(credentials: Any) -> tuple[str, int]:
        targets.append(bound(credentials)[0])
        return targets[-1], 1

    def counted(method: str, code: str, seconds: float) -> None:
        end(method, code, seconds)
        begun.set()

    monkeypatch.setattr(server, "_bound", bind)
    monkeypatch.setattr(server.metrics.requests, "end", counted)
    with ThreadPoolExecutor(1) as pool:
        early: list[Future[list[str]]] = []

        def warm_up() -> None:
            early.append(pool.submit(names, f"grpc://{targets[0]}"))
            early[0].add_done_callback(lambda _: begun.set())
            begun.wait()

        monkeypatch.setattr(server.served, "warm_up", warm_up)
        server.start()
        try:
            assert early[0].result() == []
        finally:
            server.stop()


def names(address: str) -> list[str]:
    """Return the names of a server's collections."""
    with vecdb.connect(address) as db:
        return db.collections()


@pytest.mark.parametrize("known", [True, False])
def test_kernels_that_have_to_be_compiled_are_told_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    told: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    first = Server(config(tmp_path / "db"))
    first.served.create("docs", schema(), False)
    first.stop()
    monkeypatch.setattr("vecdb_server.served.compiled", lambda dtype: known)
    keep = Keep()
    logger.addHandler(keep)
    before = logger.level
    logger.setLevel(logging.INFO)
    server = Server(config(tmp_path / "db"))
    try:
        server.start()
    finally:
        server.stop()
        logger.removeHandler(keep)
        logger.setLevel(before)

    compiling = [line for line in told if line.startswith("compiling kernels, once on this machine")]
    assert len(compiling) == (not known)
    assert told[-1] == "serving"


def test_a_port_that_is_taken_is_told_before_anything_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Server(config(tmp_path / "db"))
    address = first.start()
    second = Server(config(tmp_path / "other", address.port))
    monkeypatch.setattr(second.served, "warm_up", lambda: pytest.fail("it warms up"))
    try:
        with pytest.raises(InvalidInputError, match="the port is taken"):
            second.start()
    finally:
        first.stop()
