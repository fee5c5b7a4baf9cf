"""Who calls: what counts of what a client sends."""

from pathlib import Path

import pytest

from vecdb.errors import InvalidInputError, UnauthenticatedError
from vecdb_server.auth.grants import ANYBODY, Permission
from vecdb_server.auth.identity import Identities, Peer
from vecdb_server.auth.keys import Keys
from vecdb_server.config import AuthSection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def bearer(token: str) -> list[tuple[str, str | bytes]]:
    """Return what a client sends."""
    return [("user-agent", "x"), ("authorization", f"Bearer {token}")]


def test_without_keys_tokens_and_certificates_everybody_may_do_everything() -> None:
    assert Identities(AuthSection()).identify([], Peer()) == ANYBODY


def test_a_key_is_known_by_its_id_and_has_its_roles(path: Path) -> None:
    keys, key, token = Keys({}).with_key("app", ["writer"])
    keys.write(path)

    found = Identities(AuthSection(keys=str(path))).identify(bearer(token), Peer())

    assert found.name == f"key:{key.id}"
    assert found.grant(Permission.WRITE, "docs") is not None
    assert found.grant(Permission.ADMIN, "docs") is None


def test_every_refusal_reads_the_same(path: Path) -> None:
    keys, key, token = Keys({}).with_key("app", ["writer"])
    keys.revoked(key.id).write(path)
    identities = Identities(AuthSection(keys=str(path)))

    told = set()
    for given in (token, f"vdb_{key.id}_{'A' * 43}", "vdb_", "a.b.c", "", "x"):
        with pytest.raises(UnauthenticatedError) as caught:
            identities.identify(bearer(given), Peer())
        told.add(str(caught.value))

    assert told == {"the API key or token is not valid"}


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        [("x-user", "admin"), ("x-forwarded-client-cert", "CN=admin"), ("vecdb-internal", "1")],
        [("authorization", "Basic YTpi")],
        [("authorization", "")],
        [("authorization", b"\xff")],
        [("authorization-bin", b"Bearer x")],
    ],
)
def test_nothing_else_that_a_client_sends_counts(path: Path, metadata: list[tuple[str, str | bytes]]) -> None:
    identities = Identities(AuthSection(keys=str(path)))

    with pytest.raises(UnauthenticatedError):
        identities.identify(metadata, Peer(("admin",)))


def test_two_headers_are_refused_even_if_one_is_right(path: Path) -> None:
    keys, _, token = Keys({}).with_key("app", ["writer"])
    keys.write(path)

    with pytest.raises(UnauthenticatedError, match="several"):
        Identities(AuthSection(keys=str(path))).identify([*bearer(token), *bearer(token)], Peer())


def test_a_certificate_counts_where_the_configuration_names_it(path: Path) -> None:
    identities = Identities(AuthSection(certificates={"search.example.org": ["reader"]}))
    peer = Peer.of({"x509_common_name": [b"search.example.org"], "transport_security_type": [b"ssl"]})

    assert identities.identify([], peer).name == "certificate:search.example.org"
    with pytest.raises(UnauthenticatedError):
        identities.identify([], Peer(("other.example.org",)))
    with pytest.raises(UnauthenticatedError):
        identities.identify(bearer("x"), peer)  # what is said wrongly is not made good by a certificate


def test_a_certificate_with_an_unknown_role_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="there is no role 'boss'"):
        Identities(AuthSection(certificates={"x": ["boss"]}))


def test_a_file_of_keys_may_come_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vecdb_server.auth.files.INTERVAL", 0.0)
    identities = Identities(AuthSection(keys=str(path)))
    assert identities._keys is not None
    identities._keys._interval = 0.0
    keys, _, token = Keys({}).with_key("app", ["reader"])
    with pytest.raises(UnauthenticatedError):
        identities.identify(bearer(token), Peer())

    keys.write(path)

    assert identities.identify(bearer(token), Peer()).grant(Permission.READ, "docs") is not None


def test_a_file_of_keys_that_is_not_there_yet_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("vecdb_server.auth.identity.logger.warning", lambda line, extra: told.append(extra["file"]))

    known = Identities(AuthSection(keys=str(tmp_path / "keys.json")))

    assert told == [str(tmp_path / "keys.json")]
    assert not known.open
