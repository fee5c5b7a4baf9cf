"""Importing is cheap: heavy libraries are loaded by what needs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.ways import served

HEAVY = {
    "vecdb": {"numpy", "pyarrow", "numba", "lark", "pandas", "polars", "typer", "rich"},
    "vecdb.demo": {"pyarrow", "numba"},
    "vecdb.encoders": {"numpy", "pyarrow", "numba", "torch", "sentence_transformers", "huggingface_hub"},
    **{
        f"vecdb.wire.{module}": {"pyarrow", "numba", "faiss", "lark", "grpc"}
        for module in ("errors", "filters", "formulas", "queries", "reports", "results", "rows", "schemas", "values")
    },
    "vecdb_client": {"numpy", "pyarrow", "numba", "faiss"},
    "vecdb_client.cli.main": {"numpy", "pyarrow", "numba", "faiss"},
    "vecdb_index": {"numba", "faiss"},
}


@pytest.mark.parametrize("package", HEAVY)
def test_importing_a_package_loads_none_of_its_heavy_libraries(package: str, environment: dict[str, str]) -> None:
    program = f"import sys; import {package}; print(*sys.modules)"

    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)

    assert HEAVY[package] & set(run.stdout.split()) == set()


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import vecdb

    with pytest.raises(AttributeError, match="Milvus"):
        _ = vecdb.Milvus  # pyright: ignore[reportAttributeAccessIssue]


def test_a_client_searches_and_writes_without_the_engine(environment: dict[str, str], tmp_path: Path) -> None:
    program = """
import sys, numpy, vecdb
with vecdb.connect(sys.argv[1]) as database:
    schema = vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), v=vecdb.Vector(2))
    docs = database.create_collection("docs", schema)
    docs.upsert([{"id": "a", "text": "honey bee", "v": [1, 0]}, {"id": "b", "v": [0, 1]}])
    with docs.bulk() as load:
        load.add({"id": "c", "v": [1, 1]})
    query = vecdb.Query(k=2).near("v", [1, 0], recall=0.9).match("text", "honey")
    assert docs.run(query.where("text matches 'bee' or id = 'b'")).ids[0] == "a"
    assert str(docs.search(text="honey")[0].id) == "a"
    assert "**honey**" in str(docs.search(text="honey").highlights()[0]["text"])
    assert len(docs.search_batch(v=numpy.eye(2), k=1)) == 2
    assert docs.facets("text").rows == docs.count() == sum(batch.num_rows for batch in docs.scan()) == 3
print(*sys.modules)
"""
    with served(tmp_path / "database") as address:
        command = [sys.executable, "-c", program, address]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)

    assert run.returncode == 0, run.stderr
    assert {"numba", "faiss"} & set(run.stdout.split()) == set()


def test_searches_of_what_is_stored_load_no_pandas(environment: dict[str, str], tmp_path: Path) -> None:
    made = """
import sys, vecdb
with vecdb.connect(sys.argv[1]) as database:
    schema = vecdb.Schema(
        id=vecdb.Id(), text=vecdb.Text(search=True), terms=vecdb.Sparse(), v=vecdb.Vector(2), size=vecdb.Int64(),
        share=vecdb.Float64(), made=vecdb.Timestamp(), kept=vecdb.Bool(), kind=vecdb.Keyword(),
        tags=vecdb.Keyword(many=True),
    )
    docs = database.create_collection("docs", schema)
    row = {"text": "honey bee", "terms": {3: 1.0}, "share": 0.5, "made": "2024-05-01", "kept": True, "kind": "a",
           "tags": ["b", "c"]}
    with docs.bulk() as load:
        load.add([{"id": f"{i}", "v": [1, i], "size": i, **(row if i % 3 else {})} for i in range(9)])
"""
    asked = """
import sys, vecdb
docs = vecdb.connect(sys.argv[1], read_only=True).collection("docs")
for where in ("size > 3", "size in (4, 5, 7)", "share between 0 and 1", "kept = true", "kind = 'a'",
              "kind in ('a', 'z')", "made >= timestamp '2024-01-01'", "tags contains 'b'", "text matches 'bee'",
              "text = 'honey bee'", "id = '4'", "not (size = 3 or kind is null)", "size != 1.5 and v is not null"):
    for arm in {"v": [1, 2]}, {"text": "bee"}, {"terms": {3: 0.5}}:
        assert docs.search(where=where, fields=["size"], **arm)[0]["size"] in (1, 2, 4, 5, 7, 8), where
assert docs.get("4", ["size"])["size"] == 4 and len(docs.get(["4", "5"], ["size"])) == 2
print(*sys.modules)
"""
    subprocess.run([sys.executable, "-c", made, str(tmp_path / "d")], env=environment, check=True)

    run = subprocess.run(
        [sys.executable, "-c", asked, str(tmp_path / "d")], env=environment, capture_output=True, text=True
    )

    assert run.returncode == 0, run.stderr
    assert "pandas" not in run.stdout.split()


def test_a_search_by_vectors_loads_no_kernel_of_words(environment: dict[str, str], tmp_path: Path) -> None:
    """Each kernel takes 10 ms to load, and numba a second: a search of no rows needs neither."""
    program = """
import sys, vecdb
with vecdb.connect(sys.argv[1]) as database:
    schema = vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), v=vecdb.Vector(2))
    docs = database.create_collection("docs", schema)
    assert docs.search(v=[1, 2]).ids == []
    assert "numba" not in sys.modules
    docs.upsert({"id": "a", "v": [1, 0]})
    assert docs.search(v=[1, 2]).ids == ["a"]
print(*sys.modules)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "d")]

    run = subprocess.run(command, env=environment, capture_output=True, text=True)

    assert run.returncode == 0, run.stderr
    kernels = {name.rpartition(".")[2] for name in run.stdout.split() if name.startswith("vecdb_index.kernels.")}
    assert "dense" in kernels
    assert not kernels & {"inverted", "phrase", "postings", "sparse", "terms"}


def test_numba_is_loaded_before_the_time_of_a_call_begins(environment: dict[str, str]) -> None:
    program = """
import sys, vecdb
with vecdb.connect(":memory:") as database:
    docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id()))
    docs.within(vecdb.Limits(memory_bytes=5))
    assert "numba" not in sys.modules
    docs.within(vecdb.Limits(seconds=0.5))
    assert "vecdb_index.kernels.query" in sys.modules
"""

    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)

    assert run.returncode == 0, run.stderr


def test_commands_about_rows_that_are_stored_load_no_pandas(environment: dict[str, str], tmp_path: Path) -> None:
    """Only where they show a moment: Arrow makes no datetime without looking for pandas."""
    made = """
import sys, vecdb
with vecdb.connect(sys.argv[1]) as database:
    schema = vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), v=vecdb.Vector(2), size=vecdb.Int64(),
                          kept=vecdb.Bool(), tags=vecdb.Keyword(many=True))
    docs = database.create_collection("docs", schema)
    row = {"text": "honey bee", "v": [1, 2], "size": 3, "kept": True, "tags": ["b"]}
    docs.upsert([{"id": f"{i}", **(row if i % 2 else {})} for i in range(9)])
    docs.flush()
    docs.upsert([{"id": f"{i}", **(row if i % 2 else {})} for i in range(7, 15)])  # these are in the log
"""
    asked = """
import sys
from vecdb_client.cli.main import main
path = sys.argv[1]
for command in (
    f"count {path} docs", f"count {path} docs --where size>1", f"collections {path}", f"stats {path} docs",
    f"versions {path} docs", f"get {path} docs 1 2 9 --output json", f"facets {path} docs size tags kept",
    f"query {path} docs --vector [1,2] --show text,size,kept", f"query {path} docs --match bee --output json",
    f"query {path} docs --order-by size --output jsonl", f"export {path} docs - --format jsonl --show text,v,tags",
    f"delete {path} docs 1 9 10", f"tag {path} docs one", f"compact {path} docs", f"drop {path} docs --yes",
):
    assert main(command.split()) == 0, command
    assert "pandas" not in sys.modules, command
"""
    subprocess.run([sys.executable, "-c", made, str(tmp_path / "d")], env=environment, check=True)
    (tmp_path / "pandas.py").touch()  # one that is there and that Arrow would stumble over
    beside = {**environment, "PYTHONPATH": os.pathsep.join((str(tmp_path), environment["PYTHONPATH"]))}

    run = subprocess.run([sys.executable, "-c", asked, str(tmp_path / "d")], env=beside, capture_output=True, text=True)

    assert run.returncode == 0, run.stderr
