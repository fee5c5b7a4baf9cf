"""Fixed scripts that reach every named point of the disk protocol, and the databases that they start from.

One script makes a database from nothing; three start from what a crash left, with a torn log and stray files: one does
everything that touches the disk, one opens, writes a little and closes, again and again, and one builds indexes.
"""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import vecdb
from support.audit import audit, observe_database
from support.child import Job, kinds_of
from support.ledger import Ledger
from support.rows import Observation
from support.supervisor import SETTINGS, Child
from vecdb.storage.wal import scan

FRESH = ["open", "create", "upkeep:plant", "0:upsert", "upkeep:flush", "0:upsert", "close"]
MESS = ["open", "create", "upkeep:plant", "0:upsert", "upkeep:flush", "0:bulk", "0:delete", "upkeep:link",
        "upkeep:flush", "upkeep:tag", "upkeep:add", "0:upsert", "upkeep:fill", "upkeep:unlink", "0:one",
        "abandon"]  # fmt: skip
TWICE = ["open", "0:one", "close", "open", "0:one", "close", "open", "0:delete", "close"]
EVERYTHING = ["open", "0:upsert", "0:delete", "0:patch", "upkeep:link", "upkeep:flush", "upkeep:unlink", "0:bulk",
              "0:sweep", "upkeep:add", "upkeep:fill", "0:stream", "upkeep:flush", "upkeep:rename", "upkeep:link",
              "upkeep:flush", "upkeep:cut", "upkeep:compact", "0:redraw", "upkeep:tag", "upkeep:untag", "upkeep:drop",
              "upkeep:found", "upkeep:raze", "0:delete", "upkeep:flush", "0:upsert", "close", "open", "0:upsert",
              "upkeep:flush", "upkeep:purge", "upkeep:backup", "0:one", "close"]  # fmt: skip
INDEXES = ["open", "0:upsert", "upkeep:flush", "upkeep:index", "0:delete", "0:bulk", "upkeep:index", "0:redraw",
           "upkeep:flush", "upkeep:backup", "upkeep:compact", "upkeep:index", "0:upsert", "close", "open",
           "upkeep:purge", "upkeep:index", "0:one", "close"]  # fmt: skip
QUIET = {**SETTINGS, "background": False}


@dataclass(frozen=True)
class Scenario:
    """A script, the database that it starts from (None: nothing), and what that holds."""

    name: str
    script: list[str]
    start: Path | None
    base: Observation


def scenarios(folder: Path, seed: int) -> list[Scenario]:
    """Make the database that a crash left: killed without closing, a torn frame in its log, stray temporary files."""
    start = folder / "start"
    ledger = Ledger(seed, Observation(), kinds_of(MESS))
    job = Job(str(start), str(folder), seed, script=MESS, settings=QUIET)
    child = Child(job, ledger, folder / "stderr-start")
    assert child.wait() == 0, child.errors()
    assert not ledger.wrong, ledger.wrong
    copy = folder / "look"
    shutil.copytree(start, copy)
    with vecdb.connect(copy, settings=vecdb.Settings(background=False)) as database:
        base = observe_database(database)
    collection = next((start / "collections").iterdir())
    log = max((collection / "wal").iterdir())
    content = log.read_bytes()
    log.write_bytes(content[: scan(content, log.name).end] + b"VBDL" + bytes(range(60)))
    (collection / "tmp" / "stray").mkdir(parents=True)
    (collection / "tmp" / "stray" / "ids.arrow").write_bytes(b"half a file")
    (collection / "manifests" / f"{'9' * 20}.json.tmp.1.1").write_bytes(b"half a manifest")
    (collection / "CURRENT.tmp.1.1").write_bytes(b"half")
    return [
        Scenario("fresh", FRESH, None, Observation()),
        Scenario("everything", EVERYTHING, start, base),
        Scenario("twice", TWICE, start, base),
        Scenario("indexes", INDEXES, start, base),
    ]


def start(
    scenario: Scenario, job: Job, folder: Path, settle: Callable[[], None] = lambda: None
) -> tuple[Child, Ledger]:
    """Put the database in its place, let it settle there, and start a child with the job."""
    folder.mkdir()
    if scenario.start is not None:
        shutil.copytree(scenario.start, job.path)
    errors = folder / "stderr"
    errors.touch()
    settle()
    ledger = Ledger(job.seed, scenario.base, kinds_of(scenario.script))
    child = Child(job, ledger, errors)
    return child, ledger


def job_of(scenario: Scenario, folder: Path, seed: int) -> Job:
    return Job(
        str(folder / "library"), str(folder), seed + 1, "faulty", script=scenario.script, settings=QUIET,
        trace=str(folder / "trace"),
    )  # fmt: skip


def trace(scenario: Scenario, folder: Path, seed: int) -> dict[str, int]:
    """Run the script to its end and return how often it hits each point."""
    child, ledger = start(scenario, job_of(scenario, folder, seed), folder)
    assert child.wait() == 0, child.errors()
    assert "finished" in ledger.marks, f"the script stopped early: {ledger.unknown} {ledger.wrong}"
    found = audit(folder / "library", ledger, folder)
    assert found.ok, f"seed {seed}, {scenario.name} without any fault: {found}"
    return json.loads((folder / "trace").read_text())


def leaves_no_trace(point: str) -> bool:
    """Tell whether the disk is the same as at another point: reading changes nothing between before and after."""
    operation, _, moment = point.split(":")
    return operation in ("read", "map", "list") and moment == "after"


@dataclass(frozen=True)
class Stop:
    """A place to stop at: the nth hit of a point in a scenario."""

    point: str
    nth: int
    scenario: Scenario

    def __str__(self) -> str:
        return f"{self.scenario.name} script, hit {self.nth} of {self.point}"


def stops(folder: Path, seed: int, rounds: int) -> tuple[list[str], list[Stop]]:
    """Trace all scenarios; return every point that they reach, and `rounds` places to stop at for each.

    Points behind a read are left out: nothing has changed since the point before it.
    """
    rng = random.Random(seed)
    traced = [(scenario, trace(scenario, folder / scenario.name, seed)) for scenario in scenarios(folder, seed)]
    points = sorted({point for _, counts in traced for point in counts})
    chosen = []
    for point in points * rounds:
        if not leaves_no_trace(point):
            # Any script that reaches it, any hit: the first publish of a manifest is not like the fifth.
            scenario, counts = rng.choice([pair for pair in traced if point in pair[1]])
            chosen.append(Stop(point, rng.randint(1, counts[point]), scenario))
    return points, chosen
