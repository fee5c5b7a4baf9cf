"""Multi-vectors of which every row has as many: no segment says where each row begins, and nothing else differs."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

import vecdb
from vecdb.storage.token_files import mismatch

D, COUNT = 8, 4
RNG = np.random.default_rng(3)
ASKED = RNG.standard_normal((3, D))
ROWS = [{"id": f"{number:03}", "tokens": RNG.standard_normal((9, D))} for number in range(120)]
DTYPES = pytest.mark.parametrize("dtype", ["float16", "int8", "int4", "sign", "residual2"])


def made(path: Path, dtype: Any) -> tuple[vecdb.Database, Any]:
    database = vecdb.connect(path, settings=vecdb.Settings(background=False))
    tokens = vecdb.MultiVector(D, dtype, fixed=COUNT, protect=0, index="flat")
    return database, database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), tokens=tokens))


def files(path: Path, name: str = "doc-1") -> list[pa.RecordBatch]:
    """Return what the segments say of their rows, the newest last."""
    found = sorted(path.glob(f"collections/*/segments/*/{name}.arrow"), key=lambda file: file.stat().st_mtime_ns)
    return [pa.ipc.open_file(pa.py_buffer(file.read_bytes())).get_batch(0) for file in found]


def answer(docs: Any) -> list[tuple[str, float]]:
    return [(hit.id, hit.score) for hit in docs.search(tokens=ASKED, k=200)]


@DTYPES
def test_a_segment_of_a_fixed_count_stores_no_places_and_scores_as_one_that_does(dtype: str, tmp_path: Path) -> None:
    database, docs = made(tmp_path / "fixed", dtype)
    with database:
        docs.upsert(ROWS)
        docs.flush()
        (rows,) = files(tmp_path / "fixed")
        assert "tokens" not in rows.schema.names
        assert all(pa.types.is_boolean(one.type) or one.type.list_size == COUNT for one in rows.schema)
        found = answer(docs)
        tokens = {row["id"]: row["tokens"] for row in docs.get([row["id"] for row in ROWS], fields=["tokens"])}
        assert {held.shape for held in tokens.values()} == {(COUNT, D)}

        docs.upsert([{"id": "short", "tokens": ROWS[0]["tokens"][:2]}, {"id": "none"}])
        docs.compact()

        (rows,) = files(tmp_path / "fixed")[-1:]
        assert rows.column("tokens").to_pylist().count(COUNT) == len(ROWS)
        if dtype != "residual2":  # whose rows that were in memory have new centroids
            assert [pair for pair in answer(docs) if pair[0] != "short"] == found
        docs.delete(["short", "none"])
        docs.compact()
        assert answer(docs) == found
        assert "tokens" not in files(tmp_path / "fixed")[-1].schema.names
    with vecdb.connect(tmp_path / "fixed", read_only=True) as again:
        assert answer(again["docs"]) == found
    assert vecdb.check(tmp_path / "fixed").problems == ()


@DTYPES
def test_a_count_that_does_not_fit_the_vectors_is_found(dtype: str, tmp_path: Path) -> None:
    database, docs = made(tmp_path / "db", dtype)
    with database:
        docs.upsert(ROWS)
        docs.flush()
    ((rows,), (vectors,)) = files(tmp_path / "db"), files(tmp_path / "db", "tok-1")
    centroids = next(iter(files(tmp_path / "db", "cen-1")), None)
    assert mismatch(vectors, rows, centroids) is None

    told = orjson.loads(rows.schema.metadata[b"vecdb-tokens"])
    for count, problem in ((COUNT + 1, "600 of 480 vectors"), (None, "does not say how many vectors")):
        changed = orjson.dumps(told | {"count": count})
        other = rows.replace_schema_metadata({b"vecdb-tokens": changed})
        assert problem in str(mismatch(vectors, other, centroids))
