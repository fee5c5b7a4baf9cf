"""Progress on stderr, only when it is a terminal; a log file never gets a bar."""

import sys
from types import TracebackType
from typing import Self


class LoadProgress:
    """A bar for one file: share, rows, rows per second, time left. Does nothing when stderr is no terminal."""

    def __init__(self, name: str) -> None:
        """Prepare; the bar appears when the block is entered."""
        self._name = name
        self._bar = None

    def __enter__(self) -> Self:
        """Show the bar."""
        if not sys.stderr.isatty():
            return self
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]:,} rows"),
            TextColumn("{task.fields[rate]:,.0f} rows/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(escape(self._name), total=1.0, rows=0, rate=0.0)
        return self

    def update(self, rows: int, seconds: float, share: float) -> None:
        """Show rows stored in this run, in how many seconds, and the share of the file that has been read."""
        if self._bar is not None:
            self._bar.update(self._task, completed=share, rows=rows, rate=rows / max(seconds, 1e-9))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()


class StepProgress:
    """The step at hand, such as a kernel being compiled, on one line that goes away at the end."""

    def __init__(self) -> None:
        """Show steps only on a terminal."""
        self._live = sys.stderr.isatty()
        self._shown = False

    def __enter__(self) -> Self:
        """Nothing is shown before the first step."""
        return self

    def __call__(self, name: str, done: int, total: int) -> None:
        """Show that step `name` is at hand, `done` of `total` being finished."""
        if self._live:
            print(f"\r\x1b[2K{done}/{total} {name}", end="", file=sys.stderr, flush=True)
            self._shown = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the line."""
        if self._shown:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
