"""How a client behaves: frozen, with defaults and ranges that are checked once."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

from vecdb.errors import InvalidInputError, NotFoundError

_LEAST = {
    "timeout": 0.001, "connections": 1, "attempts": 1, "first_wait": 0.0, "longest_wait": 0.0, "message_bytes": 1 << 20,
    "unsent_bytes": 1 << 20,
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Settings of a connection to a server.

    Attributes:
        timeout: seconds that a call may take, its repetitions too; None: as long as the server allows. Upkeep, uploads
            and scans take the time that they take; a connection that is dead is noticed after 80 seconds.
        connections: the most connections; the second is made when a call finds the first one busy, and so on.
        attempts: how often a call is made before its failure is told. Only calls that can be repeated without doing
            anything twice are: reads, and writes that carry a request id. An upload that was begun is resumed as often
            as `timeout` allows.
        first_wait: seconds before the second attempt, about; each later wait is twice as long.
        longest_wait: the longest wait in seconds.
        message_bytes: the largest answer that is taken.
        unsent_bytes: an upload keeps this many bytes at most of what the server has not committed, to send it again
            when the connection breaks.
        explain: whether results bring along how they were found. Else the server is asked again when somebody looks
            at `SearchResult.explain`, and tells how the same query is answered then; that it tells costs it some work.
        plaintext_key: send the API key even where the connection is neither encrypted nor local.

    """

    timeout: float | None = 60.0
    connections: int = 4
    attempts: int = 5
    first_wait: float = 0.1
    longest_wait: float = 2.0
    message_bytes: int = 128 << 20
    unsent_bytes: int = 256 << 20
    explain: bool = False
    plaintext_key: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no setting."""
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name not in _LEAST:
                if not isinstance(value, bool):
                    raise InvalidInputError(f"{one.name} is {value!r}, not True or False", field=one.name, value=value)
                continue
            if value is None and one.name == "timeout":
                continue
            kinds = int | float if "float" in str(one.type) else int
            if not isinstance(value, kinds) or isinstance(value, bool) or not value >= _LEAST[one.name]:
                raise InvalidInputError(
                    f"{one.name} is {value!r}, expected a number of at least {_LEAST[one.name]:g}",
                    field=one.name,
                    value=value,
                )


@dataclass(frozen=True)
class Tls:
    """Certificates of an encrypted connection, as paths of PEM files. They are read when a connection is made.

    Attributes:
        ca: whose certificates of servers count; None: those that gRPC brings along.
        certificate: the client's own, followed by intermediate ones, where the server asks for it.
        key: its private key.
        server_name: the name that the server's certificate has, where it is not the host of the address.

    """

    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        """Refuse half of a pair."""
        for one, other in (("certificate", "key"), ("key", "certificate")):
            if getattr(self, one) is not None and getattr(self, other) is None:
                raise InvalidInputError(f"tls: {one} is given and {other} is not", field=other)

    def contents(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Return what is in the files: ca, key and certificate, as gRPC wants them.

        Raises:
            NotFoundError: a file is missing.
            InvalidInputError: one cannot be read.

        """
        ca, key, certificate = (_content(path) for path in (self.ca, self.key, self.certificate))
        return ca, key, certificate


def _content(path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).expanduser().read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {os.fspath(path)}") from None
    except OSError as error:
        raise InvalidInputError(f"cannot read {os.fspath(path)}: {error.strerror}", field="tls") from None
