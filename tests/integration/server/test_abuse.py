"""Clients that mean no good, one after the other; a decent one calls all the while, and is always answered.

What is asserted has no clock in it: the decent client never fails, the server refuses what it must, gives its threads
back, and does not grow. How long the decent client waited is written down with the results.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

import vecdb
from integration.server.running import rows, schema
from support import http2
from support.served import OWN_CHANNEL, Program, dialled
from vecdb.schema.records import validated_batch
from vecdb.wire import queries, schemas
from vecdb.wire import rows as wire_rows
from vecdb_proto.v1 import record_service_pb2 as records
from vecdb_proto.v1 import search_service_pb2 as search
from vecdb_proto.v1.collection_service_pb2 import CreateCollectionRequest
from vecdb_server.auth.keys import Keys

MIB = 1 << 20
TOKENS: dict[str, str] = {}
"""The key of the decent client, and the one of all others: being known gives nobody the right to all of the room."""
COUNT = "/vecdb.v1.RecordService/Count"
ASKED = records.CountRequest(collection="docs")
Request = records.UpsertStreamRequest
CALLS = 200
"""Calls of the decent client before the abuse begins."""
GROWTH = 300 * MIB
"""The most that the server may have grown after each abuse: a message of 32 MiB may be held a few times over."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    settings = [
        "limits.stalled_seconds=1", "limits.idle_upload_seconds=1", "limits.concurrent_requests=128",
        "limits.requests_per_caller=40", "limits.concurrent_streams=32",
    ]  # fmt: skip
    flags = [flag for one in settings for flag in ("--set", one)]
    folder: Path = tmp_path_factory.mktemp("abuse")
    keys = Keys({})
    for name in ("decent", "abuser"):
        keys, _, TOKENS[name] = keys.with_key(name, ["admin"])
    keys.write(folder / "keys.json")
    flags += ["--keys", str(folder / "keys.json")]
    with Program(folder / "db", flags) as made, dialled(made.target, TOKENS["decent"]) as stubs:
        calls: Any = stubs
        calls.collections.CreateCollection(CreateCollectionRequest(name="docs", schema=schemas.to_message(schema())))
        for start in range(0, 20_000, 5_000):
            batch = validated_batch(rows(5_000, start), schema())
            calls.records.Upsert(records.UpsertRequest(collection="docs", rows=wire_rows.to_message(batch)))
        query = vecdb.Query(k=3).near("v", np.ones(8, np.float32))
        calls.search.Search(search.SearchRequest(collection="docs", query=queries.to_message(query)))  # compiles
        yield made


class Decent:
    """A client that counts rows, again and again, in a process of its own."""

    def __init__(self, target: str) -> None:
        line = [sys.executable, "-m", "support.decent", target, TOKENS["decent"]]
        tests = Path(__file__).parents[2]
        paths = os.pathsep.join([str(tests), *sys.path])
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
        )

    def told(self, least: int) -> dict[str, Any]:
        """Return what became of its calls since the last time, of so many at least."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{least}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """Call no more."""
        self._process.communicate()


@pytest.fixture(autouse=True)
def decent(program: Program, record_property: Any) -> Iterator[Decent]:
    """Call while something is abused, and look at the server afterwards."""
    process = psutil.Process(program.process.pid)
    before = process.memory_info().rss
    client = Decent(program.target)
    client.told(20)  # connects
    idle = float(np.percentile(client.told(CALLS)["seconds"], 99))
    yield client
    abused = client.told(20)
    client.end()
    grown = process.memory_info().rss - before
    told = {
        "idle_p99_ms": 1e3 * idle,
        "p99_ms": 1e3 * float(np.percentile(abused["seconds"], 99)),
        "grown_mib": grown / MIB,
        "refused": abused["refused"],
        "calls": len(abused["seconds"]),
    }
    for name, value in told.items():
        record_property(name, round(value, 2))
    if os.environ.get("VECDB_ABUSE_FIGURES"):
        with open(os.environ["VECDB_ABUSE_FIGURES"], "a") as out:
            out.write(f"{os.environ['PYTEST_CURRENT_TEST']} {told}\n")
    assert abused["failed"] == []
    assert program.process.poll() is None
    assert grown < GROWTH


def bearer() -> tuple[str, str]:
    """Return the header with the abuser's key."""
    return "authorization", f"Bearer {TOKENS['abuser']}"


def code_of(error: pytest.ExceptionInfo[grpc.RpcError]) -> str:
    """Return the name of the code of a failed call."""
    return error.value.code().name  # pyright: ignore[reportAttributeAccessIssue]


def test_a_message_that_is_too_large_is_refused(program: Program) -> None:
    with dialled(program.target, TOKENS["abuser"]) as stubs:
        made: Any = stubs
        for _ in range(5):
            with pytest.raises(grpc.RpcError) as caught:
                made.records.Count(records.CountRequest(collection="x" * (33 * MIB)))
            assert code_of(caught) == "RESOURCE_EXHAUSTED"


def test_headers_that_are_too_large_are_refused(program: Program) -> None:
    with grpc.insecure_channel(program.target, OWN_CHANNEL) as channel:
        call = channel.unary_unary(COUNT)
        with pytest.raises(grpc.RpcError) as caught:
            call(ASKED.SerializeToString(), metadata=(("x-large", "x" * (64 << 10)),))
    assert code_of(caught) == "RESOURCE_EXHAUSTED"


def test_a_hundred_mebibytes_of_headers_are_not_held(program: Program) -> None:
    with http2.Peer(program.target) as peer:
        begun = peer.send(http2.frame(http2.HEADERS, 0, 1, http2.headers(COUNT, bearer())))
        large = http2.headers(COUNT, bearer(), ("x-large", "x" * 16_000))
        sent = 0
        while begun and sent < 100 * MIB and peer.send(http2.frame(http2.CONTINUATION, 0, 1, large)):
            sent += len(large)


def test_ten_thousand_streams_on_one_connection_are_mostly_refused(program: Program) -> None:
    with http2.Peer(program.target) as peer:
        block = http2.headers("/vecdb.v1.RecordService/UpsertStream", bearer())
        answered = threading.Thread(target=lambda: list(peer.frames()))
        answered.start()
        for stream in range(1, 20_001, 2):
            if not peer.send(http2.frame(http2.HEADERS, http2.END_HEADERS, stream, block)):
                break
        answered.join()


def test_a_flood_of_resets_is_survived(program: Program) -> None:
    """CVE-2023-44487: requests that are given up as soon as they are made."""
    with http2.Peer(program.target) as peer:
        block = http2.headers(COUNT, bearer())
        answered = threading.Thread(target=lambda: list(peer.frames()))
        answered.start()
        for stream in range(1, 40_001, 2):
            opened = http2.frame(http2.HEADERS, http2.END_HEADERS, stream, block)
            if not peer.send(opened + http2.frame(http2.RST_STREAM, 0, stream, b"\0\0\0\x08")):
                break
        answered.join()


def test_a_flood_of_pings_ends_the_connection(program: Program) -> None:
    with http2.Peer(program.target) as peer:
        alive = True
        for _ in range(1_000):
            alive = alive and peer.send(http2.frame(http2.PING, 0, 0, b"12345678"))
        seen = [payload for kind, _, payload in peer.frames() if kind == http2.GOAWAY]

    assert not alive or any(b"too_many_pings" in payload for payload in seen)


def test_connections_that_say_nothing_or_nonsense_do_no_harm(program: Program) -> None:
    host, _, port = program.target.rpartition(":")
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(200)]
        for at, one in enumerate(silent):
            with contextlib.suppress(ConnectionError):
                one.sendall([b"", b"GET / HTTP/1.1\r\n\r\n", http2.PREFACE[:10], os.urandom(2000)][at % 4])


def test_a_client_that_does_not_read_holds_no_thread(program: Program) -> None:
    rng = np.random.default_rng(0)
    # A client that measures its connection lets the server send many MB ahead, all of a scan if it is fast.
    narrow = [("grpc.http2.lookahead_bytes", 4096), ("grpc.http2.bdp_probe", 0)]
    with dialled(program.target, TOKENS["abuser"], options=narrow) as stubs:
        made: Any = stubs
        made.collections.CreateCollection(CreateCollectionRequest(name="long", schema=schemas.to_message(schema())))
        for start in range(0, 2_000, 500):  # 32 MB that nothing compresses by much: buffers hold little of a stream
            batch = [row | {"text": rng.bytes(8_000).hex()} for row in rows(500, start)]
            message = wire_rows.to_message(validated_batch(batch, schema()))
            made.records.Upsert(records.UpsertRequest(collection="long", rows=message))
        stalled, ended = "the client stalled", "RecordService/Scan"
        before = program.log.read_text()
        scans = [made.records.Scan(records.ScanRequest(collection="long", batch_rows=50)) for _ in range(10)]
        for scan in scans:
            next(scan)
        while (log := program.log.read_text()).count(ended) < before.count(ended) + len(scans):
            time.sleep(0.1)
        assert log.count(stalled) == before.count(stalled) + len(scans)
        codes = set()
        for scan in scans:
            try:
                list(scan)
                codes.add("OK")  # a small rest may lie in the buffers between
            except grpc.RpcError as error:
                codes.add(error.code().name)  # pyright: ignore[reportAttributeAccessIssue]
    assert codes <= {"OK", "CANCELLED"}


def test_a_client_that_does_not_write_holds_no_thread(program: Program) -> None:
    forever = threading.Event()

    def messages() -> Iterator[Request]:
        yield Request(open=Request.Open(collection="docs", mode=records.UPSERT_MODE_CHUNKS))
        forever.wait()

    with dialled(program.target, TOKENS["abuser"]) as stubs:
        made: Any = stubs
        uploads = [made.records.UpsertStream(messages()) for _ in range(10)]
        for upload in uploads:
            assert next(upload).WhichOneof("message") == "opened"
            with pytest.raises(grpc.RpcError) as caught:
                next(upload)
            assert code_of(caught) == "CANCELLED"
        forever.set()


def test_deadlines_of_a_millisecond_are_kept_or_missed_and_nothing_else(program: Program) -> None:
    query = vecdb.Query(k=100).near("v", np.ones(8, np.float32))
    asked = search.SearchRequest(collection="docs", query=queries.to_message(query))
    codes = set()
    with dialled(program.target, TOKENS["abuser"]) as stubs:
        made: Any = stubs
        for _ in range(300):
            try:
                made.search.Search(asked, timeout=0.001)
                codes.add("OK")
            except grpc.RpcError as error:
                codes.add(error.code().name)  # pyright: ignore[reportAttributeAccessIssue]
    assert codes <= {"OK", "DEADLINE_EXCEEDED"}


def test_streams_that_are_cancelled_at_once_leave_nothing(program: Program) -> None:
    with dialled(program.target, TOKENS["abuser"]) as stubs:
        made: Any = stubs
        for at in range(200):
            scan = made.records.Scan(records.ScanRequest(collection="docs", batch_rows=100))
            if at % 2:
                next(scan)
            scan.cancel()


def test_a_caller_with_more_requests_at_once_than_it_may_have_is_refused(program: Program) -> None:
    forever = threading.Event()

    def messages() -> Iterator[Request]:
        yield Request(open=Request.Open(collection="docs", mode=records.UPSERT_MODE_CHUNKS))
        forever.wait()

    with contextlib.ExitStack() as stack:
        each: Any = [stack.enter_context(dialled(program.target, TOKENS["abuser"])) for _ in range(4)]
        uploads = [stubs.records.UpsertStream(messages()) for stubs in each for _ in range(25)]
        codes: dict[str, int] = {}
        for upload in uploads:
            try:
                next(upload)
                code = "OK"
            except grpc.RpcError as error:
                code = error.code().name  # pyright: ignore[reportAttributeAccessIssue]
            codes[code] = codes.get(code, 0) + 1
        forever.set()

    assert codes["RESOURCE_EXHAUSTED"] > 0


def test_the_threads_come_back(program: Program) -> None:
    """After everything above: as many as cores, and what the process itself has."""
    process = psutil.Process(program.process.pid)
    cores = len(os.sched_getaffinity(0))
    with dialled(program.target, TOKENS["abuser"]) as stubs:
        made: Any = stubs
        while made.records.Count(ASKED).count and process.num_threads() > 40 + cores:
            time.sleep(0.05)
