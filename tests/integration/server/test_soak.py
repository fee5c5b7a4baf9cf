"""A minute of everything at once: no error that was not asked for, nothing lost, and nothing that only ever grows.

VECDB_SOAK_SECONDS makes it longer. What is held is compared between two equal halves, after a first part that warms up,
so no figure depends on how fast the machine is.
"""

import dataclasses
import os
import sys
from pathlib import Path

import pytest

import vecdb_client
from support import soak
from support.served import Program

SECONDS = float(os.environ.get("VECDB_SOAK_SECONDS", "60"))
SETTINGS = ["memtable_bytes=200000", "retain_versions=2", "retain_days=0", "durability=none", "free_bytes=0"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is read from /proc")
def test_a_mixed_load_has_no_errors_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "db"
    given = [argument for one in SETTINGS for argument in ("--set", f"database.{one}")]
    with Program(folder, given) as program:
        target = f"grpc://{program.target}"
        with vecdb_client.connect(target) as database:
            database.create_collection("docs", soak.schema())
        clients = [soak.Client(number, target, "docs") for number in range(4)]

        held = []
        for share in (0.2, 0.4, 0.4):
            soak.work_all(clients, share * SECONDS)
            with vecdb_client.connect(target) as database:
                docs = database.collection("docs")
                docs.compact(purge=True)
                count, problems = docs.count(), database.check().problems
            held.append(soak.Held.by(program.process.pid, folder))

        errors = [error for client in clients for error in client.errors]
        assert errors == []
        assert count == sum(len(client.rows) for client in clients)
        assert [problem for problem in problems if problem.severity == "error"] == []
        assert held[2].grown_since(held[1]) == []
        for client in clients:
            assert client.done.total() > 0
        assert program.terminate() == 0
    assert not any('"level":"error"' in line for line in program.log.read_text().splitlines())


@pytest.mark.parametrize("name", ["memory", "files", "threads", "disk"])
def test_what_grows_is_noticed(name: str) -> None:
    """The negative control: a server that leaks one thing."""
    before = soak.Held(100 << 20, 40, 20, 8 << 20)
    leaking = dataclasses.replace(before, **{name: 5 * getattr(before, name)})

    assert before.grown_since(before) == []
    assert [told.partition(":")[0] for told in leaking.grown_since(before)] == [name]
