"""Limits: what is refused, by which error, and that a refusal gives back what it held."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

import vecdb
from integration.server.running import rows, schema
from support.served import dialled
from vecdb.errors import ResourceExhaustedError
from vecdb.schema.records import validated_batch
from vecdb.wire import errors, filters, queries, values
from vecdb.wire import rows as wire_rows
from vecdb_proto.v1 import admin_service_pb2 as admin
from vecdb_proto.v1 import record_service_pb2 as records
from vecdb_proto.v1 import search_service_pb2 as search
from vecdb_proto.v1 import snapshot_service_pb2 as snapshots
from vecdb_proto.v1.view_pb2 import View
from vecdb_server.auth.grants import EVERYTHING, Permission, Principal
from vecdb_server.callers import Callers
from vecdb_server.config import Config, LimitsSection, ServerSection
from vecdb_server.guard import Guard
from vecdb_server.leases import Leases
from vecdb_server.memory import Memory, RequestBudget
from vecdb_server.server import Server

LIMITS = LimitsSection(
    k=50, ef=60, probes=7, rows_per_request=100, queries_per_batch=5, filter_depth=3, filter_nodes=6,
    query_memory_bytes=300_000, snapshot_seconds=0.5, snapshots=2, message_out_bytes=64 << 10,
)  # fmt: skip
QUERY = vecdb.Query(k=5).near("v", np.ones(8, np.float32))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    folder: Path = tmp_path_factory.mktemp("limits")
    section = ServerSection(path=str(folder / "db"), port=0)
    made = Server(Config(server=section, limits=LIMITS, database={"durability": "none", "background": False}))
    address = made.start()
    made.served.create("docs", schema(), False).upsert(rows(20_000))
    yield made, address.target
    made.stop()


@pytest.fixture
def stubs(server: tuple[Server, str]) -> Iterator[Any]:
    with dialled(server[1]) as made:
        yield made


def asked(query: vecdb.Query) -> search.SearchRequest:
    """Return a search of docs."""
    return search.SearchRequest(collection="docs", query=queries.to_message(query))


def deep(levels: int) -> Any:
    """Return a filter of so many levels."""
    found = vecdb.col("n") >= 0
    for _ in range(levels - 1):
        found = ~found
    return found


Asking = Callable[[Any], Any]
WRONG: list[tuple[Asking, str]] = [
    (lambda stubs: stubs.search.Search(asked(vecdb.Query(k=51).near("v", np.ones(8)))), "k is 51"),
    (lambda stubs: stubs.search.Search(asked(vecdb.Query(k=51).match("text", "row"))), "k is 51"),
    (lambda stubs: stubs.search.Search(asked(vecdb.Query(k=5).near("v", np.ones(8), ef=61))), "ef is 61"),
    (lambda stubs: stubs.search.Search(asked(vecdb.Query(k=5).near("v", np.ones(8), probes=8))), "probes is 8"),
    (lambda stubs: stubs.search.Search(asked(vecdb.Query(5).gather(vecdb.Query(51).near("v", np.ones(8))))), "k is 51"),
    (lambda stubs: stubs.search.Search(asked(QUERY.where(deep(4)))), "the filter has 4 nodes in 4 levels"),
    (
        lambda stubs: stubs.search.Search(asked(QUERY.near("v", np.ones(8), where=deep(4)))),
        "the filter has 4 nodes in 4 levels",
    ),
    (
        lambda stubs: stubs.records.Count(records.CountRequest(collection="docs", where=filters.to_message(deep(4)))),
        "the filter has 4 nodes in 4 levels",
    ),
    (
        lambda stubs: stubs.records.Get(
            records.GetRequest(collection="docs", ids=values.ids_to_message(["x"] * 101, "string"))
        ),
        "ids is 101",
    ),
    (
        lambda stubs: stubs.records.Upsert(
            records.UpsertRequest(
                collection="docs", rows=wire_rows.to_message(validated_batch(rows(101), schema()))
            )
        ),
        "a message has 101 rows, at most 100",
    ),
    (
        lambda stubs: list(
            stubs.search.SearchBatch(
                search.SearchBatchRequest(
                    collection="docs",
                    alike=search.AlikeQueries(
                        field="v", k=1, vectors=values.matrix_to_message(np.ones((6, 8), np.float32))
                    ),
                )
            )
        ),
        "the batch is 6",
    ),
    (
        lambda stubs: stubs.admin.Calibrate(
            admin.CalibrateRequest(
                collection="docs",
                judged=[
                    admin.CalibrateRequest.Judged(query=queries.to_message(vecdb.Query(k=51).near("v", np.ones(8))))
                ],
            )
        ),
        "k is 51",
    ),
    (lambda stubs: stubs.search.Recall(search.RecallRequest(collection="docs", sample=6, k=1)), "sample is 6"),
]  # fmt: skip


@pytest.mark.parametrize(("ask", "told"), WRONG)
def test_what_is_more_than_the_server_takes_is_invalid_and_named(stubs: Any, ask: Asking, told: str) -> None:
    with pytest.raises(grpc.RpcError, match=told) as caught:
        ask(stubs)

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT  # pyright: ignore[reportAttributeAccessIssue]


def test_a_query_that_would_hold_too_much_memory_fails_and_gives_it_back(
    server: tuple[Server, str], stubs: Any
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stubs.search.Search(asked(vecdb.Query(k=5).order_by("n desc")))

    error: Any = caught.value
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    known = errors.from_message(values.read(errors.Status, details))
    assert isinstance(known, vecdb.errors.BudgetExceededError)
    assert known.limit == 300_000
    assert "vecdb_query_memory_bytes 0.0" in metrics(server[0])


def test_a_client_may_give_a_query_less_memory_than_the_server_does_and_not_more(
    server: tuple[Server, str], stubs: Any
) -> None:
    for given, limit in ((1 << 40, 300_000), (2000, 2000), (0, 0)):
        request = asked(vecdb.Query(k=5).order_by("n desc"))
        request.view.memory_bytes = given
        with pytest.raises(grpc.RpcError, match=f"may hold {limit} bytes of memory"):
            stubs.search.Search(request)

    assert "vecdb_query_memory_bytes 0.0" in metrics(server[0])


def metrics(server: Server) -> list[str]:
    """Return the lines of the metrics."""
    from prometheus_client import generate_latest

    return generate_latest(server.metrics.registry).decode().splitlines()


def test_an_answer_that_is_too_large_is_refused_with_its_size(stubs: Any) -> None:
    with pytest.raises(grpc.RpcError, match=r"the answer has \d+ bytes, the server sends 65536 at most"):
        list(stubs.records.Scan(records.ScanRequest(collection="docs", batch_rows=3000)))


def test_a_scan_is_not_limited_by_the_hits_of_a_search(stubs: Any) -> None:
    request = records.ScanRequest(collection="docs", batch_rows=100)

    found = sum(
        wire_rows.from_message(one.rows, schema().arrow_schema()).num_rows for one in stubs.records.Scan(request)
    )

    assert found == 20_000


def test_the_limits_are_announced(stubs: Any) -> None:
    limits = stubs.admin.GetLimits(admin.GetLimitsRequest()).limits

    assert (limits.k, limits.ef, limits.probes, limits.upsert_rows, limits.batch_queries) == (50, 60, 7, 100, 5)
    assert (limits.filter_depth, limits.filter_nodes, limits.response_bytes) == (3, 6, 64 << 10)
    assert limits.longest_lease_seconds == 0.5


def test_a_snapshot_that_nobody_reads_is_let_go_and_one_that_is_read_stays(stubs: Any) -> None:
    held = stubs.snapshots.OpenSnapshot(snapshots.OpenSnapshotRequest(collection="docs", lease_seconds=99))
    other = stubs.snapshots.OpenSnapshot(snapshots.OpenSnapshotRequest(collection="docs"))
    with pytest.raises(grpc.RpcError, match="2 snapshots are open"):
        stubs.snapshots.OpenSnapshot(snapshots.OpenSnapshotRequest(collection="docs"))
    assert held.lease_seconds == 0.5

    for _ in range(15):
        asked = records.CountRequest(collection="docs", view=View(snapshot=held.snapshot))
        assert stubs.records.Count(asked).count == 20_000
        time.sleep(0.05)

    with pytest.raises(grpc.RpcError, match="this snapshot is not open"):
        stubs.records.Count(records.CountRequest(collection="docs", view=View(snapshot=other.snapshot)))
    stubs.snapshots.CloseSnapshot(snapshots.CloseSnapshotRequest(collection="docs", snapshot=held.snapshot))
    with pytest.raises(grpc.RpcError, match="this snapshot is not open"):
        stubs.records.Count(records.CountRequest(collection="docs", view=View(snapshot=held.snapshot)))


def test_a_snapshot_stays_as_it_is(server: tuple[Server, str], stubs: Any) -> None:
    held = stubs.snapshots.OpenSnapshot(snapshots.OpenSnapshotRequest(collection="docs")).snapshot
    docs = server[0].served.database.collection("docs")

    docs.delete("r0")
    asked = records.CountRequest(collection="docs", view=View(snapshot=held))
    seen = stubs.records.Count(asked).count, stubs.records.Count(records.CountRequest(collection="docs")).count
    docs.upsert(rows(1))

    assert seen == (20_000, 19_999)
    stubs.snapshots.CloseSnapshot(snapshots.CloseSnapshotRequest(collection="docs", snapshot=held))


def test_a_token_of_another_collection_or_caller_is_none(server: tuple[Server, str]) -> None:
    leases = Leases(10)
    token = leases.open(server[0].served.database.collection("docs").snapshot(), "maria", 60)

    assert leases.read(token, "docs", "maria").count() == 20_000
    for collection, owner, shown in (("docs", "jan", token), ("x", "maria", token), ("docs", "maria", b"\0" * 16)):
        leases.close(shown, collection, owner)
        with pytest.raises(vecdb.errors.NotFoundError, match="this snapshot is not open"):
            leases.read(shown, collection, owner)
    assert len(leases) == 1


def test_requests_share_the_memory_of_the_server_and_give_it_back() -> None:
    memory = Memory(100)
    first, second = RequestBudget(None, 80, memory), RequestBudget(None, 80, memory)

    first.hold("a", 60)
    with pytest.raises(ResourceExhaustedError, match="requests hold 60 of 100 bytes and this one needs 50"):
        second.hold("b", 50)
    with pytest.raises(vecdb.errors.BudgetExceededError):
        second.hold("b", 90)
    second.hold("b", 40)
    first.end()
    second.end()

    assert memory.held == 0


def test_a_caller_has_so_many_requests_and_others_have_theirs() -> None:
    callers = Callers(2)

    callers.begin("a")
    callers.begin("a")
    callers.begin("b")
    with pytest.raises(ResourceExhaustedError, match="2 requests of yours are running"):
        callers.begin("a")
    callers.end("a")
    callers.begin("a")


def test_a_method_without_a_rule_is_refused_to_everybody(server: tuple[Server, str]) -> None:
    """The negative control of the table: a service that somebody adds and forgets."""
    guard = Guard(None, LIMITS, server[0].metrics, None, False, None)  # pyright: ignore[reportArgumentType]
    made = grpc.unary_unary_rpc_method_handler(lambda request, context: b"secret")

    class Context:
        """What the handler tells."""

        code: Any = None

        def set_trailing_metadata(self, metadata: Any) -> None:
            return

        def abort(self, code: Any, details: str) -> None:
            self.code = code
            raise ConnectionAbortedError(details)

    context = Context()
    with pytest.raises(ConnectionAbortedError, match=r"nobody may call /vecdb\.v1\.X/Y"):
        guard.guarded("/vecdb.v1.X/Y", made).unary_unary(b"", context)  # pyright: ignore

    assert context.code == grpc.StatusCode.PERMISSION_DENIED


def test_a_principal_without_grants_may_do_nothing() -> None:
    nobody = Principal("nobody", ())

    assert not any(nobody.grant(permission, "docs") or nobody.any(permission) for permission in Permission)
    assert not nobody.sees("docs")
    assert EVERYTHING.covers("docs")


def test_a_version_of_grpc_that_is_not_as_expected_is_served_by_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecdb_server.server.usable", lambda: False)
    server = Server(Config(server=ServerSection(path=str(tmp_path / "db"), port=0)))
    try:
        with dialled(server.start().target) as stubs:
            server.served.create("docs", schema(), False).upsert(rows(3))
            found = stubs.records.Count(records.CountRequest(collection="docs"))
    finally:
        server.stop()

    assert found.count == 3
