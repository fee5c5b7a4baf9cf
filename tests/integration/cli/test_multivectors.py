"""`vecdb load`, `query`, `export` and `get` with multi-vectors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vecdb as api
from integration.cli.program import Run
from vecdb_client.cli.fields import describe_field, parse_field

RNG = np.random.default_rng(3)
ROWS = {"a": RNG.standard_normal((3, 4)), "b": RNG.standard_normal((1, 4)), "c": np.empty((0, 4))}
FIELDS = "--field", "id:id", "--field", "tokens:multivector(4,float32,normalise=false)"
ASKED = RNG.standard_normal((2, 4))


def held(path: Path) -> dict[str, Any]:
    with api.connect(path, read_only=True) as database:
        return {
            row["id"]: row["tokens"] for row in database.collection("docs").get(list(ROWS), fields=["tokens"]) if row
        }


def check(path: Path) -> None:
    found = held(path)
    assert found.keys() == ROWS.keys()
    for key, tokens in ROWS.items():
        assert np.array_equal(found[key], tokens.astype(np.float32))


def written(folder: Path, form: str) -> Path:
    """Write the rows to a file."""
    path = folder / f"rows.{form}"
    flat = np.concatenate(list(ROWS.values())).astype(np.float32)
    offsets = np.array([0, 3, 4, 4])
    if form == "npz":
        np.savez(path, id=np.array(list(ROWS)), tokens=flat, tokens_offsets=offsets)
    elif form == "parquet":
        pq.write_table(pa.table({"id": list(ROWS), "tokens": [tokens.tolist() for tokens in ROWS.values()]}), path)
    elif form == "csv":
        lines = [f'{key},"{json.dumps(tokens.tolist())}"' for key, tokens in ROWS.items()]
        path.write_text("\n".join(["id,tokens", *lines]))
    else:
        path.write_text("\n".join(json.dumps({"id": k, "tokens": v.tolist()}) for k, v in ROWS.items()))
    return path


@pytest.mark.parametrize("form", ["npz", "parquet", "csv", "jsonl"])
def test_rows_of_all_forms_are_loaded(form: str, vecdb: Run, tmp_path: Path) -> None:
    database = tmp_path / "db"
    vecdb("create", database, "docs", *FIELDS)
    vecdb("load", database, "docs", written(tmp_path, form))
    check(database)


@pytest.mark.parametrize("form", ["parquet", "npz"])
def test_a_file_of_lists_of_vectors_says_itself_what_it_holds(form: str, vecdb: Run, tmp_path: Path) -> None:
    vecdb("load", tmp_path / "db", "docs", written(tmp_path, form))
    with api.connect(tmp_path / "db", read_only=True) as database:
        assert database.collection("docs").schema["tokens"].field == api.MultiVector(4, "float32")


@pytest.mark.parametrize("form", ["jsonl", "parquet", "arrow"])
def test_what_is_exported_is_loaded_again(form: str, vecdb: Run, tmp_path: Path) -> None:
    vecdb("create", tmp_path / "db", "docs", *FIELDS)
    vecdb("load", tmp_path / "db", "docs", written(tmp_path, "npz"))
    vecdb("export", tmp_path / "db", "docs", tmp_path / f"out.{form}")
    vecdb("create", tmp_path / "again", "docs", *FIELDS)
    vecdb("load", tmp_path / "again", "docs", tmp_path / f"out.{form}")
    check(tmp_path / "again")


def test_blocks_of_equal_rows_are_loaded(vecdb: Run, tmp_path: Path) -> None:
    block = RNG.standard_normal((5, 3, 4)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", id=np.arange(5), tokens=block)
    vecdb("create", tmp_path / "db", "docs", "--field", "id:id(int64)", *FIELDS[2:])
    vecdb("load", tmp_path / "db", "docs", tmp_path / "rows.npz")
    with api.connect(tmp_path / "db", read_only=True) as database:
        rows = database.collection("docs").get(list(range(5)), fields=["tokens"])
    assert all(row is not None and np.array_equal(row["tokens"], own) for row, own in zip(rows, block, strict=True))


def test_offsets_that_do_not_fit_are_refused(vecdb: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", id=np.arange(2), tokens=np.ones((5, 4)), tokens_offsets=np.array([0, 2, 4]))
    vecdb("create", tmp_path / "db", "docs", "--field", "id:id(int64)", *FIELDS[2:])
    done = vecdb("load", tmp_path / "db", "docs", tmp_path / "rows.npz", code=2)
    assert b"does not ascend from 0 to 5" in done.stderr


def test_a_question_of_several_vectors_finds_what_the_library_finds(vecdb: Run, tmp_path: Path) -> None:
    vecdb("create", tmp_path / "db", "docs", *FIELDS)
    vecdb("load", tmp_path / "db", "docs", written(tmp_path, "npz"))
    np.save(tmp_path / "asked.npy", ASKED.astype(np.float32))
    with api.connect(tmp_path / "db", read_only=True) as database:
        expected = [hit.id for hit in database.collection("docs").search(tokens=ASKED)]
    for given in (f"@{tmp_path / 'asked.npy'}", json.dumps(ASKED.tolist())):
        done = vecdb("query", tmp_path / "db", "docs", "--vector", given, "--output", "json")
        assert [row["id"] for row in json.loads(done.stdout)] == expected
    stage = {"kind": "max_sim", "field": "tokens", "tokens": ASKED.tolist()}
    done = vecdb("query", tmp_path / "db", "docs", "--query", json.dumps({"stages": [stage]}), "--output", "json")
    assert [row["id"] for row in json.loads(done.stdout)] == expected
    done = vecdb("query", tmp_path / "db", "docs", "--vector", given, "--ef", "9", code=2)
    assert b"do not go with multi-vectors" in done.stderr
    shown = json.loads(vecdb("get", tmp_path / "db", "docs", "b", "--output", "json").stdout)[0]["tokens"]
    assert np.array_equal(np.array(shown, np.float32), ROWS["b"].astype(np.float32))


@pytest.mark.parametrize(
    "text",
    [
        "multivector(128)",
        "multivector(64,int8,pool_factor=2.5,pooling=kmeans,protect=0)",
        "multivector(8,fixed=32,flat)",
        "multivector(8,sign)",
        "multivector(8,residual2)",
    ],
)
def test_the_short_form_of_a_field_reads_back(text: str) -> None:
    assert describe_field(parse_field(f"tokens:{text}")[1]) == text
