"""TLS 1.3, certificates that are read again when they change, and clients' certificates."""

import socket
import ssl
from pathlib import Path

import grpc

from vecdb.errors import InvalidInputError, NotFoundError
from vecdb_server.auth.files import Watched
from vecdb_server.config import TlsSection
from vecdb_server.tls_version import VARIABLE


def refuse_older(host: str, port: int) -> None:
    """Raise when a server accepts TLS 1.2.

    Raises:
        InvalidInputError: it does.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # who answers does not matter: nothing is sent
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        with socket.create_connection((host, port), 10) as plain, context.wrap_socket(plain):
            pass
    except (ssl.SSLError, ConnectionError):
        return
    except OSError as error:
        raise InvalidInputError(f"cannot look whether {host}:{port} accepts TLS 1.2: {error}", field="tls") from None
    raise InvalidInputError(f"the server accepts TLS 1.2: was {VARIABLE} set too late?", field="tls")


def credentials(section: TlsSection) -> grpc.ServerCredentials:
    """Return what `grpc.Server.add_secure_port` needs; each new connection sees the files as they are then.

    Raises:
        NotFoundError: a file is missing.
        InvalidInputError: certificate and key do not belong together, or a file holds none.

    """
    paths = [Path(name) for name in (section.certificate, section.key, section.client_ca) if name]

    def read() -> grpc.ServerCertificateConfiguration:
        certificate, key, client_ca = (_content(name) for name in (section.certificate, section.key, section.client_ca))
        _check(section)
        return grpc.ssl_server_certificate_configuration([(key, certificate)], client_ca or None)

    files = Watched(paths, read)
    return grpc.dynamic_ssl_server_credentials(files.value, lambda: files.value, bool(section.client_ca))


def _content(name: str) -> bytes:
    if not name:
        return b""
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {name}") from None
    except OSError as error:
        raise InvalidInputError(f"cannot read {name}: {error.strerror}") from None


def _check(section: TlsSection) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(section.certificate, section.key, lambda: b"")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise InvalidInputError(
            f"{section.certificate} and {section.key} cannot be used as certificate and key: {error}", field="tls"
        ) from None
    if not section.client_ca:
        return
    try:
        context.load_verify_locations(section.client_ca)
    except (ssl.SSLError, OSError) as error:
        raise InvalidInputError(
            f"{section.client_ca} holds no certificates of who signs those of clients: {error}", field="tls.client_ca"
        ) from None
