"""An address that others reach needs TLS and authentication."""

import pytest

from vecdb.errors import InvalidInputError
from vecdb_server.addresses import is_local, refuse_open, written
from vecdb_server.config import AuthSection, Config, JwtSection, ServerSection, TlsSection

TLS = TlsSection(certificate="c.pem", key="k.pem")
KEYS = AuthSection(keys="keys.json")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"])
def test_these_addresses_are_local(host: str) -> None:
    assert is_local(host)
    refuse_open(Config(server=ServerSection(host=host)))


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "[::]", "10.0.0.1", "192.168.1.1", "example.org", "", "127.0.0.1.example.org"]
)
def test_a_public_address_is_refused_without_tls_and_authentication(host: str) -> None:
    section = ServerSection(host=host)

    with pytest.raises(InvalidInputError, match="no TLS and no authentication"):
        refuse_open(Config(server=section))
    with pytest.raises(InvalidInputError, match="there is no authentication"):
        refuse_open(Config(server=section, tls=TLS))
    with pytest.raises(InvalidInputError, match="there is no TLS"):
        refuse_open(Config(server=section, auth=KEYS))
    refuse_open(Config(server=section, tls=TLS, auth=KEYS))
    refuse_open(Config(server=section, tls=TLS, auth=AuthSection(jwt=JwtSection(jwks="j"))))


def test_a_unix_socket_is_local_whatever_the_host() -> None:
    refuse_open(Config(server=ServerSection(host="0.0.0.0", socket="/run/vecdb.sock")))


@pytest.mark.parametrize(
    ("tls", "auth", "told"),
    [
        (TlsSection(certificate="c"), AuthSection(), "tls.certificate is set and tls.key is not"),
        (TlsSection(key="k"), AuthSection(), "tls.key is set and tls.certificate is not"),
        (TlsSection(client_ca="a"), AuthSection(), "tls.client_ca is set and tls.certificate is not"),
        (TLS, AuthSection(certificates={"x": ["reader"]}), "auth.certificates needs tls.client_ca"),
    ],
)
def test_settings_that_need_each_other_are_told(tls: TlsSection, auth: AuthSection, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        refuse_open(Config(tls=tls, auth=auth))


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert [written(host, 1) for host in ("::1", "[::1]", "127.0.0.1")] == ["[::1]:1", "[::1]:1", "127.0.0.1:1"]
