"""How far the encoding of many texts is: told to the caller's function, or drawn on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from vecdb.errors import InvalidInputError

Report = Callable[[int, int], None]
"""Told how many texts are encoded, of how many; it may raise to stop, and then nothing is stored."""

Progress = Report | bool | None


@contextlib.contextmanager
def reporting(progress: Progress, total: int, large: int) -> Iterator[Report]:
    """Give the function to be told.

    Args:
        progress: a function; True draws a bar on a terminal when there is more to do than `large`.
        total: texts to encode.
        large: texts that are encoded before anybody looks.

    Raises:
        InvalidInputError: progress is something else.

    """
    if callable(progress):
        yield progress
        return
    if not (progress is None or isinstance(progress, bool)):
        raise InvalidInputError(f"progress is {progress!r}, expected True or a function", field="progress")
    if not progress or total <= large or not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("encoding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("encoding", total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)
