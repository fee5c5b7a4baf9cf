"""One command: workload x system -> JSON in bench/results/.

    python -m bench.run --workload ingest --systems vecdb,parquet --data DIR
    python bench/run.py --workload all --quick

For each workload: prepare once, set every system up once, then `repeats` rounds in which the systems take turns, one
process per job. A system that fails is recorded with the end of its error, and the others go on.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if not __package__:  # run as a script: this folder is on the path instead of the one above it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import machine, records, report, workloads
from bench.checkout import RESULTS, commit, import_from_checkout
from bench.context import Context, Parameter, parse_settings
from bench.interpreters import Interpreters
from bench.process import JobFailedError, JobSkippedError, run_job
from bench.suites import SUITES, Run

QUICK_REPEATS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return 1 when any job failed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    import_from_checkout()
    runs = _chosen(parser, options)
    names = [run.workload for run in runs]
    settable = {parameter for name in names for parameter in workloads.load(name).FULL}
    for setting in options.set:
        if setting.partition("=")[0] not in settable:
            parser.error(f"--set {setting}: no chosen workload has it; there are {', '.join(sorted(settable))}")
    try:
        interpreters = Interpreters(options.peers_python)
    except FileNotFoundError as error:
        parser.error(str(error))
    failed = False
    for run in runs:
        # What the command line says comes last, and so wins. A quick run needs no data folder, also of a suite.
        own = () if options.quick else run.settings
        chosen = argparse.Namespace(**{**vars(options), "label": run.label, "set": [*own, *options.set]})
        record = run_workload(run.workload, chosen, interpreters)
        failed = failed or bool(record["failures"])
        print(report.tables(record))
    return 1 if failed else 0


def _chosen(parser: argparse.ArgumentParser, options: argparse.Namespace) -> tuple[Run, ...]:
    """Return the records to make, or end with what is wrong in the command line."""
    if sum(map(bool, (options.suite, options.peers, options.workload))) != 1:
        parser.error("name one of --workload, --suite and --peers (which is the suite peers)")
    if options.workload:
        names = list(workloads.NAMES) if options.workload == "all" else options.workload.split(",")
        if unknown := [name for name in names if name not in workloads.NAMES]:
            parser.error(f"no workload is called {', '.join(unknown)}; there are {', '.join(workloads.NAMES)}")
        return tuple(Run(name, options.label) for name in names)
    if options.label:
        parser.error("the records of a suite have labels of their own: --label goes with --workload")
    runs = SUITES["peers" if options.peers else options.suite]
    if not options.quick:
        return runs
    # Without their data the variants of a workload are the same.
    first: dict[str, Run] = {}
    for run in runs:
        first.setdefault(run.workload, run)
    return tuple(first.values())


def run_workload(name: str, options: argparse.Namespace, interpreters: Interpreters) -> dict[str, Any]:
    """Run one workload, write its record unless this is a quick run without --results, and return it."""
    workload = workloads.load(name)
    defaults = {**workload.FULL, **(workload.QUICK if options.quick else {})}
    parameters = parse_settings([item for item in options.set if item.partition("=")[0] in defaults], defaults)
    repeats = options.repeats or (QUICK_REPEATS if options.quick else workload.REPEATS)
    wanted = options.systems.split(",") if options.systems else list(workload.SYSTEMS)
    if not options.systems:
        wanted = [system for system in wanted if interpreters.importable(system)]
    if options.scratch is not None:
        options.scratch.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"vecdb-bench-{name}-", dir=options.scratch))
    known = {str(scratch): "SCRATCH", **({str(options.data): "DATA"} if options.data else {})}
    known |= interpreters.known_paths()
    try:
        record = _header(name, options, parameters, repeats, scratch)
        record["peer_versions"] = interpreters.peer_versions()
        runs, setups, failures, skipped = _jobs(name, wanted, repeats, parameters, scratch, options, interpreters)
        record["machine_noise"] = {**record["machine_noise"], "calibration_after": machine.calibrate()}
        record["setups"] = setups
        record["systems"] = {
            system: {"summary": records.summaries(done), "runs": done} for system, done in runs.items() if done
        }
        record["ratios"] = records.ratios(runs, workload.ratios(parameters))
        record["failures"] = failures
        record["skipped"] = skipped
        record["headlines"] = list(workload.HEADLINES)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    record = records.without_paths(record, known)
    if options.results is not None or not options.quick:
        folder = options.results or RESULTS
        records.write(folder / f"{name}{'-' + options.label if options.label else ''}.json", record)
    return record


def _jobs(
    name: str,
    wanted: Sequence[str],
    repeats: int,
    parameters: Mapping[str, Parameter],
    scratch: Path,
    options: argparse.Namespace,
    interpreters: Interpreters,
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any], list[dict[str, str]], list[dict[str, str]]]:
    """Run every job; return the runs by system, the set-up records, what failed, and what was skipped."""
    runs: dict[str, list[dict[str, Any]]] = {system: [] for system in wanted}
    setups: dict[str, Any] = {}
    failures: list[dict[str, str]] = []
    skipped: list[dict[str, str]] = []

    def attempt(system: str, step: str) -> dict[str, Any] | None:
        print(f"{name} {step} {system}".rstrip(), file=sys.stderr, flush=True)
        # Dirty pages of the job before would be written while this one is timed.
        os.sync()
        noise, calibration = machine.Noise(), machine.calibrate()
        try:
            context = Context(name, system, scratch, options.data, parameters)
            done = run_job(context, step, options.timeout, interpreters.of(system))
        except JobSkippedError as reason:
            print(f"  skipped: {reason}", file=sys.stderr, flush=True)
            skipped.append({"system": system, "step": step, "reason": str(reason)})
            return None
        except JobFailedError as error:
            print(f"  failed: {str(error).splitlines()[-1]}", file=sys.stderr, flush=True)
            failures.append({"system": system, "step": step, "error": str(error)})
            return None
        done["metrics"] |= {
            f"{phase} peak_private_bytes": told["peak_private_bytes"]
            for phase, told in done["phases"].items()
            if told["peak_private_bytes"] is not None
        }
        return {**done, "noise": {**noise.report(), "calibration": calibration}}

    if attempt("", "prepare") is None:
        return runs, setups, failures, skipped
    alive = []
    for system in wanted:
        done = attempt(system, "setup")
        if done is not None:
            setups[system] = done
            alive.append(system)
    for turn in range(repeats):
        # Alternate directions, so that no system always runs behind the same neighbour.
        for system in list(alive) if turn % 2 == 0 else list(reversed(alive)):
            done = attempt(system, "run")
            if done is None:
                alive.remove(system)
                shutil.rmtree(scratch / system, ignore_errors=True)
            else:
                runs[system].append(done)
    return runs, setups, failures, skipped


def _header(
    name: str, options: argparse.Namespace, parameters: Mapping[str, Parameter], repeats: int, scratch: Path
) -> dict[str, Any]:
    return {
        "workload": name,
        "label": options.label or None,
        "quick": options.quick,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **commit(),
        "machine": machine.describe(scratch),
        "versions": machine.versions(),
        "parameters": dict(parameters),
        "repeats": repeats,
        "machine_noise": {"calibration_before": machine.calibrate()},
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench.run", description="Measure vecdb beside other systems.")
    parser.add_argument("--suite", choices=sorted(SUITES), help="the runs behind the documents' figures")
    parser.add_argument("--peers", action="store_true", help="the same as --suite peers")
    parser.add_argument("--workload", default="", help=f"all, or some of {', '.join(workloads.NAMES)} with commas")
    parser.add_argument("--systems", default="", help="with commas; default: the workload's own")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; no data folder needed")
    parser.add_argument("--repeats", type=int, default=0, help="rounds; default: the workload's own")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a parameter")
    data = os.environ.get("VECDB_BENCH_DATA")
    parser.add_argument("--data", type=Path, default=Path(data) if data else None, help="folder of the data sets")
    peers = os.environ.get("VECDB_BENCH_PEERS")
    parser.add_argument(
        "--peers-python", type=Path, default=Path(peers) if peers else None, help="Python that has the peers' packages"
    )
    parser.add_argument("--scratch", type=Path, default=None, help="where stores are written; emptied afterwards")
    parser.add_argument("--results", type=Path, default=None, help="where records are written")
    parser.add_argument("--label", default="", help="part of the record's file name: WORKLOAD-LABEL.json")
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds that one job may take")
    return parser


if __name__ == "__main__":
    sys.exit(main())
