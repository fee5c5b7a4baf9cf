"""Request ids that older versions remembered are known, in the log and in the file beside the manifests."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

import vecdb

HERE = Path(__file__).parent
RESULTS = [(2, 20), (4, 5), (6, 2), (7, 0), (9, 1), (11, 5), (13, 4)]


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_make_requests", HERE / "make_requests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["format-1-requests"])
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(HERE / request.param, tmp_path / "db"))


def test_every_write_of_a_golden_database_is_known(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = maker()
    monkeypatch.setattr("vecdb.storage.manifest.time.time", lambda: made.AT + 3600)

    with vecdb.connect(golden, create=False) as database:
        docs = database.collection("docs")
        before = docs.snapshot().lsn

        assert [(result.lsn, result.rows) for result in made.write(docs)] == RESULTS
        assert docs.stored_chunks("upload") == [0, 1]
        assert docs.snapshot().lsn == before
        assert database.check().ok
