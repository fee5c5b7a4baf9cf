"""Addresses of servers: `grpc://host:port`, `grpcs://host:port` for TLS, `unix:/path/of/socket`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from vecdb.errors import InvalidInputError

PORT = 7700
"""The port of a server where an address names none."""


@dataclass(frozen=True)
class Address:
    """Where a server is.

    Attributes:
        text: the address, as people write it.
        target: the same for gRPC.
        tls: whether the connection is encrypted.
        local: whether it stays on this machine.

    """

    text: str
    target: str
    tls: bool
    local: bool

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address.

        Raises:
            InvalidInputError: it is none.

        """
        if text.startswith("unix:"):
            path = text.removeprefix("unix:").removeprefix("//")
            if not path:
                raise _wrong(text, "the path of the socket is missing")
            return cls(f"unix:{path}", f"unix:{path}", tls=False, local=True)
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise _wrong(text, str(error)) from None
        if parts.scheme not in ("grpc", "grpcs"):
            raise _wrong(text, "it begins with grpc://, grpcs:// or unix:")
        if parts.username is not None or parts.password is not None:
            raise _wrong("...", "a key does not belong into an address: set VECDB_API_KEY, or give api_key")
        if not host or any(character.isspace() for character in host):
            raise _wrong(text, "the host is missing")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise _wrong(text, "nothing follows the port")
        place = f"[{host}]:{port or PORT}" if ":" in host else f"{host}:{port or PORT}"
        return cls(f"{parts.scheme}://{place}", f"dns:///{place}", parts.scheme == "grpcs", _is_local(host))

    def __str__(self) -> str:
        return self.text


def is_address(path: Any) -> bool:
    """Return whether what a user named is the address of a server and not a folder."""
    return isinstance(path, str) and ("://" in path or path.startswith("unix:"))


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong(text: str, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"{text!r} is no address of a server: {why}; grpc://HOST:PORT, grpcs://HOST:PORT (TLS) and unix:/SOCKET are",
        field="path",
        value=text,
    )
