"""`vecdb serve`: becomes `vecdb-server serve`, which has more options."""

import importlib.util
import os
import sys
from typing import Annotated

import typer

from vecdb_client.cli.errors import UNAVAILABLE, CommandError
from vecdb_client.cli.options import example
from vecdb_client.cli.target import Target


@example(
    "vecdb serve ./library --port 7700",
    "vecdb serve ./library --config vecdb.toml",
)
def serve(
    path: Annotated[
        Target,
        typer.Argument(metavar="PATH", help="The database directory.", show_default=False, parser=Target.parse),
    ],
    port: Annotated[
        int | None, typer.Option("--port", "-p", metavar="N", help="The port; else 7700. 0 takes a free one.")
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="The address to listen on; else 127.0.0.1.")
    ] = None,
    readers: Annotated[
        int | None, typer.Option("--readers", metavar="N", help="Processes that read beside the one that writes.")
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", "-c", metavar="FILE", help="A TOML file with everything else.")
    ] = None,
) -> None:
    """Serve a database over the network.

    It runs until Ctrl-C. On 127.0.0.1 everybody on this machine may do everything. Other addresses need TLS and keys:
    see `vecdb-server`.
    """
    if importlib.util.find_spec("vecdb_server") is None:
        raise CommandError("this installation comes without the server", UNAVAILABLE)
    folder = path.folder("serve", "start it on the machine where they are")
    line = [sys.executable, "-m", "vecdb_server.main", "serve", str(folder)]
    line += [] if port is None else ["--port", str(port)]
    line += [] if host is None else ["--host", host]
    line += [] if readers is None else ["--readers", str(readers)]
    line += [] if config is None else ["--config", config]
    sys.stdout.flush()
    os.execv(sys.executable, line)  # the signals that end it reach the server itself
