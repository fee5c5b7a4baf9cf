"""A port that the processes of one server share, and no other server."""

import contextlib
import socket

from vecdb.errors import InvalidInputError
from vecdb_server.addresses import written
from vecdb_server.config import ServerSection


def taken(host: str, port: int) -> InvalidInputError:
    """Return the error of an address that cannot be listened on."""
    return InvalidInputError(
        f"cannot listen on {written(host, port)}: the port is taken, or the address is none of this machine's",
        field="server.port",
        value=port,
    )


def refuse_unsharable(section: ServerSection) -> None:
    """Raise where there is no port that readers could listen on.

    Raises:
        InvalidInputError: the server is to listen on a Unix socket, or this system cannot share ports.

    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise InvalidInputError("server.readers needs SO_REUSEPORT, which this system has not", field="server.readers")
    if section.socket:
        raise InvalidInputError(
            f"server.readers is {section.readers} and server.socket is set: processes can share a port, not a socket",
            field="server.readers",
            value=section.readers,
        )


def refuse_taken(section: ServerSection) -> None:
    """Raise unless the port is free: with SO_REUSEPORT a second server of the same user would get it too.

    Raises:
        InvalidInputError: another process listens on it.

    """
    with contextlib.suppress(socket.gaierror):  # gRPC tells what is wrong with the host
        for family, kind, protocol, _, address in socket.getaddrinfo(
            section.host.strip("[]"), section.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(address)
                except OSError:
                    raise taken(section.host, section.port) from None
