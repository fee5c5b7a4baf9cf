"""What docs/server.md tells somebody new: TLS and a key, rows in, questions, metrics, a backup, restored elsewhere."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vecdb
from support.certificates import Authority
from support.served import Program
from vecdb_client import Tls
from vecdb_server.auth.keys import Keys

ROWS = 500


class World:
    """A server with TLS, keys and a folder of backups, and a shell of somebody who has a key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        pair = self.authority.issue("vecdb.example.org")
        self.tokens, keys = {}, Keys({})
        for name, roles in {"owner": ["admin", "operator"], "search": ["reader"]}.items():
            keys, _, self.tokens[name] = keys.with_key(name, roles)
        keys.write(folder / "keys.json")
        flags = ["--host", "0.0.0.0", "--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key)]
        flags += ["--keys", str(folder / "keys.json"), "--backups", str(folder / "backups"), "--metrics-port", "0"]
        vectors = np.random.default_rng(1).standard_normal((ROWS, 8), dtype=np.float32)
        table = pa.table({"id": [f"r{at}" for at in range(ROWS)], "year": list(range(ROWS)), "v": vectors.tolist()})
        pq.write_table(table, folder / "papers.parquet")
        np.save(folder / "question.npy", vectors[7])
        self.program = Program(folder / "library", flags)
        self.address = f"grpcs://localhost:{self.program.target.rpartition(':')[2]}"

    def metrics(self) -> str:
        """Return the address of the metrics, as the log tells it."""
        events = [json.loads(line) for line in self.program.log.read_text().splitlines()]
        return next(event["metrics"] for event in events if "metrics" in event)

    def shell(self, *arguments: str, key: str | None = "owner", trust: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `vecdb` with a key, and with the certificate of whoever signed the server's."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VECDB_")}
        environment |= {} if key is None else {"VECDB_API_KEY": self.tokens.get(key, key)}
        environment |= {"VECDB_TLS_CA": str(self.authority.certificate)} if trust else {}
        environment |= {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}
        line = [sys.executable, "-m", "vecdb_client.cli", *arguments]
        return subprocess.run(line, capture_output=True, text=True, env=environment, cwd=self.folder)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    with made.program:
        yield made


def test_from_start_to_end(world: World) -> None:
    loaded = world.shell("load", world.address, "papers", "papers.parquet")
    asked = world.shell("query", world.address, "papers", "--vector", "@question.npy", "--k", "2", key="search")
    saved = world.shell("backup", world.address, "monday")

    for done in (loaded, asked, saved):
        assert (done.returncode, done.stderr.count("error")) == (0, 0), done.stderr
    assert "500 rows" in loaded.stdout
    assert asked.stdout.splitlines()[1].startswith("r7 ")
    tls = Tls(ca=world.authority.certificate)
    with vecdb.connect(world.address, api_key=world.tokens["search"], tls=tls) as database:
        docs: Any = database.collection("papers")
        assert docs.search(v=np.load(world.folder / "question.npy"), k=1, where="year < 100").ids == ["r7"]

    world.program.process.terminate()
    assert world.program.process.wait() == 0
    told = world.program.rest()
    assert world.shell("restore", "backups/monday", "elsewhere").returncode == 0
    assert world.shell("count", "elsewhere", "papers").stdout.strip() == str(ROWS)
    assert world.shell("check", "elsewhere").returncode == 0
    assert world.program.told[0].startswith(f"serving {world.folder / 'library'} on grpcs://vecdb.example.org:")
    assert any("VECDB_TLS_CA" in line for line in told)


def test_whoever_is_not_let_in_is_told_why_in_one_line(world: World) -> None:
    cases = {
        "has no API key": world.shell("collections", world.address, key=None),
        "is not valid": world.shell("collections", world.address, key="vdb_wrong"),
        "needs the permission": world.shell("create", world.address, "x", "--field", "id:id", key="search"),
        "certificate of the server": world.shell("collections", world.address, trust=False),
    }

    for told, done in cases.items():
        error, *hints = done.stderr.splitlines()
        assert told in error, done.stderr
        assert error.startswith("error: ")
        assert all(line.startswith("hint: ") for line in hints)
    assert [done.returncode for done in cases.values()] == [8, 8, 8, 7]
    with urllib.request.urlopen(world.metrics()) as metrics:
        assert b"vecdb_refused_total{" in metrics.read()
