"""What other databases hold is here afterwards: the same ids, vectors and attributes, and what is lost is said."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vecdb as db
from integration.cli.program import Run
from support.ways import served
from vecdb_client.cli import loading

RNG = np.random.default_rng(11)
VECTORS = RNG.standard_normal((300, 8)).astype(np.float32)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the program remembers is kept in the test's own folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def stored(path: object, name: str = "docs") -> dict[Any, dict[str, Any]]:
    """Return all rows of a collection by id, vectors too."""
    with db.connect(str(path), read_only=True) as database:
        docs = database.collection(name)
        fields = [column.name for column in docs.schema]
        return {row["id"]: row for batch in docs.scan(fields=fields) for row in batch.to_pylist()}


def fields(path: object) -> dict[str, Any]:
    with db.connect(str(path), read_only=True) as database:
        return {column.name: column.field for column in database.collection("docs").schema}


def lines(path: Path, points: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(point) + "\n" for point in points))


@pytest.mark.parametrize(
    ("factory", "metric", "ids", "lossy"),
    [
        ("Flat", "l2", False, False),
        ("IDMap,Flat", "l2", True, False),
        ("HNSW8,Flat", "l2", False, False),
        ("IVF4,Flat", "dot", True, False),
        ("IDMap,IVF4,Flat", "l2", True, False),
        ("SQ8", "l2", False, True),
    ],
)
def test_vectors_of_a_faiss_index_arrive_under_their_numbers(
    factory: str, metric: str, ids: bool, lossy: bool, vecdb: Run, tmp_path: Path
) -> None:
    faiss = pytest.importorskip("faiss")
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    index = faiss.index_factory(8, factory, kind)
    index.train(VECTORS)
    numbers = np.arange(300, dtype=np.int64) * 7 + 3 if ids else np.arange(300, dtype=np.int64)
    if ids:
        index.add_with_ids(VECTORS, numbers)
    else:
        index.add(VECTORS)
    faiss.write_index(index, str(tmp_path / "vectors.index"))

    told = vecdb("import", "faiss", "vectors.index", "library", "docs", "--no-index").stdout.decode()

    rows = stored(tmp_path / "library")
    assert sorted(rows) == numbers.tolist()
    found = np.array([rows[number]["embedding"] for number in numbers])
    np.testing.assert_allclose(found, VECTORS, atol=0.05 if lossy else 0)
    assert fields(tmp_path / "library")["embedding"].metric == metric
    assert "300 rows taken over" in told
    assert "texts and attributes: a faiss index holds none" in told
    assert ("keeps codes" in told) is lossy


def test_bits_of_a_binary_faiss_index_arrive(vecdb: Run, tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss")
    bits = RNG.integers(0, 256, (20, 4), dtype=np.uint8)
    index = faiss.IndexBinaryFlat(32)
    index.add(bits)
    faiss.write_index_binary(index, str(tmp_path / "bits.index"))

    vecdb("import", "faiss", "bits.index", "library", "docs", "--no-index")

    with db.connect(tmp_path / "library", read_only=True) as database:
        docs = database.collection("docs")
        assert docs.schema["embedding"].field.dtype == "binary"
        assert [docs.search(embedding=bits[at].tobytes(), k=1)[0].distance for at in range(20)] == [0] * 20


def test_what_is_no_faiss_index_is_refused(vecdb: Run, tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    (tmp_path / "bad.index").write_bytes(b"not an index at all")

    assert b"faiss cannot read bad.index" in vecdb("import", "faiss", "bad.index", "library", "docs", code=2).stderr
    assert b"no such file" in vecdb("import", "faiss", "none.index", "library", "docs", code=3).stderr
    assert not (tmp_path / "library").exists()


POINTS = [
    {
        "id": at,
        "vector": {
            "dense": VECTORS[at].tolist(),
            "sparse": {"indices": [1, 5 + at], "values": [0.5, 1.0]},
            "tokens": [VECTORS[at, :4].tolist(), VECTORS[at, 4:].tolist()],
        },
        "payload": {"title": f"paper {at} of many", "year": 2000 + at, "id": "x", "my key": at % 2 == 0, "odd": at}
        | ({"late": "only here"} if at == 250 else {})
        | ({"odd": "text"} if at == 270 else {}),
    }
    for at in range(300)
]


def test_points_of_qdrant_arrive_with_all_kinds_of_vectors_and_payload(vecdb: Run, tmp_path: Path) -> None:
    lines(tmp_path / "points.jsonl", POINTS)

    told = vecdb("import", "qdrant-jsonl", "points.jsonl", "library", "docs", "--metric", "dot", "--no-index").stdout

    rows, kinds = stored(tmp_path / "library"), fields(tmp_path / "library")
    assert sorted(rows) == list(range(300))
    np.testing.assert_array_equal(np.array([rows[at]["dense"] for at in range(300)], np.float32), VECTORS)
    assert {name: field.kind for name, field in kinds.items()} == {
        "id": "id", "dense": "vector", "sparse": "sparse", "tokens": "multivector", "title": "text", "year": "int64",
        "id_": "keyword", "my_key": "bool", "odd": "json", "late": "text",
    }  # fmt: skip
    assert kinds["dense"].metric == "dot"
    assert (rows[269]["odd"], rows[270]["odd"]) == ("269", '"text"')
    assert (rows[250]["late"], rows[251]["late"], rows[4]["my_key"], rows[3]["year"]) == ("only here", None, True, 2003)
    assert b"'my key' is called 'my_key' here" in told
    assert b"'id' is called 'id_' here" in told


def test_points_go_to_a_server_and_uuids_are_texts(vecdb: Run, tmp_path: Path) -> None:
    lines(tmp_path / "points.jsonl", [{"id": 1, "vector": [1, 2]}, {"id": "5c56", "vector": [3, 4], "payload": None}])

    with served(tmp_path / "library") as address:
        told = vecdb("import", "qdrant-jsonl", "points.jsonl", address, "docs").stdout
        rows = stored(address)

    assert sorted(rows) == ["1", "5c56"]
    assert b"ids that are numbers became texts" in told
    assert b"the distance, which the source does not tell" in told


@pytest.mark.parametrize("line", ["[1]", '{"vector": [1]}', '{"id": 1.5, "vector": [1]}', "{"])
def test_a_line_that_is_no_point_is_named_before_anything_is_stored(line: str, vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "points.jsonl").write_text(json.dumps(POINTS[0]) + "\n" + line + "\n")

    assert (
        b"points.jsonl, line 2: " in vecdb("import", "qdrant-jsonl", "points.jsonl", "library", "docs", code=2).stderr
    )
    assert not (tmp_path / "library").exists()


def test_an_import_that_was_stopped_goes_on_where_it_was(
    vecdb: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines(tmp_path / "points.jsonl", [{"id": at, "vector": [at, 1]} for at in range(3000)])
    line = ("import", "qdrant-jsonl", "points.jsonl", "library", "docs", "--no-index")
    store, calls = loading.Loader._store, []

    def failing(self: loading.Loader) -> int:
        calls.append(len(self._pending))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return store(self)

    monkeypatch.setattr(loading, "COMMIT_BYTES", 1)
    monkeypatch.setattr(loading.Loader, "_store", failing)
    vecdb(*line, code=130)
    assert 0 < len(stored(tmp_path / "library")) < 3000

    told = vecdb(*line)

    assert sorted(stored(tmp_path / "library")) == list(range(3000))
    assert b"1,000 rows are in, going on at row 1,000" in told.stderr
    assert b"2,000 rows taken over" in told.stdout
    assert b"already taken over (3,000 rows)" in vecdb(*line).stderr
    assert b"3,000 rows taken over" in vecdb(*line, "--restart").stdout


def test_a_collection_of_chroma_arrives(vecdb: Run, tmp_path: Path) -> None:
    chromadb = pytest.importorskip("chromadb")
    client = chromadb.PersistentClient(path=str(tmp_path / "chroma"))
    made = client.create_collection("papers", configuration={"hnsw": {"space": "cosine"}})
    client.create_collection("others")
    made.add(
        ids=[f"p{at}" for at in range(300)],
        embeddings=VECTORS,
        documents=[f"paper {at} about bees" for at in range(300)],
        metadatas=[
            {"year": 2000 + at, "open": at % 2 == 0} | ({"late": 1.5} if at == 299 else {}) for at in range(300)
        ],
    )

    assert b"there are others, papers" in vecdb("import", "chroma", "chroma", "library", "docs", code=2).stderr
    told = vecdb("import", "chroma", "chroma", "library", "docs", "--from", "papers", "--no-index").stdout

    rows, kinds = stored(tmp_path / "library"), fields(tmp_path / "library")
    assert len(rows) == 300
    np.testing.assert_allclose(np.array([rows[f"p{at}"]["embedding"] for at in range(300)]), VECTORS, rtol=1e-6)
    assert kinds["embedding"].metric == "cosine"
    assert kinds["document"].search
    assert (rows["p7"]["year"], rows["p7"]["open"], rows["p299"]["late"]) == (2007, False, 1.5)
    assert b"the embedding function" in told


def test_a_table_of_lancedb_arrives(vecdb: Run, tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb")
    database = lancedb.connect(str(tmp_path / "lance"))
    column = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 8)
    table = pa.table({"id": [f"p{at}" for at in range(300)], "year": list(range(300)), "vector": column})
    database.create_table("papers", table)

    told = vecdb("import", "lancedb", "lance", "library", "docs", "--metric", "l2", "--no-index").stdout

    rows, kinds = stored(tmp_path / "library"), fields(tmp_path / "library")
    assert {name: row["year"] for name, row in rows.items()} == {f"p{at}": at for at in range(300)}
    np.testing.assert_array_equal(np.array([rows[f"p{at}"]["vector"] for at in range(300)], np.float32), VECTORS)
    assert kinds["vector"].metric == "l2"
    assert b"older versions and tags" in told


@pytest.mark.parametrize(("kind", "module"), [("chroma", "chromadb"), ("lancedb", "lancedb"), ("faiss", "faiss")])
def test_a_package_that_is_missing_is_named(
    kind: str, module: str, vecdb: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "chroma.sqlite3").touch()
    (tmp_path / "file").touch()

    told = vecdb("import", kind, "file" if kind == "faiss" else "source", "library", "docs", code=7).stderr

    assert f"`vecdb import {kind}` needs {module}".encode() in told
    assert f"pip install {module}".encode() in told
