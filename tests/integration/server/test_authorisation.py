"""Who may call what: every method of every service, with every kind of caller.

The table is written by hand, and not derived from the server's own: a method without a line here fails, and so does one
whose line and behaviour differ.
"""

from __future__ import annotations

import pkgutil
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

import vecdb_proto.v1
from integration.server.running import Running, schema
from support.served import FILES, OWN_CHANNEL, methods
from vecdb_server import services
from vecdb_server.access import RULES

R, W, A, KEEPER = "reader-docs", "writer-docs", "admin-docs", "operator-docs"
F, G = "filtered-docs", "filtered-writer-docs"
READERS = {R, W, A, F, G, "reader", "writer", "admin", "jwt-reader-docs"}
WRITERS = {W, A, G, "writer", "admin"}
ADMINS = {A, "admin"}
KEEPERS = {A, KEEPER, "admin", "operator"}
ANYBODY_KNOWN = {
    R,
    W,
    A,
    KEEPER,
    F,
    G,
    "reader",
    "writer",
    "admin",
    "operator",
    "jwt-reader-docs",
    "admin-other",
    "roleless",
}
UNFILTERED = READERS - {F, G}

MAY: dict[str, set[str]] = {
    "/vecdb.v1.CollectionService/CreateCollection": ADMINS,
    "/vecdb.v1.CollectionService/GetCollection": READERS | {KEEPER, "operator"},
    "/vecdb.v1.CollectionService/ListCollections": ANYBODY_KNOWN,
    "/vecdb.v1.CollectionService/DropCollection": ADMINS,
    "/vecdb.v1.CollectionService/AddColumn": ADMINS,
    "/vecdb.v1.CollectionService/DropColumn": ADMINS,
    "/vecdb.v1.CollectionService/RenameColumn": ADMINS,
    "/vecdb.v1.CollectionService/SetIndex": ADMINS,
    "/vecdb.v1.CollectionService/Repool": ADMINS,
    "/vecdb.v1.CollectionService/SetEncoder": ADMINS,
    "/vecdb.v1.LinkService/Link": WRITERS,
    "/vecdb.v1.LinkService/Unlink": WRITERS,
    "/vecdb.v1.LinkService/Neighbours": READERS,
    "/vecdb.v1.LinkService/ScanLinks": READERS,
    "/vecdb.v1.LinkService/Degrees": READERS,
    "/vecdb.v1.LinkService/GetLinkStats": READERS,
    "/vecdb.v1.LinkService/GetLinkSchema": READERS,
    "/vecdb.v1.LinkService/AddLinkAttribute": ADMINS,
    "/vecdb.v1.LinkService/RefreshSimilar": WRITERS - {G},
    "/vecdb.v1.RecordService/Upsert": WRITERS,
    "/vecdb.v1.RecordService/UpsertStream": WRITERS,
    "/vecdb.v1.RecordService/Patch": WRITERS,
    "/vecdb.v1.RecordService/Delete": WRITERS,
    "/vecdb.v1.RecordService/Get": READERS,
    "/vecdb.v1.RecordService/Count": READERS,
    "/vecdb.v1.RecordService/Scan": READERS,
    "/vecdb.v1.RecordService/ListStoredChunks": WRITERS,
    "/vecdb.v1.SearchService/Search": READERS,
    "/vecdb.v1.SearchService/SearchBatch": READERS,
    "/vecdb.v1.SearchService/SearchStream": READERS,
    "/vecdb.v1.SearchService/Explain": READERS,
    "/vecdb.v1.SearchService/Highlight": READERS,
    "/vecdb.v1.SearchService/Facets": READERS,
    "/vecdb.v1.SearchService/Recall": READERS,
    "/vecdb.v1.SearchService/Summarise": READERS,
    "/vecdb.v1.SearchService/Sample": READERS,
    "/vecdb.v1.SearchService/Clusters": READERS,
    "/vecdb.v1.SearchService/Duplicates": READERS,
    "/vecdb.v1.SnapshotService/OpenSnapshot": READERS,
    "/vecdb.v1.SnapshotService/KeepSnapshot": READERS,
    "/vecdb.v1.SnapshotService/CloseSnapshot": READERS,
    "/vecdb.v1.SnapshotService/Tag": ADMINS,
    "/vecdb.v1.SnapshotService/Untag": ADMINS,
    "/vecdb.v1.SnapshotService/ListTags": READERS,
    "/vecdb.v1.SnapshotService/ListVersions": UNFILTERED,
    "/vecdb.v1.AdminService/Flush": KEEPERS,
    "/vecdb.v1.AdminService/Compact": KEEPERS,
    "/vecdb.v1.AdminService/BuildIndexes": KEEPERS,
    "/vecdb.v1.AdminService/Tune": ADMINS,
    "/vecdb.v1.AdminService/Calibrate": ADMINS,
    "/vecdb.v1.AdminService/GetStats": UNFILTERED | {KEEPER, "operator"},
    "/vecdb.v1.AdminService/Backup": {"operator"},
    "/vecdb.v1.AdminService/Check": {"operator"},
    "/vecdb.v1.AdminService/GetLimits": ANYBODY_KNOWN,
    "/vecdb.v1.AdminService/GetServer": ANYBODY_KNOWN,
}
"""Which callers each method lets in, for the collection "docs"."""

CALLERS = sorted(ANYBODY_KNOWN)
STRANGERS = ["nobody", "wrong", "expired", "revoked", "jwt-expired", "jwt-other", "garbage"]
HIDDEN = {"admin-other", "roleless"}
"""Callers who may not know that "docs" exists."""


def test_every_method_has_a_line_here_and_a_rule_in_the_server() -> None:
    standard = {name for name in RULES if name.startswith("/grpc.")}

    modules = {one.name for one in pkgutil.iter_modules(vecdb_proto.v1.__path__)}
    assert {file.__name__.rpartition(".")[2] for file in FILES} == {
        name for name in modules if name.endswith("_service_pb2")
    }
    assert {name.split("/")[1] for name in methods()} == set(services.NAMES)
    assert set(MAY) == set(methods())
    assert set(RULES) == set(methods()) | standard
    assert standard == {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    }


def request_for(method: Any, collection: str) -> Any:
    """Return a request of a method that names a collection, if it has a place for one."""
    request: Any = GetMessageClass(method.input_type)()
    names = {field.name for field in method.input_type.fields}
    if "collection" in names:
        request.collection = collection
    elif "open" in names:
        request.open.collection = collection
    elif "name" in names and method.name != "Backup":
        request.name = collection
    return request


def outcome(running: Running, name: str, method: Any, caller: str, collection: str = "docs") -> tuple[str, str]:
    """Return the code and the message with which a call of a method ends."""
    token = {"nobody": None, "garbage": "a.b.c"}.get(caller, running.tokens.get(caller))
    headers = () if token is None else (("authorization", f"Bearer {token}"),)
    request = request_for(method, collection)
    kind = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    with grpc.insecure_channel(running.target, OWN_CHANNEL) as channel:
        try:
            if method.client_streaming:
                call = channel.stream_stream(name, kind[0].SerializeToString, kind[1].FromString)
                list(call(iter([request]), metadata=headers))
            elif method.server_streaming:
                call = channel.unary_stream(name, kind[0].SerializeToString, kind[1].FromString)
                list(call(request, metadata=headers))
            else:
                channel.unary_unary(name, kind[0].SerializeToString, kind[1].FromString)(request, metadata=headers)
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""  # pyright: ignore[reportAttributeAccessIssue]
    return "OK", ""


@pytest.fixture(autouse=True)
def collection(running: Running) -> None:
    """Have the collection there, which some calls drop."""
    if "docs" not in running.server.served.names():
        running.server.served.create("docs", schema(), False)


@pytest.mark.parametrize("name", MAY)
def test_who_is_not_known_learns_nothing(running: Running, name: str) -> None:
    outcomes = {caller: outcome(running, name, methods()[name], caller) for caller in STRANGERS}

    assert {code for code, _ in outcomes.values()} == {"UNAUTHENTICATED"}
    assert len({told for caller, (_, told) in outcomes.items() if caller != "nobody"}) == 1


@pytest.mark.parametrize("name", MAY)
def test_a_method_lets_in_whom_its_line_names_and_nobody_else(running: Running, name: str) -> None:
    method = methods()[name]
    let_in: set[str] = set()
    for caller in CALLERS:
        if name.endswith("/DropCollection") and "docs" not in running.server.served.names():
            running.server.served.create("docs", schema(), False)
        code, told = outcome(running, name, method, caller)
        assert code not in ("UNAUTHENTICATED", "UNKNOWN", "INTERNAL", "UNIMPLEMENTED"), (caller, code, told)
        if code == "PERMISSION_DENIED" or (caller in HIDDEN and told.startswith("no collection 'docs'")):
            assert "docs" not in told.replace("'docs'", "").replace("docs*", ""), told
            continue
        let_in.add(caller)

    assert let_in == MAY[name]


@pytest.mark.parametrize("name", [name for name in MAY if "docs" in str(request_for(methods()[name], "docs"))])
def test_a_forbidden_collection_and_a_missing_one_are_told_in_the_same_words(running: Running, name: str) -> None:
    for caller in HIDDEN:
        there = outcome(running, name, methods()[name], caller, "docs")
        missing = outcome(running, name, methods()[name], caller, "nope")

        assert (there[0], there[1].replace("'docs'", "")) == (missing[0], missing[1].replace("'nope'", ""))


def test_a_list_has_the_collections_that_the_caller_may_know_of(running: Running) -> None:
    from support.served import dialled
    from vecdb_proto.v1.collection_service_pb2 import ListCollectionsRequest

    seen = {}
    for caller in ("reader-docs", "admin-other", "roleless", "admin", "operator"):
        with dialled(running.target, running.tokens[caller]) as stubs:
            seen[caller] = list(stubs.collections.ListCollections(ListCollectionsRequest()).names)

    both = ["docs", "other"]
    assert seen == {"reader-docs": ["docs"], "admin-other": ["other"], "roleless": [], "admin": both, "operator": both}


def test_health_is_for_everybody(running: Running) -> None:
    with grpc.insecure_channel(running.target, OWN_CHANNEL) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )

        assert check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
        watching = watch(health_pb2.HealthCheckRequest(service="vecdb.v1.SearchService"))
        assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
        watching.cancel()


def reflected(running: Running, caller: str) -> tuple[str, list[str]]:
    """Ask which services there are."""
    token = running.tokens.get(caller)
    headers = () if token is None else (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(running.target, OWN_CHANNEL) as channel:
        ask = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        try:
            request = reflection_pb2.ServerReflectionRequest(list_services="")
            (answer,) = ask(iter([request]), metadata=headers)
        except grpc.RpcError as error:
            return error.code().name, []  # pyright: ignore[reportAttributeAccessIssue]
        return "OK", sorted(service.name for service in answer.list_services_response.service)


def test_reflection_is_for_admins_and_operators(running: Running) -> None:
    allowed = {caller for caller in CALLERS if reflected(running, caller)[0] == "OK"}

    assert allowed == {A, KEEPER, "admin", "operator", "admin-other"}
    assert {reflected(running, caller)[0] for caller in ("nobody", "expired")} == {"UNAUTHENTICATED"}
    assert "vecdb.v1.SearchService" in reflected(running, "admin")[1]


def test_a_method_that_does_not_exist_is_told_as_such(running: Running) -> None:
    with grpc.insecure_channel(running.target, OWN_CHANNEL) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/vecdb.v1.SearchService/Nothing")(b"")

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED  # pyright: ignore[reportAttributeAccessIssue]
