"""The ways to a database that the contract suite runs over."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import vecdb

WAYS = ("embedded",)
SETTINGS = vecdb.Settings(background=False, free_bytes=0)
"""Nothing happens in the background, so that what a test sees is what it asked for."""


@contextmanager
def opened(way: str, folder: Path) -> Iterator[Any]:
    """Open a new database in a folder, by one of the ways, and close it."""
    with vecdb.connect(folder, settings=SETTINGS) as database:
        yield database
