"""TLS: only 1.3, certificates that change while the server runs, and clients that show their own."""

from __future__ import annotations

import shutil
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from support.certificates import Authority, Pair
from support.served import Program, Stubs, dialled
from vecdb.errors import InvalidInputError, NotFoundError
from vecdb_proto.v1.admin_service_pb2 import GetServerRequest
from vecdb_proto.v1.collection_service_pb2 import CreateCollectionRequest, ListCollectionsRequest
from vecdb_server.config import TlsSection
from vecdb_server.tls import credentials


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def arguments(pair: Pair) -> list[str]:
    """Return the flags of a server with a certificate."""
    return ["--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key)]


def handshake(target: str, authority: Authority, version: ssl.TLSVersion) -> bytes | None:
    """Return the certificate that a server shows to a client that knows one version of TLS."""
    context = ssl.create_default_context(cafile=authority.certificate)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    host, _, port = target.rpartition(":")
    with (
        socket.create_connection((host, int(port))) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return secure.getpeercert(binary_form=True)


def version_of(stubs: Stubs) -> str:
    """Ask a server for its version."""
    made: Any = stubs
    return made.admin.GetServer(GetServerRequest()).version


def test_tls_1_3_is_spoken_and_1_2_is_not(tmp_path: Path, authority: Authority) -> None:
    with Program(tmp_path / "db", arguments(authority.issue("vecdb.example.org"))) as program:
        assert program.told[0].startswith(f"serving {tmp_path / 'db'} on grpcs://")
        assert handshake(program.target, authority, ssl.TLSVersion.TLSv1_3) is not None
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(program.target, authority, ssl.TLSVersion.TLSv1_2)
        credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes())
        with dialled(program.target, credentials=credentials) as stubs:
            assert version_of(stubs)
        with dialled(program.target) as stubs, pytest.raises(grpc.RpcError):
            version_of(stubs)  # without TLS


def test_a_new_certificate_is_shown_without_a_restart(tmp_path: Path, authority: Authority) -> None:
    served = authority.issue("vecdb.example.org")
    with Program(tmp_path / "db", arguments(served)) as program:
        before = handshake(program.target, authority, ssl.TLSVersion.TLSv1_3)
        renewed = authority.issue("vecdb.example.org", "renewed")
        shutil.copy(renewed.key, served.key)
        shutil.copy(renewed.certificate, served.certificate)

        after = before
        while after == before:  # the files are looked at once a second
            time.sleep(0.2)
            after = handshake(program.target, authority, ssl.TLSVersion.TLSv1_3)

        assert after == ssl.PEM_cert_to_DER_cert(renewed.certificate.read_text())


def test_a_certificate_that_does_not_fit_its_key_leaves_the_old_one_in_force(
    tmp_path: Path, authority: Authority
) -> None:
    served = authority.issue("vecdb.example.org")
    with Program(tmp_path / "db", arguments(served)) as program:
        before = handshake(program.target, authority, ssl.TLSVersion.TLSv1_3)
        shutil.copy(authority.issue("other.example.org").certificate, served.certificate)

        while "file not read again" not in program.log.read_text():
            time.sleep(0.2)
            assert handshake(program.target, authority, ssl.TLSVersion.TLSv1_3) == before


def test_a_client_is_known_by_its_certificate(tmp_path: Path, authority: Authority) -> None:
    settings = tmp_path / "vecdb.toml"
    settings.write_text(
        f"""
        [tls]
        client_ca = "{authority.certificate}"
        [auth.certificates]
        "reader.example.org" = ["reader"]
        "admin.example.org" = ["admin"]
        """
    )
    flags = [*arguments(authority.issue("vecdb.example.org")), "--config", str(settings)]
    (tmp_path / "strange").mkdir()
    stranger = Authority(tmp_path / "strange", "stranger").issue("admin.example.org")
    with Program(tmp_path / "db", flags) as program:
        outcomes = {}
        callers = {"reader": "reader.example.org", "admin": "admin.example.org", "unnamed": "x.example.org"}
        pairs = {caller: authority.issue(name, caller) for caller, name in callers.items()}
        for caller, pair in {**pairs, "stranger": stranger, "none": None}.items():
            key, certificate = (None, None) if pair is None else pair.pem
            credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes(), key, certificate)
            with dialled(program.target, credentials=credentials) as stubs:
                outcomes[caller] = outcome(stubs)

    assert outcomes == {
        "reader": ("OK", "PERMISSION_DENIED"),
        "admin": ("OK", "INVALID_ARGUMENT"),
        "unnamed": ("UNAUTHENTICATED", "UNAUTHENTICATED"),
        "stranger": ("UNAVAILABLE", "UNAVAILABLE"),
        "none": ("UNAVAILABLE", "UNAVAILABLE"),
    }


def outcome(stubs: Any) -> tuple[str, ...]:
    """Return how it ends to list collections, and to make one without fields."""
    calls = (
        lambda: stubs.collections.ListCollections(ListCollectionsRequest()),
        lambda: stubs.collections.CreateCollection(CreateCollectionRequest(name="docs")),
    )
    said = []
    for call in calls:
        try:
            call()
            said.append("OK")
        except grpc.RpcError as error:
            said.append(error.code().name)  # pyright: ignore[reportAttributeAccessIssue]
    return tuple(said)


@pytest.mark.parametrize("lacking", ["certificate", "key"])
def test_a_missing_file_is_told_at_the_start(
    tmp_path: Path, authority: Authority, lacking: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = authority.issue("vecdb.example.org")
    (pair.certificate if lacking == "certificate" else pair.key).unlink()

    with pytest.raises(NotFoundError, match="there is no file"):
        credentials(TlsSection(certificate=str(pair.certificate), key=str(pair.key)))


def test_a_file_that_holds_no_authority_is_named(tmp_path: Path, authority: Authority) -> None:
    pair, wrong = authority.issue("vecdb.example.org"), tmp_path / "wrong.pem"
    wrong.write_text("nothing")

    with pytest.raises(InvalidInputError, match=r"wrong\.pem holds no certificates"):
        credentials(TlsSection(certificate=str(pair.certificate), key=str(pair.key), client_ca=str(wrong)))


def test_an_address_in_brackets_is_listened_on(tmp_path: Path, authority: Authority) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    flags = [*arguments(authority.issue("vecdb.example.org")), "--host", "[::1]"]

    with Program(tmp_path / "db", flags) as program:
        assert "grpcs://[::1]:" in program.told[0]
