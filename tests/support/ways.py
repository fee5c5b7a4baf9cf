"""The ways to a database that the contract suite runs over: embedded, through a server by each kind of client, and
through a process that reads beside the server."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import vecdb
from support.contract import Loop

WAYS = ("embedded", "blocking", "asyncio", "reader")
QUIET: dict[str, Any] = {"background": False, "free_bytes": 0}
"""Nothing happens in the background, so that what a test sees is what it asked for."""
BACKUPS = "backups"
"""The folder beside the database in which the server makes backups."""


@contextmanager
def opened(way: str, folder: Path, encoders: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Open a database in a folder, by one of the ways, and close it; with encoders that are at hand where it lies."""
    with ExitStack() as stack:
        if way == "embedded":
            known = tuple((encoders or {}).values())
            yield stack.enter_context(vecdb.connect(folder, settings=vecdb.Settings(**QUIET), encoders=known))
            return
        address = stack.enter_context(served(folder, encoders, readers=int(way == "reader")))
        if way in ("blocking", "reader"):
            yield stack.enter_context(vecdb.connect(address))
            return
        from vecdb_client import aio

        loop = Loop()
        stack.callback(loop.close)
        database = loop.call(aio.connect, address)
        stack.callback(database.close)
        yield database


@contextmanager
def served(folder: Path, encoders: Mapping[str, Any] | None = None, readers: int = 0, **sections: Any) -> Iterator[str]:
    """Serve a database to this machine, and yield the address; sections are those of the server's configuration.

    With readers they alone listen, so that every call goes through one of them.
    """
    from vecdb_server.config import Config, ServerSection
    from vecdb_server.server import Server

    (folder.parent / BACKUPS).mkdir(exist_ok=True)
    backups = str(folder.parent / BACKUPS)
    place = ServerSection(path=str(folder), port=0, backups=backups, drain_seconds=1.0, readers=readers)
    server = Server(Config(server=place, database=QUIET, **sections), encoders)
    address = server.start()
    if readers:
        server._server.stop(None).wait()
    try:
        yield f"grpcs://{address.target}" if address.secure else f"grpc://{address.target}"
    finally:
        server.stop()
