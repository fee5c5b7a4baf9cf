"""The n-th call to the disk fails, for an n anywhere in a script that does everything.

Whatever fails, the caller hears a typed error, nothing is acknowledged that is not stored, reads go on, and the next
open finds every acknowledged row. A failed sync of the log stops the writer: after it the kernel may have dropped the
bytes and say "synced" next time, so nothing written behind it could be trusted.
"""

import errno
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import vecdb
from support import faults
from support.audit import audit, observe_database
from support.child import kinds_of
from support.faults import FaultyDirectory, Plan
from support.figures import Figures
from support.graphs import small_graphs
from support.ledger import Ledger
from support.power import open_files
from support.rows import Observation, schema
from support.session import Session
from support.supervisor import SETTINGS
from support.workload import COLLECTION
from vecdb.errors import ResourceExhaustedError, UnavailableError

STEPS = ["upkeep:plant", "0:upsert", "0:delete", "upkeep:flush", "0:bulk", "0:patch", "upkeep:add", "upkeep:fill",
         "0:stream", "upkeep:flush", "upkeep:index", "upkeep:compact", "upkeep:index", "0:delete", "0:redraw",
         "upkeep:tag", "upkeep:flush"]  # fmt: skip
SETTING = vecdb.Settings(**{**SETTINGS, "background": False})
LATE = 1
TYPED = (UnavailableError, ResourceExhaustedError)


@pytest.fixture(autouse=True)
def _own_system_calls() -> Any:
    with small_graphs():
        yield
    faults.uninstall()


def _work(path: Path, plan: Plan, seed: int) -> tuple[Ledger, bool, list[str]]:
    """Run the script over a failing disk; return the ledger, whether the collection was made, and complaints."""
    faults.install(plan)
    ledger = Ledger(seed, Observation(), kinds_of([*STEPS, f"{LATE}:one"]))
    complaints: list[str] = []
    created = False
    database: Any = None
    try:
        database = vecdb.connect(path, settings=SETTING, directory_class=FaultyDirectory)
        database.create_collection(COLLECTION, schema())
        created = True
        session = Session(database, ledger, lambda line: None, path)
        for step in STEPS:
            actor = step.partition(":")[0]
            going = session.keep() if actor == "upkeep" else session.write(int(actor))
            if plan.failed_at:
                complaints += _reads_go_on(database, ledger)
            if not going:
                # Stopped or not: a write that is acknowledged now must be there after the next open.
                session.write(LATE)
                break
    except TYPED:
        pass
    except Exception as error:
        complaints.append(f"untyped {type(error).__name__}: {error}")
    finally:
        try:
            if database is not None:
                database.close()
        except TYPED:
            pass
        except Exception as error:
            complaints.append(f"close raised untyped {type(error).__name__}: {error}")
        faults.uninstall()
    return ledger, created, complaints


def _reads_go_on(database: Any, ledger: Ledger) -> list[str]:
    """Reads must answer after a failure, with a state that the ledger allows."""
    try:
        seen = observe_database(database)
    except Exception as error:
        return [f"reading failed: {type(error).__name__}: {error}"]
    state = seen.writers.get(0, {})
    allowed = [ledger.state(0)] if not ledger.unknown else ledger.allowed(0)
    return seen.complaints if state in allowed else ["a read shows something else than what was acknowledged"]


def _round(path: Path, plan: Plan, seed: int) -> tuple[Ledger, list[str]]:
    """Run the script, reopen on a healthy disk, and return the ledger and everything that is wrong."""
    ledger, created, failures = _work(path, plan, seed)
    # Failing behind a create is our own invention: the caller never got the descriptor that it could have closed.
    if not (plan.failed_at.startswith("create:") and plan.failed_at.endswith(":after")):
        failures += [f"left open: {name}" for name in open_files(path)]
    found = audit(path, ledger, path.parent, created=created, again=False)
    shutil.rmtree(path, ignore_errors=True)
    return ledger, failures if found.ok else [*failures, str(found)]


@pytest.mark.parametrize(
    ("code", "sticky"), [(errno.EIO, False), (errno.ENOSPC, False), (errno.ENOSPC, True)], ids=["EIO", "ENOSPC", "full"]
)
@pytest.mark.parametrize("most", [pytest.param(5, id="5"), pytest.param(60, id="60", marks=pytest.mark.slow)])
def test_a_failing_call_is_reported_and_loses_nothing(
    most: int, code: int, sticky: bool, memory_path: Path, scale: int, seed: int, figures: Figures
) -> None:
    healthy = Plan("fail", nth=0, code=code, root=str(memory_path / "healthy"))
    _, failures = _round(memory_path / "healthy", healthy, seed)
    assert not failures, failures
    calls = sorted(random.Random(seed).sample(range(1, healthy.total + 1), min(healthy.total, most * scale)))
    refused = unknown = 0
    for nth in calls:
        path = memory_path / str(nth)
        plan = Plan("fail", nth=nth, code=code, root=str(path), sticky=sticky)
        ledger, found = _round(path, plan, seed)
        failures += [f"seed {seed}, call {nth} ({plan.failed_at}): {text}" for text in found]
        refused += bool(ledger.refused)
        unknown += bool(ledger.unknown)
    figures(f"{len(calls)} of {healthy.total} calls failed: {refused} refusals, {unknown} unknown outcomes, 0 lost")
    assert not failures, f"{len(failures)} findings\n" + "\n".join(failures[:20])


@pytest.mark.parametrize("point", ["sync:wal:before", "sync:wal:after"])
def test_a_failed_sync_of_the_log_stops_the_writer_and_not_the_readers(
    point: str, memory_path: Path, seed: int
) -> None:
    path = memory_path / "library"
    with vecdb.connect(path, settings=SETTING) as database:
        database.create_collection(COLLECTION, schema()).upsert({"id": "kept", "writer": -2})
    plan = Plan("trace", root=str(path))
    faults.install(plan)
    database = vecdb.connect(path, settings=SETTING, directory_class=FaultyDirectory)
    collection = database.collection(COLLECTION)
    collection.upsert({"id": "also", "writer": -2})

    # The next sync of the log fails, the ones after it would succeed.
    plan.point, plan.action, plan.code = point, "fail_at", errno.EIO
    with pytest.raises(UnavailableError):
        collection.upsert({"id": "doubtful", "writer": -2})

    for _ in range(2):
        with pytest.raises(UnavailableError):
            collection.upsert({"id": "never", "writer": -2})
    assert collection.get("kept") is not None
    assert collection.count() == 2
    database.close()
    faults.uninstall()
    with vecdb.connect(path) as database:
        found = database.collection(COLLECTION)
        assert found.get("never") is None
        assert [found.get("kept") is None, found.get("also") is None] == [False, False]
