"""Readers: processes on one port that answer as one server does, whatever dies."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

import vecdb
from integration.server.running import schema
from integration.server.test_program import command
from support.served import OWN_CHANNEL, Program, dialled
from vecdb.errors import UnauthenticatedError, VecdbError
from vecdb_proto.v1 import collection_service_pb2 as collections
from vecdb_proto.v1 import record_service_pb2 as records
from vecdb_server.auth.keys import Keys

Request = records.UpsertStreamRequest
TWO = ("--readers", "2")
V = [1.0] * 8


def events(program: Program, event: str) -> list[dict[str, Any]]:
    """Return the events of a name that the log has."""
    lines = [line for line in program.log.read_text().splitlines() if line.startswith("{")]
    return [told for line in lines if (told := json.loads(line))["event"] == event]


def readers(program: Program, count: int = 2) -> list[int]:
    """Return the ids of the latest processes that read, once so many have served."""
    while len(events(program, "reader serving")) < count:
        assert program.process.poll() is None
    return [told["pid"] for told in events(program, "reader serving")][-2:]


def alive(process: int) -> bool:
    """Return whether a process runs."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def filled(address: str, **options: Any) -> None:
    """Make the collection docs with one row."""
    with vecdb.connect(address, **options) as db:
        db.create_collection("docs", schema()).upsert({"id": "first", "n": -1, "v": V})


@contextlib.contextmanager
def connections(address: str, count: int = 12) -> Iterator[list[Any]]:
    """Connect often enough that all processes have some of the connections."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(vecdb.connect(address)).collection("docs") for _ in range(count)]


def count_for_ever(docs: Any) -> None:
    """Count rows until that raises."""
    while True:
        docs.count()


def test_what_one_connection_was_told_every_other_reads(tmp_path: Path) -> None:
    with Program(tmp_path / "db", TWO) as program:
        address = f"grpc://{program.target}"
        filled(address)
        with connections(address) as docs:
            writers, turn = docs[:3], itertools.cycle(docs)
            done = threading.Event()

            def load(writer: Any, name: int) -> int:
                for n in itertools.count():
                    writer.upsert({"id": f"load{name}-{n}", "n": n, "v": V})
                    if done.is_set():
                        return n + 1
                raise AssertionError

            with ThreadPoolExecutor(3) as pool:
                loads = [pool.submit(load, writer, number) for number, writer in enumerate(writers)]
                last = 0
                try:
                    for n in range(120):
                        next(turn).upsert({"id": "mine", "n": n, "v": V})
                        assert next(turn).get("mine")["n"] == n
                        seen = next(turn).count()
                        assert seen >= last
                        last = seen
                        if n % 40 == 20:
                            next(turn).flush()
                            next(turn).delete("mine")
                            assert next(turn).get("mine") is None
                finally:
                    done.set()
                wait(loads)
            rows = 2 + sum(one.result() for one in loads)

            assert [one.count() for one in docs] == [rows] * len(docs)
            assert len({tuple(one.search(v=V, k=5, exact=True).ids) for one in docs}) == 1


def test_readers_answer_reads_and_what_all_answered_is_counted_together(tmp_path: Path) -> None:
    with Program(tmp_path / "db", [*TWO, "--metrics-port", "0", "--set", "log.requests=true"]) as program:
        address = f"grpc://{program.target}"
        filled(address)
        with connections(address, 24) as docs:
            assert [one.search(v=V, k=1).ids for one in docs] == [["first"]] * 24
        url = next(told["metrics"] for told in events(program, "serving") if "metrics" in told)
        with urllib.request.urlopen(url) as page:
            text = page.read().decode()
        program.terminate()

    assert 'vecdb_requests_total{code="OK",method="/vecdb.v1.SearchService/Search"} 24.0' in text
    assert 'vecdb_request_seconds_count{method="/vecdb.v1.SearchService/Search"} 24.0' in text


def test_a_collection_that_was_made_or_dropped_is_so_on_every_connection(tmp_path: Path) -> None:
    with Program(tmp_path / "db", TWO) as program:
        address = f"grpc://{program.target}"
        filled(address)
        with contextlib.ExitStack() as stack:
            ways = itertools.cycle([stack.enter_context(vecdb.connect(address)) for _ in range(9)])
            for n in range(12):
                made = next(ways).create_collection("again", schema())
                made.upsert([{"id": str(row), "n": row, "v": V} for row in range(n)])
                assert next(ways).collection("again").count() == n
                next(ways).collection("again").add_column(f"more{n}", vecdb.Int64())
                assert f"more{n}" in next(ways).collection("again").schema
                next(ways).drop_collection("again")
                with pytest.raises(vecdb.errors.NotFoundError, match="no collection 'again' \\(there are: docs\\)"):
                    next(ways).collection("again").count()


def test_a_reader_that_is_killed_is_started_again(tmp_path: Path) -> None:
    with Program(tmp_path / "db", TWO) as program:
        filled(f"grpc://{program.target}")
        for process in readers(program):
            os.kill(process, signal.SIGKILL)
        second = readers(program, 4)
        with connections(f"grpc://{program.target}") as docs:
            counts = [one.count() for one in docs]

        assert counts == [1] * 12
        assert program.terminate() == 0
        ended = events(program, "reader ended, starting it again")
        assert [told["reason"] for told in ended] == ["signal 9", "signal 9"]
        assert not any(map(alive, second))


def test_when_the_writer_is_killed_readers_end_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    with Program(tmp_path / "db", TWO) as program:
        address = f"grpc://{program.target}"
        filled(address)
        processes = readers(program)

        def load(docs: Any, name: int) -> None:
            for n in itertools.count():
                with contextlib.suppress(StopIteration):
                    docs.upsert({"id": f"{name}-{n}", "n": n, "v": V})
                    acknowledged.append(f"{name}-{n}")

        def until_it_dies(docs: Any, name: int) -> None:
            with contextlib.suppress(VecdbError):
                load(docs, name)

        with connections(address, 4) as docs, ThreadPoolExecutor(4) as pool:
            loads = [pool.submit(until_it_dies, one, name) for name, one in enumerate(docs)]
            while len(acknowledged) < 100:
                assert not all(one.done() for one in loads)
            program.kill()
        while any(map(alive, processes)):
            continue
        assert program.process.returncode == -signal.SIGKILL

    with Program(tmp_path / "db", TWO) as program, connections(f"grpc://{program.target}", 4) as docs:
        found = docs[0].get(acknowledged)

    assert [name for name, row in zip(acknowledged, found, strict=True) if row is None] == []


def test_an_upload_that_runs_may_end_and_then_all_processes_do(tmp_path: Path) -> None:
    with Program(tmp_path / "db", [*TWO, "--set", "server.drain_seconds=60"]) as program:
        filled(f"grpc://{program.target}")
        processes = readers(program)
        go_on = threading.Event()

        def messages() -> Any:
            yield Request(open=Request.Open(collection="docs", mode=records.UPSERT_MODE_CHUNKS))
            go_on.wait()
            yield Request(finish=Request.Finish())

        with contextlib.ExitStack() as stack:
            streams, watchers = [], []
            for _ in range(12):
                stubs: Any = stack.enter_context(dialled(program.target))
                streams.append(stubs.records.UpsertStream(messages()))
                next(streams[-1])  # the server has to wait for this upload
                channel = stack.enter_context(grpc.insecure_channel(program.target, OWN_CHANNEL))
                watchers.append(
                    channel.unary_stream(
                        "/grpc.health.v1.Health/Watch",
                        health_pb2.HealthCheckRequest.SerializeToString,
                        health_pb2.HealthCheckResponse.FromString,
                    )(health_pb2.HealthCheckRequest())
                )
                assert next(watchers[-1]).status == health_pb2.HealthCheckResponse.SERVING
            program.process.terminate()
            for one in watchers:
                assert next(one).status == health_pb2.HealthCheckResponse.NOT_SERVING
            go_on.set()
            ends = [[one.WhichOneof("message") for one in answers] for answers in streams]
            for one in watchers:
                one.cancel()
        code = program.process.wait()

    assert ends == [["finished"]] * 12
    assert code == 0
    assert not any(map(alive, processes))


def test_a_key_that_is_revoked_is_not_known_to_any_process(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys, key, token = Keys({}).with_key("owner", ["admin"])
    keys.write(file)
    with Program(tmp_path / "db", [*TWO, "--keys", str(file)]) as program, contextlib.ExitStack() as stack:
        address = f"grpc://{program.target}"
        filled(address, api_key=token)
        docs = [stack.enter_context(vecdb.connect(address, api_key=token)).collection("docs") for _ in range(9)]
        assert [one.count() for one in docs] == [1] * 9

        keys.revoked(key.id).write(file)

        for one in docs:
            with pytest.raises(UnauthenticatedError):
                count_for_ever(one)


def test_nobody_but_a_reader_says_from_whom_a_call_comes(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    Keys({}).write(file)
    false = (("vecdb-peer", "ipv4:9.9.9.9:9"), ("vecdb-peer-name-bin", b"root"))
    with Program(tmp_path / "db", [*TWO, "--keys", str(file)]) as program:
        for _ in range(9):
            with dialled(program.target) as stubs:
                made: Any = stubs
                with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
                    made.collections.ListCollections(collections.ListCollectionsRequest(), metadata=false)
        program.terminate()
        callers = [told["caller"] for told in events(program, "refused")]

    assert len(callers) == 9
    assert all(caller.startswith("ipv4:127.0.0.1:") for caller in callers)


def test_a_port_that_other_readers_share_is_taken(tmp_path: Path) -> None:
    with Program(tmp_path / "db", TWO) as program:
        port = program.target.rpartition(":")[2]
        for flags in ([], ["--readers", "1"]):
            taken = command("serve", str(tmp_path / "other"), "--port", port, *flags)

            assert taken.returncode == 2
            assert f"cannot listen on 127.0.0.1:{port}" in taken.stderr


def test_readers_need_a_port(tmp_path: Path) -> None:
    run = command("serve", str(tmp_path / "db"), "--socket", str(tmp_path / "s"), *TWO)

    assert run.returncode == 2
    assert "server.readers is 2 and server.socket is set" in run.stderr
