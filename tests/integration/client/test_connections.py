"""Connections: refused, encrypted, with keys, broken and made again."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import vecdb
import vecdb_client
from support import contract
from support.certificates import Authority
from support.served import Program
from support.ways import served
from vecdb.errors import (
    ConflictError,
    DeadlineExceededError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from vecdb.schema.records import validated_batch
from vecdb_client import Settings, Tls, aio, methods
from vecdb_client.address import Address
from vecdb_client.aio.transport import Connection
from vecdb_proto.v1.admin_service_pb2 import GetServerRequest
from vecdb_server.auth.keys import Keys

HURRIED = Settings(timeout=5.0, attempts=2, first_wait=0.01)
SCHEMA = vecdb.Schema(id=vecdb.Id("int64"), size=vecdb.Int64(), v=vecdb.Vector(4))
ASKED = contract.vector(7)


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return some rows."""
    return [{"id": at, "size": at, "v": contract.vector(at)} for at in range(start, start + count)]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server that asks nobody who they are."""
    with served(tmp_path / "database") as address:
        yield address


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(UnavailableError, match=r"grpc://127\.0\.0\.1:1 cannot be reached"):
        vecdb.connect("grpc://127.0.0.1:1", settings=HURRIED)


def test_what_listens_there_and_is_no_vecdb_is_told(tmp_path: Path) -> None:
    import grpc

    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(vecdb.errors.VecdbError, match="knows no GetServer"):
            vecdb.connect(f"grpc://127.0.0.1:{port}", settings=HURRIED)
    finally:
        server.stop(None).wait()


def test_arguments_of_folders_and_of_servers_are_told_apart(address: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"vecdb_client\.Settings"):
        vecdb.connect(address, settings=vecdb.Settings())
    with pytest.raises(InvalidInputError, match=r"expected vecdb\.Settings"):
        vecdb.connect(tmp_path / "folder", settings=Settings())
    with pytest.raises(InvalidInputError, match="is a folder"):
        vecdb.connect(tmp_path / "folder", api_key="x")
    with pytest.raises(InvalidInputError, match="not encrypted"):
        vecdb.connect(address, tls=Tls())


def test_a_read_only_client_refuses_to_write(address: str) -> None:
    with vecdb.connect(address) as database:
        database.create_collection("docs", SCHEMA).upsert(rows(3))

    with vecdb.connect(address, read_only=True) as database:
        docs = database["docs"]
        assert docs.count() == 3
        for write in (
            lambda: docs.upsert(rows(1)),
            lambda: docs.delete(1),
            lambda: docs.bulk(),
            lambda: docs.tag("x"),
            lambda: docs.drop_column("size"),
            lambda: database.drop_collection("docs"),
        ):
            with pytest.raises(ConflictError, match="read-only"):
                write()


def test_a_database_is_not_repaired_through_a_server(address: str) -> None:
    with vecdb.connect(address) as database, pytest.raises(ConflictError, match="stop it"):
        database.repair()


def test_the_server_tells_its_version_and_limits(address: str) -> None:
    with vecdb_client.connect(address) as database:
        assert database.server_version == vecdb.__version__
        assert database.limits()["k"] > 0
        assert database.encoders() == []
        assert repr(database) == f"Database('{address}')"


def test_a_unix_socket_is_an_address_too(tmp_path: Path) -> None:
    program = Program(tmp_path / "database", ["--socket", str(tmp_path / "vecdb.sock")])
    with program, vecdb.connect(f"unix:{tmp_path / 'vecdb.sock'}") as database:
        assert database.create_collection("docs", SCHEMA).upsert(rows(2)).rows == 2


# -- TLS and keys ------------------------------------------------------------------------------------------------------


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[str, Tls, dict[str, str]]]:
    """A server with TLS that wants keys: its address, the client's certificates, and a key for each role."""
    authority = Authority(tmp_path)
    pair = authority.issue("vecdb.test")
    keys, tokens = Keys({}), {}
    for name in ("admin", "docs-reader"):
        keys, _, tokens[name] = keys.with_key(name, [name])
    keys.write(tmp_path / "keys.json")
    config = tmp_path / "server.toml"
    config.write_text(
        f"""
        [tls]
        certificate = "{pair.certificate}"
        key = "{pair.key}"
        [auth]
        keys = "{tmp_path / "keys.json"}"
        [auth.roles]
        docs-reader = [{{role = "reader", collections = "docs"}}]
        """
    )
    with Program(tmp_path / "database", ["--config", str(config)]) as program:
        address = program.told[0].rpartition(" ")[2]
        yield address, Tls(ca=authority.certificate), tokens


def test_an_encrypted_server_is_used_with_a_key(
    secured: tuple[str, Tls, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, tls, tokens = secured
    assert address.startswith("grpcs://")

    with vecdb.connect(address, api_key=tokens["admin"], tls=tls) as database:
        database.create_collection("docs", SCHEMA).upsert(rows(3))
        database.create_collection("secret", SCHEMA)

    monkeypatch.setenv("VECDB_API_KEY", tokens["docs-reader"])
    monkeypatch.setenv("VECDB_TLS_CA", str(tls.ca))
    with vecdb.connect(address) as database:
        assert database.collections() == ["docs"]
        docs = database["docs"]
        assert len(docs.search(v=ASKED, k=2)) == 2
        with pytest.raises((PermissionDeniedError, NotFoundError)):
            docs.upsert(rows(1))
        with pytest.raises(NotFoundError) as forbidden:
            database["secret"]
        with pytest.raises(NotFoundError) as missing:
            database["nowhere"]
        assert str(forbidden.value).replace("secret", "nowhere") == str(missing.value)


def test_a_key_that_is_missing_or_wrong_is_refused(secured: tuple[str, Tls, dict[str, str]]) -> None:
    address, tls, tokens = secured

    with pytest.raises(UnauthenticatedError):
        vecdb.connect(address, tls=tls)
    with pytest.raises(UnauthenticatedError):
        vecdb.connect(address, tls=tls, api_key=tokens["admin"][:-4] + "AAAA")


def test_a_certificate_of_nobody_known_is_refused(secured: tuple[str, Tls, dict[str, str]], tmp_path: Path) -> None:
    address, _, tokens = secured
    stranger = Authority(tmp_path, "stranger")

    with pytest.raises(UnavailableError, match="is not trusted"):
        vecdb.connect(address, api_key=tokens["admin"], tls=Tls(ca=stranger.certificate), settings=HURRIED)


def test_an_address_without_encryption_is_corrected(secured: tuple[str, Tls, dict[str, str]]) -> None:
    plain = secured[0].replace("grpcs://", "grpc://")

    with pytest.raises(UnavailableError, match="where it speaks TLS, its address is grpcs://"):
        vecdb.connect(plain, settings=HURRIED)


def test_a_server_that_asks_for_certificates_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    pair, mine, other = authority.issue("vecdb.test"), authority.issue("me"), stranger.issue("other")
    flags = ["--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key)]
    flags += ["--tls-client-ca", str(authority.certificate)]
    ca = authority.certificate
    unsigned, signed = Tls(ca=ca), Tls(ca=ca, certificate=mine.certificate, key=mine.key)
    loop = contract.Loop()

    with Program(tmp_path / "database", flags) as program:
        address = program.told[0].rpartition(" ")[2]
        with vecdb.connect(address, tls=signed) as database:
            assert database.collections() == []
        for call in (vecdb.connect, lambda *args, **options: loop.call(aio.connect, *args, **options)):
            with pytest.raises(UnavailableError, match=r"may ask for a certificate of the client: .* VECDB_TLS_CERT"):
                call(address, tls=unsigned, settings=HURRIED)
        shown = Tls(ca=ca, certificate=other.certificate, key=other.key)
        with pytest.raises(UnavailableError, match="may not know who signed the certificate that the client shows"):
            vecdb.connect(address, tls=shown, settings=HURRIED)
    loop.close()
    with pytest.raises(UnavailableError, match="cannot be reached") as gone:
        vecdb.connect(address, tls=unsigned, settings=HURRIED)
    assert "certificate" not in str(gone.value)


# -- many calls at once ------------------------------------------------------------------------------------------------


def test_threads_share_a_client_and_its_connections(address: str) -> None:
    with vecdb_client.connect(address, settings=Settings(connections=3)) as database:
        docs = database.create_collection("docs", SCHEMA)
        docs.upsert(rows(50))
        expected = docs.search(v=ASKED, k=5).ids
        begun = threading.Barrier(8)

        def ask(number: int) -> list[Any]:
            begun.wait()
            docs.upsert({"id": 1000 + number, "size": number})
            return [docs.search(v=ASKED, k=5).ids for _ in range(10)]

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(8)))

        assert answers == [[expected] * 10] * 8
        assert docs.count("id >= 1000") == 8
        assert 1 <= len(database._connection._slots) <= 3
        assert [slot.busy for slot in database._connection._slots] == [0] * len(database._connection._slots)


def test_tasks_share_an_asyncio_client(address: str) -> None:
    async def main() -> None:
        async with await aio.connect(address) as database:
            docs = await database.create_collection("docs", SCHEMA)
            await docs.upsert(rows(50))
            expected = (await docs.search(v=ASKED, k=5)).ids

            answers = await asyncio.gather(*(docs.search(v=ASKED, k=5) for _ in range(40)))

            assert [found.ids for found in answers] == [expected] * 40
            found = [one async for page in docs.search_iter(v=ASKED, k=20) for one in page.ids]
            assert sorted(found) == list(range(50))
            async with docs.bulk() as load:
                await load.add(rows(10, 100))
            assert await docs.count() == 60
            task = asyncio.create_task(docs.search(v=ASKED))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await docs.search(v=ASKED, k=5)).ids == expected

    asyncio.run(main())


def test_pages_that_nobody_reads_on_are_given_up(address: str) -> None:
    with vecdb_client.connect(address) as database:
        docs = database.create_collection("docs", SCHEMA)
        docs.upsert(rows(500))
        for iterator in (docs.search_iter(v=ASKED, k=2), docs.scan(batch_rows=2)):
            next(iter(iterator))
            del iterator

        assert docs.count() == 500
        assert [slot.busy for slot in database._connection._slots] == [0] * len(database._connection._slots)


# -- servers that end --------------------------------------------------------------------------------------------------


def restarted(program: Program, folder: Path) -> Program:
    """Kill a server and start another one on its port."""
    port = program.target.rpartition(":")[2]
    program.kill()
    return Program(folder, ["--port", port])


def test_a_call_that_comes_while_the_client_is_closed_says_so(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for ask in (lambda docs: docs.count(), lambda docs: list(docs.scan())):
        database: Any = vecdb.connect(address)
        docs = database.create_collection("docs", SCHEMA, exist_ok=True)
        connection = docs._connection

        def closed_meanwhile(taken: Any = connection._taken, close: Any = connection.close) -> Any:
            slot = taken()
            close()
            return slot

        monkeypatch.setattr(connection, "_taken", closed_meanwhile)
        with pytest.raises(UnavailableError, match="the database is closed"):
            ask(docs)


def test_who_waits_when_an_asyncio_client_is_closed_was_not_cancelled() -> None:
    async def closed(port: int) -> None:
        connection = Connection(Address.parse(f"grpc://127.0.0.1:{port}"), Settings(), Tls(), None)
        waits = asyncio.create_task(connection.call(methods.GET_SERVER, GetServerRequest()))
        await asyncio.sleep(0)
        await connection.close()
        with pytest.raises(UnavailableError, match="the database is closed"):
            await waits

    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        asyncio.run(closed(silent.getsockname()[1]))


def test_reads_and_writes_go_on_after_a_server_was_killed(tmp_path: Path) -> None:
    program = Program(tmp_path / "database")
    with vecdb.connect(f"grpc://{program.target}") as database:
        docs = database.create_collection("docs", SCHEMA)
        docs.upsert(rows(20))
        with restarted(program, tmp_path / "database"):
            assert docs.count() == 20
            assert docs.upsert(rows(5, 100)).rows == 5
            assert len(docs.search(v=ASKED, k=3)) == 3


@pytest.mark.parametrize("mode", ["reader", "bulk"])
def test_an_upload_goes_on_after_the_server_was_killed(tmp_path: Path, mode: str) -> None:
    import pyarrow as pa

    chunks = [validated_batch(rows(50, 50 * at), SCHEMA) for at in range(12)]
    program = Program(tmp_path / "database")
    running = [program]
    try:
        with vecdb.connect(f"grpc://{program.target}") as database:
            docs = database.create_collection("docs", SCHEMA)

            def sent() -> Iterator[pa.RecordBatch]:
                for at, chunk in enumerate(chunks):
                    if at in (4, 8):
                        running.append(restarted(running[-1], tmp_path / "database"))
                    yield chunk

            reader = pa.RecordBatchReader.from_batches(SCHEMA.arrow_schema(), sent())
            if mode == "reader":
                assert docs.upsert(reader).rows == 600
                quiet = database.create_collection("quiet", SCHEMA)
                quiet.upsert(pa.RecordBatchReader.from_batches(SCHEMA.arrow_schema(), iter(chunks)))
                with docs.snapshot() as one, quiet.snapshot() as other:  # a chunk stored twice would be another write
                    assert one.lsn == other.lsn
            else:
                with docs.bulk(rows_per_segment=100) as load:
                    assert load.add(reader) == 600
                assert load.rows_committed == 600

            assert len(running) == 3
            assert docs.count() == 600
            scanned = [one for batch in docs.scan(fields=[]) for one in batch.column("id").to_pylist()]
            assert sorted(scanned) == list(range(600))
    finally:
        for one in running:
            with one:
                pass
    assert vecdb.check(tmp_path / "database").ok


def test_an_upload_waits_for_a_server_that_is_away(tmp_path: Path) -> None:
    import pyarrow as pa

    program = Program(tmp_path / "database")
    port = program.target.rpartition(":")[2]
    settings = Settings(attempts=2, first_wait=0.01, longest_wait=0.1, timeout=600.0)
    with ThreadPoolExecutor(1) as pool, vecdb.connect(f"grpc://{program.target}", settings=settings) as database:
        docs = database.create_collection("docs", SCHEMA)
        back: list[Future[Program]] = []

        def sent() -> Iterator[pa.RecordBatch]:
            for at in range(12):
                if at == 4:
                    program.kill()
                    back.append(pool.submit(Program, tmp_path / "database", ["--port", port]))
                yield validated_batch(rows(50, 50 * at), SCHEMA)

        try:
            assert docs.upsert(pa.RecordBatchReader.from_batches(SCHEMA.arrow_schema(), sent())).rows == 600
            assert docs.count() == 600
        finally:
            with back[0].result():
                pass


def test_a_deadline_ends_the_attempts(tmp_path: Path) -> None:
    program = Program(tmp_path / "database")
    settings = Settings(attempts=100, first_wait=0.01, longest_wait=0.05, timeout=0.5)
    with vecdb.connect(f"grpc://{program.target}", settings=settings) as database:
        docs = database.create_collection("docs", SCHEMA)
        program.kill()

        with pytest.raises((UnavailableError, DeadlineExceededError)):
            docs.count()


def test_a_snapshot_is_renewed_until_it_is_closed(address: str) -> None:
    with vecdb.connect(address) as database:
        docs: Any = database.create_collection("leased", vecdb.Schema(id=vecdb.Id()))
        docs.upsert({"id": "a"})
        held = docs.snapshot()
        held._renew()
        assert held in database._connection.keeper._due  # pyright: ignore[reportAttributeAccessIssue]

        held.close()

        assert held not in database._connection.keeper._due  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(NotFoundError):
            held._renew()
