"""Fresh processes as a user starts them, timed from the outside."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.checkout import ROOT, child_environment

PROBE = ROOT / "bench" / "probe.py"


@dataclass(frozen=True)
class Launch:
    """One process from start to end; `begun` is on the system-wide monotonic clock."""

    begun: float
    wall_s: float
    cpu_s: float
    output: str


def python(*arguments: str, **environment: str) -> Launch:
    """Run this Python with `arguments` to its end.

    Raises:
        RuntimeError: it ended with another status than 0; the message is the end of its stderr.

    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=child_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.monotonic() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(f"a child ended with status {done.returncode}: {done.stderr.strip()[-800:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Launch(begun, wall, cpu, done.stdout)


def probe(arguments: Sequence[str], **environment: str) -> dict[str, Any]:
    """Run bench/probe.py and return what it printed, its clock marks turned into seconds since the launch."""
    launched = python(str(PROBE), *arguments, **environment)
    told = json.loads(launched.output.strip().splitlines()[-1])
    told["marks"] = {name: when - launched.begun for name, when in told["marks"].items()}
    return {**told, "cpu_s": launched.cpu_s}
