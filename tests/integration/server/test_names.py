"""Names are data: three hundred hostile ones, wherever a client can name something, reach no file."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from integration.server.running import rows, schema
from support.served import OWN_CHANNEL, dialled, methods
from vecdb.wire import schemas
from vecdb_proto.v1 import admin_service_pb2 as admin
from vecdb_proto.v1 import collection_service_pb2 as collections
from vecdb_proto.v1 import record_service_pb2 as records
from vecdb_proto.v1 import search_service_pb2 as search
from vecdb_proto.v1 import snapshot_service_pb2 as snapshots
from vecdb_proto.v1.values_pb2 import Fields
from vecdb_proto.v1.view_pb2 import View
from vecdb_server.config import Config, ServerSection
from vecdb_server.server import Server

CANARY = "outside.txt"

PARTS = [
    "..", ".", "", "/", "//", "\\", "~", "$HOME", "${HOME}", "%2e%2e", "%2f", "..%2f", "..%5c", "....//", "..;/",
    "etc", "passwd", "CON", "NUL", "aux.txt", "C:", "C:\\", "\\\\host\\share", "file:///", "http://127.0.0.1/",
    "\0", "\n", "\r\n", "\t", "\x1b[31m", "\x7f", "\u202e", "\u2028", "\ufeff", "\u0000", "é", "\u0065\u0301", "ß",
    "ﷺ", "\U0001f4a9", "．．", "／", "‥", "∕", "-rf", "--help", ";ls", "|ls", "`ls`", "$(ls)", "&&ls", "'", '"',
    "' or '1'='1", "{{7*7}}", "${7*7}", "%s%n", "*", "?", "[a]", "<script>", "LOCK", "CURRENT", "FORMAT", "catalog",
    "collections", "tmp", "wal", "segments", "lost+found", ".hidden", "a" * 129, "a" * 4096, " ", " a", "a ", "a.",
]  # fmt: skip


def hostile(count: int) -> list[str]:
    """Return names: each part, paths of them, and paths that lead out of any folder."""
    chosen = random.Random(18)
    names = list(PARTS)
    names += ["../" * depth + CANARY for depth in range(1, 12)]
    names += ["..\\" * depth + CANARY for depth in range(1, 6)]
    names += [f"/{CANARY}", f"a/../../{CANARY}", f"a/../{CANARY}", f"{CANARY}\0.json", f"docs/../../{CANARY}"]
    while len(names) < count:
        names.append(
            chosen.choice(["", "/", "a", "docs"]) + "/".join(chosen.choices(PARTS[:60], k=chosen.randint(2, 6)))
        )
    return names[:count]


NAMES = hostile(300)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server without authentication, in a folder of folders, with a file beside it that nobody may touch."""
    root = tmp_path_factory.mktemp("names")
    (root / CANARY).write_text("untouched")
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / CANARY).write_text("untouched")
    (root / "a" / "b" / "backups").mkdir()
    section = ServerSection(path=str(root / "a" / "b" / "db"), port=0, backups=str(root / "a" / "b" / "backups"))
    server = Server(Config(server=section, database={"durability": "none", "background": False}))
    address = server.start()
    server.served.create("docs", schema(), False).upsert(rows(3))
    yield root, server, address.target
    server.stop()


def outside(root: Path) -> dict[str, Any]:
    """Return every file that is neither the database's nor a backup's, and what it holds."""
    inside = (root / "a" / "b" / "db", root / "a" / "b" / "backups")
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
        if not any(path == one or one in path.parents for one in inside)
    }


def calls(stubs: Any, name: str) -> list[Any]:
    """Return a call for each place where a client can name something."""
    fields = schemas.to_message(schema())
    view: dict[str, Any] = {"view": View(tag=name)}
    return [
        lambda: stubs.collections.CreateCollection(collections.CreateCollectionRequest(name=name, schema=fields)),
        lambda: stubs.collections.GetCollection(collections.GetCollectionRequest(name=name)),
        lambda: stubs.collections.DropCollection(collections.DropCollectionRequest(name=name)),
        lambda: stubs.collections.RenameColumn(
            collections.RenameColumnRequest(collection="docs", name="n", new_name=name)
        ),
        lambda: stubs.collections.SetEncoder(collections.SetEncoderRequest(collection="docs", name="v", encoder=name)),
        lambda: stubs.collections.ListCollections(collections.ListCollectionsRequest(page_token=name)),
        lambda: stubs.records.Count(records.CountRequest(collection=name)),
        lambda: stubs.records.Count(records.CountRequest(collection="docs", **view)),
        lambda: stubs.records.Count(
            records.CountRequest(collection="docs", view=View(snapshot=name.encode("utf-8", "replace")))
        ),
        lambda: list(stubs.records.Scan(records.ScanRequest(collection="docs", fields=Fields(names=[name])))),
        lambda: stubs.search.Facets(
            search.FacetsRequest(collection="docs", fields=[search.FacetField(field=name)], k=1)
        ),
        lambda: stubs.snapshots.Tag(snapshots.TagRequest(collection="docs", tag=name)),
        lambda: stubs.snapshots.Untag(snapshots.UntagRequest(collection="docs", tag=name)),
        lambda: list(stubs.admin.Backup(admin.BackupRequest(name=name))),
        lambda: stubs.admin.GetStats(admin.GetStatsRequest(collection=name)),
    ]


def restored(server: Server, name: str) -> None:
    """Undo what a harmless name was taken for."""
    docs = server.served.database.collection("docs")
    if name in docs.schema and name not in schema():
        docs.rename_column(name, "n")


def test_three_hundred_hostile_names_reach_no_file_outside_and_break_nothing(served: Any) -> None:
    root, server, target = served
    before = outside(root)
    codes: dict[str, int] = {}
    with dialled(target) as stubs:
        for name in NAMES:
            for call in calls(stubs, name):
                try:
                    call()
                    code = "OK"
                except grpc.RpcError as error:
                    code = error.code().name  # pyright: ignore[reportAttributeAccessIssue]
                codes[code] = codes.get(code, 0) + 1
                assert code not in ("INTERNAL", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS"), (name, code)
            restored(server, name)

    assert outside(root) == before
    assert sum(codes.values()) == 300 * 15
    assert server.served.database.check().ok
    backups = sorted(os.listdir(root / "a" / "b" / "backups"))
    assert all(name in NAMES and "/" not in name and not name.startswith(".") for name in backups)


def places(kind: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the way to each text in a kind of message, three levels deep."""
    for field in kind.fields:
        if field.type == field.TYPE_STRING:
            yield (*path, field.name)
        elif field.message_type is not None and len(path) < 2 and not field.message_type.GetOptions().map_entry:
            yield from places(field.message_type, (*path, field.name))


def put(message: Any, path: tuple[str, ...], text: str) -> None:
    """Write a text into a message; where a list is on the way, into its first element."""
    *above, last = path
    for name in above:
        message = getattr(message, name)
        message = message if hasattr(message, "SetInParent") else message.add()
    if isinstance(getattr(message, last), str):
        setattr(message, last, text)
    else:
        getattr(message, last).append(text)


def code_of(channel: grpc.Channel, name: str, method: Any, request: Any) -> str:
    """Return the code with which a call ends."""
    kind = GetMessageClass(method.output_type)
    write = type(request).SerializeToString
    try:
        if method.client_streaming:
            list(channel.stream_stream(name, write, kind.FromString)(iter([request])))
        elif method.server_streaming:
            list(channel.unary_stream(name, write, kind.FromString)(request))
        else:
            channel.unary_unary(name, write, kind.FromString)(request)
    except grpc.RpcError as error:
        return error.code().name  # pyright: ignore[reportAttributeAccessIssue]
    return "OK"


def test_no_text_of_any_request_reaches_a_file_outside(served: Any) -> None:
    """The places come from the descriptors of the services, so that a new method is among them."""
    root, server, target = served
    before = outside(root)
    names = itertools.cycle(NAMES)
    asked, used = set(), set()
    with grpc.insecure_channel(target, OWN_CHANNEL) as channel:
        for method_name, method in methods().items():
            for path in places(method.input_type):
                asked.add(method_name)
                for name in itertools.islice(names, 4):
                    request = GetMessageClass(method.input_type)()
                    for usual in (("collection",), ("open", "collection")):
                        if usual in places(method.input_type):
                            put(request, usual, "docs")
                    put(request, path, name)
                    used.add(name)
                    code = code_of(channel, method_name, method, request)
                    assert code not in ("INTERNAL", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS"), (method_name, path, name)

    without = {"AdminService/Check", "AdminService/GetLimits", "AdminService/GetServer"}
    assert {one.removeprefix("/vecdb.v1.") for one in methods().keys() - asked} == without
    assert used == set(NAMES)
    assert outside(root) == before
    assert server.served.database.check().ok


def test_a_backup_does_not_follow_a_link(served: Any, tmp_path: Path) -> None:
    root, _, target = served
    (root / "a" / "b" / "backups" / "linked").symlink_to(tmp_path)

    with dialled(target) as stubs:
        made: Any = stubs
        with pytest.raises(grpc.RpcError, match="something else has its name"):
            list(made.admin.Backup(admin.BackupRequest(name="linked")))

    assert os.listdir(tmp_path) == []


def test_a_backup_is_a_database_that_opens(served: Any) -> None:
    import vecdb

    root, _, target = served
    with dialled(target) as stubs:
        made: Any = stubs
        told = list(made.admin.Backup(admin.BackupRequest(name="nightly")))

    assert told[-1].done.files > 0
    folder = root / "a" / "b" / "backups" / "nightly"
    assert told[-1].done.path == str(folder)
    with vecdb.connect(folder, read_only=True) as database:
        assert database["docs"].count() == 3
