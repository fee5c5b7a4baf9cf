"""What is an address, and what it means."""

import pytest

from vecdb.errors import InvalidInputError
from vecdb_client.address import Address, is_address


@pytest.mark.parametrize(
    ("text", "target", "tls", "local"),
    [
        ("grpc://localhost", "dns:///localhost:7700", False, True),
        ("grpc://127.0.0.1:80/", "dns:///127.0.0.1:80", False, True),
        ("grpcs://search.example.org:443", "dns:///search.example.org:443", True, False),
        ("grpc://[::1]:7700", "dns:///[::1]:7700", False, True),
        ("grpc://10.0.0.7:7700", "dns:///10.0.0.7:7700", False, False),
        ("unix:/run/vecdb.sock", "unix:/run/vecdb.sock", False, True),
        ("unix:///run/vecdb.sock", "unix:/run/vecdb.sock", False, True),
        ("unix:here.sock", "unix:here.sock", False, True),
    ],
)
def test_an_address_says_where_and_how(text: str, target: str, tls: bool, local: bool) -> None:
    found = Address.parse(text)

    assert (found.target, found.tls, found.local) == (target, tls, local)
    assert Address.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    ["grpc://", "grpc://:7700", "http://host", "grpc://host:port", "grpc://host:99999", "grpc://host/path", "unix:",
     "grpc://host?x=1", "grpc://ho st", "grpc://[::1"],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(InvalidInputError, match="grpc://HOST:PORT") as caught:
        Address.parse(text)
    assert caught.value.field == "path"


def test_a_key_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInputError, match="does not belong") as caught:
        Address.parse("grpc://vdb_secret@host")
    assert "vdb_secret" not in str(caught.value)
    assert caught.value.value != "grpc://vdb_secret@host"


@pytest.mark.parametrize(("path", "told"), [("./library", False), ("grpc://x", True), ("unix:/x", True), (3, False)])
def test_a_folder_is_no_address(path: object, told: bool) -> None:
    assert is_address(path) is told
