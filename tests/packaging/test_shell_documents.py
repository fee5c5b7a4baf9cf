"""The commands of documents run as they stand, on files of those names: links, sets, evaluation, migration, shell."""

import json
import re
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import vecdb
from vecdb import demo

PAPER = "W2741809807"
RNG = np.random.default_rng(3)
VECTORS = RNG.standard_normal((40, 8)).astype(np.float32)


def commands(document: str, root: Path) -> str:
    """Return the only block of commands of a document."""
    text = (root / "docs" / document).read_text("utf-8")
    (found,) = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found


def run(script: str, folder: Path, environment: dict[str, str], vecdb: str) -> str:
    """Run commands in a folder and return what they print; `vecdb` says what this command is."""
    done = subprocess.run(
        ["sh", "-eu", "-c", vecdb + script],
        cwd=folder, env={**environment, "XDG_STATE_HOME": str(folder / "state")},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def column(vectors: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])


@pytest.fixture
def papers(tmp_path: Path) -> list[str]:
    """Write papers, citations and a question, and return the ids of the papers."""
    ids = [PAPER, *(f"W{at}" for at in range(1, 40))]
    table = {
        "id": ids,
        "title": [f"Paper {at} on hash tables and other structures of data" for at in range(40)],
        "venue": [f"venue {at % 7}" for at in range(40)],
        "year": [1990 + at for at in range(40)],
        "embedding": column(VECTORS),
    }
    parquet.write_table(pa.table(table), tmp_path / "papers.parquet")
    links = {"src": ids[:39], "dst": ids[1:], "relation": ["cites"] * 39, "weight": np.linspace(0, 2, 39)}
    parquet.write_table(pa.table(links), tmp_path / "citations.parquet")
    np.save(tmp_path / "question.npy", VECTORS[7])
    return ids


@pytest.mark.usefixtures("papers")
def test_the_commands_of_the_document_on_the_command_line(
    root: Path, tmp_path: Path, environment: dict[str, str], warm: str
) -> None:
    told = run(commands("cli.md", root), tmp_path, environment, warm)

    assert "2029" in told
    assert '"title":"Paper ' in told


@pytest.mark.usefixtures("papers")
def test_the_commands_of_the_document_on_links(
    root: Path, tmp_path: Path, environment: dict[str, str], warm: str
) -> None:
    told = run(commands("graph.md", root), tmp_path, environment, warm)

    assert "W1" in told
    assert "cites" in told
    assert PAPER in (tmp_path / "graph.html").read_text("utf-8")
    with vecdb.connect(tmp_path / "library", read_only=True) as database:
        left = database.collection("papers")
        assert left.get(PAPER) is None
        stats = left.link_stats()
        assert 0 < stats["types"]["cites"] < 38
        assert stats["types"]["similar"] > 0
        assert stats["dangling_ids"] == 0


def test_the_command_of_the_document_on_sets(
    papers: list[str], root: Path, tmp_path: Path, environment: dict[str, str], warm: str
) -> None:
    run("vecdb load ./library papers papers.parquet --no-index", tmp_path, environment, warm)

    told = run(commands("sets.md", root), tmp_path, environment, warm)

    assert sum(paper in told for paper in papers) > 5


def test_the_command_of_the_document_on_evaluation(
    root: Path, tmp_path: Path, environment: dict[str, str], warm: str
) -> None:
    with vecdb.connect(tmp_path / "library", settings=vecdb.Settings(background=False)) as database:
        database.create_collection("papers", demo.schema()).upsert(demo.load())
    parquet.write_table(demo.queries(), tmp_path / "questions.parquet")
    (tmp_path / "qrels.txt").write_text("honey 0 honeybee.n.01 1\nstripes 0 zebra.n.01 1\n")
    nearest = vecdb.Query(k=10).near("embedding", "$embedding")
    for name, query in (("nearest", nearest), ("diverse", nearest.select(vecdb.Coverage()))):
        (tmp_path / f"{name}.json").write_text(json.dumps(query.to_json()))

    told = run(commands("evaluation.md", root), tmp_path, environment, warm)

    assert "nDCG@10" in told
    assert "diverse" in (tmp_path / "report.html").read_text("utf-8")


def chroma(folder: Path) -> None:
    import chromadb  # pyright: ignore[reportMissingImports]

    made = chromadb.PersistentClient(path=str(folder / "chroma")).create_collection("papers")
    made.add(ids=[f"p{at}" for at in range(40)], embeddings=VECTORS)


def lancedb(folder: Path) -> None:
    import lancedb  # pyright: ignore[reportMissingImports]

    table = pa.table({"paper_id": [f"p{at}" for at in range(40)], "vector": column(VECTORS)})
    lancedb.connect(str(folder / "lance")).create_table("papers", table)


def faiss(folder: Path) -> None:
    import faiss

    index = faiss.IndexFlatIP(8)
    index.add(VECTORS)
    faiss.write_index(index, str(folder / "vectors.index"))


def qdrant(folder: Path) -> None:
    points = [{"id": at, "vector": VECTORS[at].tolist(), "payload": {"year": 2000 + at}} for at in range(40)]
    (folder / "points.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))


@pytest.mark.parametrize(
    ("kind", "needs", "write"),
    [("chroma", "chromadb", chroma), ("lancedb", "lancedb", lancedb), ("faiss", "faiss", faiss),
     ("qdrant-jsonl", "json", qdrant)],
)  # fmt: skip
def test_a_command_of_the_document_on_migration(
    kind: str,
    needs: str,
    write: Callable[[Path], None],
    root: Path,
    tmp_path: Path,
    environment: dict[str, str],
    warm: str,
) -> None:
    if find_spec(needs) is None:
        pytest.skip(f"needs {needs}")
    (line,) = [line for line in commands("migration.md", root).splitlines() if line.startswith(f"vecdb import {kind} ")]
    write(tmp_path)

    told = run(line, tmp_path, environment, warm)

    assert "40 rows taken over" in told
    with vecdb.connect(tmp_path / "library", read_only=True) as database:
        (name,) = database.collections()
        assert database.collection(name).count() == 40


def test_every_command_of_the_document_on_migration_has_a_test(root: Path) -> None:
    kinds = [line.split()[2] for line in commands("migration.md", root).splitlines()]

    assert kinds == ["chroma", "lancedb", "faiss", "qdrant-jsonl"]
