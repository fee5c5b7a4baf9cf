"""Examples of documents that begin in the middle run as they stand, behind the lines that they take for granted."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BEFORE = {
    "text": "import vecdb\ndb = vecdb.connect(':memory:')\n",
    "muvera": """
import numpy as np
import vecdb

db = vecdb.connect(":memory:")
rng = np.random.default_rng(0)
vector, question = rng.standard_normal(8), rng.standard_normal((32, 128)).astype("float32")
""",
}
AFTER = {
    "text": "",
    "muvera": """
rows = rng.standard_normal((100, 20, 128)).astype("float32")
docs.upsert([{"id": f"d{at}", "tokens": row} for at, row in enumerate(rows)])
docs.build_indexes()
for asked in (vecdb.Tokens("tokens", question), vecdb.Tokens("tokens", tokens, weights)):
    assert len(docs.run(vecdb.Query(k=10).gather(asked))) == 10
two = db.create_collection(
    "two", vecdb.Schema(id=vecdb.Id(), embedding=vecdb.Vector(8), tokens=vecdb.MultiVector(128, dtype="int8"))
)
two.upsert([{"id": f"d{at}", "tokens": row, "embedding": row[0, :8]} for at, row in enumerate(rows)])
assert len(two.run(query)) == 10
""",
}


def blocks(document: Path) -> list[str]:
    found = re.findall(r"^```python\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    return found


def run(lines: str, tmp_path: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", lines], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", BEFORE)
def test_the_examples_of_a_document_run_behind_what_they_take_for_granted(
    name: str, root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    lines = "\n".join([BEFORE[name], *blocks(root / "docs" / f"{name}.md"), AFTER[name]])

    told = run(lines, tmp_path, environment)

    assert name != "text" or "Deep Blue A **chess** **engine** that beat a champion" in told


def test_the_examples_of_the_client_document_run_against_a_server(
    root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    first, awaited = blocks(root / "docs" / "client.md")
    make = """
import vecdb
with vecdb.connect("./library") as db:
    fields = {"title": vecdb.Text(), "added": vecdb.Int64(), "embedding": vecdb.Vector(3)}
    db.create_collection("docs", vecdb.Schema(id=vecdb.Id(), **fields))
"""
    given = """
import asyncio
import pyarrow as pa
query = [0.1, 0.2, 0.3]
table = pa.table({"id": ["b"], "title": ["Another"], "added": [1], "embedding": [query]})
"""
    look = "import vecdb\nwith vecdb.connect('./library', read_only=True) as db: print(db['docs'].count())"
    run(make, tmp_path, environment)

    with subprocess.Popen(
        [sys.executable, "-m", "vecdb_client.cli", "serve", "./library", "--port", "0"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip().rpartition("grpc://")[2].replace("127.0.0.1", "localhost")
            told = run(first.replace("localhost:7700", address), tmp_path, environment)
            body = "\n".join(f"    {line}" for line in awaited.replace("localhost:7700", address).splitlines())
            run(f"{given}async def main():\n{body}\nasyncio.run(main())", tmp_path, environment)
        finally:
            server.terminate()

    assert re.match(r"a [\d.]+ A title\n", told)
    assert run(look, tmp_path, environment) == "2\n"
