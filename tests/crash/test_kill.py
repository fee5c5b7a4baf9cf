"""kill -9 at random times: what was acknowledged is there, once, whole.

A kill alone proves nothing about durability (the page cache survives it): test_power_cut.py does that. What it proves
is that no state of the files in between makes a database unreadable or a batch visible in part.
"""

import random
import time
from pathlib import Path

import pytest

from support.audit import audit
from support.child import Job
from support.figures import Figures
from support.ledger import Ledger
from support.supervisor import SETTINGS, Child, prepare


@pytest.mark.parametrize(
    "kills", [pytest.param(5, id="5-kills"), pytest.param(60, id="60-kills", marks=pytest.mark.slow)]
)
def test_acknowledged_writes_survive_a_kill_at_any_time(
    kills: int, memory_path: Path, scale: int, seed: int, figures: Figures
) -> None:
    kills *= scale if kills > 5 else 1
    rng = random.Random(seed)
    path, outside = memory_path / "library", memory_path / "outside"
    outside.mkdir()
    base = prepare(path)
    acknowledged = rows = backups = 0
    reopened = []
    for turn in range(kills):
        ledger = Ledger(seed * 1000 + turn, base)
        child = Child(Job(str(path), str(outside), ledger.seed, settings=SETTINGS), ledger, memory_path / "stderr")
        # One in six dies while it recovers from the one before.
        early = rng.random() < 1 / 6
        assert child.heard("opening" if early else "ready"), child.errors()
        time.sleep(rng.uniform(0, 0.05 if early else 1.0))

        child.kill()

        found = audit(path, ledger, outside)
        assert found.ok, f"seed {seed}, kill {turn}: {found}\n{child.errors()}"
        assert not ledger.refused, ledger.refused
        base = found.seen
        acknowledged += ledger.acknowledged
        rows += ledger.rows
        backups += len(ledger.backups)
        reopened.append(found.seconds)
    reopened.sort()
    figures(
        f"{kills} kills, {acknowledged} acks of {rows} rows, 0 lost, 0 duplicates, {backups} backups restored; "
        f"reopen median {reopened[kills // 2] * 1000:.0f} ms, worst {reopened[-1] * 1000:.0f} ms"
    )
    assert acknowledged > kills, "the children hardly worked: nothing was tested"
