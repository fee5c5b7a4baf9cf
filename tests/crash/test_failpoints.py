"""A kill at every named point of the disk protocol (support/faults.py), each followed by recovery.

Traced runs of fixed scripts (support/scenarios.py) list the points; then every point gets a child that dies there, or
one that stops there while the power is cut.
"""

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from support.audit import Audit, audit
from support.figures import Figures
from support.ledger import Ledger
from support.power import unavailable, volume
from support.scenarios import Stop, job_of, start, stops

LEAST_POINTS = 40
CUTS = 12


def _die_at(stop: Stop, folder: Path, seed: int) -> tuple[int, Ledger, Audit]:
    """Run the script with a kill at a point; return the exit status and what recovery finds."""
    plan = {"action": "kill", "point": stop.point, "nth": stop.nth}
    child, ledger = start(stop.scenario, replace(job_of(stop.scenario, folder, seed), plan=plan), folder)
    status = child.wait()
    found = audit(folder / "library", ledger, folder, created=_created(stop, ledger), again=False)
    if found.ok:
        shutil.rmtree(folder)
    return status, ledger, found


def _created(stop: Stop, ledger: Ledger) -> bool:
    return stop.scenario.start is not None or "created" in ledger.marks


PARTS = 8
"""Tests that go through all points together."""


@pytest.mark.parametrize(
    ("part", "parts"),
    [
        pytest.param(None, 40, id="every-40th-point"),
        *(pytest.param(part, PARTS, id=f"part-{part}", marks=pytest.mark.slow) for part in range(PARTS)),
    ],
)
def test_acknowledged_writes_survive_a_kill_at_every_point(
    part: int | None, parts: int, memory_path: Path, scale: int, seed: int, figures: Figures
) -> None:
    points, every = stops(memory_path, seed, scale)
    chosen = every[(seed % parts if part is None else part) :: parts]
    assert len(points) >= LEAST_POINTS, points

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(_die_at, stop, memory_path / f"{number}", seed) for number, stop in enumerate(chosen)]
    results = [run.result() for run in runs]

    acknowledged = 0
    failures = []
    for stop, (status, ledger, found) in zip(chosen, results, strict=True):
        if status != -9:
            failures.append(f"seed {seed}, {stop} was not reached: exit {status}, {ledger.marks}, {ledger.wrong}")
        elif not found.ok:
            failures.append(f"seed {seed}, {stop}: {found}")
        acknowledged += ledger.acknowledged
    figures(f"{len(chosen)} kills at {len(points)} points, {acknowledged} acks, {len(failures)} failures")
    assert not failures, f"{len(failures)} failures\n" + "\n".join(failures)


@pytest.mark.power
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_acknowledged_writes_survive_a_power_cut_at_any_point(
    kind: str, memory_path: Path, tmp_path: Path, scale: int, seed: int, figures: Figures
) -> None:
    if reason := unavailable(kind):
        pytest.skip(reason)
    points, every = stops(memory_path, seed, 1)
    chosen = random.Random(seed).sample(every, min(len(every), CUTS * scale))

    acknowledged = 0
    failures = []
    with volume(kind, tmp_path) as disk:
        for number, stop in enumerate(chosen):
            folder = disk.mount_point / f"{number}"
            plan = {"action": "park", "point": stop.point, "nth": stop.nth}
            job = replace(job_of(stop.scenario, folder, seed), plan=plan)
            child, ledger = start(stop.scenario, job, folder, settle=disk.settle)
            assert child.heard("parked"), f"seed {seed}, {stop} was not reached: {child.errors()}"

            disk.cut()
            child.kill()
            disk.cycle()

            found = audit(folder / "library", ledger, folder, created=_created(stop, ledger), again=False)
            if not found.ok:
                failures.append(f"seed {seed}, {stop}: {found}")
            acknowledged += ledger.acknowledged
            shutil.rmtree(folder)
    figures(f"{len(chosen)} power cuts at {len(points)} points, {acknowledged} acks, {len(failures)} failures")
    assert not failures, f"{len(failures)} failures\n" + "\n".join(failures)
