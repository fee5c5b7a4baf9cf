"""Where an API key and certificates come from, and where a key is not sent."""

from pathlib import Path

import pytest

from vecdb.errors import InvalidInputError, NotFoundError
from vecdb_client.address import Address
from vecdb_client.known import api_key, tls_of
from vecdb_client.settings import Settings, Tls

HERE = Address.parse("grpc://localhost:7700")
THERE = Address.parse("grpcs://search.example.org:7700")


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own file, which is not there yet; nothing of the environment counts."""
    for name in ("API_KEY", "API_KEY_FILE", "TLS_CA", "TLS_CERTIFICATE", "TLS_KEY", "TLS_SERVER_NAME"):
        monkeypatch.delenv(f"VECDB_{name}", raising=False)
    path = tmp_path / "client.toml"
    monkeypatch.setenv("VECDB_CLIENT_CONFIG", str(path))
    return path


def test_without_any_there_is_none() -> None:
    assert api_key(HERE, None, Settings()) is None
    assert tls_of(THERE, None) == Tls()


def test_the_argument_wins_over_the_environment_and_that_over_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config.write_text('api_key = "of-all"\n[servers."grpc://localhost"]\napi_key = "of-one"\n')
    assert api_key(HERE, None, Settings()) == "of-one"
    assert api_key(THERE, None, Settings()) == "of-all"
    (tmp_path / "key").write_text("of-a-file\n")
    monkeypatch.setenv("VECDB_API_KEY_FILE", str(tmp_path / "key"))
    assert api_key(HERE, None, Settings()) == "of-a-file"
    monkeypatch.setenv("VECDB_API_KEY", " of-the-environment ")
    assert api_key(HERE, None, Settings()) == "of-the-environment"
    assert api_key(HERE, "given", Settings()) == "given"


def test_a_key_is_not_sent_where_others_can_read_it() -> None:
    open_address = Address.parse("grpc://10.0.0.7")

    with pytest.raises(InvalidInputError, match="unencrypted"):
        api_key(open_address, "secret", Settings())
    assert api_key(open_address, "secret", Settings(plaintext_key=True)) == "secret"
    assert api_key(open_address, None, Settings()) is None


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "ключ", 3])
def test_what_cannot_be_a_key_is_refused_and_not_repeated(key: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        api_key(HERE, key, Settings())  # pyright: ignore[reportArgumentType]
    assert str(key) not in str(caught.value) or key == 3


def test_a_missing_key_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECDB_API_KEY_FILE", "/nowhere/key")
    with pytest.raises(NotFoundError, match="/nowhere/key"):
        api_key(HERE, None, Settings())


def test_certificates_come_from_the_argument_the_environment_and_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('[servers."grpcs://search.example.org"]\nca = "file.pem"\nserver_name = "x"\n')
    assert tls_of(THERE, None) == Tls(ca="file.pem", server_name="x")
    monkeypatch.setenv("VECDB_TLS_CA", "environment.pem")
    assert tls_of(THERE, None) == Tls(ca="environment.pem", server_name="x")
    assert tls_of(THERE, Tls(ca="given.pem")) == Tls(ca="given.pem")
    assert tls_of(HERE, None) == Tls()
    with pytest.raises(InvalidInputError, match="not encrypted"):
        tls_of(HERE, Tls())


@pytest.mark.parametrize(
    "content", ["api_key = 3", "keys = 'x'", "servers = 3", "[servers]\n'grpc://x' = 3", "[", "\xff"]
)
def test_a_malformed_file_is_named(config: Path, content: str) -> None:
    config.write_bytes(content.encode("latin-1"))
    with pytest.raises(InvalidInputError, match="client"):
        api_key(HERE, None, Settings())


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nothing\.pem"):
        Tls(ca=tmp_path / "nothing.pem").contents()
    with pytest.raises(InvalidInputError, match="key is not"):
        Tls(certificate="a.pem")
