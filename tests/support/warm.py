"""The command `vecdb` in shells, by a process that is forked: importing it takes longer than most of what it does.

    python -m support.warm serve SOCKET         imports what commands import, and forks a process for each that is asked
    python -IS warm.py ask SOCKET ARGUMENTS...  has one run here, with these arguments, files and environment

One that asks imports nothing but a socket, and ends as the command did.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PRELOADED = "vecdb.database", "vecdb.facets", "vecdb.planner.run", "vecdb.planner.scan", "vecdb.storage.writer"
_NO_ANSWER = 120
"""The exit code where a command ends without one."""


def serve(path: str) -> None:
    """Fork a process for each command that is asked for, until killed; print a line when ready."""
    import importlib

    for name in _PRELOADED:
        importlib.import_module(name)
    from vecdb_client.cli.main import main
    from vecdb_index import warmup

    warmup.load(["float32"], texts=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: who asks is told by the child itself
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            asking, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _answer(asking, main)
            asking.close()


def _answer(asking: socket.socket, main: Callable[[list[str]], int]) -> None:
    """Run a command, in a process of its own, and end it."""
    code = _NO_ANSWER
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        data, files, _, _ = socket.recv_fds(asking, 1 << 20, 3)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        given = json.loads(data)
        os.chdir(given["folder"])
        os.environ.clear()
        os.environ.update(given["environment"])
        code = main(given["arguments"])
        sys.stderr.flush()
    finally:
        asking.sendall(bytes([code]))
        os._exit(code)


def ask(path: str, arguments: list[str]) -> int:
    """Have a command run with the files of this process, and return its exit code."""
    given = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(path)
        socket.send_fds(asking, [json.dumps(given).encode()], [0, 1, 2])
        answer = asking.recv(1)
    return answer[0] if answer else _NO_ANSWER


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    sys.exit(ask(sys.argv[2], sys.argv[3:]))
