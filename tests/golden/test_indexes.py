"""Indexes that older versions wrote are used as they were stored, and answer right."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import vecdb
from support.graphs import index_files

HERE = Path(__file__).parent
DELETED = 5
CODES, LISTS = {"ef": 90, "plan": "codes"}, {"probes": 6, "plan": "lists"}
WIDE = {"hnsw": {"ef": 90, "plan": "wide"}, "funnel": CODES, "binary": CODES}


def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_make_indexes", HERE / "make_indexes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER = _maker()


@pytest.fixture(params=["format-1-indexes"])
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(HERE / request.param, tmp_path / "db"))


def true_scores(name: str, query: np.ndarray) -> np.ndarray:
    rows = MAKER.vectors(name).astype(np.float64)
    if MAKER.METRICS[name] == "l2":
        return -((rows - query) ** 2).sum(axis=1)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(query) if MAKER.METRICS[name] == "cosine" else 1
    return rows @ query / lengths


@pytest.mark.parametrize("name", MAKER.METRICS)
def test_a_golden_index_is_used_and_finds_the_best_rows(golden: Path, name: str) -> None:
    before = {path.name: path.read_bytes() for path in index_files(golden)}
    with vecdb.connect(golden, create=False) as database:
        rows = database.collection("rows")
        for number in (0, 30, 77):
            query = MAKER.vectors(name)[number] + np.arange(MAKER.DIMENSION) % 3
            scores = true_scores(name, query)

            found = rows.search(5, **{name: query, **WIDE.get(name, LISTS)})

            largest = found.explain["parts"][0]
            assert (largest["plan"], largest.get("problem")) == (WIDE.get(name, LISTS)["plan"], None)
            assert len(found.ids) == 5
            np.testing.assert_allclose(found.scores, scores[found.ids], rtol=1e-5)
            best = np.sort(np.delete(scores, DELETED))[-5:][::-1]
            np.testing.assert_allclose(found.scores, best, rtol=1e-5)
        assert rows.build_indexes() == 0
    assert {path.name: path.read_bytes() for path in index_files(golden)} == before
    assert len(before) == len(MAKER.METRICS)


def test_golden_indexes_are_sound_and_carried_along_by_a_merge(golden: Path) -> None:
    with vecdb.connect(golden, create=False) as database:
        rows = database.collection("rows")
        assert database.check().ok
        assert rows.count() == MAKER.ROWS - 1

        rows.upsert({**MAKER.records()[9], "id": 1000})
        rows.compact()
        rows.build_indexes()

        assert database.check().ok
        assert {name: told["pending_rows"] for name, told in rows.stats()["indexes"].items()} == dict.fromkeys(
            MAKER.METRICS, 0
        )
        assert set(rows.search(2, hnsw=MAKER.vectors("hnsw")[9]).ids) == {9, 1000}
