"""The ways to a database that the contract suite runs over."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import vecdb
from support.contract import Loop

WAYS = ("embedded", "blocking", "asyncio")
SETTINGS = vecdb.Settings(background=False, free_bytes=0)
"""Nothing happens in the background, so that what a test sees is what it asked for."""


@contextmanager
def opened(way: str, folder: Path) -> Iterator[Any]:
    """Open a new database in a folder, by one of the ways, and close it."""
    with ExitStack() as stack:
        if way == "embedded":
            yield stack.enter_context(vecdb.connect(folder, settings=SETTINGS))
            return
        address = stack.enter_context(served(folder))
        if way == "blocking":
            yield stack.enter_context(vecdb.connect(address))
            return
        from vecdb_client import aio

        loop = Loop()
        stack.callback(loop.close)
        database = loop.call(aio.connect, address)
        stack.callback(database.close)
        yield database


@contextmanager
def served(folder: Path) -> Iterator[str]:
    import sys

    sys.path.insert(0, "/tmp/cli/scaffold")
    import scaffold

    db, server, port = scaffold.serve(folder, "127.0.0.1:0")
    yield f"grpc://127.0.0.1:{port}"
    server.stop(None).wait()
    db.close()
