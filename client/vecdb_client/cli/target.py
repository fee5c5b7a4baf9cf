"""What a command is about: a database in a folder, or one that a server has."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from vecdb_client.cli.errors import CommandError

FOLDER = "loads"
"""Where the command line keeps what it has to remember of a database: how far files are loaded, where models lie."""


@dataclass(frozen=True)
class Target:
    """A database as it was named on the command line."""

    text: str

    @classmethod
    def parse(cls, text: "str | Target") -> "Target":
        """Take what was typed.

        Raises:
            CommandError: it means a database in memory.

        """
        if isinstance(text, Target):
            return text
        if text == ":memory:":
            raise CommandError("a database in memory ends with its process; give a directory")
        return cls(text)

    @property
    def remote(self) -> bool:
        """Whether a server has it."""
        from vecdb_client.address import is_address

        return is_address(self.text)

    def folder(self, command: str, instead: str) -> Path:
        """Return the folder of a command that works on files.

        Raises:
            CommandError: a server has the database; `instead` says what to do.

        """
        if self.remote:
            raise CommandError(
                f"`vecdb {command}` works on the files of a database, not through a server", hint=instead
            )
        return Path(self.text)

    @property
    def memory(self) -> Path:
        """The folder of what is remembered: in the database, or for a server in the user's own state."""
        if not self.remote:
            return Path(self.text) / FOLDER
        from vecdb_client.address import Address

        base = os.environ.get("XDG_STATE_HOME")
        state = Path(base) if base else Path.home() / ".local" / "state"
        return state / "vecdb" / FOLDER / hashlib.sha256(Address.parse(self.text).target.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return self.text
