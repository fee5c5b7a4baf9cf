"""The child's side of a job: `python -m bench.job OUT.json DESCRIPTION` runs one step and writes its record.

A step that raises UnsupportedError writes {"unsupported": why} instead. A job ends through os._exit once its record is
on disk, so that a library whose threads do not stop at interpreter shutdown cannot hang a run.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from bench import machine, measure, workloads
from bench.context import Context
from bench.systems.base import UnsupportedError


def main(out: Path, description: str) -> int:
    """Run the described step; return the process's exit status."""
    told = json.loads(description)
    context = Context(
        workload=told["workload"],
        system=told["system"],
        scratch=Path(told["scratch"]),
        data=None if told["data"] is None else Path(told["data"]),
        parameters=told["parameters"],
    )
    workload = workloads.load(context.workload)
    step = {"prepare": workload.prepare, "setup": workload.setup, "run": workload.run}[told["step"]]
    record: dict[str, Any] = {}
    try:
        with measure.Timer() as timer:
            metrics = step(context) or {}
        record = {
            "metrics": metrics,
            "wall_s": timer.wall_s,
            "cpu_s": timer.cpu_s,
            "peak_resident_bytes": machine.peak_resident_bytes(),
            "marks": context.phases,
        }
    except UnsupportedError as error:
        record = {"unsupported": str(error)}
    partial = out.with_suffix(".partial")
    partial.write_text(json.dumps(record, default=float))
    partial.replace(out)
    return 0


if __name__ == "__main__":
    try:
        status = main(Path(sys.argv[1]), sys.argv[2])
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
