"""The program: what it prints, what it refuses, how it ends, and what a killed one leaves."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

import vecdb
from integration.server.running import rows, schema
from support.served import OWN_CHANNEL, Program, dialled
from vecdb.errors import VecdbError
from vecdb.schema.records import validated_batch
from vecdb.wire import rows as wire_rows
from vecdb.wire import schemas
from vecdb_client.cli.errors import exit_code
from vecdb_proto.v1 import record_service_pb2 as records
from vecdb_proto.v1.collection_service_pb2 import CreateCollectionRequest
from vecdb_server import main

Request = records.UpsertStreamRequest


def command(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `vecdb-server`."""
    line = [sys.executable, "-m", "vecdb_server.main", *arguments]
    return subprocess.run(line, capture_output=True, text=True, env={**os.environ, **(environment or {})})


def test_it_prints_how_to_connect(tmp_path: Path) -> None:
    program = Program(tmp_path / "db", ["--metrics-port", "0"])
    code = program.terminate()
    text = program.told[0]

    assert code == 0
    assert text == f"serving {tmp_path / 'db'} on grpc://{program.target}"


def test_it_serves_on_when_nobody_reads_what_it_prints(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    log = tmp_path / "log"
    line = [sys.executable, "-m", "vecdb_server.main", "serve", str(tmp_path / "db"), "--port", "0"]
    with log.open("wb") as errors:
        process = subprocess.Popen(line, stdout=write, stderr=errors)
    os.close(write)
    while '"serving"' not in log.read_text():
        assert process.poll() is None, log.read_text()
    process.terminate()

    assert process.wait() == 0
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["keys", "add", "x", "--role", "reader", "--file", "{file}/keys.json"], "error: Not a directory: "),
        (["keys", "add", "x", "--role", "reader", "--file", "{file}", "--expires", "99999999d"], "more than 100 years"),
    ],
)
def test_what_cannot_be_done_to_keys_is_one_line_too(tmp_path: Path, arguments: list[str], told: str) -> None:
    file = tmp_path / "file"
    file.touch(0o600)

    run = command(*(one.format(file=file) for one in arguments))

    assert run.returncode == 2
    assert told in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--host", "0.0.0.0"], "can be reached from other machines, and there is no TLS and no authentication"),
        (["--port", "70000"], "server.port in --port: expected `int` <= 65535"),
        (["--tls-key", "k.pem"], "tls.key is set and tls.certificate is not"),
        (["--set", "limits.k=0"], "limits.k in --set: expected `int` >= 1"),
        (["--set", "database.retain=1"], "there is no setting database.retain"),
        (["--set", "limits"], "expected name=value"),
        (["--config", "none.toml"], "there is no configuration file none.toml"),
    ],
)
def test_what_it_will_not_do_is_one_line_and_an_exit_code(tmp_path: Path, flags: list[str], told: str) -> None:
    run = command("serve", str(tmp_path / "db"), *flags)

    assert run.returncode == (3 if "--config" in flags else 2)
    assert run.stderr.startswith("error: ")
    assert told in run.stderr
    assert "Traceback" not in run.stderr


def test_a_port_that_is_taken_and_a_database_that_is_open_are_told(tmp_path: Path) -> None:
    with Program(tmp_path / "db") as program:
        port = program.target.rpartition(":")[2]

        taken = command("serve", str(tmp_path / "other"), "--port", port)
        locked = command("serve", str(tmp_path / "db"), "--port", "0")

    assert f"cannot listen on 127.0.0.1:{port}" in taken.stderr
    assert locked.returncode == 4
    assert "open" in locked.stderr


@pytest.mark.parametrize(("kind", "code"), main.EXIT_CODES)
def test_its_exit_codes_are_those_of_the_command_line(kind: type[VecdbError], code: int) -> None:
    assert code == exit_code(kind("no"))


def test_keys_are_made_rotated_and_revoked_while_the_server_runs(tmp_path: Path) -> None:
    file = str(tmp_path / "keys.json")
    made = command("keys", "add", "app", "--role", "reader", "--file", file)
    first = made.stdout.strip()
    with Program(tmp_path / "db", ["--keys", file]) as program:
        assert reachable(program.target, first)
        second = command("keys", "rotate", first.split("_")[1], "--grace", "0s", "--file", file).stdout.strip()
        until(lambda: not reachable(program.target, first))
        assert reachable(program.target, second)
        assert command("keys", "revoke", second.split("_")[1], "--file", file).returncode == 0
        until(lambda: not reachable(program.target, second))
        log = program.log.read_text()

    listed = command("keys", "list", "--file", file).stdout
    assert [line.split()[-1] for line in listed.splitlines()] == ["STATE", "expired", "revoked"]
    secret = first.split("_", 2)[2]
    assert secret not in listed + log + made.stderr + Path(file).read_text()


def reachable(target: str, token: str) -> bool:
    """Tell whether a key opens the door."""
    from vecdb_proto.v1.admin_service_pb2 import GetServerRequest

    with dialled(target, token) as stubs:
        made: Any = stubs
        try:
            made.admin.GetServer(GetServerRequest())
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAUTHENTICATED:  # pyright: ignore[reportAttributeAccessIssue]
                raise
            return False
    return True


def until(true: Any) -> None:
    """Wait for something."""
    while not true():
        threading.Event().wait(0.1)


def test_the_configuration_is_shown_with_its_origins(tmp_path: Path) -> None:
    file = tmp_path / "vecdb.toml"
    file.write_text("[limits]\nk = 5\n")

    run = command("config", "show", "--origin", "-c", str(file), environment={"VECDB__LIMITS__EF": "6"})

    assert f"limits.k = 5  # {file}" in run.stdout.splitlines()
    assert "limits.ef = 6  # VECDB__LIMITS__EF" in run.stdout.splitlines()


def test_metrics_are_served_on_their_own_port_and_nothing_else_is(tmp_path: Path) -> None:
    program = Program(tmp_path / "db", ["--metrics-port", "0", "--log-format", "json"])
    with program:
        make(program.target)
        url = metrics_url(program)
        text = urllib.request.urlopen(url).read().decode()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(url, method="POST", data=b"x"))

    lines = text.splitlines()
    assert 'vecdb_collection_rows{collection="docs"} 0.0' in lines
    created = 'vecdb_requests_total{code="OK",method="/vecdb.v1.CollectionService/CreateCollection"} 1.0'
    assert created in lines


def metrics_url(program: Program) -> str:
    """Return where the metrics are, as the log tells."""
    for line in program.log.read_text().splitlines():
        told = json.loads(line)
        if "metrics" in told:
            return told["metrics"]
    raise AssertionError(program.log.read_text())


def make(target: str) -> None:
    """Make the collection "docs"."""
    with dialled(target) as stubs:
        made: Any = stubs
        made.collections.CreateCollection(CreateCollectionRequest(name="docs", schema=schemas.to_message(schema())))


def chunk(sequence: int, request_id: bytes, count: int = 50) -> Request:
    """Return rows that no other chunk has."""
    batch = validated_batch(rows(count, sequence * count), schema())
    message = wire_rows.to_message(batch, with_schema=sequence == 1)
    return Request(chunk=Request.Chunk(sequence=sequence, request_id=request_id, rows=message))


def test_a_killed_server_has_every_acknowledged_row_and_the_client_goes_on_without_duplicates(tmp_path: Path) -> None:
    """The client resends what was not acknowledged, under the same request ids; some of it was stored."""
    chunks, ids = 40, [secrets.token_bytes(16) for _ in range(40)]
    acked: dict[int, Any] = {}
    with Program(tmp_path / "db") as program:
        make(program.target)
        with dialled(program.target) as stubs:
            made: Any = stubs
            opening = Request(open=Request.Open(collection="docs", mode=records.UPSERT_MODE_CHUNKS))
            sent = iter([opening, *(chunk(at + 1, ids[at]) for at in range(chunks))])
            try:
                for answer in made.records.UpsertStream(sent):
                    if answer.WhichOneof("message") == "ack":
                        acked[answer.ack.sequence] = answer.ack.result
                    if len(acked) == 10:
                        program.kill()
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:  # pyright: ignore[reportAttributeAccessIssue]
                    raise
    assert 10 <= len(acked) < chunks

    with vecdb.connect(tmp_path / "db") as database:
        docs = database["docs"]
        stored = docs.count()
        there = {row for batch in docs.scan(fields=[]) for row in batch.column(0).to_pylist()}
    promised = {f"r{at}" for sequence in acked for at in range(50 * sequence, 50 * sequence + 50)}
    assert promised <= there
    assert stored % 50 == 0  # of a chunk all rows or none

    with Program(tmp_path / "db") as program, dialled(program.target) as stubs:
        made = stubs
        opening = Request(open=Request.Open(collection="docs", mode=records.UPSERT_MODE_CHUNKS))
        again = iter([opening, *(chunk(at + 1, ids[at]) for at in range(chunks)), Request(finish=Request.Finish())])
        results = [one.ack.result for one in made.records.UpsertStream(again) if one.WhichOneof("message") == "ack"]
        assert [results[sequence - 1] for sequence in acked] == list(acked.values())  # the first results, not new ones
        assert program.terminate() == 0

    with vecdb.connect(tmp_path / "db") as database:
        assert database["docs"].count() == 50 * chunks
        assert database.check().ok


def test_a_server_that_is_asked_to_end_lets_a_running_upload_end(tmp_path: Path) -> None:
    go_on = threading.Event()
    with Program(tmp_path / "db", ["--set", "server.drain_seconds=60"]) as program:
        make(program.target)

        def messages() -> Any:
            yield Request(open=Request.Open(collection="docs", mode=records.UPSERT_MODE_CHUNKS))
            yield chunk(1, secrets.token_bytes(16))
            go_on.wait()
            yield chunk(2, secrets.token_bytes(16))
            yield Request(finish=Request.Finish())

        with dialled(program.target) as stubs:
            made: Any = stubs
            answers = made.records.UpsertStream(messages())
            assert next(answers).WhichOneof("message") == "opened"
            assert next(answers).WhichOneof("message") == "ack"
            program.process.terminate()
            until(lambda: "draining" in program.log.read_text())
            with grpc.insecure_channel(program.target, OWN_CHANNEL) as channel, pytest.raises(grpc.RpcError):
                channel.unary_unary("/vecdb.v1.AdminService/GetServer")(b"")  # new connections are refused
            go_on.set()
            assert [one.WhichOneof("message") for one in answers] == ["ack", "finished"]
        assert program.process.wait() == 0

    with vecdb.connect(tmp_path / "db") as database:
        assert database["docs"].count() == 100


def test_whoever_watches_the_health_of_a_draining_server_is_told_that_it_serves_no_more(tmp_path: Path) -> None:
    go_on = threading.Event()
    with Program(tmp_path / "db", ["--set", "server.drain_seconds=60"]) as program:
        make(program.target)

        def messages() -> Any:
            yield Request(open=Request.Open(collection="docs", mode=records.UPSERT_MODE_CHUNKS))
            go_on.wait()
            yield Request(finish=Request.Finish())

        with (
            dialled(program.target) as stubs,
            grpc.insecure_channel(program.target, OWN_CHANNEL) as channel,
        ):
            made: Any = stubs
            answers = made.records.UpsertStream(messages())
            next(answers)  # the server has to wait for this upload
            watching = channel.unary_stream(
                "/grpc.health.v1.Health/Watch",
                health_pb2.HealthCheckRequest.SerializeToString,
                health_pb2.HealthCheckResponse.FromString,
            )(health_pb2.HealthCheckRequest())
            assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
            program.process.terminate()
            assert next(watching).status == health_pb2.HealthCheckResponse.NOT_SERVING
            go_on.set()
            assert [one.WhichOneof("message") for one in answers] == ["finished"]
            watching.cancel()
        assert program.process.wait() == 0


def test_requests_that_outlast_the_drain_are_cancelled(tmp_path: Path) -> None:
    with Program(tmp_path / "db", ["--set", "server.drain_seconds=0.2"]) as program:
        make(program.target)
        forever = threading.Event()

        def messages() -> Any:
            yield Request(open=Request.Open(collection="docs", mode=records.UPSERT_MODE_CHUNKS))
            forever.wait()

        with dialled(program.target) as stubs:
            made: Any = stubs
            answers = made.records.UpsertStream(messages())
            next(answers)
            code = program.terminate()
            with pytest.raises(grpc.RpcError):
                next(answers)
            forever.set()

    assert code == 0


def test_a_unix_socket_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with Program(tmp_path / "db", ["--socket", str(path)]) as program:
        assert program.told[0].endswith(f"on grpc://unix:{path}")
        assert path.stat().st_mode & 0o777 == 0o600
        assert reachable(f"unix:{path}", "")


def test_a_defect_tells_the_client_nothing_of_the_data(tmp_path: Path) -> None:
    from vecdb_server.failures import Failure

    try:
        raise KeyError("a secret of somebody else")
    except KeyError as error:
        failure = Failure.of(error, "/x/Y")

    assert failure.code == grpc.StatusCode.INTERNAL
    assert "secret" not in failure.message
    assert b"secret" not in failure.details
