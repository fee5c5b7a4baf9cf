"""Fixtures of the crash tests: seeds, which are printed, and figures, which end up in the summary."""

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.figures import LINES, Figures
from support.museum import Museum, build, tell


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Return a function that adds a line to the summary at the end of the run."""

    def add(line: str) -> None:
        LINES.append(f"{request.node.name}: {line}")

    return add


@pytest.fixture
def seed(figures: Figures) -> int:
    """Return this test's seed: VECDB_CRASH_SEED if set, otherwise a new one each time."""
    chosen = int(os.environ.get("VECDB_CRASH_SEED") or random.SystemRandom().randrange(1, 10_000))
    figures(f"seed {chosen} (VECDB_CRASH_SEED={chosen} repeats it)")
    return chosen


@pytest.fixture
def scale() -> int:
    """Return by how much counts of rounds are multiplied: 1, or VECDB_CRASH_SCALE for a long run before a release."""
    return int(os.environ.get("VECDB_CRASH_SCALE") or 1)


@pytest.fixture(scope="session")
def museum(tmp_path_factory: pytest.TempPathFactory) -> Museum:
    """Return the undamaged database of support/museum.py, its earlier moments, and its answers; tests damage copies."""
    path, moments = build(tmp_path_factory.mktemp("museum"))
    return path, moments, tell(path, read_only=True)


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """Return a folder whose syncs cost nothing, for tests that kill or damage and cut no power."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="vecdb-crash-", dir=memory) as folder:
        yield Path(folder)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if LINES:
        terminalreporter.section("crash tests")
        for line in LINES:
            terminalreporter.write_line(line)
