"""One process per job: start it, watch its memory from outside, collect what it reports.

A job's private memory (RssAnon: everything resident that is not a mapped file) has no peak counter in the kernel, so
the parent samples it every SAMPLE_S seconds. A peak shorter than that may be missed; VmHWM, which includes mapped
files, is exact and is reported beside it.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import machine, workloads
from bench.checkout import ROOT, child_environment
from bench.context import Context

SAMPLE_S = 0.01
_LAST_LINES = 12


class JobFailedError(Exception):
    """A job ended without a result; the message is the end of what it wrote to stderr."""


class JobSkippedError(Exception):
    """The system cannot do what the workload asks; the message says what."""


def run_job(context: Context, step: str, timeout_s: float, python: str = sys.executable) -> dict[str, Any]:
    """Run one step ("prepare", "setup" or "run") of a workload in a fresh process of `python`; return its record.

    The record holds metrics, wall_s, cpu_s, peak_resident_bytes, and, where /proc tells, peak_private_bytes for the
    whole job and for each of its phases.

    Raises:
        JobFailedError: the process failed, was killed, or took longer than timeout_s seconds.
        JobSkippedError: the system cannot do what the step asks.

    """
    description = {
        "workload": context.workload,
        "system": context.system,
        "scratch": str(context.scratch),
        "data": None if context.data is None else str(context.data),
        "parameters": dict(context.parameters),
        "step": step,
    }
    with tempfile.TemporaryDirectory(prefix="vecdb-bench-job-") as folder:
        out, errors = Path(folder) / "out.json", Path(folder) / "stderr"
        command = [python, "-m", "bench.job", str(out), json.dumps(description)]
        with errors.open("wb") as stderr:
            environment = workloads.environment(context.workload, context.system)
            samples = _watched(command, environment, stderr, timeout_s)
        if not out.exists():
            lines = errors.read_text(errors="replace").strip().splitlines()
            raise JobFailedError("\n".join(lines[-_LAST_LINES:]) or "the job ended without a word")
        record: dict[str, Any] = json.loads(out.read_text())
    if "unsupported" in record:
        raise JobSkippedError(record["unsupported"])
    record["peak_private_bytes"] = max((size for _, size in samples), default=None)
    record["phases"] = {
        name: {"seconds": end - begin, "peak_private_bytes": _peak_between(samples, begin, end)}
        for name, begin, end in record.pop("marks")
    }
    return record


def _watched(
    command: Sequence[str], environment: Mapping[str, str], stderr: Any, timeout_s: float
) -> list[tuple[float, int]]:
    """Run command to its end and return (monotonic seconds, RssAnon bytes) samples."""
    deadline = time.monotonic() + timeout_s
    samples: list[tuple[float, int]] = []
    process = subprocess.Popen(command, cwd=ROOT, env=child_environment(**environment), stderr=stderr)
    try:
        while process.poll() is None:
            private = machine.memory("RssAnon", process.pid)
            if private is not None:
                samples.append((time.monotonic(), private))
            if time.monotonic() > deadline:
                raise JobFailedError(f"the job was stopped after {timeout_s:.0f} s")
            time.sleep(SAMPLE_S)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    return samples


def _peak_between(samples: Sequence[tuple[float, int]], begin: float, end: float) -> int | None:
    """Return the largest sample in [begin, end], or the one nearest to a phase too short to have been sampled."""
    inside = [size for when, size in samples if begin <= when <= end]
    if inside:
        return max(inside)
    return min(samples, key=lambda sample: abs(sample[0] - end))[1] if samples else None
