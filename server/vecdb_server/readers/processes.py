"""The readers of a server: started, started again when they die, drained and ended.

A reader's standard input is its line to the writer: the first line has what it needs to know, a second one asks it to
drain, and the end of it, which comes when the writer dies however it dies, ends the reader.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, cast

import grpc
import msgspec

from vecdb.errors import UnavailableError
from vecdb.storage.shown import Board
from vecdb_server.config import Config
from vecdb_server.log import logger
from vecdb_server.options import inner_options
from vecdb_server.sheets import Sheets
from vecdb_server.tallies import WORDS

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from vecdb_server.workers import Workers

SOCKET = "writer"
DRAIN = b"drain\n"
READY = b"ready\n"
PAUSE = 1.0
"""Seconds until a reader that did not get as far as serving is started again."""
PATIENCE = 5.0
"""Seconds that readers may take to end beyond those of the drain."""


class Told(msgspec.Struct, frozen=True):
    """What a reader is told when it is started."""

    number: int
    folder: str
    port: int
    config: Config


def sheets_of(config: Config, folder: Path, number: int = 0) -> Sheets:
    """Return the sheets of a server's processes; the writer has number 0."""
    return Sheets(WORDS, folder, config.server.readers + 1, number)


class Readers:
    """The processes that read, and the socket on which they pass calls on."""

    def __init__(self, config: Config) -> None:
        """Make the folder that the processes share; nothing runs yet."""
        self._config = config
        self.folder = Path(tempfile.mkdtemp(prefix="vecdb-"))  # mode 0700
        self.board = Board(self.folder)
        self.sheets = sheets_of(config, self.folder)
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._guard = threading.Lock()  # of _running
        self._keepers: list[threading.Thread] = []
        self._closed = threading.Event()
        self._port = 0

    def server(self, workers: Workers, guard: grpc.ServerInterceptor) -> grpc.Server:
        """Return the server that takes what readers pass on."""
        made = grpc.server(
            cast("ThreadPoolExecutor", workers),
            interceptors=[guard],
            options=inner_options(self._config),
            maximum_concurrent_rpcs=self._config.limits.concurrent_requests,
        )
        made.add_insecure_port(f"unix:{self.folder / SOCKET}")
        return made

    def start(self, port: int) -> None:
        """Start the processes; all of them serve on return.

        Raises:
            UnavailableError: one of them did not get as far.

        """
        self._port = port
        firsts: list[Future[bool]] = []
        for number in range(1, self._config.server.readers + 1):
            first: Future[bool] = Future()
            firsts.append(first)
            keeper = threading.Thread(
                target=self._keep, args=(number, first), name=f"vecdb-reader-{number}", daemon=True
            )
            self._keepers.append(keeper)
            keeper.start()
        for number, first in enumerate(firsts, 1):
            if not first.result():
                raise UnavailableError(f"reader {number} of {len(firsts)} did not start: the log tells why")

    def drain(self) -> None:
        """Let the readers end what runs, and wait until they have ended."""
        self._closed.set()
        with self._guard:
            running = list(self._running.values())
        for process in running:
            _tell(process, DRAIN)
        end = time.monotonic() + self._config.server.drain_seconds + PATIENCE
        for process in running:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("reader killed: it did not end", extra={"pid": process.pid})

    def close(self) -> None:
        """End the readers that still run."""
        self._closed.set()
        with self._guard:
            running = list(self._running.values())
        for process in running:
            process.kill()
        for keeper in self._keepers:
            keeper.join()

    def remove(self) -> None:
        """Remove the folder that the processes shared."""
        rmtree(self.folder, ignore_errors=True)

    # -- one reader ------------------------------------------------------------------------------------------------

    def _keep(self, number: int, first: Future[bool]) -> None:
        while not self._closed.is_set():
            if not self._run(number, first):
                self._closed.wait(PAUSE)
        if not first.done():
            first.set_result(False)

    def _run(self, number: int, first: Future[bool]) -> bool:
        """Run a reader until it ends, and return whether it served; `first` hears so as soon as it is known."""
        try:
            process = self._started(number)
        except OSError as error:  # the system has no process, no memory or no pipe to give
            logger.error("reader not started", extra={"reader": number, "reason": str(error)})
            process = None
        if process is None:
            if not first.done():
                first.set_result(False)
            return False
        assert process.stdout is not None
        serves = process.stdout.readline() == READY
        if serves:
            logger.info("reader serving", extra={"reader": number, "pid": process.pid})
        if not first.done():
            first.set_result(serves)
        code = process.wait()
        _close(process)
        self.sheets.forget(number)
        if not self._closed.is_set():
            told = {"reader": number, "pid": process.pid, "reason": _why(code)}
            logger.error("reader ended, starting it again", extra=told)
        return serves

    def _started(self, number: int) -> subprocess.Popen[bytes] | None:
        told = Told(number, str(self.folder), self._port, self._config)
        with self._guard:
            if self._closed.is_set():
                return None
            process = self._running[number] = subprocess.Popen(  # nosec B603
                [sys.executable, "-m", "vecdb_server.readers.reader"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            _tell(process, msgspec.json.encode(told) + b"\n")  # before anybody can tell it to drain
        return process


def _tell(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except (OSError, ValueError):
        return  # it has ended; its keeper knows


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                continue  # what was not written yet has nowhere to go


def _why(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
