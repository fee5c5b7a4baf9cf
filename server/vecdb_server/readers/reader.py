"""What runs in a reader: a server on the port of the others, which answers reads and passes everything else on."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from typing import Any

import msgspec

from vecdb.database import Database
from vecdb.storage.shown import CATALOG, Board
from vecdb_server import log
from vecdb_server.guard import Guard
from vecdb_server.readers.followed import Followed
from vecdb_server.readers.passage import Passage
from vecdb_server.readers.processes import DRAIN, READY, SOCKET, Told, sheets_of
from vecdb_server.served import Served
from vecdb_server.server import Address, Server, settings_of
from vecdb_server.sheets import Sheets

FAILED, DIED = 2, 3
"""The exit codes of a reader that could not start, and of one whose writer has died."""


class Reader(Server):
    """Answers reads of the database that another process writes."""

    def __init__(self, told: Told) -> None:
        """Open the database; nothing listens yet."""
        self._folder, self._number = Path(told.folder), told.number
        section = msgspec.structs.replace(told.config.server, port=told.port)
        metrics = msgspec.structs.replace(told.config.metrics, port=None)
        super().__init__(msgspec.structs.replace(told.config, server=section, metrics=metrics))

    def _opened(self, encoders: Mapping[str, Any]) -> Served:
        board = Board(self._folder)
        path, settings = Path(self.config.server.path).expanduser(), settings_of(self.config)
        database = Database.open(path, read_only=True, settings=settings, board=board)
        served = self._followed = Followed(database, board.found(CATALOG))
        self._ends.callback(served.close)
        return served

    @property
    def _has_readers(self) -> bool:
        return False

    def _sheets(self) -> Sheets:
        return sheets_of(self.config, self._folder, self._number)

    def _outer_guard(self, *parts: Any) -> Guard:
        socket = str(self._folder / SOCKET)
        by_certificate = self.identities.by_certificate
        passage = Passage(socket, self.config.limits, self.stalls, self._followed.behind, by_certificate)
        self._ends.callback(passage.close)
        return Guard(*parts, passage=passage)

    def _told(self, address: Address) -> None:
        """Leave it to the writer to say where they listen."""


def main() -> None:
    """Run a reader until its writer says that it is enough, or dies."""
    told = msgspec.json.decode(sys.stdin.buffer.readline(), type=Told)
    for number in (signal.SIGINT, signal.SIGTERM):  # of a terminal, or of a service manager, to all processes at once
        signal.signal(number, signal.SIG_IGN)
    log.start(told.config.log.level, told.config.log.format)
    enough = threading.Event()

    def listen() -> None:
        for line in sys.stdin.buffer:
            if line == DRAIN:
                enough.set()
        rmtree(told.folder, ignore_errors=True)
        os._exit(DIED)

    threading.Thread(target=listen, name="vecdb-lifeline", daemon=True).start()
    try:
        reader = Reader(told)
        reader.start()
    except Exception as error:
        log.logger.error(
            "reader not started", extra={"reader": told.number, "reason": f"{type(error).__name__}: {error}"}
        )
        os._exit(FAILED)
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    enough.wait()
    reader.drain()
    os._exit(0)  # not in the usual way, which waits for the lock of standard input


if __name__ == "__main__":
    main()
