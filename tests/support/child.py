"""The process that is killed: opens the database, works on it, tells the supervisor through its standard output.

`run` is what it does from the fork on. A line goes out by one write() below PIPE_BUF after the
call it tells of has returned: what the supervisor has read had been acknowledged, whenever the kill came.
"""

import faulthandler
import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.ledger import Ledger
    from support.session import Session

PATIENCE = 300
"""Seconds after which a hanging child dumps its stacks and dies; no test depends on it otherwise."""


@dataclass(frozen=True)
class Job:
    """What a child shall do.

    Attributes:
        path: the database.
        outside: a folder for backups.
        seed: of the operations.
        directory: "plain", "faulty" (see faults.py), or a negative control (see controls.py).
        plan: for "faulty": the arguments of a Plan.
        script: steps of one thread, see `_follow`; None: all writers and the upkeep at once until killed.
        writers: threads that write, for a job without script.
        chores: whether a job without script does upkeep as well.
        settings: of the database.
        trace: file for the points that were reached.

    """

    path: str
    outside: str
    seed: int
    directory: str = "plain"
    plan: dict[str, Any] = field(default_factory=dict)
    script: list[str] | None = None
    writers: int = 4
    chores: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    trace: str = ""

    def to_json(self) -> str:
        """Return what `run` takes."""
        return json.dumps(asdict(self))


def emit(line: str) -> None:
    """Send one line."""
    os.write(1, f"{line}\n".encode()[:4000])


def begin(work: Callable[..., None], arguments: tuple[str, ...], says: Connection, errors: str) -> None:
    """Do some work after a fork; its lines go to the pipe, which is standard output from here on, errors to a file."""
    os.dup2(says.fileno(), 1)
    says.close()
    with open(errors, "wb") as sink:
        os.dup2(sink.fileno(), 2)
    os.chdir(Path(errors).parent)
    faulthandler.enable()
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    work(*arguments)


def run(job_json: str) -> None:
    """Do a job."""
    # Loaded before the first line: a kill "while opening" shall not always hit the imports.
    from support import controls, faults, graphs
    from vecdb.storage.directory import LocalDirectory

    job = Job(**json.loads(job_json))
    if job.script is None or "upkeep:index" in job.script:
        graphs.allow_small()
    if job.directory == "faulty":
        faults.install(faults.Plan(**job.plan, root=job.path))
        chosen = faults.FaultyDirectory
    elif job.directory == "plain":
        chosen = LocalDirectory
    else:
        chosen = controls.CONTROLS[job.directory]
    if job.script is None:
        _storm(job, chosen)
    else:
        _follow(job, chosen)
    _write_trace(job)
    emit("finished")


def _storm(job: Job, directory: type) -> None:
    """All writers and the upkeep at once, until killed."""
    import vecdb
    from support.audit import observe_database
    from support.ledger import Ledger
    from support.session import Session

    emit("opening")
    database = vecdb.connect(job.path, settings=vecdb.Settings(**job.settings), directory_class=directory)
    base = observe_database(database)
    session = Session(database, Ledger(job.seed, base), emit, Path(job.outside))

    def work(step: Any, *arguments: Any) -> None:
        while step(*arguments):
            pass

    threads = [threading.Thread(target=work, args=(session.write, writer)) for writer in range(job.writers)]
    if job.chores:
        threads.append(threading.Thread(target=work, args=(session.keep,)))
    emit("ready")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    threading.Event().wait()


def _follow(job: Job, directory: type) -> None:
    """Follow a script in one thread.

    Steps: "open", "close", "create" (the collection), "idle" (wait to be killed), "abandon" (die without closing),
    "upkeep:<kind>", "<writer>:<kind>".
    """
    import vecdb
    from support.audit import observe_database
    from support.ledger import Ledger
    from support.rows import schema
    from support.workload import COLLECTION

    script = job.script or []
    ledger: Ledger | None = None
    database: Any = None
    session: Session | None = None
    for step in script:
        if step == "open":
            emit("opening")
            database = vecdb.connect(job.path, settings=vecdb.Settings(**job.settings), directory_class=directory)
            emit("ready")
            ledger = ledger or Ledger(job.seed, observe_database(database), kinds_of(script))
            session = _session(database, ledger, job)
        elif step == "close":
            database.close()
            emit("closed")
        elif step == "create":
            database.create_collection(COLLECTION, schema())
            emit("created")
            session = _session(database, ledger, job)
        elif step == "idle":
            emit("idle")
            threading.Event().wait()
        elif step == "abandon":
            _write_trace(job)
            emit("finished")
            os._exit(0)
        elif session is not None:
            actor = step.partition(":")[0]
            going = session.keep() if actor == "upkeep" else session.write(int(actor))
            if not going:
                emit("stopped")
                return


def _session(database: Any, ledger: "Ledger | None", job: Job) -> "Session | None":
    from support.session import Session
    from support.workload import COLLECTION

    if ledger is None or COLLECTION not in database.collections():
        return None
    return Session(database, ledger, emit, Path(job.outside))


def _write_trace(job: Job) -> None:
    from support import faults

    if job.trace:
        Path(job.trace).write_text(json.dumps(faults.reached()))


def kinds_of(script: list[str]) -> dict[str, list[str]]:
    """Return each actor's kinds of operations, in order, as a Ledger takes them."""
    kinds: dict[str, list[str]] = {}
    for step in script:
        actor, colon, kind = step.partition(":")
        if colon:
            kinds.setdefault(actor, []).append(kind)
    return kinds
