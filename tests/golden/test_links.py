"""Databases that were made before there were links open without a change, and say so once they have some."""

import shutil
from pathlib import Path

import pytest

import vecdb
from vecdb.errors import InvalidInputError
from vecdb.storage import format as names

HERE = Path(__file__).parent


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HERE / "format-1", tmp_path / "db"))


def test_a_database_without_links_has_none_and_stays_what_it_was(golden: Path) -> None:
    before = (golden / "FORMAT").read_bytes()

    with vecdb.connect(golden, create=False) as database:
        rows = database.collection("rows")
        assert rows.link_stats()["links"] == 0
        assert rows.neighbours("row-1").num_rows == 0
        rows.upsert({"id": "row-1"})
        rows.flush()
        assert rows.snapshot()._state.located.manifest.to_json().keys() & {"links"} == set()

    assert (golden / "FORMAT").read_bytes() == before


def test_a_database_that_gets_links_is_refused_by_a_vecdb_that_would_lose_them(
    golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with vecdb.connect(golden, create=False) as database:
        database.collection("rows").link({"src": "row-1", "dst": "row-3"})
    with vecdb.connect(golden, create=False) as database:
        assert database.collection("rows").neighbours("row-3").column("neighbour").to_pylist() == ["row-1"]
        assert database.check().ok

    monkeypatch.setattr(names, "FEATURES", ("arrow-segments", "roaring-deletes", "binary-vectors", "sparse-vectors"))
    with pytest.raises(InvalidInputError, match="links"):
        vecdb.connect(golden, create=False)
