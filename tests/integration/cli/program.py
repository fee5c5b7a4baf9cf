"""The program as tests see it: what comes back from one call."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[3]
SOURCES = [str(ROOT / name) for name in (".", "index", "proto", "server", "client")]


@dataclass(frozen=True)
class Done:
    """What one call printed."""

    stdout: bytes
    stderr: bytes


class Run(Protocol):
    """Calls the program with arguments; `code` is the exit code that is expected."""

    def __call__(self, *arguments: object, code: int = 0, stdin: bytes = b"") -> Done:
        """Run it."""
        ...


def environment(**variables: str) -> dict[str, str]:
    """The environment of the program: this checkout first on the path, no settings of the user's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VECDB", "_VECDB", "COLUMNS"))}
    return {**kept, "PYTHONPATH": os.pathsep.join(SOURCES), **variables}
