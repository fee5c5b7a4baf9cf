"""Power cuts of real file systems: what was acknowledged is on the disk, on ext4 and on xfs.

The negative controls leave out one sync each, and lose: they prove that the cut is one and that the audit sees.
"""

import random
import time
from pathlib import Path

import pytest

from support.audit import Audit, audit
from support.child import Job, kinds_of
from support.figures import Figures
from support.ledger import Ledger
from support.power import Volume, unavailable, volume
from support.supervisor import SETTINGS, Child, prepare

ROUNDS = 20
CONTROL_ROUNDS = 5

# What each control forgets shows when the power fails right behind the acknowledgement of ...
LAST_STEP = {
    "no_log_sync": "0:upsert",
    "no_file_sync": "upkeep:flush",
    # A journal keeps names in order, so any later sync of anything keeps them too: nothing may follow the rename.
    "no_folder_sync": "upkeep:add",
    "current_first": "upkeep:flush",
}


def power(kind: str) -> pytest.MarkDecorator:
    reason = unavailable(kind)
    return pytest.mark.skipif(bool(reason), reason=reason)


FILE_SYSTEMS = [pytest.param(kind, marks=[pytest.mark.power, power(kind)]) for kind in ("ext4", "xfs")]


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_acknowledged_writes_survive_a_power_cut(
    kind: str, tmp_path: Path, scale: int, seed: int, figures: Figures
) -> None:
    rng = random.Random(seed)
    acknowledged = rows = 0
    with volume(kind, tmp_path) as disk:
        path, outside = disk.mount_point / "library", disk.mount_point / "outside"
        outside.mkdir()
        base = prepare(path)
        for turn in range(ROUNDS * scale):
            ledger = Ledger(seed * 1000 + turn, base)
            child = Child(Job(str(path), str(outside), ledger.seed, settings=SETTINGS), ledger, tmp_path / "stderr")
            early = rng.random() < 1 / 6
            assert child.heard("opening" if early else "ready"), child.errors()
            time.sleep(rng.uniform(0, 0.05 if early else 1.2))

            blamed = len(ledger.wrong)
            disk.cut()
            child.kill()
            disk.cycle()

            del ledger.wrong[blamed:]  # what a child sees once its disk is gone
            found = audit(path, ledger, outside)
            assert found.ok, f"seed {seed}, cut {turn} of {kind}: {found}\n{child.errors()}"
            base = found.seen
            acknowledged += ledger.acknowledged
            rows += ledger.rows
    figures(f"{ROUNDS * scale} power cuts, {acknowledged} acks of {rows} rows, 0 lost, 0 duplicates")
    assert acknowledged > ROUNDS, "the children hardly worked: nothing was tested"


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
@pytest.mark.parametrize("control", LAST_STEP)
def test_a_directory_that_forgets_one_sync_loses_in_a_power_cut(
    kind: str, control: str, tmp_path: Path, seed: int, figures: Figures
) -> None:
    noticed: list[Audit] = []
    rounds = 0
    with volume(kind, tmp_path) as disk:
        while not noticed and rounds < CONTROL_ROUNDS:
            found = _cut_behind_the_last_step(disk, control, control, tmp_path, seed + rounds)
            noticed += [] if found.ok else [found]
            rounds += 1

    assert noticed, f"seed {seed}: nothing was lost in {rounds} power cuts"
    figures(f"noticed in round {rounds}: {noticed[0].error or noticed[0].findings[0]}"[:200])


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
@pytest.mark.parametrize("control", LAST_STEP)
def test_the_same_scenario_loses_nothing_with_every_sync_in_place(
    kind: str, control: str, tmp_path: Path, seed: int
) -> None:
    with volume(kind, tmp_path) as disk:
        for turn in range(2):
            found = _cut_behind_the_last_step(disk, control, "plain", tmp_path, seed + turn)

            assert found.ok, f"seed {seed}, round {turn}: {found}"


def _cut_behind_the_last_step(disk: Volume, control: str, directory: str, tmp_path: Path, seed: int) -> Audit:
    """Let a child work, cut the power as soon as it says that the control's last step is done, and audit."""
    path, outside = disk.mount_point / f"library-{seed}", disk.mount_point / "outside"
    outside.mkdir(exist_ok=True)
    base = prepare(path)
    script = ["open", "0:upsert", "0:upsert", "upkeep:flush", "0:upsert", "0:patch", LAST_STEP[control], "idle"]
    ledger = Ledger(seed, base, kinds_of(script))
    job = Job(str(path), str(outside), seed, directory, script=script, settings={**SETTINGS, "background": False})
    child = Child(job, ledger, tmp_path / "stderr")
    if directory == "current_first":
        assert child.heard("parked"), child.errors()
    else:
        assert child.heard("idle"), child.errors()

    disk.cut()
    child.kill()
    disk.cycle()

    return audit(path, ledger, outside)
