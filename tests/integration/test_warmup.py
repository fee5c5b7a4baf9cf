"""After `warmup` nothing compiles: all kinds of index are built, merged and searched, and compilations are counted.

VECDB_WARMED names a kernel cache that `warmup` has filled and nothing else, which saves two minutes.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core import event

import vecdb
from vecdb.schema.fields import VectorDtype

HOME = Path(vecdb.__file__).parent.parent
COMPILED = "numba:compile"
WARMED = os.environ.get("VECDB_WARMED")
CODES = ["8bit", "4bit", "product", "rabitq"]
INDEXES = [vecdb.Hnsw(), *(vecdb.Ivf(codes=codes) for codes in CODES), vecdb.Funnel(8, rotate=True), vecdb.Binary()]
DTYPES: tuple[VectorDtype, ...] = ("float32", "float16", "int8")
TEXTS = ["a cat sat", "the dog sat down", "a dog and a cat", "nothing"] * 30


def compiled_by_everything(folder: Path) -> list[str]:
    """Build and search everything there is; return the functions that numba compiled meanwhile."""
    with event.install_recorder(COMPILED) as recorded:
        vectors(folder)
        texts()
    return [str(told.data["dispatcher"]) for _, told in recorded.buffer if told.is_start]


def vectors(folder: Path) -> None:
    fields: dict[str, tuple[VectorDtype, Any]]
    fields = {f"{dtype}_{number}": (dtype, index) for dtype in DTYPES for number, index in enumerate(INDEXES)}
    columns = {name: vecdb.Vector(16, dtype, index=index) for name, (dtype, index) in fields.items()}
    values = np.random.default_rng(1).integers(-100, 100, (600, 16))
    with vecdb.connect(folder, settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), n=vecdb.Int64(), **columns))
        for first in (0, 400):
            numbers = np.arange(first, min(first + 400, 600))
            rows = {name: values[numbers].astype(dtype) for name, (dtype, _) in fields.items()}
            docs.upsert({"id": numbers, "n": numbers % 100, **rows})
            docs.flush()
            docs.build_indexes()
        docs.delete(where="id < 20")
        docs.compact()
        docs.build_indexes()
        for name, (_, index) in fields.items():
            assert set(docs.stats()["indexes"][name]["rows"]) == {index.kind}
            query: dict[str, Any] = {name: values[5]}
            docs.search(5, **query)
            docs.search(5, where="n < 50", **query)
            docs.search(5, where="n = 4", **query)
            docs.search(5, exact=True, **query)
            docs.search_batch(5, **{**query, name: values[:40]})
            docs.recall(field=name, sample=5, k=3)
            next(docs.search_iter(5, **query))


def texts() -> None:
    from vecdb_index.inverted.analysis import Analyzer
    from vecdb_index.inverted.build import build, from_sparse
    from vecdb_index.inverted.matching import matches, phrase
    from vecdb_index.inverted.merge import merged
    from vecdb_index.inverted.query import bm25, sparse
    from vecdb_index.inverted.search import scores, search, search_batch
    from vecdb_index.inverted.sparse import SparseRows, nearest

    index = build(TEXTS, Analyzer(), positions=True)
    index = merged([(index, np.arange(100, dtype=np.uint32)), (index, np.arange(50, dtype=np.uint32))])
    query = bm25({"cat": 1.0, "dog": 2.0}, np.array([75, 75]), len(index), 3.0)
    assert len(search(index, query, 5).rows) == 5
    assert len(search(index, query, 5, allowed=np.arange(len(index)) < 4).rows) == 3
    search(index, query, 5, exact=True)
    search_batch(index, [query] * 3, 5)
    scores(index, query, np.arange(3, dtype=np.uint32))
    matches(index, must=[b"cat"])
    assert len(phrase(index, [b"cat", b"sat"])[0]) > 0
    starts = np.arange(0, 61, 3, dtype=np.int64)
    learnt = from_sparse(np.arange(60) % 7, np.ones(60, np.float32), starts)
    vectors = SparseRows((np.arange(60) % 7).astype(np.uint32), np.ones(60, np.float32), starts)
    assert len(nearest(learnt, vectors, sparse([1], np.ones(1)), 5).rows) >= 5
    assert len(search(learnt, sparse([1, 2], np.array([1.0, 0.5])), 5).rows) == 5


def run(program: str, folder: Path) -> str:
    place = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]), "NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **place}, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_after_warming_up_nothing_compiles(tmp_path: Path) -> None:
    everything = "import pathlib, test_warmup as t; print(t.compiled_by_everything(pathlib.Path({!r})))"

    if WARMED:
        shutil.copytree(WARMED, tmp_path / "cache")
    else:
        run("import vecdb; vecdb.warmup()", tmp_path / "cache")

    assert run(everything.format(str(tmp_path / "db")), tmp_path / "cache") == "[]"
    # The control: what the funnel needs goes missing, and the count tells.
    for path in (tmp_path / "cache").glob("*/funnel.*"):
        path.unlink()
    assert "scan" in run(everything.format(str(tmp_path / "again")), tmp_path / "cache")
