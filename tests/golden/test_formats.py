"""Databases that older versions wrote are read, byte for byte as they were stored, and can be written to."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import vecdb

HERE = Path(__file__).parent


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_make", HERE / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["format-1"])
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(HERE / request.param, tmp_path / "db"))


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return all(
        np.array_equal(found[name], value) if isinstance(value, np.ndarray) else found[name] == value
        for name, value in expected.items()
    )


def test_every_row_of_a_golden_database_is_what_was_stored(golden: Path) -> None:
    record = maker().record
    deleted = {f"row-{number}" for number in range(0, 60, 7)} | {"row-2"}

    with vecdb.connect(golden, create=False) as database:
        rows = database.collection("rows")

        assert rows.count() == 60 - len(deleted) + 1
        for number in range(60):
            found = rows.get(f"row-{number}")
            if f"row-{number}" in deleted:
                assert found is None
                continue
            expected = dict(record(number))
            if "weight" in expected:
                expected["mass"] = expected.pop("weight")
            expected["later"] = 2 if number == 1 else None
            assert found is not None
            assert same(found, expected), found
        assert rows.get("row-100", fields=["number", "later"]) == {"id": "row-100", "number": 100, "later": 1}


def test_a_tag_in_a_golden_database_gives_the_rows_and_fields_of_its_moment(golden: Path) -> None:
    with vecdb.connect(golden, create=False) as database, database.collection("rows").at(tag="before") as before:
        found = before.get("row-2")

        assert before.count() == 51
        assert "later" not in before.schema
        assert found is not None
        assert found["weight"] == 0.25


def test_a_golden_database_is_sound_searchable_and_writable(golden: Path) -> None:
    with vecdb.connect(golden, create=False) as database:
        rows = database.collection("rows")

        assert database.check().ok
        assert rows.search(wide=np.arange(33, 39), k=1).ids == ["row-33"]
        assert rows.search(small=[8, 1, -1, 0], k=1, where="section = 'math' and mass < 2").ids == ["row-8"]
        rows.upsert({"id": "row-101", "number": 101})
        rows.compact()
        assert database.check().ok
        assert rows.count("number > 99") == 2
