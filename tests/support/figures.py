"""Figures that tests add to the summary at the end of a run; printed by the crash tests' conftest."""

from collections.abc import Callable

Figures = Callable[[str], None]

LINES: list[str] = []
