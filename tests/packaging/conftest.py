"""The tree that is shipped: which files belong to it, and how to run it without installing it."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (".", "index", "proto", "server", "client")
_LEFT_OUT = {".git", ".venv", "__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis", "build", "dist"}


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Return the files of the checkout, relative: tracked ones and new ones that git would not ignore."""
    if not (ROOT / ".git").exists():  # an unpacked archive
        found = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
        return sorted(path for path in found if _LEFT_OUT.isdisjoint(path.parts))
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    names = {Path(name) for name in listed.stdout.split("\0") if name}
    return sorted(name for name in names if (ROOT / name).is_file())


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Return an environment in which Python finds the packages of the checkout, installed or not."""
    paths = [str((ROOT / folder).resolve()) for folder in FOLDERS]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "80"}


@pytest.fixture(scope="session")
def warm(environment: dict[str, str]) -> Iterator[str]:
    """Return what makes `vecdb` a command of a shell that is forked from a process which knows its modules already."""
    from support import warm

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/warm"
        found = environment["PYTHONPATH"] + os.pathsep + str(ROOT / "tests")
        serve = [sys.executable, "-m", "support.warm", "serve", path]
        with subprocess.Popen(
            serve, env={**environment, "PYTHONPATH": found}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        ) as server:
            try:
                assert server.stdout is not None
                assert server.stdout.readline() == b"ready\n"
                ask = shlex.join([sys.executable, "-IS", warm.__file__, "ask", path])
                yield f'vecdb() {{ {ask} "$@"; }}\n'
            finally:
                server.kill()
