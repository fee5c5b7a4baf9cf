"""The checkout under measurement: its folders, its commit, and the environment of a child process.

Children always import the packages of this checkout, not an installed copy, so a result belongs to its commit.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
SOURCE_ROOTS = [ROOT, *(ROOT / name for name in ("index", "proto", "server", "client"))]


def import_from_checkout() -> None:
    """Put the source folders first on this process's import path."""
    wanted = [str(root) for root in SOURCE_ROOTS]
    sys.path[:] = wanted + [entry for entry in sys.path if entry not in wanted]


def child_environment(**extra: str) -> dict[str, str]:
    """Return this process's environment with the import path of the checkout and `extra`.

    OpenMP threads sleep when idle (unless the caller's environment says otherwise): a spinning pool of one
    library would otherwise take the cores from the next measurement.
    """
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([*(str(root) for root in SOURCE_ROOTS), *([inherited] if inherited else [])])
    return {"OMP_WAIT_POLICY": "passive", **os.environ, "PYTHONPATH": path, **extra}


def commit() -> dict[str, object]:
    """Return {"commit": hash or None, "modified": whether tracked or new files differ from it}."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain")
    return {"commit": git("rev-parse", "HEAD"), "modified": None if status is None else bool(status)}
