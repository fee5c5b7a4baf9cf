"""`vecdb-server serve`: open a database and serve it until SIGTERM."""

import os
import sys
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Annotated

import typer

from vecdb_server.addresses import is_everywhere, written
from vecdb_server.commands.options import ConfigFile, Set, loaded
from vecdb_server.config import Config
from vecdb_server.tls_version import require_tls_1_3

if TYPE_CHECKING:
    from vecdb_server.server import Address


def serve(
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="The database directory; made if it is new.")
    ] = None,
    file: ConfigFile = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on; by default 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="The port; by default 7700, 0 takes a free one.")] = None,
    socket: Annotated[str | None, typer.Option(help="A Unix socket to listen on instead.")] = None,
    readers: Annotated[int | None, typer.Option(help="Processes that read beside the one that writes.")] = None,
    tls_certificate: Annotated[str | None, typer.Option(help="The certificate, a PEM file.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="Its private key, a PEM file.")] = None,
    tls_client_ca: Annotated[str | None, typer.Option(help="Whose certificates clients must show.")] = None,
    keys: Annotated[str | None, typer.Option(help="The file of API keys; see `vecdb-server keys`.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Serve Prometheus metrics on this port.")] = None,
    backups: Annotated[str | None, typer.Option(help="The folder in which operators may make backups.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json or text.")] = None,
    given: Set = None,
) -> None:
    """Serve a database until SIGTERM or Ctrl-C; running requests may end.

    On 127.0.0.1 without keys everybody on this machine may do everything. Other addresses need TLS and keys.
    """
    flags = {
        "server.path": path,
        "server.host": host,
        "server.port": port,
        "server.socket": socket,
        "server.readers": readers,
        "server.backups": backups,
        "tls.certificate": tls_certificate,
        "tls.key": tls_key,
        "tls.client_ca": tls_client_ca,
        "auth.keys": keys,
        "metrics.port": metrics_port,
        "log.level": log_level,
        "log.format": log_format,
    }
    run(loaded(file, given, flags).config)


def run(config: Config) -> None:
    """Serve with a configuration, and print how to connect."""
    require_tls_1_3()
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # each failed handshake would be a line that is no JSON
    from vecdb_server import log, server

    log.start(config.log.level, config.log.format)

    def started(running: server.Server, address: server.Address) -> None:
        try:
            for line in connect_lines(config, address, running.identities.open):
                print(line, flush=True)
        except BrokenPipeError:  # whoever started the server has read enough, which is no reason to end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    server.run(config, started)


def certificate_name(file: Path) -> str | None:
    """Return a name for which a certificate holds, so that clients who dial it find what they expect."""
    from cryptography import x509

    try:
        held = x509.load_pem_x509_certificate(file.read_bytes())
        names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return None
    told = names.get_values_for_type(x509.DNSName)
    return next((name for name in told if name != "localhost" and "*" not in name), None)


def connect_lines(config: Config, address: "Address", is_open: bool) -> list[str]:
    """Return how to reach the server from Python and from the shell."""
    target = address.target
    if is_everywhere(config.server.host) and not config.server.socket:
        named = certificate_name(Path(config.tls.certificate)) if address.secure else None
        target = written(named or gethostname(), address.port)
    url = f"grpcs://{target}" if address.secure else f"grpc://{target}"
    key = "" if is_open else ', api_key="vdb_..."'
    shell = "" if is_open else "VECDB_API_KEY=vdb_... "
    lines = [
        f"serving {config.server.path} on {url}",
        f'  python:  db = vecdb.connect("{url}"{key})',
        f"  shell:   {shell}vecdb collections {url}",
    ]
    if is_open:
        lines.append("  everybody on this machine may do everything; `vecdb-server keys add` makes keys")
    if address.secure:
        lines.append("  clients that do not know who signed its certificate name the file: VECDB_TLS_CA=...")
    if address.metrics is not None:
        lines.append(f"  metrics: {address.metrics}")
    return lines
